//! How soon the ranks of a container run: our launcher beside the relative of the vendor's, in turns; and a whole job.

mod bed;
mod emulated;
mod native;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::bed::Bed;
use fmtk::options::Format;

use super::row::{Bar, Row};
use crate::testbed::Requirement;

/// Ranks of a container.
const RANKS: u32 = 8;

/// Flags of `cargo xtask bench kit`.
#[derive(Debug, Args)]
pub struct KitBench {
    /// Measure each figure this often and take the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// Take what an earlier `fetch --sample --pkg DIR` downloaded
    #[arg(long, value_name = "DIR")]
    pkg: Option<PathBuf>,
    /// Measure only these parts
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Static ranks in a container of this machine's own architecture
    Native,
    /// Ranks of Python in the sample image, and a job of 2 × 8 of them
    Emulated,
}

/// What it needs of the machine; `ci/setup.sh` installs it.
pub const REQUIREMENTS: &[Requirement] = &[
    Requirement::Root,
    Requirement::Program("setpriv", "util-linux"),
    Requirement::Program("docker", "docker.io"),
    Requirement::Program("dockerd", "docker.io"),
    Requirement::Program("python3", "python3"),
    Requirement::Arm64,
];

/// Measures everything.
pub fn run(args: &KitBench) -> anyhow::Result<Vec<Row>> {
    let bed = Bed::new(args.rounds as usize)?;
    let mut rows = Vec::new();
    for part in Part::value_variants() {
        if args.only.is_empty() || args.only.contains(part) {
            rows.extend(match part {
                Part::Native => native::run(&bed)?,
                Part::Emulated => emulated::run(&bed, args.pkg.as_deref())?,
            });
        }
    }
    Ok(rows)
}
