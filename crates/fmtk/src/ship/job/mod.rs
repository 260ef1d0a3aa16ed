//! `job`: what starts a pushed image on a cluster. It is printed for the cluster's own tool, and nothing is sent.

mod ascend_operator;
mod command;
mod image;
mod modelarts;
mod name;
mod npu;
mod pod;
mod slurm;
mod volcano;
mod yaml;

use std::path::PathBuf;

use clap::ValueEnum;
use oci_image::Store;

use self::{image::ImageAddress, name::JobName, npu::Npu};
use crate::{
    recipe::Recipe,
    resolve::{place, wheels::chip},
    terminal::{progress::Progress, report, shell},
};

/// Flags of `job`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A COMMAND that is not `fmtk-launch` becomes `fmtk-launch run … -- COMMAND`: a rank for each device, or `--per-node` if it is \
torchrun, msrun, accelerate or deepspeed, which say themselves what their ranks meet by. The launch kit and the vendor's scripts stay as they are.
`<…>` in what is printed is for you to fill in; notes say what else your cluster may want.")]
pub struct JobArgs {
    /// A tag or timestamp in the store, or `HOST/ORG/REPOSITORY:TAG` [default: the last image of the recipe]
    pub image: Option<String>,
    /// Nodes of the job
    // Names of pods end with `-worker-4095`.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub nodes: u32,
    /// Devices of a node, a rank each
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub devices: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub kind: Kind,
    /// What the ranks meet by; the launcher is given it [default: the launcher finds out]
    #[arg(long, value_enum)]
    pub framework: Option<Framework>,
    /// Name of the job: a-z, 0-9 and `-`, a letter first [default: the image's repository]
    #[arg(long)]
    pub name: Option<JobName>,
    /// Recipe whose last image is meant [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// What each node runs, without a shell
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What is printed, and for whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The command line of ModelArts' ma-cli
    #[default]
    Modelarts,
    /// The body of ModelArts' API, JSON
    ModelartsApi,
    /// A job of Volcano on Kubernetes, YAML
    Volcano,
    /// An AscendJob of MindCluster's Ascend Operator on Kubernetes, YAML
    AscendOperator,
    /// A batch script of Slurm
    Slurm,
}

/// What the ranks meet by, as `fmtk-launch run --framework` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Framework {
    /// The launcher finds out
    Auto,
    /// PyTorch
    Torch,
    /// MindSpore without a rank table
    Mindspore,
    /// Neither: the rank table, if there is one
    Plain,
}

/// A job on a cluster.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    name: JobName,
    image: ImageAddress,
    /// At least 1.
    nodes: u32,
    /// Devices of a node, at least 1.
    devices: u32,
    /// What each node runs.
    command: Vec<String>,
    npu: &'static Npu,
    /// Whether the ranks meet by MindSpore's scheduler.
    by_scheduler: bool,
    /// Whether they meet by a rank table, as those of an older MindSpore do.
    needs_table: bool,
}

/// Runs the command.
pub fn run(args: &JobArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let recipe_file = place::recipe_file(args.recipe.as_deref())?;
    let recipe = place::recipe(args.recipe.as_deref())?;
    let image = ImageAddress::find(args.image.as_deref(), &recipe_file, store)?;
    let job = Job::new(args, image, &recipe)?;
    progress.line(&format!("note: each node runs: {}", shell::line(&job.command)));
    job.notes(args.kind).iter().for_each(|note| progress.line(&format!("note: {note}")));
    report::data(&job.text(args.kind))
}

impl Job {
    fn new(args: &JobArgs, image: ImageAddress, recipe: &Recipe) -> anyhow::Result<Self> {
        let said = image.said_by_tag(recipe)?;
        let mindspore = said.get("mindspore").and_then(|version| has_scheduler(version));
        let (by_scheduler, needs_table) = match args.framework {
            Some(Framework::Torch) => (false, false),
            Some(Framework::Mindspore) => (true, false),
            Some(Framework::Plain) => (false, mindspore == Some(false)),
            Some(Framework::Auto) | None => (mindspore == Some(true), mindspore == Some(false)),
        };
        let chip = chip(said.get("chip").map(String::as_str).or(recipe.versions.get("chip")).unwrap_or_default());
        Ok(Self {
            name: args.name.clone().unwrap_or_else(|| JobName::of_repository(image.repository())),
            nodes: args.nodes,
            devices: args.devices,
            command: command::of_node(args, needs_table)?,
            npu: npu::of_chip(&chip),
            by_scheduler,
            needs_table,
            image,
        })
    }

    /// What goes to stdout.
    fn text(&self, kind: Kind) -> String {
        match kind {
            Kind::Modelarts => modelarts::command_line(self),
            Kind::ModelartsApi => modelarts::body(self),
            Kind::Volcano => volcano::manifest(self),
            Kind::AscendOperator => ascend_operator::manifest(self),
            Kind::Slurm => slurm::script(self),
        }
    }

    /// What people have to know about it.
    fn notes(&self, kind: Kind) -> Vec<String> {
        let on_cluster = match kind {
            Kind::Modelarts => modelarts::notes_on_command_line(self),
            Kind::ModelartsApi => modelarts::notes_on_body(self),
            Kind::Volcano | Kind::AscendOperator => pod::notes(self),
            Kind::Slurm => slurm::notes(self),
        };
        [command::notes(&self.command, self.nodes, self.devices), on_cluster].concat()
    }
}

/// Whether the ranks of this MindSpore can meet by its scheduler, as from 2.3 on; `None` where the text is no version.
fn has_scheduler(version: &str) -> Option<bool> {
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    (!numbers.is_empty()).then(|| numbers >= vec![2, 3])
}

#[cfg(test)]
mod tests;
