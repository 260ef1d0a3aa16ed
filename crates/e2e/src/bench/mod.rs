//! Measurements: our build and push beside docker's and buildah's, of the same files, on the same base, in one run.

mod base;
mod baselines;
mod building;
mod image;
mod import;
mod kit;
mod launch;
mod machine;
mod meter;
mod patch;
mod push;
mod rounds;
mod row;
mod stacks;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use fmtk::{options::Format, terminal::report};
use serde_json::{Value, json};
use wheel_layer::Target;

use self::{image::Image, rounds::Bench, row::Row};
use crate::testbed::require;

/// Flags of `cargo xtask bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Args)]
struct Common {
    /// Measure each figure this often and take the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct Packages {
    /// Take what an earlier `fetch --sample --pkg DIR` downloaded
    #[arg(long, value_name = "DIR")]
    pkg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure building and pushing the image
    Image {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        packages: Packages,
        /// Measure only these parts
        #[arg(long, value_enum)]
        only: Vec<Part>,
    },
    /// Measure stacks of today: PyTorch with transformers, MindSpore 2.10, a plan
    Stacks {
        #[command(flatten)]
        common: Common,
        /// Take what an earlier run of this downloaded
        #[arg(long, value_name = "DIR")]
        pkg: Option<PathBuf>,
        /// Measure only these parts
        #[arg(long, value_enum)]
        only: Vec<stacks::Part>,
    },
    /// Measure inspecting a base, CANN a second time, and doctor
    Base {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        packages: Packages,
    },
    /// Measure pushing, over good lines and bad ones, and beside docker, skopeo and podman
    Push {
        #[command(flatten)]
        common: Common,
        /// Measure only these parts
        #[arg(long, value_enum)]
        only: Vec<push::Part>,
    },
    /// Measure fmk-patch
    Patch {
        #[command(flatten)]
        common: Common,
    },
    /// Measure fmtk-launch
    Launch {
        #[command(flatten)]
        common: Common,
        /// Look at quiet ranks for 10 s instead of 60 s
        #[arg(long)]
        quick: bool,
        /// Measure torchrun too; pip fetches torch, hundreds of megabytes
        #[arg(long)]
        torchrun: bool,
        /// Measure only these parts
        #[arg(long, value_enum)]
        only: Vec<launch::Part>,
    },
    /// Measure how soon the ranks of a container run, and a whole job
    Kit {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        packages: Packages,
        /// Measure only these parts
        #[arg(long, value_enum)]
        only: Vec<kit::Part>,
    },
}

/// What can be measured of the image by itself.
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
    /// The import of MindSpore 2.7 with bytecode and without; pip fetches hundreds of megabytes
    Import,
}

/// Measures and prints the table; an error if a bar was missed. A store that has the sample's base saves making it.
pub fn run(args: &BenchArgs, store: Option<&Path>) -> anyhow::Result<()> {
    match &args.what {
        What::Image { common, packages, only } => {
            require("root setpriv docker dockerd buildah docker-registry skopeo python3 cc")?;
            let image = Image::manual(Bench::new("image", common.rounds)?, packages.pkg.as_deref())?;
            measure(common, Some(machine::describe_with(&image)?), || {
                let parts = Part::value_variants().iter().filter(|part| only.is_empty() || only.contains(part));
                let rows = parts.map(|part| match part {
                    Part::Cold => building::cold(&image, "cold build + push", [10.0, 8.0]),
                    Part::Rebuild => building::rebuild(&image),
                    Part::Layer => {
                        let target = Target::aarch64((3, 9), (2, 31));
                        building::layer(&image.bench, &image.mindspore()?, &target, "layer of the MindSpore wheel")
                    }
                    Part::Cargo => building::cargo(&image),
                    Part::Import => import::run(&image.bench),
                });
                Ok(rows.collect::<anyhow::Result<Vec<_>>>()?.concat())
            })
        }
        What::Stacks { common, pkg, only } => {
            require("root setpriv docker dockerd buildah docker-registry skopeo python3 cc")?;
            let bench = Bench::new("stacks", common.rounds)?;
            measure(common, Some(machine::describe()), || stacks::run(bench, pkg.as_deref(), only))
        }
        What::Base { common, packages } => {
            require("root arm64 setpriv docker dockerd docker-registry mmdebstrap makeself gzip tar cc")?;
            let bench = Bench::new("base", common.rounds)?;
            measure(common, None, || base::run(bench, packages.pkg.as_deref(), store))
        }
        What::Push { common, only } => {
            require("root setpriv docker dockerd podman docker-registry skopeo cc")?;
            if only.is_empty() || only.contains(&push::Part::Cached) {
                require("arm64 makeself")?;
            }
            let bench = Bench::new("push", common.rounds)?;
            measure(common, Some(machine::describe()), || push::run(bench, only, store))
        }
        What::Patch { common } => {
            require("python3 cc")?;
            let bench = Bench::new("patch", common.rounds)?;
            measure(common, None, || patch::run(&bench))
        }
        What::Launch { common, quick, torchrun, only } => {
            require("python3 cc")?;
            let bench = Bench::new("launch", common.rounds)?;
            measure(common, Some(machine::describe()), || launch::run(bench, *quick, *torchrun, only))
        }
        What::Kit { common, packages, only } => {
            require("root arm64 setpriv docker dockerd python3 cc")?;
            let bench = Bench::new("kit", common.rounds)?;
            measure(common, Some(machine::describe()), || kit::run(bench, packages.pkg.as_deref(), only))
        }
    }
}

/// Says on what is measured, measures, and prints the table; an error if a bar was missed.
fn measure(
    common: &Common,
    machine: Option<Value>,
    rows: impl FnOnce() -> anyhow::Result<Vec<Row>>,
) -> anyhow::Result<()> {
    let is_for_people = common.format == Format::Human;
    if let (true, Some(machine)) = (is_for_people, &machine) {
        report::data(&machine::lines(machine))?;
    }
    let rows = rows()?;
    if is_for_people {
        report::data(&row::table(&rows))?;
    } else {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let document = json!({ "machine": machine, "rounds": common.rounds, "rows": rows });
        report::data(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
    }
    let missed = rows.iter().filter(|row| row.passes() == Some(false)).count();
    if missed > 0 {
        bail!("{missed} bars were missed");
    }
    Ok(())
}
