//! `fmtk-launch` beside the relative of the vendor's launcher, in turns: endings, memory, wake-ups, output, survivors.
//! MindSpore's ranks are measured beside `msrun`.

mod ending;
mod flow;
mod launchers;
mod mindspore;
mod nodes;
mod quiet;
mod report;
mod survivors;
mod tables;

use std::time::Duration;

use clap::ValueEnum;

pub use self::launchers::write_table;

use self::launchers::Launchers;
use super::{rounds::Bench, row::Row};

const RANKS: usize = 8;
const LINES: usize = 200_000;
const BYTES: usize = 120;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A failure, and nothing to do
    Ending,
    /// Memory and wake-ups
    Quiet,
    /// Output
    Flow,
    /// Who is left, on one node
    Survivors,
    /// Who is left and which lines are lost, on two nodes
    Nodes,
    /// Rank tables
    Tables,
    /// Reports of 128 nodes
    Report,
    /// Beside msrun; pip fetches MindSpore, hundreds of megabytes
    Mindspore,
}

pub fn run(bench: Bench, quick: bool, torchrun: bool, only: &[Part]) -> anyhow::Result<Vec<Row>> {
    let launchers = Launchers::new(bench, torchrun)?;
    let watched = Duration::from_secs(if quick { 10 } else { 60 });
    let mut rows = Vec::new();
    for part in Part::value_variants().iter().filter(|part| only.is_empty() || only.contains(part)) {
        rows.extend(match part {
            Part::Ending => ending::run(&launchers)?,
            Part::Quiet => quiet::run(&launchers, watched)?,
            Part::Flow => flow::run(&launchers)?,
            Part::Survivors => survivors::run(&launchers)?,
            Part::Nodes => nodes::run(&launchers)?,
            Part::Tables => tables::run(&launchers)?,
            Part::Report => report::run(&launchers)?,
            Part::Mindspore => mindspore::run(&launchers)?,
        });
    }
    Ok(rows)
}
