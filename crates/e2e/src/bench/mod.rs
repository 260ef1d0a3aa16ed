//! Measurements: our build and push beside docker's and buildah's, of the same files, on the same base, in one run.

mod base;
mod bytes;
mod cargo;
mod cold;
mod kit;
mod launch;
mod layer;
mod machine;
mod meter;
mod ours;
mod patch;
mod rebuild;
mod rivals;
mod row;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use fmtk::{options::Format, terminal::report};
use serde_json::json;

use self::{row::Row, stage::Stage};
use crate::testbed::{Requirement, require};

/// Flags of `cargo xtask bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure building and pushing the image
    Image(ImageBench),
    /// Measure looking into a base, CANN a second time, and doctor
    Base(BaseBench),
    /// Measure fmk-patch
    Patch(PatchBench),
    /// Measure fmtk-launch
    Launch(launch::LaunchBench),
    /// Measure how soon the ranks of a container run, and a whole job
    Kit(kit::KitBench),
}

#[derive(Debug, Args)]
struct PatchBench {
    /// Measure each figure this often and take the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct BaseBench {
    /// Measure each figure this often and take the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Take what an earlier `fetch --sample --pkg DIR` downloaded
    #[arg(long, value_name = "DIR")]
    pkg: Option<PathBuf>,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct ImageBench {
    /// Measure each figure this often and take the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Take what an earlier `fetch --sample --pkg DIR` downloaded
    #[arg(long, value_name = "DIR")]
    pkg: Option<PathBuf>,
    /// Measure only these parts
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Everything anew, beside docker and buildah; peak memory
    Cold,
    /// After only mindpet changed, beside docker; bytes sent
    Rebuild,
    /// The layer of the MindSpore wheel beside the floor
    Layer,
    /// The build of `cargo xtask` itself
    Cargo,
}

impl Part {
    fn run(self, stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Cold => cold::run(stage),
            Self::Rebuild => rebuild::run(stage),
            Self::Layer => layer::run(stage),
            Self::Cargo => cargo::run(stage),
        }
    }
}

/// What the measurements need of the machine; `ci/setup.sh` installs it.
const REQUIREMENTS: &[Requirement] = &[
    Requirement::Root,
    Requirement::Program("setpriv", "util-linux"),
    Requirement::Program("docker", "docker.io"),
    Requirement::Program("dockerd", "docker.io"),
    Requirement::Program("buildah", "buildah"),
    Requirement::Program("docker-registry", "docker-registry"),
    Requirement::Program("skopeo", "skopeo"),
    Requirement::Program("python3", "python3"),
    METER,
];

/// What the meter is built with.
const METER: Requirement = Requirement::Program("cc", "gcc");

/// Measures and prints the table; an error if a bar was missed. A store that has the sample's base saves making it.
pub fn run(args: &BenchArgs, store: Option<&Path>) -> anyhow::Result<()> {
    let args = match &args.what {
        What::Image(args) => args,
        What::Base(args) => {
            require(base::REQUIREMENTS)?;
            let rows = base::run(args.rounds as usize, args.pkg.as_deref(), store)?;
            return say(&rows, args.rounds, args.format, None);
        }
        What::Patch(args) => {
            require(&[METER])?;
            let rows = patch::run(args.rounds as usize)?;
            return say(&rows, args.rounds, args.format, None);
        }
        What::Launch(args) => {
            require(launch::REQUIREMENTS)?;
            return on_this_machine(args.rounds, args.format, || launch::run(args));
        }
        What::Kit(args) => {
            require(kit::REQUIREMENTS)?;
            return on_this_machine(args.rounds, args.format, || kit::run(args));
        }
    };
    require(REQUIREMENTS)?;
    let mut stage = Stage::new(args.rounds as usize, args.pkg.as_deref())?;
    let machine = machine::describe(&stage)?;
    if args.format == Format::Human {
        report::data(&machine::lines(&machine))?;
    }
    let mut rows = Vec::new();
    for part in Part::value_variants() {
        if args.only.is_empty() || args.only.contains(part) {
            rows.extend(part.run(&mut stage)?);
        }
    }
    say(&rows, args.rounds, args.format, Some(&machine))
}

/// Measures launchers, and says on what.
fn on_this_machine(
    rounds: u32,
    format: Format,
    measure: impl FnOnce() -> anyhow::Result<Vec<Row>>,
) -> anyhow::Result<()> {
    let machine = launch::machine();
    if format == Format::Human {
        report::data(&machine::lines(&machine))?;
    }
    say(&measure()?, rounds, format, Some(&machine))
}

/// Prints the table; an error if a bar was missed.
fn say(rows: &[Row], rounds: u32, format: Format, machine: Option<&serde_json::Value>) -> anyhow::Result<()> {
    match format {
        Format::Human => report::data(&row::table(rows))?,
        Format::Json => {
            let document = json!({ "machine": machine, "rounds": rounds, "rows": rows });
            report::data(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
        }
    }
    let missed = rows.iter().filter(|row| row.passes() == Some(false)).count();
    if missed > 0 {
        bail!("{missed} bars were missed");
    }
    Ok(())
}
