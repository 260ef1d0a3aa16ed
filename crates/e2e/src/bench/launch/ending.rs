//! How long a launcher needs to end: after a failure, and when there is nothing to do.

use std::fs;

use anyhow::{Context, ensure};

use super::launchers::{Beside, Launcher, Launchers};
use crate::{
    bench::row::{Bar, Row},
    testbed::read,
};

/// Measures both. The vendor's looks each second, so the bars are ratios to it.
pub fn run(launchers: &Launchers) -> anyhow::Result<Vec<Row>> {
    let figure = "a rank fails, launcher gone";
    let mut rows = beside(figure, 125.0, launchers.in_turns(figure, |who| failure(launchers, who))?);
    let figure = "8 ranks of true, start to exit";
    rows.extend(beside(figure, 30.0, launchers.in_turns(figure, |who| nothing(launchers, who))?));
    Ok(rows)
}

/// A row for each other launcher; the vendor's takes at least so many times as long as ours.
fn beside(figure: &str, times: f64, (ours, others): Beside<f64>) -> Vec<Row> {
    let row = |(name, theirs): (&'static str, Vec<f64>)| {
        let bar = if name == Launcher::Vendor.name() { Bar::Faster(times) } else { Bar::None };
        Row::timed(figure, &ours, name, &theirs, bar)
    };
    others.into_iter().map(row).collect()
}

/// From just before the last rank exits with 1 to the launcher's end; the others end at once when they are told to.
fn failure(launchers: &Launchers, launcher: Launcher) -> anyhow::Result<f64> {
    let note = launchers.bench.path("failed-at");
    let (command, _) = launchers.launch(launcher, &[], &[&launchers.rank(), "fail", &note.display().to_string()])?;
    let (measure, finished) = launchers.bench.measure_any(command)?;
    ensure!(finished.status.code() == Some(1), finished.unexpected());
    let failed: u128 = read(&note)?.trim().parse().context("the rank noted no time")?;
    fs::remove_file(&note).context("failed to remove the note")?;
    Ok(measure.ended.saturating_sub(failed) as f64 / 1e9)
}

fn nothing(launchers: &Launchers, launcher: Launcher) -> anyhow::Result<f64> {
    let (command, _) = launchers.launch(launcher, &[], &["true"])?;
    Ok(launchers.bench.measure(command)?.0.seconds)
}
