//! Bases: inspecting one beside `gzip -dc | tar t`, CANN a second time, and `doctor`.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use fmtk::{sample, terminal::progress::Progress};
use oci_image::Store;

use super::{
    meter::Measure,
    rounds::{Bench, seconds_of},
    row::{Bar, MIB, Row, Unit, median},
};
use crate::testbed::{
    Access, CANN, Docker, Engine, Invocation, NOWHERE, RegistryServer, blob, cann_fake, field, list, manifest,
    mmdebstrap, recipe, write,
};

/// The sample's base with all its wheels upon it, MindSpore's 405 MB among them, and what inspects it.
struct Base {
    layout: PathBuf,
    /// The same as docker loads it.
    archive: PathBuf,
    bench: Bench,
}

pub fn run(bench: Bench, pkg: Option<&Path>, store: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let base = Base::new(bench, pkg, store)?;
    let mut rows = sample_base(&base.bench)?;
    rows.extend(inspection(&base)?);
    let docker = Docker::start(&base.bench.log, &base.bench.folder("docker")?, false)?;
    rows.extend(out_of_docker(&base, &docker)?);
    rows.extend(second_build(&base, &docker)?);
    drop(docker);
    rows.extend(doctor(&base)?);
    Ok(rows)
}

impl Base {
    fn new(bench: Bench, pkg: Option<&Path>, store: Option<&Path>) -> anyhow::Result<Self> {
        let store = match store {
            Some(path) => std::path::absolute(path).context("no working folder")?,
            None => bench.path("setup"),
        };
        sample::ensure_base(&Store::open(&store)?, sample::BULLSEYE, &Progress::new(true))?;
        let (layout, archive) = (bench.path("base"), bench.path("base.tar"));
        let mut build = bench.xtask_in(&store).args(["image", "--sample"]);
        if pkg.is_some() {
            build = build.arg("--pkg").arg(bench.packages(pkg)?);
        }
        let build = build.arg("--output").arg(format!("docker-archive:{}", archive.display()));
        build.arg("--output").arg(format!("oci:{}", layout.display())).run()?;
        Ok(Self { layout, archive, bench })
    }

    /// A command with this store, on this base, with the recipe and the packages in a folder.
    fn command_on(&self, base: &str, name: &str, store: &Path, place: &Path) -> Invocation {
        let command = self.bench.xtask_in(store).arg(name).arg("--pkg").arg(place);
        command.arg("--recipe").arg(place.join("image.toml")).args(["--base", base])
    }

    /// The same on the base in its layout.
    fn command(&self, name: &str, store: &Path, place: &Path) -> Invocation {
        self.command_on(&format!("oci:{}", self.layout.display()), name, store, place)
    }

    /// A folder with the recipe of nothing but the base.
    fn plain(&self) -> anyhow::Result<PathBuf> {
        let place = self.bench.folder("plain")?;
        write(&place.join("image.toml"), recipe(&[]))?;
        Ok(place)
    }
}

/// The sample's base out of Debian's packages, downloads included, beside mmdebstrap.
fn sample_base(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let quiet = Progress::new(true);
    let figure = "the sample's base";
    let who = ["ours", "ours, from the store", "mmdebstrap"];
    let [ours, again, theirs] = bench.in_turns(figure, who, |who, round| {
        if who == "mmdebstrap" {
            let folder = bench.folder(&format!("sample/mmdebstrap-{round}"))?;
            return Ok(mmdebstrap(&bench.log, &folder)?.run()?.seconds);
        }
        let store = Store::open(&bench.folder(&format!("sample/store-{round}"))?)?;
        seconds_of(|| sample::ensure_base(&store, sample::BULLSEYE, &quiet))
    })?;
    // A process that does little else.
    let place = bench.folder("sample/place")?;
    write(&place.join("image.toml"), "")?;
    let image = bench.xtask_in(&bench.folder("sample/store")?);
    let image =
        image.words("image --sample --dry-run --set pypi.requirements=[] --recipe").arg(place.join("image.toml"));
    let (process, _) = bench.measure(image.arg("--pkg").arg(&place))?;
    let peak = process.peak_bytes as f64;
    Ok(vec![
        Row::timed(&format!("{figure}, empty store"), &ours, "mmdebstrap", &theirs, Bar::Times(0.5)),
        Row::timed(&format!("{figure}, from the store"), &again, "mmdebstrap", &theirs, Bar::Faster(100.0)),
        Row::alone(&format!("{figure}, peak memory"), peak, Unit::Bytes, Bar::AtMost(128.0 * MIB)),
    ])
}

/// A plan for a base that was not seen before, beside a list of all its files.
fn inspection(base: &Base) -> anyhow::Result<Vec<Row>> {
    let (bench, place) = (&base.bench, base.plain()?);
    let manifest = manifest(&base.layout)?;
    let layers = list(&manifest, "layers")?.iter().map(|layer| Ok(blob(&base.layout, field(layer, "digest")?)));
    let layers = layers.collect::<anyhow::Result<Vec<_>>>()?;
    let script = "for layer; do gzip -dc \"$layer\" | tar t; done > /dev/null";
    let measure = |who: &str, round: usize| {
        let (measure, _) = bench.measure(match who {
            "ours" => {
                let store = bench.folder(&format!("inspection/store-{round}"))?;
                base.command("image", &store, &place).words("--dry-run --inspect always")
            }
            _ => bench.command("sh").args(["-c", script, "sh"]).args(&layers),
        })?;
        anyhow::Ok(measure)
    };
    // One round more, whose figures are dropped: the blobs are in memory for both then.
    measure("ours", 0)?;
    measure("gzip -dc | tar t", 0)?;
    let [ours, theirs] = bench.in_turns("inspection", ["ours", "gzip -dc | tar t"], measure)?;
    let seconds = |measures: &[Measure]| measures.iter().map(|one| one.seconds).collect::<Vec<f64>>();
    let peak = ours.iter().map(|measure| measure.peak_bytes).max().unwrap_or(0) as f64;
    let figure = format!("inspecting a base of {} layers", layers.len());
    Ok(vec![
        // At least 0.8 of the other's speed.
        Row::timed(&figure, &seconds(&ours), "gzip -dc | tar t", &seconds(&theirs), Bar::Times(1.0 / 0.8)),
        Row::alone("inspecting a base, peak memory", peak, Unit::Bytes, Bar::AtMost(64.0 * MIB)),
    ])
}

/// The same base out of docker: streamed, compressed into the store, inspected.
fn out_of_docker(base: &Base, docker: &Docker) -> anyhow::Result<Vec<Row>> {
    let name = format!("docker-daemon:{}", docker.load(&base.archive)?);
    fs::remove_file(&base.archive).with_context(|| format!("failed to remove `{}`", base.archive.display()))?;
    let (store, place) = (base.bench.folder("out-of-docker")?, base.plain()?);
    let plan = || base.command_on(&name, "image", &store, &place).arg("--dry-run").env("DOCKER_HOST", docker.host());
    let (first, _) = base.bench.measure(plan())?;
    let (again, _) = base.bench.measure(plan())?;
    let figure = "a base out of docker, first plan";
    let peak = first.peak_bytes as f64;
    Ok(vec![
        Row::alone(figure, first.seconds, Unit::Seconds, Bar::None),
        Row::alone(&format!("{figure}, peak memory"), peak, Unit::Bytes, Bar::AtMost(64.0 * MIB)),
        Row::alone("a base out of docker, second plan", again.seconds, Unit::Seconds, Bar::AtMost(2.0)),
    ])
}

/// With CANN installed before and no engine to be had.
fn second_build(base: &Base, docker: &Docker) -> anyhow::Result<Vec<Row>> {
    let (bench, place) = (&base.bench, base.bench.folder("cann")?);
    cann_fake(&bench.log, &place)?;
    write(&place.join("image.toml"), recipe(&[("versions.cann", CANN)]))?;
    let store = bench.folder("cann/store")?;
    let image = |host: &str| {
        base.command("image", &store, &place).words("--engine docker --format json").env("DOCKER_HOST", host)
    };
    let first = image(docker.host()).run()?;
    bench.say(format!("the first build with CANN took {:.1} s", first.seconds));
    let first = first.json()?;
    let figure = "second build with the same CANN, no engine";
    let [seconds] = bench.in_turns(figure, ["ours"], |_, _| {
        let (measure, said) = bench.measure(image(NOWHERE))?;
        let again: serde_json::Value = serde_json::from_str(&said).context("`image` printed no JSON")?;
        ensure!(again["layers"] == first["layers"], "the second build has other layers");
        Ok(measure.seconds)
    })?;
    Ok(vec![Row::alone(figure, median(&seconds), Unit::Seconds, Bar::AtMost(2.0))])
}

/// With a registry that answers, and with one that takes connections and says nothing.
fn doctor(base: &Base) -> anyhow::Result<Vec<Row>> {
    let (bench, place, store) = (&base.bench, base.plain()?, base.bench.folder("doctor-store")?);
    let registry = RegistryServer::start(&bench.log, &bench.folder("registry")?, Access::Anyone)?;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    let silent_host = silent.local_addr().context("no free port on loopback")?.to_string();
    let who = ["doctor", "doctor, a registry that says nothing"];
    let times = bench.in_turns("doctor", who, |who, _| {
        let host = if who == "doctor" { registry.host() } else { silent_host.clone() };
        let doctor = base.command("doctor", &store, &place).words("--insecure --org mindxsdk --format json");
        let (measure, finished) = bench.measure_any(doctor.args(["--registry", &host]))?;
        ensure!(finished.stdout.starts_with('['), finished.unexpected());
        Ok(measure.seconds)
    })?;
    let row = |(what, times): (&str, &Vec<f64>)| Row::alone(what, median(times), Unit::Seconds, Bar::AtMost(3.0));
    Ok(who.into_iter().zip(&times).map(row).collect())
}
