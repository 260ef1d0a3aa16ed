//! How soon the ranks of a container run: our launcher beside the relative of the vendor's, in turns; and a whole job.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use fmtk::resolve::{place, tools};

use super::{
    launch::write_table,
    rounds::Bench,
    row::{Bar, Row, Unit},
};
use crate::testbed::{Docker, Engine, PLATFORM, copy, data, list, read, unpack_relative_launcher};

const RANKS: usize = 8;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Static ranks in a container of this machine's own architecture
    Native,
    /// Ranks of Python in the sample image, and a job of 2 × 8 of them
    Emulated,
}

/// Containers of both launchers: the daemon, and the folder that they see as `/bed`, with launchers, stamps and rank table.
struct Kit {
    docker: Docker,
    bed: PathBuf,
    bench: Bench,
}

/// Where ranks run, and what they are.
struct Container<'a> {
    image: &'a str,
    options: &'a [&'a str],
    /// The program that notes when it is called, as the container sees it, and then is what it is given.
    stamp: &'a str,
    /// Our launcher, as the container sees it.
    launcher: &'a str,
    /// A rank's command, without the file that it notes its start in.
    rank: &'a [&'a str],
}

pub fn run(bench: Bench, pkg: Option<&Path>, only: &[Part]) -> anyhow::Result<Vec<Row>> {
    let bed = bench.folder("bed")?;
    copy(&tools::own_launcher()?, &bed.join("fmtk-launch"))?;
    for target in [tools::OWN_TARGET, tools::TARGET] {
        let build =
            bench.command("rustc").words("--edition 2024 -C linker=rust-lld -C opt-level=2 --target").arg(target);
        let build =
            build.arg("-o").arg(bed.join(format!("stamp-{target}"))).arg(place::workspace().join("ci/stamp.rs"));
        build.dir(&place::workspace()).run()?;
    }
    unpack_relative_launcher(&bench.log, &bed)?;
    write_table(&bed.join("table"), 1)?;
    let docker = Docker::start(&bench.log, &bench.folder("docker")?, false)?;
    let kit = Kit { docker, bed, bench };
    let mut rows = Vec::new();
    for part in Part::value_variants().iter().filter(|part| only.is_empty() || only.contains(part)) {
        rows.extend(match part {
            Part::Native => native(&kit)?,
            Part::Emulated => emulated(&kit, pkg)?,
        });
    }
    Ok(rows)
}

impl Kit {
    /// Both launchers in turns: a row from the container's first process on, which has to keep `bar`, and one from the
    /// engine's call on.
    fn compare(&self, figure: &str, container: &Container<'_>, bar: Bar) -> anyhow::Result<Vec<Row>> {
        let times = self.bench.in_turns(figure, ["ours", "vendor's"], |who, _| self.once(who, container))?;
        let row = |from: &str, of: fn(&(f64, f64)) -> f64, bar: Bar| {
            let [ours, theirs] = times.each_ref().map(|times| times.iter().map(of).collect::<Vec<f64>>());
            Row::timed(&format!("{figure}, {from} to rank {}", RANKS - 1), &ours, "vendor's", &theirs, bar)
        };
        Ok(vec![row("container", |times| times.0, bar), row("docker run", |times| times.1, Bar::None)])
    }

    /// Seconds until rank 7 runs: from the start of the container's first process, and from the call of the engine.
    fn once(&self, who: &str, container: &Container<'_>) -> anyhow::Result<(f64, f64)> {
        let out = self.bench.fresh("out")?;
        self.bench.folder("out/mount/log")?;
        let run = self.docker.command().words("run --rm --network none --user 0:0");
        let run = run.arg(format!("--volume={}:/bed:ro", self.bed.display()));
        let run = run.arg(format!("--volume={}:/out", out.display())).args(container.options);
        let run = run.words(
            "--env PYTHONPATH=/bed --env PYTHONDONTWRITEBYTECODE=1 --env MA_MOUNT_PATH=/out/mount \
             --env RANK_TABLE_FILE=/bed/table --env MA_CURRENT_INSTANCE_NAME=job-x-0 --env BATCH_JOB_ID=bench",
        );
        let run = run.args(["--entrypoint", container.stamp, container.image, "/out/start"]);
        let run = match who {
            "ours" => run.args([container.launcher, "run", "--"]),
            _ => run.words("python3 -m davincirunsdk.davincirun"),
        };
        let called = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_nanos();
        run.args(container.rank).arg("/out/rank").run()?;
        let noted = |name: &str| -> anyhow::Result<u128> {
            read(&out.join(name))?.trim().parse().with_context(|| format!("`{name}` holds no number"))
        };
        // All eight have to have run.
        let ranks = (0..RANKS).map(|rank| noted(&format!("rank{rank}"))).collect::<anyhow::Result<Vec<u128>>>()?;
        let (start, last) = (noted("start")?, ranks[RANKS - 1]);
        ensure!(last > start && start > called, "a clock went backwards");
        let since = |begin: u128| (last - begin) as f64 / 1e9;
        Ok((since(start), since(called)))
    }
}

/// Static ranks in a container of this machine's own architecture: what the launchers themselves take. It sees folders of
/// this machine, read-only: its Python is this machine's, and the image holds nothing but links.
fn native(kit: &Kit) -> anyhow::Result<Vec<Row>> {
    let bench = &kit.bench;
    let (folder, archive) = (bench.folder("links")?, bench.path("links.tar"));
    bench.command("sh").arg("-eu").arg(data("image_of_links.sh")).args([&folder, &archive]).run()?;
    let is_link = folder.join("lib").is_symlink();
    ensure!(is_link, "on this machine `/lib` is not a link to `/usr/lib`, as an image of links needs");
    let import = kit.docker.command().arg("import").arg(&archive).run()?;
    let stamp = format!("/bed/stamp-{}", tools::OWN_TARGET);
    let container = Container {
        image: import.text(),
        options: &["--volume=/usr:/usr:ro", "--volume=/etc:/etc:ro"],
        stamp: &stamp,
        launcher: "/bed/fmtk-launch",
        rank: &[&stamp],
    };
    kit.compare("8 static ranks", &container, Bar::Times(0.25))
}

/// The sample image: ranks of Python, and a whole job of two nodes.
fn emulated(kit: &Kit, pkg: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let bench = &kit.bench;
    let xtask = || bench.xtask_in(&bench.path("store")).env("DOCKER_HOST", kit.docker.host());
    bench.say("building the sample image");
    let built = xtask().words("image --sample --pkg").arg(bench.packages(pkg)?).run()?;

    // What the engine has to load is part of it, as in a first try.
    let tried = xtask().words("try --nodes 2 --engine docker --format json --out").arg(bench.path("try")).run()?;
    let report = tried.json()?;
    ensure!(list(&report, "nodes")?.len() == 2, "the job had other nodes: {report}");
    let job = report["seconds"].as_f64().context("the report has no `seconds`")?;
    let alone = |figure: &str, seconds: f64, bar: Bar| Row::alone(figure, seconds, Unit::Seconds, bar);
    let mut rows = vec![
        alone("2 × 8 Python ranks, emulated, `try` to its end", tried.seconds, Bar::AtMost(180.0)),
        alone("  of that, the job", job, Bar::None),
    ];
    let container = Container {
        image: built.text(),
        options: &["--platform", PLATFORM],
        stamp: &format!("/bed/stamp-{}", tools::TARGET),
        launcher: "fmtk-launch",
        rank: &["python3", "-c", &read(&data("note_start.py"))?],
    };
    rows.extend(kit.compare(&format!("{RANKS} Python ranks, emulated"), &container, Bar::None)?);
    Ok(rows)
}
