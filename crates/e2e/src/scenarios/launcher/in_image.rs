//! The launcher in the image: as whoever, as the first process or not, on whatever root, under emulation.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{
    scenarios::world::World,
    testbed::{Engine, Finished, Log, Podman, wait_until},
};

/// What a rank does, by the image's Python: it says who it is, waits for the others, then fails or waits for its end.
const RANK: &str = r#"
import os, signal, sys, time
rank, out = os.environ["RANK_ID"], "/out/"
def tell(name, text):
    with open(out + "new." + rank, "w") as file:
        file.write(text)
    os.rename(out + "new." + rank, out + name + "." + rank)
def stop(signum, frame):
    tell("stopped", str(signum))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open(os.environ["HOME"] + "/of-" + rank, "w").close()
print("uid", os.getuid(), "of", os.environ["RANK_SIZE"], "as", os.getpid() == 1, flush=True)
tell("up", str(os.getpid()))
while sum(name.startswith("up.") for name in os.listdir(out)) < int(os.environ["RANK_SIZE"]):
    time.sleep(0.05)
if sys.argv[1:] == ["fails"] and rank == "2":
    sys.exit(7)
time.sleep(1000)
"#;

/// A rank that leaves a daemon with two forks, which ignores SIGTERM.
const DAEMON: &str = r#"
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open("/out/new", "w") as file:
            file.write(str(os.getpid()))
        os.rename("/out/new", "/out/up.daemon")
        time.sleep(1000)
    os._exit(0)
while not os.path.exists("/out/up.daemon"):
    time.sleep(0.05)
"#;

/// Four ranks of which one fails, in a container.
struct Case {
    name: &'static str,
    options: &'static [&'static str],
    /// What the launcher is called by.
    before: &'static [&'static str],
    uid: u32,
}

const CASES: &[Case] = &[
    Case { name: "as the first process", options: &[], before: &[], uid: 1000 },
    Case { name: "under an init", options: &["--init"], before: &[], uid: 1000 },
    Case { name: "under a shell", options: &[], before: &["sh", "-c", "\"$@\"; exit $?", "sh"], uid: 1000 },
    Case { name: "as root", options: &["--user", "0"], before: &[], uid: 0 },
    Case { name: "as a user without a name", options: &["--user", "4242:4242"], before: &[], uid: 4242 },
    Case { name: "without HOME", options: &[], before: &["env", "-u", "HOME"], uid: 1000 },
    Case { name: "on a read-only root", options: &["--read-only"], before: &[], uid: 1000 },
    Case {
        name: "on a read-only root without /tmp",
        options: &["--read-only", "--read-only-tmpfs=false", "--env", "TMPDIR=/dev/shm", "--workdir", "/"],
        before: &[],
        uid: 4242,
    },
];

/// Ranks of the image's Python run, fail and stop as they should in every kind of container.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let image = world.pushed(log)?;
    let podman = world.podman(log)?;
    podman.pull(log, &image, &world.login_folder())?;
    let bed = Bed { world, log, podman, image };
    for case in CASES {
        bed.fails(case).with_context(|| case.name)?;
    }
    bed.has_no_place()?;
    bed.stops()?;
    bed.leaves_no_daemon()?;
    bed.guardian_is_killed()
}

/// Where containers are run.
struct Bed<'a> {
    world: &'a World,
    log: &'a Log,
    podman: &'a Podman,
    image: String,
}

impl Bed<'_> {
    /// A rank's failure is the container's, every rank's output is there, and the report says who it was.
    fn fails(&self, case: &Case) -> anyhow::Result<()> {
        let out = self.out()?;
        let mut program = case.before.to_vec();
        program.extend([
            "fmtk-launch",
            "run",
            "--devices",
            "0-3",
            "--grace",
            "20s",
            "--report",
            "/out/report.json",
            "--",
        ]);
        program.extend(["python3", "-c", RANK, "fails"]);
        let uid = format!("{0}:{0}", case.uid);
        let mut options = case.options.to_vec();
        if !options.contains(&"--user") && case.uid != 1000 {
            options.extend(["--user", &uid]);
        }
        let ended = self.run(&out, &options, &program)?;
        ensure!(ended.status.code() == Some(7), "exit code 7 was expected: {}", ended.unexpected());
        let mut lines: Vec<&str> = ended.stdout.lines().collect();
        lines.sort_unstable();
        let expected: Vec<String> =
            (0..4).map(|rank| format!("[rank {rank}] uid {} of 4 as False", case.uid)).collect();
        ensure!(lines == expected, "the ranks' output is {lines:?}; {}", ended.unexpected());
        for rank in [0, 1, 3] {
            let saw = fs::read_to_string(out.join(format!("stopped.{rank}"))).context("a rank saw no SIGTERM")?;
            ensure!(saw == "15", "rank {rank} was stopped by signal {saw}");
        }
        let report: Value = serde_json::from_slice(&fs::read(out.join("report.json"))?).context("no JSON report")?;
        ensure!(report["outcome"] == "failed" && report["exit_code"] == 7, "the report says {report}");
        ensure!(report["cause"].as_str().is_some_and(|cause| cause.starts_with("rank 2 ")), "the report says {report}");
        let logs = report["attempts"][0]["ranks"][2]["log"].as_str().context("the report names no log")?;
        self.log.say(&format!("{}: exit code 7 in {:.1} s, logs as `{logs}`", case.name, ended.time.as_secs_f64()));
        Ok(())
    }

    /// Where nothing can be written at all, the launcher says where it has tried.
    fn has_no_place(&self) -> anyhow::Result<()> {
        let options = ["--read-only", "--read-only-tmpfs=false"];
        let ended = self.run(&self.out()?, &options, &["fmtk-launch", "run", "--", "true"])?;
        ensure!(ended.status.code() == Some(125), "exit code 125 was expected: {}", ended.unexpected());
        ended.says(&["failed to find a writable folder for logs: `/tmp/log`: Read-only file system", "hint: "])?;
        self.log.say("where nothing can be written: exit code 125 and the reason");
        Ok(())
    }

    /// `podman stop` ends it within the grace, as a stop; the ranks were asked. The report is beside the logs.
    fn stops(&self) -> anyhow::Result<()> {
        let out = self.out()?;
        let (name, volume) = ("launcher-stops", format!("{}:/out", out.display()));
        let begun = self
            .podman
            .command(self.log)
            .args(["run", "--detach", "--name", name, "--network", "none", "--platform", "linux/arm64"])
            .args(self.podman.run_options(self.log, &self.image)?)
            .args(["--volume", &volume, &self.image, "fmtk-launch", "run", "--devices", "0-3"])
            .args(["--", "python3", "-c", RANK])
            .run();
        let result = begun.and_then(|_| self.stop(name, &out));
        self.podman.command(self.log).args(["rm", "--force", name]).run()?;
        result
    }

    fn stop(&self, name: &str, out: &Path) -> anyhow::Result<()> {
        wait_until("four ranks are up", || Ok(count(out, "up.") == 4))?;
        let stopped = self.podman.command(self.log).args(["stop", "--time", "15", name]).run()?;
        // podman sends SIGKILL after 15 s, which would be 137.
        let code = self.podman.command(self.log).args(["inspect", "--format", "{{.State.ExitCode}}", name]).run()?;
        ensure!(code.text() == "143", "a stopped container's exit code is {}", code.text());
        ensure!(count(out, "stopped.") == 4, "{} ranks of 4 saw the signal", count(out, "stopped."));
        let place = out.join("log");
        self.podman.command(self.log).arg("cp").arg(format!("{name}:/tmp/log")).arg(&place).run()?;
        let mut reports =
            fs::read_dir(&place)?.flatten().filter(|it| it.path().extension().is_some_and(|it| it == "json"));
        let report = reports.next().context("no report is beside the logs")?;
        let report: Value = serde_json::from_slice(&fs::read(report.path())?).context("the report is no JSON")?;
        ensure!(report["outcome"] == "terminated" && report["exit_code"] == 143, "the report says {report}");
        self.log.say(&format!("podman stop: exit code 143 in {:.1} s, 4 ranks asked", stopped.time.as_secs_f64()));
        Ok(())
    }

    /// A daemon is gone when the launcher is, though the container goes on.
    fn leaves_no_daemon(&self) -> anyhow::Result<()> {
        let script = r#"
            fmtk-launch run --devices 0 --grace 2s -- python3 -c "$1"; echo code $?
            if [ -e "/proc/$(cat /out/up.daemon)" ]; then echo lives; else echo gone; fi"#;
        let out = self.out()?;
        let ended = self.run(&out, &[], &["sh", "-c", script, "sh", DAEMON])?;
        ensure!(out.join("up.daemon").exists(), "there was no daemon: {}", ended.unexpected());
        if self.adopts()? {
            ensure!(ended.text() == "code 0\ngone", "the container said `{}`: {}", ended.text(), ended.unexpected());
            self.log.say("a daemon of two forks that ignores SIGTERM is gone before the launcher");
            return Ok(());
        }
        // qemu-user passes PR_SET_CHILD_SUBREAPER on to no kernel: nobody but the first process gets orphans.
        ended.says(&["daemons that ranks leave behind are not stopped"])?;
        ensure!(ended.text() == "code 0\nlives", "the container said `{}`: {}", ended.text(), ended.unexpected());
        let out = self.out()?;
        let program = ["fmtk-launch", "run", "--devices", "0", "--", "python3", "-c", DAEMON];
        let first = self.run(&out, &[], &program)?;
        ensure!(out.join("up.daemon").exists() && first.status.success(), first.unexpected());
        self.log.say("emulated, so that orphans go to the first process alone; the launcher says so");
        Ok(())
    }

    /// Whether a program in a container can be made the parent of orphans.
    fn adopts(&self) -> anyhow::Result<bool> {
        let ask = "import ctypes; print(ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0), ctypes.get_errno())";
        let asked = self.run(&self.out()?, &[], &["python3", "-c", ask])?;
        match asked.text() {
            "0 0" => Ok(true),
            "-1 22" if cfg!(not(target_arch = "aarch64")) => Ok(false),
            other => anyhow::bail!("PR_SET_CHILD_SUBREAPER is answered by `{other}`"),
        }
    }

    /// Nor does SIGKILL of the process that was started leave anything.
    fn guardian_is_killed(&self) -> anyhow::Result<()> {
        let script = r#"
            fmtk-launch run --devices 0-3 --grace 10s -- python3 -c "$1" &
            until [ -e /out/up.0 ] && [ -e /out/up.1 ] && [ -e /out/up.2 ] && [ -e /out/up.3 ]; do sleep 0.1; done
            kill -KILL $!; wait $!; echo code $?
            for try in $(seq 200); do
                left=0
                for pid in $(cat /out/up.*); do if [ -e "/proc/$pid" ]; then left=$((left + 1)); fi; done
                [ $left = 0 ] && break
                sleep 0.1
            done
            echo $left left"#;
        let out = self.out()?;
        // An init, so that what has lost its parent is taken from the list of processes.
        let ended = self.run(&out, &["--init"], &["sh", "-c", script, "sh", RANK])?;
        ensure!(
            ended.stdout.ends_with("code 137\n0 left\n"),
            "the container said `{}`: {}",
            ended.text(),
            ended.unexpected()
        );
        ensure!(count(&out, "stopped.") == 4, "{} ranks of 4 were asked first", count(&out, "stopped."));
        self.log.say("SIGKILL of the launcher: 4 ranks were asked, 0 are left");
        Ok(())
    }

    fn run(&self, out: &Path, options: &[&str], program: &[&str]) -> anyhow::Result<Finished> {
        let volume = format!("{}:/out", out.display());
        let mut all = vec!["--volume", &volume];
        all.extend(options);
        self.podman.run(self.log, &self.image, &all, program)
    }

    /// An empty folder that anyone in a container may write to.
    fn out(&self) -> anyhow::Result<PathBuf> {
        let path = self.world.folder("launcher-in-image/out")?;
        fs::remove_dir_all(&path).and_then(|()| fs::create_dir(&path)).context("failed to empty a folder")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).context("failed to open a folder to all")?;
        Ok(path)
    }
}

fn count(folder: &Path, prefix: &str) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).count()
}
