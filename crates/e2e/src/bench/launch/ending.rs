//! How long a launcher needs to end: after a failure, and when there is nothing to do.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, ensure};

use super::rivals::{Launcher, Rivals};
use crate::bench::row::{Bar, Row};

/// Measures both.
pub fn run(rivals: &Rivals) -> anyhow::Result<Vec<Row>> {
    let mut failures: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut nothings: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 1..=rivals.rounds {
        for launcher in rivals.all() {
            let (failure, nothing) = (failure(rivals, launcher)?, nothing(rivals, launcher)?);
            let name = launcher.name();
            rivals
                .log
                .say(&format!("{round}/{}: {name}: failure {failure:.4} s, nothing {nothing:.4} s", rivals.rounds));
            failures.entry(name).or_default().push(failure);
            nothings.entry(name).or_default().push(nothing);
        }
    }
    let rows = |figure: &str, times: BTreeMap<&str, Vec<f64>>, seconds: f64| -> Vec<Row> {
        let ours = &times[Launcher::Ours.name()];
        let others = rivals.all().into_iter().filter(|it| *it != Launcher::Ours).map(Launcher::name);
        others.map(|it| Row::timed(figure, ours, it, &times[it], Bar::AtMost(seconds))).collect()
    };
    let mut all = rows("a rank fails, launcher gone", failures, 0.030);
    all.extend(rows("8 ranks of true, start to exit", nothings, 0.040));
    Ok(all)
}

/// From just before the last rank exits with 1 to the launcher's end; the others end at once when they are told to.
fn failure(rivals: &Rivals, launcher: Launcher) -> anyhow::Result<f64> {
    let note = rivals.workplace.path().join("failed-at");
    let (path, rank) = (note.display().to_string(), rivals.rank());
    let (command, _) = rivals.launch(launcher, &[], &[&rank, "fail", &path])?;
    let (measure, finished) = rivals.meter.measure_any(command)?;
    ensure!(finished.status.code() == Some(1), finished.unexpected());
    let failed = fs::read_to_string(&note).with_context(|| format!("failed to read `{path}`"))?;
    let failed: u128 = failed.trim().parse().context("the rank noted no time")?;
    fs::remove_file(&note).with_context(|| format!("failed to remove `{path}`"))?;
    Ok(measure.ended.saturating_sub(failed) as f64 / 1e9)
}

fn nothing(rivals: &Rivals, launcher: Launcher) -> anyhow::Result<f64> {
    let (command, _) = rivals.launch(launcher, &[], &["true"])?;
    Ok(rivals.meter.measure(command)?.0.seconds)
}
