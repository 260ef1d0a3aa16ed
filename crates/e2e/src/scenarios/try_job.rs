//! `try`: jobs in both engines, those that succeed, fail, are stopped from outside, take too long or can't begin.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    time::Instant,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::world::{Project, TIMESTAMP, World};
use crate::testbed::{
    Engine, Invocation, Podman, data, end_by, field, folder, list, read, read_json, recipe, script, wait_while_running,
    write,
};

/// The code folder in a container.
pub const CODE: &str = "/home/ma-user/modelarts/user-job-dir/code";
/// A rank that says that it is there and stays until it is told to end.
const STAYS: &str = "echo up; trap 'echo told; exit 0' TERM; while :; do sleep 0.2; done";
/// Asks for containers of ours.
const LABELLED: &str = "ps --all --quiet --filter label=fmtk.try";

/// The sample image in docker: 2 nodes of 8 ranks of the example, every one where and what it should be.
pub fn whole(world: &World) -> anyhow::Result<()> {
    let docker = world.docker()?;
    world.image()?;
    let out = world.folder("try")?.join("whole");
    let job = world.xtask().words("try --engine docker --nodes 2 --format json --out").arg(&out);
    let done = job.arg(TIMESTAMP).env("DOCKER_HOST", docker.host()).run()?;
    done.says(&["[node 0] [rank 7] ", "[node 1] [rank 15] ", "[node 1] fmtk-launch: SUCCEEDED"])?;
    let report = done.json()?;
    ensure!(report == report_of(&out)?, "the report that was kept is another one");
    ensure!(report["outcome"] == "succeeded" && report["exit_code"] == 0, "the report says {report}");
    for node in 0..2 {
        let ranks = list(&report["nodes"][node], "ranks")?;
        ensure!(ranks.len() == 8, "node {node} had {} ranks", ranks.len());
        for (device, said) in ranks.iter().enumerate() {
            let rank = 8 * node + device;
            is_right(&out, node, device, rank, said).with_context(|| format!("rank {rank}"))?;
        }
        let console = read(&out.join(format!("node-{node}/console.txt")))?;
        ensure!(console.contains("has the status `initializing`"), "the table was complete at once:\n{console}");
        let lines = console.lines().filter(|line| line.starts_with("[rank ")).count();
        ensure!(lines == 8 * 9, "the console of node {node} has {lines} lines of its ranks instead of 72");
    }
    none_is_left(docker)?;
    world.say(format!("2 × 8 ranks of the sample: {:.1} s", done.seconds));

    // Without a table, nodes of docker reach each other by their names, and the launcher knows which is which.
    let out = world.folder("try")?.join("names");
    let job =
        world.xtask().words("try --no-table --engine docker --nodes 2 --devices 1 --out").arg(&out).arg(TIMESTAMP);
    let job = job.words("-- fmtk-launch run --devices 0 -- python3 -c").arg(read(&data("greet_rank.py"))?);
    let done = job.env("DOCKER_HOST", docker.host()).run()?;
    done.says(&["[node 0] [rank 0] 127.0.0.2 says hello from rank 1", "[node 1] [rank 1] 127.0.0.1 has heard it"])?;
    none_is_left(docker)?;
    world.say(format!("rank 1 greets rank 0: {:.1} s", done.seconds));
    Ok(())
}

/// An error unless a rank of the example is where and what it should be.
fn is_right(out: &Path, node: usize, device: usize, rank: usize, said: &Value) -> anyhow::Result<()> {
    let expected = (Some(rank as u64), Some(device as u64), Some(0), Some(9));
    let number = |name: &str| said[name].as_u64();
    let found = (number("rank"), number("device"), number("exit_code"), number("lines"));
    ensure!(found == expected, "{found:?} instead of {expected:?}");
    let path = log_of(out, node, rank, device);
    ensure!(Path::new(field(said, "log")?) == path, "its log is {}", said["log"]);
    let text = read(&path)?;
    let lines: Vec<&str> = text.lines().collect();
    let process_log = format!("log/modelarts-job-try/ascend/process_log/rank_{rank}");
    ensure!(lines.len() == 9 && text.ends_with('\n'), "its log says:\n{text}");
    for (at, expected) in [
        (0, format!("rank {rank} of 16, device {device}, instance ma-job-try-worker-{node}, uid 1000")),
        (2, format!("cwd {CODE}")),
        (3, format!("MODEL_TASK_CWD {CODE}")),
        (4, format!("CANN logs to /home/ma-user/modelarts/{process_log}")),
        (8, format!("wrote and read 3 lines of loss-of-rank-{rank}.txt")),
    ] {
        ensure!(lines[at] == expected, "`{}` instead of `{expected}`", lines[at]);
    }
    ensure!(lines[1].starts_with("machine aarch64, "), "it ran as `{}`", lines[1]);
    has_losses(out, node, rank)?;
    let process_log = out.join(format!("node-{node}/modelarts/{process_log}"));
    ensure!(process_log.is_dir(), "CANN's log folder is not there");
    Ok(())
}

/// Where a rank's log is.
fn log_of(out: &Path, node: usize, rank: usize, device: usize) -> PathBuf {
    out.join(format!("node-{node}/modelarts/log/modelarts-job-try-proc-rank-{rank}-device-{device}.txt"))
}

/// An error unless the file that a rank of the example writes by a relative path is there.
fn has_losses(out: &Path, node: usize, rank: usize) -> anyhow::Result<()> {
    let losses = read(&out.join(format!("node-{node}/modelarts/user-job-dir/code/loss-of-rank-{rank}.txt")))?;
    ensure!(losses.lines().count() == 3, "the relative file of rank {rank} has `{losses}`");
    Ok(())
}

/// A small image in podman: another user on a read-only root, failures, stops, and what can't begin.
pub fn ends(world: &World) -> anyhow::Result<()> {
    let project = world.project("try-ends", &recipe(&[]))?;
    // The image of the base and the launcher alone.
    project.image(world.base()?).run()?;
    let bed = Bed { world, podman: world.podman()?, project };
    bed.other_user()?;
    bed.rank_fails()?;
    bed.is_terminated()?;
    bed.takes_too_long()?;
    bed.is_interrupted()?;
    bed.can_not_begin()
}

struct Bed<'w> {
    world: &'w World,
    podman: &'w Podman,
    project: Project<'w>,
}

impl Bed<'_> {
    /// Tries the image that was built last, and gives the folder of it.
    fn job(&self, name: &str, options: &str) -> anyhow::Result<(Invocation, PathBuf)> {
        let out = self.project.path(name);
        let job = self.project.xtask().words("try --recipe").arg(self.project.path("image.toml"));
        let job = job.words("--engine podman --format json --out").arg(&out).words(options);
        Ok((self.podman.as_the_users(job)?, out))
    }

    fn other_user(&self) -> anyhow::Result<()> {
        let (job, out) = self.job("other-user", "--devices 2 --uid 4242 --read-only")?;
        let done = job.run()?;
        done.says(&["loading fmtk-ma:", "uid 4242"])?;
        ensure!(list(&done.json()?["nodes"][0], "ranks")?.len() == 2, "{}", done.stdout);
        has_losses(&out, 0, 1)?;
        self.world.say("another user on a read-only root");
        Ok(())
    }

    /// The root is really read-only, there is no rank table, one rank on node 1 fails, and node 0 is stopped.
    fn rank_fails(&self) -> anyhow::Result<()> {
        let options = "--no-table --read-only --nodes 2 --devices 2 -- fmtk-launch run --devices 0-1 -- sh -c";
        let (job, out) = self.job("fails", options)?;
        let rank = format!("if touch /home/ma-user/x; then exit 9; fi; if [ $RANK_ID = 3 ]; then exit 7; fi; {STAYS}");
        let failed = job.arg(rank).fails(1)?;
        failed.says(&["error: the job failed", "node 1 ended with exit code 7: rank 3 "])?;
        let report = failed.json()?;
        ensure!(report["exit_code"] == 7 && report["cause_node"] == 1, "the report says {report}");
        for (node, outcome, code) in [(0, "stopped", 143), (1, "failed", 7)] {
            let said = &report["nodes"][node];
            ensure!(said["outcome"] == outcome && said["exit_code"] == code, "node {node}: {said}");
        }
        was_asked(&log_of(&out, 0, 0, 0))?;
        none_is_left(self.podman)?;
        self.world.say(format!("a rank fails on node 1: both end in {:.1} s", failed.seconds));
        Ok(())
    }

    /// SIGTERM to the container of a task: 143 within the grace, and its logs are where they were wanted.
    fn is_terminated(&self) -> anyhow::Result<()> {
        let code = self.project.path("code");
        folder(&code.join("data"))?;
        write(&code.join("train.py"), "")?;
        script(&code.join("tk"), &format!("#!/bin/sh\n{STAYS}\n"))?;
        let (job, out) = self.job("terminated", "--devices 2 --code")?;
        let job = job.arg(&code).arg("--env").arg(format!("PATH={CODE}:/usr/local/bin:/usr/bin:/bin"));
        let job =
            job.words("-- fmtk-launch task --task_type=finetune --log_path=/cache/logs --output_path=/cache/output");
        let paths = [("code_path", ""), ("boot_file_path", "/train.py"), ("data_path", "/data")];
        let mut child = job.args(paths.map(|(name, path)| format!("--{name}={CODE}{path}"))).spawn()?;
        self.until_up(&mut child, &out, 2)?;
        let container = self.podman.command().words(LABELLED).run()?.text().to_owned();
        let begin = Instant::now();
        self.podman.command().words("kill --signal TERM").arg(&container).run()?;
        let status = child.wait().context("failed to wait for the job")?;
        ensure!(status.code() == Some(1), "the job ended with {status}");
        let report = report_of(&out)?;
        ensure!(report["exit_code"] == 143 && report["outcome"] == "failed", "the report says {report}");
        for rank in 0..2 {
            let own = log_of(&out, 0, rank, rank);
            let copies = out.join("node-0/cache/logs/modelarts-job-try/mxLaunchKit/node_0");
            let copy = read(&copies.join(own.file_name().unwrap_or_default()))?;
            was_asked(&own)?;
            ensure!(read(&own)? == copy, "rank {rank} wrote something else than `{copy}`");
        }
        self.world.say(format!("SIGTERM to a container: 143 in {:.1} s", begin.elapsed().as_secs_f64()));
        Ok(())
    }

    fn takes_too_long(&self) -> anyhow::Result<()> {
        let (job, out) = self.job("late", "--devices 1 --timeout 3s -- fmtk-launch run -- sh -c")?;
        job.arg(STAYS).fails(1)?.says(&["error: the job timed out", "longer than `--timeout`"])?;
        ensure!(report_of(&out)?["exit_code"] == Value::Null, "a job that was stopped has a code");
        none_is_left(self.podman)
    }

    /// ctrl-C: the ranks are asked, and the containers go.
    fn is_interrupted(&self) -> anyhow::Result<()> {
        let (job, out) = self.job("interrupted", "--devices 1 -- fmtk-launch run -- sh -c")?;
        let mut child = job.arg(STAYS).interruptible().spawn()?;
        self.until_up(&mut child, &out, 1)?;
        ensure!(!end_by(&mut child, "INT")?.success(), "an interrupted job says that it succeeded");
        none_is_left(self.podman).context("the prompt was back too early")?;
        was_asked(&log_of(&out, 0, 0, 0))
    }

    fn can_not_begin(&self) -> anyhow::Result<()> {
        self.job("nothing", "-- /not/there")?.0.fails(1)?.says(&["node 0"])?;
        let unknown = self.job("unknown", "no-such-image:1")?.0.fails(2)?;
        unknown.says(&["`no-such-image:1` is neither in the store", "podman pull"])?;
        let (job, out) = self.job("dry", "--dry-run")?;
        let plan = job.run()?.json()?;
        ensure!(plan["command"][0] == "fmtk-launch" && !out.exists(), "a dry run did something: {plan}");
        let used = self.job("fails", "")?.0.fails(2)?;
        used.says(&["is not empty", "hint: name another folder with `--out`"])
    }

    /// Waits until so many ranks have said that they are there.
    fn until_up(&self, child: &mut Child, out: &Path, ranks: usize) -> anyhow::Result<()> {
        let is_up = |rank: usize| fs::read(log_of(out, 0, rank, rank)).is_ok_and(|text| text.starts_with(b"up\n"));
        wait_while_running(child, "the ranks are up", || (0..ranks).all(is_up))
    }
}

fn report_of(out: &Path) -> anyhow::Result<Value> {
    read_json(&out.join("report.json"))
}

/// An error unless a rank was there and was told to end. What its shell says of the `sleep` that it was in stands between.
fn was_asked(log: &Path) -> anyhow::Result<()> {
    let text = read(log)?;
    ensure!(text.contains("up\n") && text.ends_with("told\n"), "the rank was not asked: `{text}`");
    Ok(())
}

/// No container of ours is there.
fn none_is_left(engine: &dyn Engine) -> anyhow::Result<()> {
    let left = engine.command().words(LABELLED).run()?;
    ensure!(left.text().is_empty(), "{} has containers: {}", engine.name(), left.text());
    Ok(())
}
