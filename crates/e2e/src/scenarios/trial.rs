//! `try`: jobs in both engines, those that succeed, fail, are stopped from outside, take too long or can't begin.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    time::Instant,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::world::{TIMESTAMP, World};
use crate::testbed::{Docker, Engine, Invocation, Log, Podman, end_by, read, recipe, wait_until, wait_while_running};

/// The code folder in a container.
const CODE: &str = "/home/ma-user/modelarts/user-job-dir/code";
/// The image of the base and the launcher alone: a second older than the sample.
const SMALL: &str = "20221028181324";
/// A rank that says that it is there and stays until it is told to end.
const STAYS: &str = "echo up; trap 'echo told; exit 0' TERM; while :; do sleep 0.2; done";
/// Containers of ours.
const LABELLED: [&str; 5] = ["ps", "--all", "--quiet", "--filter", "label=fmtk.try"];

/// The sample image in docker: 2 nodes of 8 ranks of the example, every one where and what it should be.
pub fn whole(world: &World, log: &Log) -> anyhow::Result<()> {
    let docker = world.docker(log)?;
    world.image(log)?;
    let out = world.folder("try")?.join("whole");
    let job = by_docker(world, log, docker).args(["--nodes", "2", "--format", "json", "--out"]).arg(&out);
    let done = job.arg(TIMESTAMP).run()?;
    done.says(&["[node 0] [rank 7] ", "[node 1] [rank 15] ", "[node 1] fmtk-launch: SUCCEEDED"])?;
    let report = done.json()?;
    ensure!(report == report_of(&out)?, "the report that was kept is another one");
    ensure!(report["outcome"] == "succeeded" && report["exit_code"] == 0, "the report says {report}");
    let mut next = 0;
    for node in 0..2 {
        let ranks = report["nodes"][node]["ranks"].as_array().context("a node has no ranks")?;
        ensure!(ranks.len() == 8, "node {node} had {} ranks", ranks.len());
        for (device, rank) in ranks.iter().enumerate() {
            let one = One { out: &out, node, device, rank: next };
            one.is_right(rank).with_context(|| format!("rank {next}"))?;
            next += 1;
        }
        let console = read(&out.join(format!("node-{node}/console.txt")))?;
        ensure!(console.contains("has the status `initializing`"), "the table was complete at once:\n{console}");
        let lines = console.lines().filter(|line| line.starts_with("[rank ")).count();
        ensure!(lines == 8 * 9, "the console of node {node} has {lines} lines of its ranks instead of 72");
    }
    none_is_left(log, docker)?;
    log.say(&format!("2 × 8 ranks of the sample: {:.1} s", done.time.as_secs_f64()));
    Ok(())
}

/// A rank of the example.
struct One<'a> {
    out: &'a Path,
    node: usize,
    device: usize,
    rank: usize,
}

impl One<'_> {
    fn is_right(&self, said: &Value) -> anyhow::Result<()> {
        let Self { out, node, device, rank } = self;
        let expected = (Some(*rank as u64), Some(*device as u64), Some(0), Some(9));
        let number = |name: &str| said[name].as_u64();
        let found = (number("rank"), number("device"), number("exit_code"), number("lines"));
        ensure!(found == expected, "{found:?} instead of {expected:?}");
        let path = PathBuf::from(said["log"].as_str().context("no log")?);
        let name = format!("modelarts-job-try-proc-rank-{rank}-device-{device}.txt");
        let mount = out.join(format!("node-{node}/modelarts"));
        ensure!(path == mount.join("log").join(name), "its log is `{}`", path.display());
        let text = read(&path)?;
        let lines: Vec<&str> = text.lines().collect();
        let process_log = format!("log/modelarts-job-try/ascend/process_log/rank_{rank}");
        ensure!(lines.len() == 9 && text.ends_with('\n'), "its log says:\n{text}");
        for (at, expected) in [
            (0, format!("rank {rank} of 16, device {device}, host ma-job-try-worker-{node}, uid 1000")),
            (2, format!("cwd {CODE}")),
            (3, format!("MODEL_TASK_CWD {CODE}")),
            (4, format!("CANN logs to /home/ma-user/modelarts/{process_log}")),
            (8, format!("wrote and read 3 lines of loss-of-rank-{rank}.txt")),
        ] {
            ensure!(lines[at] == expected, "`{}` instead of `{expected}`", lines[at]);
        }
        ensure!(lines[1].starts_with("machine aarch64, "), "it ran as `{}`", lines[1]);
        let losses = read(&mount.join(format!("user-job-dir/code/loss-of-rank-{rank}.txt")))?;
        ensure!(losses.lines().count() == 3, "its relative file has `{losses}`");
        ensure!(mount.join(&process_log).is_dir(), "CANN's log folder is not there");
        Ok(())
    }
}

/// A small image in podman: another user on a read-only root, failures, stops, and what can't begin.
pub fn ends(world: &World, log: &Log) -> anyhow::Result<()> {
    let bed = Bed::new(world, log)?;
    bed.other_user()?;
    bed.rank_fails()?;
    bed.is_terminated()?;
    bed.takes_too_long()?;
    bed.is_interrupted()?;
    bed.can_not_begin()
}

struct Bed<'a> {
    log: &'a Log,
    world: &'a World,
    podman: &'a Podman,
    folder: PathBuf,
}

impl<'a> Bed<'a> {
    fn new(world: &'a World, log: &'a Log) -> anyhow::Result<Self> {
        let base = world.base(log)?;
        let folder = world.folder("try-ends")?;
        let text = recipe(&[]);
        fs::write(folder.join("image.toml"), text).context("failed to write the recipe")?;
        world.folder("try-ends/pkg")?;
        let bed = Self { log, world, podman: world.podman(log)?, folder };
        let image = bed.xtask().arg("image").arg("--recipe").arg(bed.folder.join("image.toml"));
        let image = image.arg("--pkg").arg(bed.folder.join("pkg")).args(["--base", &base.to_string()]);
        image.args(["--timestamp", SMALL]).run()?;
        Ok(bed)
    }

    fn xtask(&self) -> Invocation<'a> {
        self.world.xtask_in(self.log, &self.folder.join("store"))
    }

    /// Tries the image that was built last, and gives the folder of it.
    fn job(&self, name: &str) -> anyhow::Result<(Invocation<'a>, PathBuf)> {
        let out = self.folder.join(name);
        let job = self.xtask().args(["try", "--engine", "podman", "--format", "json", "--out"]).arg(&out);
        Ok((self.podman.as_the_users(job)?, out))
    }

    fn other_user(&self) -> anyhow::Result<()> {
        let (job, out) = self.job("other-user")?;
        let done = job.args(["--devices", "2", "--uid", "4242", "--read-only"]).run()?;
        done.says(&["loading fmtk-ma:", "uid 4242"])?;
        let report = done.json()?;
        ensure!(report["nodes"][0]["ranks"].as_array().is_some_and(|ranks| ranks.len() == 2), "{report}");
        let losses = read(&out.join("node-0/modelarts/user-job-dir/code/loss-of-rank-1.txt"))?;
        ensure!(losses.lines().count() == 3, "the relative file has `{losses}`");
        self.log.say("another user on a read-only root");
        Ok(())
    }

    /// The root is really read-only, one rank on node 1 fails, and node 0 is stopped.
    fn rank_fails(&self) -> anyhow::Result<()> {
        let (job, out) = self.job("fails")?;
        let rank = format!("if touch /home/ma-user/x; then exit 9; fi; if [ $RANK_ID = 3 ]; then exit 7; fi; {STAYS}");
        let command = ["--read-only", "--nodes", "2", "--devices", "2", "--", "fmtk-launch", "run", "--", "sh", "-c"];
        let failed = job.args(command).arg(rank).fails(1)?;
        failed.says(&["error: the job failed", "node 1 ended with exit code 7: rank 3 "])?;
        let report = failed.json()?;
        let ended =
            |node: usize| (report["nodes"][node]["outcome"].clone(), report["nodes"][node]["exit_code"].clone());
        ensure!(report["exit_code"] == 7 && report["cause_node"] == 1, "the report says {report}");
        ensure!(ended(0) == ("stopped".into(), 143.into()), "node 0: {:?}", ended(0));
        ensure!(ended(1) == ("failed".into(), 7.into()), "node 1: {:?}", ended(1));
        let log = read(&out.join("node-0/modelarts/log/modelarts-job-try-proc-rank-0-device-0.txt"))?;
        ensure!(was_asked(&log), "rank 0 was not asked: `{log}`");
        none_is_left(self.log, self.podman)?;
        self.log.say(&format!("a rank fails on node 1: both end in {:.1} s", failed.time.as_secs_f64()));
        Ok(())
    }

    /// SIGTERM to the container of a task: 143 within the grace, and its logs are where they were wanted.
    fn is_terminated(&self) -> anyhow::Result<()> {
        self.world.folder("try-ends/code/data")?;
        let code = self.folder.join("code");
        fs::write(code.join("train.py"), "")
            .and_then(|()| fs::write(code.join("tk"), format!("#!/bin/sh\n{STAYS}\n")))?;
        self.log.command("chmod").arg("755").arg(code.join("tk")).run()?;
        let (job, out) = self.job("terminated")?;
        let job = job.args(["--devices", "2", "--code"]).arg(&code);
        let job =
            job.args(["--env", &format!("PATH={CODE}:/usr/local/bin:/usr/bin:/bin"), "--", "fmtk-launch", "task"]);
        let parameters = ["--task_type=finetune", "--log_path=/cache/logs", "--output_path=/cache/output"];
        let paths = [("code_path", ""), ("boot_file_path", "/train.py"), ("data_path", "/data")];
        let paths = paths.map(|(name, path)| format!("--{name}={CODE}{path}"));
        let mut child = job.args(parameters).args(paths).spawn()?;
        self.until_up(&mut child, &out, 2)?;
        let container = self.podman.command(self.log).args(LABELLED).run()?.text().to_owned();
        let begin = Instant::now();
        self.podman.command(self.log).args(["kill", "--signal", "TERM", &container]).run()?;
        let status = child.wait().context("failed to wait for the job")?;
        ensure!(status.code() == Some(1), "the job ended with {status}");
        let report = report_of(&out)?;
        ensure!(report["exit_code"] == 143 && report["outcome"] == "failed", "the report says {report}");
        for rank in 0..2 {
            let name = format!("modelarts-job-try-proc-rank-{rank}-device-{rank}.txt");
            let own = read(&out.join("node-0/modelarts/log").join(&name))?;
            let copy = read(&out.join("node-0/cache/logs/modelarts-job-try/mxLaunchKit/node_0").join(&name))?;
            ensure!(own == copy && was_asked(&own), "rank {rank} wrote `{own}`, copied is `{copy}`");
        }
        self.log.say(&format!("SIGTERM to a container: 143 in {:.1} s", begin.elapsed().as_secs_f64()));
        Ok(())
    }

    fn takes_too_long(&self) -> anyhow::Result<()> {
        let (job, out) = self.job("late")?;
        let late = job
            .args(["--devices", "1", "--timeout", "3s", "--", "fmtk-launch", "run", "--", "sh", "-c", STAYS])
            .fails(1)?;
        late.says(&["error: the job timed out", "longer than `--timeout`"])?;
        ensure!(report_of(&out)?["exit_code"] == Value::Null, "a job that was stopped has a code");
        none_is_left(self.log, self.podman)
    }

    /// ctrl-C: the ranks are asked, and the containers go.
    fn is_interrupted(&self) -> anyhow::Result<()> {
        let (job, out) = self.job("interrupted")?;
        let job = job.args(["--devices", "1", "--", "fmtk-launch", "run", "--", "sh", "-c", STAYS]);
        let mut child = job.under("env", &[std::ffi::OsStr::new("--default-signal=INT")]).spawn()?;
        self.until_up(&mut child, &out, 1)?;
        ensure!(!end_by(&mut child, "INT")?.success(), "an interrupted job says that it succeeded");
        let begin = Instant::now();
        wait_until("the container is gone", || Ok(none_is_left(self.log, self.podman).is_ok()))?;
        let text = read(&out.join("node-0/modelarts/log/modelarts-job-try-proc-rank-0-device-0.txt"))?;
        ensure!(was_asked(&text), "the rank was not asked: `{text}`");
        self.log.say(&format!("gone {:.1} s after ctrl-C", begin.elapsed().as_secs_f64()));
        Ok(())
    }

    fn can_not_begin(&self) -> anyhow::Result<()> {
        let (job, _) = self.job("nothing")?;
        let nothing = job.args(["--", "/not/there"]).fails(1)?;
        nothing.says(&["node 0"])?;
        let (job, _) = self.job("unknown")?;
        job.arg("no-such-image:1").fails(2)?.says(&["`no-such-image:1` is neither in the store", "podman pull"])?;
        let (job, out) = self.job("dry")?;
        let plan = job.arg("--dry-run").run()?.json()?;
        ensure!(plan["command"][0] == "fmtk-launch" && !out.exists(), "a dry run did something: {plan}");
        let (job, _) = self.job("fails")?;
        job.fails(2)?.says(&["holds something already", "hint: name another folder with `--out`"])
    }

    /// Waits until so many ranks have said that they are there.
    fn until_up(&self, child: &mut Child, out: &Path, ranks: usize) -> anyhow::Result<()> {
        let logs = |rank: usize| {
            out.join(format!("node-0/modelarts/log/modelarts-job-try-proc-rank-{rank}-device-{rank}.txt"))
        };
        let is_up = |rank: usize| fs::read(logs(rank)).is_ok_and(|text| text.starts_with(b"up\n"));
        wait_while_running(child, "the ranks are up", || (0..ranks).all(is_up))
    }
}

fn by_docker<'l>(world: &World, log: &'l Log, docker: &Docker) -> Invocation<'l> {
    world.xtask(log).args(["try", "--engine", "docker"]).env("DOCKER_HOST", docker.host())
}

fn report_of(out: &Path) -> anyhow::Result<Value> {
    serde_json::from_str(&read(&out.join("report.json"))?).context("the report is no JSON")
}

/// Whether a rank was there and was told to end. What its shell says of the `sleep` that it was in stands between.
fn was_asked(log: &str) -> bool {
    log.contains("up\n") && log.ends_with("told\n")
}

/// No container of ours is there.
fn none_is_left(log: &Log, engine: &dyn Engine) -> anyhow::Result<()> {
    let left = engine.command(log).args(LABELLED).run()?;
    ensure!(left.text().is_empty(), "{} has containers: {}", engine.name(), left.text());
    Ok(())
}
