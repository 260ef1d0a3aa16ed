//! Bases: looking into one beside `gzip -dc | tar t`, CANN a second time, and `doctor`.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, ensure};
use fmtk::{resolve::place, sample, terminal::progress::Progress};
use oci_image::{Descriptor, Manifest, Store};

use super::{
    meter::{Measure, Meter},
    row::{Bar, Row, Unit, median},
};
use crate::testbed::{
    self, Access, Docker, Engine, Invocation, Log, RegistryServer, Requirement, Workplace, cann_double, mmdebstrap,
    recipe,
};

/// What the measurements need of the machine.
pub const REQUIREMENTS: &[Requirement] = &[
    Requirement::Root,
    Requirement::Program("setpriv", "util-linux"),
    Requirement::Program("docker", "docker.io"),
    Requirement::Program("dockerd", "docker.io"),
    Requirement::Program("docker-registry", "docker-registry"),
    Requirement::Program("mmdebstrap", "mmdebstrap"),
    Requirement::Program("makeself", "makeself"),
    Requirement::Program("gzip", "gzip"),
    Requirement::Program("tar", "tar"),
    Requirement::Program("cc", "gcc"),
    Requirement::Arm64,
];

const CANN: &str = "5.1.RC2";
/// The base as docker loads it.
const ARCHIVE: &str = "base.tar";
const MIB: f64 = 1024.0 * 1024.0;

/// The base, and what looks into it. Servers end and folders go with it: the fields are dropped in this order.
struct Stage {
    rounds: usize,
    log: Log,
    meter: Meter,
    program: PathBuf,
    /// The sample's base with all its wheels upon it, MindSpore's 405 MB among them.
    layout: PathBuf,
    workplace: Workplace,
}

/// Measures everything.
pub fn run(rounds: usize, pkg: Option<&Path>, store: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::new(rounds, pkg, store)?;
    let mut rows = sample_base(&stage)?;
    rows.extend(inspection(&stage)?);
    let docker = Docker::start(&stage.log, &stage.folder("docker")?, false)?;
    rows.extend(out_of_docker(&stage, &docker)?);
    rows.extend(second_build(&stage, &docker)?);
    drop(docker);
    rows.extend(doctor(&stage)?);
    Ok(rows)
}

impl Stage {
    fn new(rounds: usize, pkg: Option<&Path>, store: Option<&Path>) -> anyhow::Result<Self> {
        let workplace = Workplace::new()?;
        let log = Log::create(&place::workspace().join("target/bench"), "base")?;
        log.say("setting up: meter, the sample's base with its wheels");
        let meter = Meter::build(&log, workplace.path())?;
        let program = testbed::program()?;
        let store = match store {
            Some(path) => std::path::absolute(path).context("no working folder")?,
            None => workplace.path().join("setup"),
        };
        sample::ensure_base(&Store::open(&store)?, &Progress::new(true))?;
        let layout = workplace.path().join("base");
        let mut build = log.command(&program).arg("--store").arg(&store).args(["image", "--sample"]);
        if let Some(pkg) = pkg {
            build = build.arg("--pkg").arg(std::path::absolute(pkg).context("no working folder")?);
        }
        let archive = format!("docker-archive:{}", workplace.path().join(ARCHIVE).display());
        let build = build.args(["--output", &archive, "--output"]).arg(format!("oci:{}", layout.display()));
        build.dir(&place::workspace()).run()?;
        Ok(Self { rounds, log, meter, program, layout, workplace })
    }

    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.workplace.folder(name)
    }

    /// A command with this store, on this base, with the recipe and the packages in a folder.
    fn command_on(&self, base: &str, name: &str, store: &Path, place: &Path) -> Invocation<'_> {
        let command = self.log.command(&self.program).arg("--store").arg(store).arg(name).arg("--pkg").arg(place);
        let command = command.arg("--recipe").arg(place.join("image.toml")).args(["--base", base]);
        let command = command.dir(&place::workspace());
        ["timestamp", "org_name"].into_iter().fold(command, |command, name| command.env_remove(name))
    }

    /// The same on the base in its layout.
    fn command(&self, name: &str, store: &Path, place: &Path) -> Invocation<'_> {
        self.command_on(&format!("oci:{}", self.layout.display()), name, store, place)
    }

    /// The layers' blobs, bottom first.
    fn layers(&self) -> anyhow::Result<Vec<PathBuf>> {
        let blob = |digest: &str| self.layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        let read = |path: &Path| fs::read(path).with_context(|| format!("failed to read `{}`", path.display()));
        let index: serde_json::Value = serde_json::from_slice(&read(&self.layout.join("index.json"))?)?;
        let manifest = index["manifests"][0]["digest"].as_str().context("the layout holds no image")?;
        let manifest = Manifest::parse(&read(&blob(manifest))?, None)?;
        Ok(manifest.layers.iter().map(|layer: &Descriptor| blob(&layer.digest.hex())).collect())
    }
}

/// The sample's base out of Debian's packages, downloads included, beside mmdebstrap.
fn sample_base(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let (mut ours, mut theirs, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let quiet = Progress::new(true);
    for round in 0..stage.rounds {
        let store = Store::open(&stage.folder(&format!("sample/store-{round}"))?)?;
        for seconds in [&mut ours, &mut again] {
            let begin = Instant::now();
            sample::ensure_base(&store, &quiet)?;
            seconds.push(begin.elapsed().as_secs_f64());
        }
        let folder = stage.folder(&format!("sample/mmdebstrap-{round}"))?;
        let their = mmdebstrap(&stage.log, &folder)?.run()?.time.as_secs_f64();
        let (our, rounds) = (ours.last().unwrap_or(&0.0), stage.rounds);
        stage.log.say(&format!("the sample's base {}/{rounds}: ours {our:.2} s, mmdebstrap {their:.2} s", round + 1));
        theirs.push(their);
    }
    // A process that does little else.
    let store = stage.folder("sample/store")?;
    let place = stage.folder("sample/place")?;
    fs::write(place.join("image.toml"), "").context("failed to write a recipe")?;
    let image = stage.log.command(&stage.program).arg("--store").arg(&store).dir(&place::workspace());
    let image = image.args(["image", "--sample", "--dry-run", "--set", "pypi.requirements=[]", "--recipe"]);
    let (process, _) = stage.meter.measure(image.arg(place.join("image.toml")).arg("--pkg").arg(&place))?;
    let figure = "the sample's base";
    Ok(vec![
        Row::timed(&format!("{figure}, empty store"), &ours, "mmdebstrap", &theirs, Bar::Times(0.5)),
        Row::alone(&format!("{figure}, from the store"), median(&again), Unit::Seconds, Bar::AtMost(0.1)),
        Row::alone(&format!("{figure}, peak memory"), process.peak_bytes as f64, Unit::Bytes, Bar::AtMost(128.0 * MIB)),
    ])
}

/// A plan for a base that was not seen before, beside a list of all its files.
fn inspection(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let place = stage.folder("inspection")?;
    fs::write(place.join("image.toml"), recipe(&[])).context("failed to write a recipe")?;
    let layers = stage.layers()?;
    let script = "for layer; do gzip -dc \"$layer\" | tar t; done > /dev/null";
    let mut ours: Vec<Measure> = Vec::new();
    let mut theirs: Vec<Measure> = Vec::new();
    // One round more, whose figures are dropped: the blobs are in memory for both then.
    for round in 0..=stage.rounds {
        let store = stage.folder(&format!("inspection/store-{round}"))?;
        let looked = stage.command("image", &store, &place).args(["--dry-run", "--inspect", "always"]);
        let (our, _) = stage.meter.measure(looked)?;
        let listed = stage.log.command("sh").args(["-c", script, "sh"]).args(&layers);
        let (their, _) = stage.meter.measure(listed)?;
        if round > 0 {
            stage.log.say(&format!(
                "inspection {round}/{}: ours {:.3} s ({:.2} CPU), gzip | tar {:.3} s ({:.2} CPU)",
                stage.rounds, our.seconds, our.cpu_seconds, their.seconds, their.cpu_seconds
            ));
            ours.push(our);
            theirs.push(their);
        }
    }
    let seconds = |measures: &[Measure]| measures.iter().map(|one| one.seconds).collect::<Vec<f64>>();
    let peak = ours.iter().map(|measure| measure.peak_bytes).max().unwrap_or(0);
    let figure = format!("looking into a base of {} layers", layers.len());
    Ok(vec![
        // At least 0.8 of the other's speed.
        Row::timed(&figure, &seconds(&ours), "gzip -dc | tar t", &seconds(&theirs), Bar::Times(1.0 / 0.8)),
        Row::alone("looking into a base, peak memory", peak as f64, Unit::Bytes, Bar::AtMost(64.0 * MIB)),
    ])
}

/// The same base out of docker: streamed, compressed into the store, looked into.
fn out_of_docker(stage: &Stage, docker: &Docker) -> anyhow::Result<Vec<Row>> {
    let archive = stage.workplace.path().join(ARCHIVE);
    let loaded = docker.command(&stage.log).args(["load", "--input"]).arg(&archive).run()?;
    fs::remove_file(&archive).with_context(|| format!("failed to remove `{}`", archive.display()))?;
    let name = loaded.stdout.lines().find_map(|line| line.strip_prefix("Loaded image: "));
    let base = format!("docker-daemon:{}", name.context("docker loaded no image with a name")?.trim());
    let (store, place) = (stage.folder("out-of-docker")?, stage.folder("inspection")?);
    let plan = || stage.command_on(&base, "image", &store, &place).arg("--dry-run").env("DOCKER_HOST", docker.host());
    let (first, _) = stage.meter.measure(plan())?;
    let (again, _) = stage.meter.measure(plan())?;
    let figure = "a base out of docker, first plan";
    let peak = first.peak_bytes as f64;
    Ok(vec![
        Row::alone(figure, first.seconds, Unit::Seconds, Bar::None),
        Row::alone(&format!("{figure}, peak memory"), peak, Unit::Bytes, Bar::AtMost(64.0 * MIB)),
        Row::alone("a base out of docker, second plan", again.seconds, Unit::Seconds, Bar::AtMost(2.0)),
    ])
}

/// With CANN installed before and no engine to be had.
fn second_build(stage: &Stage, docker: &Docker) -> anyhow::Result<Vec<Row>> {
    let place = stage.folder("cann")?;
    cann_double(&stage.log, &place, CANN)?;
    let text = recipe(&[]).replace("cann = \"none\"", &format!("cann = \"{CANN}\""));
    fs::write(place.join("image.toml"), text).context("failed to write a recipe")?;
    let store = stage.folder("cann/store")?;
    let image = || stage.command("image", &store, &place).args(["--engine", "docker", "--format", "json"]);
    let first = image().env("DOCKER_HOST", docker.host()).run()?;
    stage.log.say(&format!("the first build with CANN took {:.1} s", first.time.as_secs_f64()));
    let mut seconds = Vec::new();
    for _ in 0..stage.rounds {
        let (measure, said) = stage.meter.measure(image().env("DOCKER_HOST", "unix:///nowhere"))?;
        let layers = |said: &str| -> anyhow::Result<serde_json::Value> {
            Ok(serde_json::from_str::<serde_json::Value>(said).context("`image` printed no JSON")?["layers"].clone())
        };
        ensure!(layers(&said)? == layers(&first.stdout)?, "the second build has other layers");
        seconds.push(measure.seconds);
    }
    let figure = "second build with the same CANN, no engine";
    Ok(vec![Row::alone(figure, median(&seconds), Unit::Seconds, Bar::AtMost(2.0))])
}

/// With a registry that answers, and with one that takes connections and says nothing.
fn doctor(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let place = stage.folder("inspection")?;
    let store = stage.folder("doctor-store")?;
    let registry = RegistryServer::start(&stage.log, &stage.folder("registry")?, Access::Anyone)?;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    let silent_host = silent.local_addr().context("no free port on loopback")?.to_string();
    let mut rows = Vec::new();
    for (what, host) in [("doctor", registry.host()), ("doctor, a registry that says nothing", silent_host)] {
        let mut seconds = Vec::new();
        for _ in 0..stage.rounds {
            let doctor = stage.command("doctor", &store, &place);
            let doctor = doctor.args(["--insecure", "--org", "mindxsdk", "--registry", &host, "--format", "json"]);
            let (measure, finished) = stage.meter.measure_any(doctor)?;
            ensure!(finished.stdout.starts_with('['), finished.unexpected());
            seconds.push(measure.seconds);
        }
        rows.push(Row::alone(what, median(&seconds), Unit::Seconds, Bar::AtMost(3.0)));
    }
    Ok(rows)
}
