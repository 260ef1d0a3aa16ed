//! Containers of both launchers, and the clock in them.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use fmtk::resolve::{place, tools};

use super::{Bar, RANKS, Row};
use crate::{
    bench::launch::write_table,
    testbed::{Docker, Engine, Log, RELATIVE, Workplace, read, unpack_relative_launcher},
};

/// Where a container sees the launchers, the stamp and the rank table.
const INSIDE: &str = "/bed";
/// Where it notes times.
const OUT: &str = "/out";

/// Everything that a measurement needs. Fields are dropped in this order: the daemon first, its folder last.
#[derive(Debug)]
pub struct Bed {
    /// How often each figure is measured.
    pub rounds: usize,
    /// Where output goes.
    pub log: Log,
    /// A daemon of our own.
    pub docker: Docker,
    /// For files of the measurements.
    pub workplace: Workplace,
}

/// Where ranks run, and what they are.
pub struct Place<'a> {
    /// What docker calls the image.
    pub image: &'a str,
    /// Options of `docker run`.
    pub options: &'a [String],
    /// Whether its programs are for arm64.
    pub arm64: bool,
    /// A rank's command, without the file that it notes its start in.
    pub rank: &'a [&'a str],
}

/// Who launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Launcher {
    Ours,
    Vendor,
}

/// Seconds until rank 7 runs.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// From the start of the container's first process.
    inside: f64,
    /// From the call of the engine.
    called: f64,
}

impl Bed {
    /// Builds the programs, fetches the relative and starts the daemon.
    pub fn new(rounds: usize) -> anyhow::Result<Self> {
        let workplace = Workplace::new()?;
        let log = Log::create(&place::workspace().join("target/bench"), "kit")?;
        log.say(&format!("setting up: launcher, stamp, {RELATIVE}, docker"));
        let folder = workplace.folder("bed")?;
        fs::copy(tools::own_launcher()?, folder.join("fmtk-launch")).context("failed to copy the launcher")?;
        for target in [tools::OWN_TARGET, tools::TARGET] {
            stamp(&log, target, &folder)?;
        }
        unpack_relative_launcher(&log, &folder)?;
        write_table(&folder.join("table"), 1)?;
        let docker = Docker::start(&log, &workplace.folder("docker")?, false)?;
        Ok(Self { rounds, log, docker, workplace })
    }

    /// Both launchers in turns: a row from the container's first process on, which has to keep `bar`, and one from the
    /// engine's call on.
    pub fn compare(&self, figure: &str, place: &Place<'_>, bar: Bar) -> anyhow::Result<Vec<Row>> {
        let mut times: [Vec<Times>; 2] = [Vec::new(), Vec::new()];
        for round in 1..=self.rounds {
            for (launcher, times) in [Launcher::Ours, Launcher::Vendor].into_iter().zip(&mut times) {
                let one = self.once(launcher, place).with_context(|| format!("{launcher:?}"))?;
                let (inside, called) = (one.inside, one.called);
                self.log.say(&format!("{round}/{}: {launcher:?}: {inside:.4} s, {called:.3} s", self.rounds));
                times.push(one);
            }
        }
        let row = |from: &str, of: fn(&Times) -> f64, bar: Bar| {
            let [ours, theirs] = times.each_ref().map(|times| times.iter().map(of).collect::<Vec<f64>>());
            Row::timed(&format!("{figure}, {from} to rank {}", RANKS - 1), &ours, "vendor's", &theirs, bar)
        };
        Ok(vec![row("container", |times| times.inside, bar), row("docker run", |times| times.called, Bar::None)])
    }

    fn once(&self, launcher: Launcher, place: &Place<'_>) -> anyhow::Result<Times> {
        let out = self.workplace.fresh("out")?;
        self.workplace.folder("out/mount/log")?;
        let (bed, bed_of) = (self.workplace.path().join("bed"), |name: &str| format!("{INSIDE}/{name}"));
        let stamp = bed_of(&stamp_of(if place.arm64 { tools::TARGET } else { tools::OWN_TARGET }));
        let launch: Vec<String> = match launcher {
            Launcher::Ours if place.arm64 => ["fmtk-launch", "run", "--"].map(str::to_owned).into(),
            Launcher::Ours => vec![bed_of("fmtk-launch"), "run".to_owned(), "--".to_owned()],
            Launcher::Vendor => ["python3", "-m", "davincirunsdk.davincirun"].map(str::to_owned).into(),
        };
        let env = [
            ("PYTHONPATH", INSIDE.to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ("MA_MOUNT_PATH", format!("{OUT}/mount")),
            ("RANK_TABLE_FILE", bed_of("table")),
            ("MA_CURRENT_INSTANCE_NAME", "job-x-0".to_owned()),
            ("BATCH_JOB_ID", "bench".to_owned()),
        ];
        let run = self.docker.command(&self.log).args(["run", "--rm", "--network", "none", "--user", "0:0"]);
        let run = run.args(["--volume", &format!("{}:{INSIDE}:ro", bed.display())]);
        let run = run.args(["--volume", &format!("{}:{OUT}", out.display())]).args(place.options);
        let run = run.args(env.iter().flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]));
        let run = run.arg("--entrypoint").arg(&stamp).arg(place.image).arg(format!("{OUT}/start")).args(launch);
        let rank: Vec<&str> = if place.rank.is_empty() { vec![&stamp] } else { place.rank.to_vec() };
        let called = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        run.args(rank).arg(format!("{OUT}/rank")).run()?;
        let noted = |name: &str| nanoseconds(&out.join(name));
        // All eight have to have run.
        let ranks = (0..RANKS).map(|rank| noted(&format!("rank{rank}"))).collect::<anyhow::Result<Vec<u128>>>()?;
        let (start, last) = (noted("start")?, ranks[RANKS as usize - 1]);
        ensure!(last > start && start > called.as_nanos(), "a clock went backwards");
        let since = |begin: u128| (last - begin) as f64 / 1e9;
        Ok(Times { inside: since(start), called: since(called.as_nanos()) })
    }
}

fn nanoseconds(file: &Path) -> anyhow::Result<u128> {
    read(file)?.trim().parse().with_context(|| format!("`{}` holds no number", file.display()))
}

fn stamp_of(target: &str) -> String {
    format!("stamp-{target}")
}

fn stamp(log: &Log, target: &str, folder: &Path) -> anyhow::Result<()> {
    log.command("rustc")
        .args(["--edition", "2024", "--target", target, "-C", "linker=rust-lld", "-C", "opt-level=2"])
        .arg("-o")
        .arg(folder.join(stamp_of(target)))
        .arg(place::workspace().join("ci/stamp.rs"))
        .dir(&place::workspace())
        .run()?;
    Ok(())
}
