//! Building and pushing the image: everything anew, after a change, its largest layer, and `cargo xtask` itself.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, ensure};
use fmtk::resolve::place;
use oci_image::{BaseIndex, Digest, ParentDirs, Store};
use wheel_layer::{InstalledWheel, Layout, NoCompiler, Target, WheelFacts, layers};

use super::{
    baselines::{self, Buildah},
    image::{Image, Run},
    rounds::{Bench, seconds_of},
    row::{Bar, KIB, MIB, Row, Unit, median},
};
use crate::testbed::{Log, bytes, copy, copy_folder, folder, read, write};

/// Most that a build or a push may have resident.
const PEAK: f64 = 128.0 * MIB;

/// Everything anew: the others' caches off, the registry with the base alone. docker and buildah have the base already,
/// and our store knows what is in it, and nothing else; what it takes to find that out is measured apart. The bars are
/// those beside docker and beside buildah.
pub fn cold(image: &Image, figure: &str, bars: [f64; 2]) -> anyhow::Result<Vec<Row>> {
    image.empty_registry()?;
    let bench = &image.bench;
    let context = bench.fresh("cold-context")?;
    let site = context.join("site");
    baselines::unpack(image, &image.wheels()?, &site)?;
    baselines::dockerfile(image, &context, &image.base(), &["site"])?;
    baselines::docker_base(image)?;
    let buildah = Buildah::new(image)?;
    // Once before the clocks start: the programs of the image are built by cargo, the wheels come into the page cache.
    let first = bench.fresh("first-store")?;
    image.build_and_push(&first, "20200101000000")?;

    let mut runs = Vec::new();
    let who = ["ours, base never seen", "ours", "docker", "buildah"];
    let [unknown, ours, docker, buildahs] = bench.in_turns("cold", who, |who, round| {
        image.empty_registry()?;
        let (tag, timestamp) = (format!("cold-{round}"), format!("202101010000{round:02}"));
        match who {
            "docker" => baselines::docker(image, &context, &tag, false),
            "buildah" => buildah.build_and_push(image, &context, &tag),
            _ => {
                let store = bench.fresh("cold-store")?;
                if who == "ours" {
                    know_base(&bench.log, &store, &first)?;
                }
                runs.push((who, image.build_and_push(&store, &timestamp)?));
                Ok(runs[runs.len() - 1].1.seconds())
            }
        }
    })?;
    let runs: Vec<&Run> = runs.iter().filter(|(who, _)| *who == "ours").map(|(_, run)| run).collect();
    let cpu: Vec<f64> = runs.iter().map(|run| run.build.cpu_seconds + run.push.cpu_seconds).collect();
    let peak = |of: fn(&Run) -> u64| runs.iter().map(|run| of(run)).max().unwrap_or(0) as f64;
    let cpu_figure = format!("{figure}, CPU");
    Ok(vec![
        Row::timed(figure, &ours, "docker", &docker, Bar::Faster(bars[0])),
        Row::timed(figure, &ours, "buildah", &buildahs, Bar::Faster(bars[1])),
        Row::alone("the same, base never seen", median(&unknown), Unit::Seconds, Bar::None),
        Row::alone(&cpu_figure, median(&cpu), Unit::Seconds, Bar::None),
        Row::alone("peak memory of a build", peak(|run| run.build.peak_bytes), Unit::Bytes, Bar::AtMost(PEAK)),
        Row::alone("peak memory of a push", peak(|run| run.push.peak_bytes), Unit::Bytes, Bar::AtMost(PEAK)),
    ])
}

/// Has a store know what is in the base, as another does that inspected it: the index, and the files that are read of it,
/// without which the base would be inspected again.
fn know_base(log: &Log, store: &Path, from: &Path) -> anyhow::Result<()> {
    let (to, from) = (Store::open(store)?, Store::open(from)?);
    const KIND: &str = "base-index";
    let records = to.root().join("records");
    folder(&records)?;
    copy_folder(log, &from.root().join("records").join(KIND), &records)?;
    for index in to.records::<BaseIndex>(KIND)? {
        for file in index.files.values().flatten() {
            to.put_blob(&from.read_blob(&file.digest, file.size)?)?;
        }
        let asked: Vec<String> = index.files.keys().cloned().collect();
        let known = BaseIndex::cached(&to, &index.manifest_digest, &asked)?;
        ensure!(known.is_some(), "the store does not know the base");
    }
    Ok(())
}

/// After only mindpet changed: what a developer of the tuning kit waits for. The registry has the image of before.
pub fn rebuild(image: &Image) -> anyhow::Result<Vec<Row>> {
    image.empty_registry()?;
    baselines::docker_base(image)?;
    let contexts = baselines::contexts(image)?;
    for (number, (_, context, _)) in contexts.iter().enumerate() {
        baselines::docker(image, context, &format!("before-{number}"), false)?;
    }
    let bench = &image.bench;
    let store = bench.fresh("rebuild-store")?;
    image.build_and_push(&store, "20220101000000")?;
    let original = image.mindpet()?;
    let kept = bench.fresh("rebuild-original")?.join("mindpet.whl");
    copy(&original, &kept)?;

    let mut worst: Option<(f64, Run)> = None;
    let [one, each, small] = contexts.each_ref().map(|(name, ..)| *name);
    let times = bench.in_turns("rebuild", ["ours", one, each, small], |who, round| {
        if let Some((_, context, module)) = contexts.iter().find(|(name, ..)| *name == who) {
            // The same change as in the wheel, in docker's unpacked files.
            write(module, format!("{}\n# release {round}\n", read(module)?))?;
            return baselines::docker(image, context, &format!("after-{round}"), true);
        }
        let touch = bench.command("python3").arg(place::workspace().join("ci/touch_wheel.py"));
        touch.args([&kept, &original]).arg(format!("release {round}")).run()?;
        let run = image.build_and_push(&store, &format!("202201020000{round:02}"))?;
        let (seconds, over) = (run.seconds(), run.besides_mindpet()?);
        if worst.as_ref().is_none_or(|(most, _)| over >= *most) {
            worst = Some((over, run));
        }
        Ok(seconds)
    })?;
    copy(&kept, &original)?;

    let (over, run) = worst.context("nothing was measured")?;
    let [ours, others @ ..] = &times;
    let bars = [Bar::Faster(40.0), Bar::None, Bar::Times(1.0)];
    let row = |((name, times), bar): ((&str, &Vec<f64>), Bar)| {
        Row::timed("rebuild + push, only mindpet changed", ours, name, times, bar)
    };
    let mut rows: Vec<Row> = [one, each, small].into_iter().zip(others).zip(bars).map(row).collect();
    let sent = |figure: &str, value: f64, bar| Row::alone(figure, value, Unit::Bytes, bar);
    rows.push(sent("bytes sent beside mindpet's layer", over, Bar::AtMost(32.0 * KIB)));
    rows.push(sent("bytes sent, bodies", run.pushed_bytes("bytes_sent")?, Bar::None));
    rows.push(sent("bytes sent, request lines and headers", run.pushed_bytes("header_bytes_sent")?, Bar::None));
    Ok(rows)
}

/// The layer of a wheel, blob written and both digests known, beside the floor.
pub fn layer(bench: &Bench, wheel: &Path, target: &Target, figure: &str) -> anyhow::Result<Vec<Row>> {
    let wheel = wheel.to_owned();
    let digest = Digest::of(bytes(&wheel)?);
    let layout = Arc::new(Layout::posix_prefix("/usr/local", target.python, 315_532_800));
    let facts = Arc::new(WheelFacts::read(&wheel)?);
    let problems = [facts.check(target), facts.check_record(), Vec::from_iter(facts.foreign_code())].concat();
    ensure!(problems.is_empty(), "the wheel has problems: {problems:?}");

    let mut faster = "";
    let [floor, ours] = bench.in_turns("layer", ["floor", "ours"], |who, _| {
        if who == "floor" {
            let found = bench.meter.floor(&wheel)?;
            let of = |name: &str, field: &str| found[name][field].as_f64().context("the meter names no floor");
            faster = if of("libdeflate", "seconds")? <= of("zlib_rs", "seconds")? { "libdeflate" } else { "zlib_rs" };
            return Ok((of(faster, "seconds")?, of(faster, "cpu_seconds")?));
        }
        let store = Store::open(&bench.fresh("layer-store")?)?;
        let cpu = own_cpu()?;
        let seconds = seconds_of(|| {
            let installed = InstalledWheel::new(facts.clone(), wheel.clone(), digest, layout.clone(), |_| None)?;
            Ok(layers(&[&installed], &store, &ParentDirs::new(), 512 << 20, &NoCompiler)?)
        })?;
        Ok((seconds, own_cpu()? - cpu))
    })?;
    let name = format!("floor, {}", faster.replace('_', "-"));
    let row = |figure: &str, of: fn(&(f64, f64)) -> f64, bar| {
        let [ours, floor] = [&ours, &floor].map(|all| all.iter().map(of).collect::<Vec<_>>());
        Row::timed(figure, &ours, &name, &floor, bar)
    };
    Ok(vec![row(figure, |one| one.0, Bar::Times(1.3)), row(&format!("{figure}, CPU"), |one| one.1, Bar::None)])
}

/// CPU time of this process so far, seconds, user and system, of all its threads (proc(5), `stat`, fields 14 and 15 in
/// hundredths).
fn own_cpu() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("failed to read `/proc/self/stat`")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// `cargo xtask` itself: built from nothing once, and its `--help` through cargo, beside what cargo needs to see that
/// nothing is to be built.
pub fn cargo(image: &Image) -> anyhow::Result<Vec<Row>> {
    let bench = &image.bench;
    bench.say("building xtask from nothing, once");
    let build = || {
        let build = bench.command("cargo").words("build --quiet --locked --package xtask");
        build.dir(&place::workspace())
    };
    // What cargo says to the program it runs would have the build script of a dependency run again.
    let target = bench.fresh("cargo-target")?;
    let (cold, _) = bench.measure(build().arg("--target-dir").arg(&target).without(&["CARGO_TARGET_DIR"]))?;
    bench.fresh("cargo-target")?;

    let run = |who: &str| -> anyhow::Result<f64> {
        let (measure, said) = bench.measure(match who {
            "through cargo" => bench.command("cargo").words("xtask --help").dir(&place::workspace()),
            "direct" => bench.command(&bench.program).arg("--help"),
            _ => build(),
        })?;
        ensure!(who == "cargo build" || said.contains("image"), "`cargo xtask --help` does not name its commands");
        Ok(measure.seconds)
    };
    let who = ["through cargo", "cargo build", "direct"];
    // The first one may have to build.
    who.iter().try_for_each(|who| run(who).map(drop))?;
    let [through, nothing, direct] = bench.in_turns("--help", who, |who, _| run(who))?;
    let own = median(&through) - median(&direct);
    Ok(vec![
        Row::alone("cold build of cargo xtask, once", cold.seconds, Unit::Seconds, Bar::AtMost(90.0)),
        Row::timed("cargo xtask --help, warm", &through, "cargo build of nothing", &nothing, Bar::Times(1.5)),
        Row::alone("of that cargo's own start-up", own, Unit::Seconds, Bar::None),
    ])
}
