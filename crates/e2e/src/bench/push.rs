//! Pushing: the bytes of one image beside docker, skopeo and podman, over lines that are cut or slow, and when nothing
//! is new; and building and pushing on a machine that has nothing but the image that was pushed last.

mod cached;

use std::{
    cell::Cell,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use fmtk::{
    sample::{self, BULLSEYE},
    terminal::progress::Progress,
};
use image_name::ImageRef;
use oci_image::Store;
use registry_fake::{FakeRegistry, Options, Partial};
use serde_json::Value;

use super::{
    meter::Measure,
    rounds::Bench,
    row::{Bar, MIB, Row, Unit, median},
};
use crate::testbed::{
    Access, Cut, Docker, Engine, Faults, Finished, Invocation, Line, PLATFORM, Passed, Podman, RegistryServer, field,
    list, noise, own_files, read_json, recipe, write,
};

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// 1 GB in 8 layers, beside docker, skopeo and podman; and again, when nothing is new
    Loopback,
    /// Over a line that cuts all connections every 50 MB
    Cut,
    /// Over a line of 20 MB/s with a round trip of 100 ms
    Slow,
    /// On an empty machine, from the image that was pushed last
    Cached,
}

/// Most that a push may have resident, whatever the image's size.
const PEAK: f64 = 64.0 * MIB;

/// Bytes to the server between two cuts.
const CUT: u64 = 50_000_000;

/// Bytes a second of the slow line.
const SPEED: u64 = 20_000_000;

/// Bytes of the large image and of the one for bad lines; they do not compress.
const LARGE: u64 = 1_000_000_000;
const SMALL: u64 = 190_000_000;

/// An image that is built: what finds it in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Built {
    timestamp: &'static str,
    /// Bytes of files of the user's.
    bytes: u64,
    max_layer: &'static str,
}

/// 1 GB in 8 layers.
const EIGHT: Built = Built { timestamp: "20230101000008", bytes: LARGE, max_layer: "128 MiB" };
const SPLITS_OF_16: Built = Built { timestamp: "20230101000016", bytes: SMALL, max_layer: "16 MiB" };
const SPLITS_OF_64: Built = Built { timestamp: "20230101000104", bytes: SMALL, max_layer: "64 MiB" };

/// Servers end and folders go with it: the fields are dropped in this order.
struct Pushes {
    registry: RegistryServer,
    store: PathBuf,
    base: ImageRef,
    /// The most that any push had resident, bytes.
    peak: Cell<u64>,
    bench: Bench,
}

/// A push over a line.
struct Outcome {
    finished: Finished,
    seconds: f64,
    passed: Passed,
}

impl Outcome {
    /// Bytes that went to the server; none where the push failed.
    fn sent(&self) -> f64 {
        if self.finished.status.success() { self.passed.sent as f64 } else { f64::INFINITY }
    }
}

pub fn run(bench: Bench, only: &[Part], store: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    // Where there is a store that has the sample's base, it need not be made again.
    let bases = store.map_or_else(|| Ok(bench.path("bases")), std::path::absolute).context("no working folder")?;
    let base = sample::ensure_base(&Store::open(&bases)?, BULLSEYE, &Progress::new(true))?;
    let registry = RegistryServer::start(&bench.log, &bench.folder("registry")?, Access::Anyone)?;
    let pushes = Pushes { registry, store: bench.folder("store")?, base, peak: Cell::new(0), bench };
    let mut rows = Vec::new();
    for part in Part::value_variants().iter().filter(|part| only.is_empty() || only.contains(part)) {
        rows.extend(match part {
            Part::Loopback => loopback(&pushes)?,
            Part::Cut => cut(&pushes)?,
            Part::Slow => slow(&pushes)?,
            Part::Cached => cached::run(&pushes)?,
        });
    }
    let peak = pushes.peak.get() as f64;
    rows.push(Row::alone("peak memory of a push, of all above", peak, Unit::Bytes, Bar::AtMost(PEAK)));
    Ok(rows)
}

impl Pushes {
    /// Builds an image of nothing but the base and files that do not compress.
    fn build(&self, built: Built) -> anyhow::Result<()> {
        let folder = self.bench.folder(built.timestamp)?;
        let (data, file) = (folder.join("data"), folder.join("image.toml"));
        noise(&data, built.bytes)?;
        let settings = recipe(&[("layout.max_layer", built.max_layer)]);
        write(&file, settings + &own_files("data", "/opt/data", "0644"))?;
        let image = self.bench.xtask_in(&self.store).args(["image", "--timestamp", built.timestamp, "--base"]);
        let image = image.arg(self.base.to_string()).arg("--recipe").arg(&file).arg("--pkg").arg(&folder);
        image.run()?;
        fs::remove_dir_all(&data).with_context(|| format!("failed to remove `{}`", data.display()))
    }

    /// `push` of an image in a store.
    fn command(&self, store: &Path, host: &str, timestamp: &str) -> Invocation {
        let push = self.bench.xtask_in(store).words("push --org bench --format json --registry").arg(host);
        push.args(["--timestamp", timestamp])
    }

    /// Runs our push, and looks at its memory.
    fn push(&self, command: Invocation) -> anyhow::Result<(Measure, Finished)> {
        let (measure, finished) = self.bench.measure_any(command)?;
        self.peak.set(self.peak.get().max(measure.peak_bytes));
        Ok((measure, finished))
    }

    /// The same, which has to succeed; what it took and what it printed.
    fn pushed(&self, command: Invocation) -> anyhow::Result<(Measure, Value)> {
        let (measure, finished) = self.push(command)?;
        ensure!(finished.status.success(), finished.unexpected());
        Ok((measure, finished.json()?))
    }

    /// Our push of an image over a line.
    fn over(&self, to: SocketAddr, faults: Faults, image: Built) -> anyhow::Result<Outcome> {
        let line = Line::start(to, faults)?;
        let (measure, finished) = self.push(self.command(&self.store, &line.host(), image.timestamp))?;
        let outcome = Outcome { finished, seconds: measure.seconds, passed: line.passed() };
        self.bench.say(format!("{:.1} s, {:?}", outcome.seconds, outcome.passed));
        Ok(outcome)
    }

    /// skopeo's copy of a folder over a line.
    fn skopeo_over(&self, faults: Faults, folder: &Path) -> anyhow::Result<Outcome> {
        let line = Line::start(self.registry.address(), faults)?;
        let (measure, finished) = self.bench.measure_any(self.skopeo(folder, &line.host()))?;
        Ok(Outcome { finished, seconds: measure.seconds, passed: line.passed() })
    }

    /// skopeo, about to copy a folder of blobs, just as they are, to a registry.
    fn skopeo(&self, folder: &Path, host: &str) -> Invocation {
        let copy = self.bench.command("skopeo").words("copy --quiet --dest-tls-verify=false --preserve-digests");
        copy.arg(format!("dir:{}", folder.display())).arg(format!("docker://{host}/bench/skopeo:one"))
    }

    /// What our push of an image has put into the registry: its name, a copy of its blobs, and how many bytes they are.
    fn reference(&self, image: Built) -> anyhow::Result<(String, PathBuf, f64)> {
        self.registry.empty()?;
        let (_, pushed) = self.pushed(self.command(&self.store, &self.registry.host(), image.timestamp))?;
        let name = field(&pushed, "reference")?.to_owned();
        let folder = self.bench.fresh("blobs")?;
        let copy = self.bench.command("skopeo").words("copy --quiet --src-tls-verify=false --preserve-digests");
        copy.arg(format!("docker://{name}")).arg(format!("dir:{}", folder.display())).run()?;
        let manifest = read_json(&folder.join("manifest.json"))?;
        let layers = list(&manifest, "layers")?.iter().map(size).sum::<anyhow::Result<f64>>()?;
        Ok((name, folder, layers + size(&manifest["config"])?))
    }
}

/// Bytes of what a descriptor describes.
fn size(descriptor: &Value) -> anyhow::Result<f64> {
    descriptor["size"].as_f64().with_context(|| format!("there is no `size` in {descriptor}"))
}

/// All blobs to an empty registry, by each program as people use it; docker and podman have unpacked the image, and
/// compress it again. Then once more to the registry that has all.
fn loopback(pushes: &Pushes) -> anyhow::Result<Vec<Row>> {
    let Pushes { bench, registry, .. } = pushes;
    pushes.build(EIGHT)?;
    let (image, folder, size) = pushes.reference(EIGHT)?;
    let docker = Docker::start(&bench.log, &bench.folder("docker")?, false)?;
    docker.command().args(["pull", "--quiet", "--platform", PLATFORM, &image]).run()?;
    let podman = Podman::open(&bench.log, &bench.folder("podman")?)?;
    podman.command().words("pull --quiet --tls-verify=false --platform").args([PLATFORM, &image]).run()?;

    let figure = "1 GB in 8 layers over loopback";
    let who = ["ours", "docker", "skopeo", "podman"];
    let host = registry.host();
    let ours = || anyhow::Ok(pushes.pushed(pushes.command(&pushes.store, &host, EIGHT.timestamp))?.0);
    let times = bench.in_turns(figure, who, |who, _| {
        registry.empty()?;
        // What whoever came before has left to the disk is written first.
        bench.command("sync").run()?;
        let (before, measure) = match who {
            "ours" => (0.0, ours()?),
            "skopeo" => (0.0, bench.measure(pushes.skopeo(&folder, &host))?.0),
            "docker" => {
                let before = docker.cpu_seconds()?;
                (before, bench.measure(docker.command().args(["push", "--quiet", &image]))?.0)
            }
            _ => (0.0, bench.measure(podman.command().words("push --quiet --tls-verify=false").arg(&image))?.0),
        };
        let daemon = if who == "docker" { docker.cpu_seconds()? - before } else { 0.0 };
        Ok((measure.seconds, measure.cpu_seconds + daemon))
    })?;
    let medians =
        |of: fn(&(f64, f64)) -> f64| times.each_ref().map(|times| median(&times.iter().map(of).collect::<Vec<f64>>()));
    let (seconds, cpu) = (medians(|time| time.0), medians(|time| time.1));
    let speed = |seconds: f64| size / 1e6 / seconds;
    let others = who.iter().zip(seconds).skip(1);
    let best = others.clone().map(|(_, seconds)| seconds).fold(f64::INFINITY, f64::min);
    let mut rows: Vec<Row> = others
        .map(|(who, theirs)| {
            let bar = if theirs <= best { Bar::Share(0.9) } else { Bar::None };
            Row::beside(figure, speed(seconds[0]), who, speed(theirs), Unit::Speed, bar)
        })
        .collect();
    for ((who, theirs), bar) in who.iter().zip(cpu).skip(1).zip([Bar::Times(0.5), Bar::None, Bar::None]) {
        rows.push(Row::beside("the same, CPU", cpu[0], who, theirs, Unit::Seconds, bar));
    }

    // Both have pushed it once to a registry that has everything now.
    registry.empty()?;
    ours()?;
    bench.measure(pushes.skopeo(&folder, &host))?;
    let figure = "nothing new to push";
    let [ours, skopeo] = bench.in_turns(figure, ["ours", "skopeo"], |who, _| match who {
        "ours" => Ok(ours()?.seconds),
        _ => Ok(bench.measure(pushes.skopeo(&folder, &host))?.0.seconds),
    })?;
    rows.push(Row::timed(figure, &ours, "skopeo", &skopeo, Bar::Times(0.5)));
    Ok(rows)
}

/// Once each: what counts is bytes, not time.
fn cut(pushes: &Pushes) -> anyhow::Result<Vec<Row>> {
    let faults = Faults { cut: Cut::AllEvery(CUT), ..Faults::default() };
    let registry = &pushes.registry;
    let mut rows = Vec::new();
    let mut row = |figure: &str, sent: f64, size: f64, bar| {
        let figure = format!("cut every 50 MB, {figure}: sent");
        rows.push(Row::beside(&figure, sent, "the image", size, Unit::Bytes, bar));
    };

    pushes.build(SPLITS_OF_64)?;
    let (_, _, size) = pushes.reference(SPLITS_OF_64)?;
    let fake = FakeRegistry::with(Options { partial: Partial::Bytes, ..Options::default() });
    let to = fake.host().parse().context("the fake has no address")?;
    let kept = pushes.over(to, faults, SPLITS_OF_64)?;
    row("splits of 64 MiB, partial bytes kept", kept.sent(), size, Bar::Times(1.05));
    drop(fake);
    registry.empty()?;
    let lost = pushes.over(registry.address(), faults, SPLITS_OF_64)?;
    // A registry that forgets what is cut cannot get layers that are larger than what comes between two cuts.
    let is_told = !lost.finished.status.success() && lost.finished.stderr.contains("max_layer");
    let until_told = if is_told { lost.passed.sent as f64 } else { lost.sent() };
    row("splits of 64 MiB, docker-registry, until told so", until_told, size, Bar::Times(2.4));

    pushes.build(SPLITS_OF_16)?;
    let (_, folder, size) = pushes.reference(SPLITS_OF_16)?;
    registry.empty()?;
    let small = pushes.over(registry.address(), faults, SPLITS_OF_16)?;
    row("splits of 16 MiB, docker-registry", small.sent(), size, Bar::Times(1.6));
    registry.empty()?;
    let skopeo = pushes.skopeo_over(faults, &folder)?;
    row("splits of 16 MiB, docker-registry, skopeo", skopeo.sent(), size, Bar::None);
    Ok(rows)
}

/// Ours and skopeo over the slow line.
fn slow(pushes: &Pushes) -> anyhow::Result<Vec<Row>> {
    pushes.build(SPLITS_OF_64)?;
    let (_, folder, size) = pushes.reference(SPLITS_OF_64)?;
    let round_trip = Duration::from_millis(100);
    let faults = Faults { round_trip, bytes_per_second: Some(SPEED), ..Faults::default() };
    let figure = "a round trip of 100 ms, 20 MB/s";
    let times = pushes.bench.in_turns(figure, ["ours", "skopeo"], |who, _| {
        pushes.registry.empty()?;
        let outcome = match who {
            "ours" => pushes.over(pushes.registry.address(), faults, SPLITS_OF_64)?,
            _ => pushes.skopeo_over(faults, &folder)?,
        };
        ensure!(outcome.finished.status.success(), outcome.finished.unexpected());
        Ok(outcome.seconds)
    })?;
    let [ours, skopeo] = times.each_ref().map(|seconds| size / 1e6 / median(seconds));
    Ok(vec![
        Row::beside(figure, ours, "the line", SPEED as f64 / 1e6, Unit::Speed, Bar::Share(0.9)),
        Row::beside(figure, ours, "skopeo", skopeo, Unit::Speed, Bar::None),
    ])
}
