//! `fmtk-launch` beside the relative of the vendor's launcher, in turns: endings, memory, wake-ups, output, survivors.

mod ending;
mod flow;
mod launchers;
mod quiet;
mod report;
mod survivors;
mod tables;

use std::time::Duration;

pub use self::launchers::write_table;

use self::launchers::Launchers;
use super::{rounds::Bench, row::Row};

const RANKS: usize = 8;
const LINES: usize = 200_000;
const BYTES: usize = 120;

pub fn run(bench: Bench, quick: bool, torchrun: bool) -> anyhow::Result<Vec<Row>> {
    let launchers = Launchers::new(bench, torchrun)?;
    let watched = Duration::from_secs(if quick { 10 } else { 60 });
    let mut rows = ending::run(&launchers)?;
    rows.extend(quiet::run(&launchers, watched)?);
    rows.extend(flow::run(&launchers)?);
    rows.extend(survivors::run(&launchers)?);
    rows.extend(tables::run(&launchers)?);
    rows.extend(report::run(&launchers)?);
    Ok(rows)
}
