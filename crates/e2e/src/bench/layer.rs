//! The layer of the MindSpore wheel, blob written and both digests known, beside the floor.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, ensure};
use oci_image::{Digest, ParentDirs, Store};
use wheel_layer::{InstalledWheel, Layout, Target, WheelFacts, layers};

use super::{
    row::{Bar, Row, Unit, median},
    stage::Stage,
};

/// The floor and ours in turn, round by round.
pub fn run(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let wheel = stage.mindspore()?;
    let bytes = std::fs::read(&wheel).with_context(|| format!("failed to read `{}`", wheel.display()))?;
    let digest = Digest::of(&bytes);
    drop(bytes);
    let target = Target::aarch64((3, 9), (2, 31));
    let layout = Arc::new(Layout::posix_prefix("/usr/local", (3, 9), 315_532_800));
    let facts = Arc::new(WheelFacts::read(&wheel)?);
    ensure!(facts.check(&target).is_empty() && facts.foreign_code().is_empty(), "the wheel has problems");

    let (mut ours, mut ours_cpu, mut floor, mut floor_cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut faster = "libdeflate";
    for round in 0..stage.rounds {
        let found = stage.floor(&wheel)?;
        let of = |name: &str, field: &str| found[name][field].as_f64().context("the meter names no floor");
        faster = if of("libdeflate", "seconds")? <= of("zlib_rs", "seconds")? { "libdeflate" } else { "zlib_rs" };
        floor.push(of(faster, "seconds")?);
        floor_cpu.push(of(faster, "cpu_seconds")?);

        let store = Store::open(&stage.fresh("layer-store")?)?;
        let (begin, cpu) = (Instant::now(), own_cpu()?);
        let installed = InstalledWheel::new(facts.clone(), wheel.clone(), digest, layout.clone(), |_| None)?;
        layers(&[&installed], &store, &ParentDirs::new(), 512 << 20)?;
        ours.push(begin.elapsed().as_secs_f64());
        ours_cpu.push(own_cpu()? - cpu);
        stage.log.say(&format!(
            "layer {}/{}: ours {:.3} s ({:.2} CPU), {faster} {:.3} s",
            round + 1,
            stage.rounds,
            ours[round],
            ours_cpu[round],
            floor[round]
        ));
    }
    let name = format!("floor, {}", faster.replace('_', "-"));
    Ok(vec![
        Row::beside("layer of the MindSpore wheel", median(&ours), &name, median(&floor), Bar::Times(1.3)),
        Row {
            figure: "layer of the MindSpore wheel, CPU".to_owned(),
            ours: median(&ours_cpu),
            other: Some((name, median(&floor_cpu))),
            unit: Unit::Seconds,
            bar: Bar::None,
            best: None,
        },
    ])
}

/// CPU time of this process so far, seconds, user and system, of all its threads (proc(5), `stat`, fields 14 and 15 in
/// hundredths).
fn own_cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("failed to read `/proc/self/stat`")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}
