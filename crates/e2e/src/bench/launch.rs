//! `fmtk-launch` beside the relative of the vendor's launcher, in turns: endings, memory, wake-ups, output, survivors.

mod ending;
mod family;
mod flow;
mod quiet;
mod rivals;
mod survivors;
mod tables;

use std::{fs, thread, time::Duration};

use clap::Args;
use fmtk::options::Format;
use serde_json::{Value, json};

pub use self::rivals::write_table;

use self::rivals::Rivals;
use super::row::Row;
use crate::testbed::Requirement;

/// Ranks of the server that is launched.
const RANKS: usize = 8;
/// Lines that each of them writes.
const LINES: usize = 200_000;
/// Bytes of a line.
const BYTES: usize = 120;

/// Flags of `cargo xtask bench launch`.
#[derive(Debug, Args)]
pub struct LaunchBench {
    /// Measure each figure this often and take the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// Look at quiet ranks for 10 s instead of 60 s
    #[arg(long)]
    quick: bool,
    /// Measure torchrun too; pip fetches torch, hundreds of megabytes
    #[arg(long)]
    torchrun: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What it needs of the machine.
pub const REQUIREMENTS: &[Requirement] = &[super::METER, Requirement::Program("python3", "python3")];

/// Measures everything.
pub fn run(args: &LaunchBench) -> anyhow::Result<Vec<Row>> {
    let rivals = Rivals::new(args.rounds as usize, args.torchrun)?;
    let watched = Duration::from_secs(if args.quick { 10 } else { 60 });
    let mut rows = ending::run(&rivals)?;
    rows.extend(quiet::run(&rivals, watched)?);
    rows.extend(flow::run(&rivals)?);
    rows.extend(survivors::run(&rivals)?);
    rows.extend(tables::run(&rivals)?);
    Ok(rows)
}

/// What it was measured on, and how busy that was with other things.
pub fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    json!({
        "processor": model.unwrap_or("unknown"),
        "cores": thread::available_parallelism().map_or(1, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average": read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
    })
}
