//! The launcher in the image: as whoever, as the first process or not, on whatever root, under emulation.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

use crate::{
    scenarios::world::World,
    testbed::{Engine, Invocation, PLATFORM, Podman, data, field, names, paths, read, read_json, wait_until},
};

/// In a container: what it is called, its options, what the launcher is called by, and as which user it then runs.
type Case = (&'static str, &'static [&'static str], &'static [&'static str], u32);

const CASES: &[Case] = &[
    ("as the first process", &[], &[], 1000),
    ("under an init", &["--init"], &[], 1000),
    ("under a shell", &[], &["sh", "-c", "\"$@\"; exit $?", "sh"], 1000),
    ("as root", &["--user", "0"], &[], 0),
    ("as a user without a name", &["--user", "4242:4242"], &[], 4242),
    ("without HOME", &[], &["env", "-u", "HOME"], 1000),
    ("on a read-only root", &["--read-only"], &[], 1000),
    (
        "on a read-only root without /tmp",
        &["--read-only", "--read-only-tmpfs=false", "--env=TMPDIR=/dev/shm", "--workdir=/", "--user=4242:4242"],
        &[],
        4242,
    ),
];

/// Ranks of the image's Python run, fail and stop as they should in every kind of container.
pub fn run(world: &World) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let image = world.pulled(podman)?;
    let rank = read(&data("container_rank.py"))?;
    let bed = Bed { world, podman, image, rank };
    for (number, case) in CASES.iter().enumerate() {
        // What differs from the first is the container; each rank is a Python that starts under emulation.
        bed.fails(case, if number == 0 { 4 } else { 2 }).context(case.0)?;
    }
    bed.has_no_place()?;
    bed.stops()?;
    bed.leaves_no_daemon()?;
    bed.guardian_is_killed()
}

struct Bed<'w> {
    world: &'w World,
    podman: &'w Podman,
    image: String,
    rank: String,
}

impl Bed<'_> {
    /// So many ranks, of which that in the middle fails: that is the container's end, every rank's output is there, and the
    /// report says who it was.
    fn fails(&self, (name, options, before, uid): &Case, ranks: usize) -> anyhow::Result<()> {
        let (out, culprit) = (self.out()?, ranks / 2);
        let flags = format!("--devices 0-{} --grace 20s --report /out/report.json", ranks - 1);
        let launch = format!("fmtk-launch run {flags} -- python3 -c");
        let program: Vec<&str> =
            before.iter().copied().chain(launch.split(' ')).chain([&*self.rank, "fails"]).collect();
        let ended = self.container(&out, options, &program)?.fails(7)?;
        let mut lines: Vec<&str> = ended.stdout.lines().collect();
        lines.sort_unstable();
        let expected: Vec<String> =
            (0..ranks).map(|rank| format!("[rank {rank}] uid {uid} of {ranks} as False")).collect();
        ensure!(lines == expected, "the ranks' output is {lines:?}; {}", ended.unexpected());
        for rank in (0..ranks).filter(|rank| *rank != culprit) {
            let saw = read(&out.join(format!("stopped.{rank}"))).context("a rank saw no SIGTERM")?;
            ensure!(saw == "15", "rank {rank} was stopped by signal {saw}");
        }
        let report = read_json(&out.join("report.json"))?;
        ensure!(report["outcome"] == "failed" && report["exit_code"] == 7, "the report says {report}");
        ensure!(field(&report, "cause")?.starts_with(&format!("rank {culprit} ")), "the report says {report}");
        let log = field(&report["attempts"][0]["ranks"][culprit], "log")?;
        self.world.say(format!("{name}: exit code 7 in {:.1} s, logs as `{log}`", ended.seconds));
        Ok(())
    }

    /// Where nothing can be written at all, the launcher says where it has tried.
    fn has_no_place(&self) -> anyhow::Result<()> {
        let options = ["--read-only", "--read-only-tmpfs=false"];
        let ended = self.container(&self.out()?, &options, &["fmtk-launch", "run", "--", "true"])?.fails(125)?;
        ended.says(&["failed to find a writable folder for logs: `/tmp/log`: Read-only file system", "hint: "])?;
        self.world.say("where nothing can be written: exit code 125 and the reason");
        Ok(())
    }

    /// `podman stop` ends it within the grace, as a stop; the ranks were asked. The report is beside the logs.
    fn stops(&self) -> anyhow::Result<()> {
        let out = self.out()?;
        let run = self.podman.command().words("run --detach --name launcher-stops --network none --platform");
        let run = run.arg(PLATFORM).args(self.podman.run_options(&self.image)?).arg("--volume");
        let run = run.arg(format!("{}:/out", out.display())).arg(&self.image);
        let begun = run.words("fmtk-launch run --devices 0-3 -- python3 -c").arg(&self.rank).run();
        let result = begun.and_then(|_| self.stop("launcher-stops", &out));
        self.podman.command().words("rm --force launcher-stops").run()?;
        result
    }

    fn stop(&self, name: &str, out: &Path) -> anyhow::Result<()> {
        wait_until("four ranks are up", || Ok(count(out, "up.")? == 4))?;
        let stopped = self.podman.command().args(["stop", "--time", "15", name]).run()?;
        // podman sends SIGKILL after 15 s, which would be 137.
        let code = self.podman.command().args(["inspect", "--format", "{{.State.ExitCode}}", name]).run()?;
        ensure!(code.text() == "143", "a stopped container's exit code is {}", code.text());
        ensure!(count(out, "stopped.")? == 4, "not all of 4 ranks saw the signal");
        let place = out.join("log");
        self.podman.command().arg("cp").arg(format!("{name}:/tmp/log")).arg(&place).run()?;
        let reports = paths(&place)?.into_iter().find(|path| path.extension().is_some_and(|it| it == "json"));
        let report = read_json(&reports.context("no report is beside the logs")?)?;
        ensure!(report["outcome"] == "terminated" && report["exit_code"] == 143, "the report says {report}");
        self.world.say(format!("podman stop: exit code 143 in {:.1} s, 4 ranks asked", stopped.seconds));
        Ok(())
    }

    /// A daemon is gone when the launcher is, though the container goes on.
    fn leaves_no_daemon(&self) -> anyhow::Result<()> {
        let script = r#"
            fmtk-launch run --devices 0 --grace 2s -- python3 -c "$1"; echo code $?
            if [ -e "/proc/$(cat /out/up.daemon)" ]; then echo lives; else echo gone; fi"#;
        let (out, daemon) = (self.out()?, read(&data("container_daemon.py"))?);
        let ended = self.container(&out, &[], &["sh", "-c", script, "sh", &daemon])?.run()?;
        ensure!(out.join("up.daemon").exists(), "there was no daemon: {}", ended.unexpected());
        if self.adopts()? {
            ensure!(ended.text() == "code 0\ngone", "the container said `{}`: {}", ended.text(), ended.unexpected());
            self.world.say("a daemon of two forks that ignores SIGTERM is gone before the launcher");
            return Ok(());
        }
        // qemu-user passes PR_SET_CHILD_SUBREAPER on to no kernel: nobody but the first process gets orphans.
        ended.says(&["daemons that ranks leave behind are not stopped"])?;
        ensure!(ended.text() == "code 0\nlives", "the container said `{}`: {}", ended.text(), ended.unexpected());
        let out = self.out()?;
        let program = ["fmtk-launch", "run", "--devices", "0", "--", "python3", "-c", &daemon];
        let first = self.container(&out, &[], &program)?.run()?;
        ensure!(out.join("up.daemon").exists(), first.unexpected());
        self.world.say("emulated, so that orphans go to the first process alone; the launcher says so");
        Ok(())
    }

    /// Whether a program in a container can be made the parent of orphans.
    fn adopts(&self) -> anyhow::Result<bool> {
        let ask = "import ctypes; print(ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0), ctypes.get_errno())";
        match self.podman.printed(&self.image, &["python3", "-c", ask])?.as_str() {
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
        let ended = self.container(&out, &["--init"], &["sh", "-c", script, "sh", &self.rank])?.run()?;
        ensure!(ended.stdout.ends_with("code 137\n0 left\n"), "`{}`: {}", ended.text(), ended.unexpected());
        ensure!(count(&out, "stopped.")? == 4, "not all of 4 ranks were asked first");
        self.world.say("SIGKILL of the launcher: 4 ranks were asked, 0 are left");
        Ok(())
    }

    fn container(&self, out: &Path, options: &[&str], program: &[&str]) -> anyhow::Result<Invocation> {
        let volume = format!("--volume={}:/out", out.display());
        self.podman.container(&self.image, &[&[volume.as_str()], options].concat(), program)
    }

    /// An empty folder that anyone in a container may write to.
    fn out(&self) -> anyhow::Result<PathBuf> {
        let path = self.world.fresh("launcher-in-image/out")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).context("failed to open a folder to all")?;
        Ok(path)
    }
}

fn count(folder: &Path, prefix: &str) -> anyhow::Result<usize> {
    Ok(names(folder)?.iter().filter(|name| name.starts_with(prefix)).count())
}
