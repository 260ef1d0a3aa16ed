//! `try`: a whole job on this machine, as the platform would run it, in containers of a built image.

mod console;
mod folders;
mod image;
mod network;
mod outcome;
mod plan;
mod table;
mod text;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use oci_image::Store;
use serde::Serialize;

use self::{
    console::Console,
    image::TriedImage,
    outcome::JobOutcome,
    plan::Job,
    table::ConfigMap,
    watch::{Watched, watch},
};
use crate::{
    engine::{self, EngineCommand},
    options::{Engine, Format, RegistryArgs},
    resolve::{
        containers::{Containers, Network},
        place,
    },
    terminal::{
        clock,
        progress::{self, Progress},
        report::WithHint,
    },
};

/// Flags of `try`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all nodes ended with 0; 1 one did not, and the table and the report name it with its own code; 2 wrong input.
Nodes reach each other and nothing else: all of them share one loopback interface.
ctrl-C stops the containers and removes them; what they wrote stays in the output folder.")]
pub struct TryArgs {
    /// A tag or timestamp in the store, or an image that the engine has [default: the last image of the recipe]
    pub image: Option<String>,
    /// Nodes of the job, a container each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub nodes: u32,
    /// Devices of a node, a rank each
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub devices: u32,
    /// Simulate a platform without a rank table, where only variables tell the nodes apart
    #[arg(long)]
    pub no_table: bool,
    /// What the launcher has the ranks meet by, and the example adds up with [default: its choice, and an example that needs
    /// none]
    #[arg(long, value_enum, conflicts_with = "command")]
    pub framework: Option<Framework>,
    /// User that the containers run as
    #[arg(long, value_name = "UID", default_value_t = 1000)]
    pub uid: u32,
    /// Group that the containers run as; ma-user's, whose home others can't enter
    #[arg(long, value_name = "GID", default_value_t = 100)]
    pub gid: u32,
    /// Make everything read-only but /cache, /tmp and $MA_MOUNT_PATH
    #[arg(long)]
    pub read_only: bool,
    /// Folder of training code that each node gets a copy of, in /home/ma-user/modelarts/user-job-dir/code, closed to others
    /// as the tuning kit requires [default: a small example]
    #[arg(long, value_name = "DIR")]
    pub code: Option<PathBuf>,
    /// One more variable for the containers
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Stop the job after this time
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub timeout: Duration,
    /// Time from SIGTERM to SIGKILL for containers that are stopped
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub grace: Duration,
    /// Folder for all that the nodes write, and the report [default: `target/try/` and the time]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Engine that runs the containers
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// How the registry is reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Recipe that names the registry of the image's base [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Print what would be run and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Format of stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The boot command, run without a shell [default: the launcher, with the example as ranks]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What ranks meet by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "clap would show it")]
pub enum Framework {
    Torch,
    Mindspore,
}

impl Framework {
    /// As the launcher's `--framework` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Torch => "torch",
            Self::Mindspore => "mindspore",
        }
    }
}

/// `NAME=VALUE`.
fn variable(text: &str) -> Result<(String, String), &'static str> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    parts.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("write `NAME=VALUE`")
}

/// A whole number of seconds, minutes or hours: `90`, `90s`, `30m`, `2h`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[end..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = factor.and_then(|factor| text[..end].parse::<u64>().ok()?.checked_mul(factor));
    let seconds = seconds.filter(|seconds| (1..=1 << 31).contains(seconds));
    seconds.map(Duration::from_secs).ok_or("write `90`, `90s`, `30m` or `2h`")
}

/// Runs the command.
pub fn run(args: &TryArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let image = TriedImage::new(args.image.as_deref(), &place::recipe_file(args.recipe.as_deref())?, store)?;
    if let Some(code) = args.code.as_deref().filter(|code| !code.is_dir()) {
        return Err(anyhow!("`{}` is not a directory", code.display()))
            .hint("name the folder of the training code with `--code`")
            .input();
    }
    let job = || -> anyhow::Result<Job> {
        let out = plan::out(args.out.as_deref(), &place::workspace(), &clock::now_local()?.to_string())?;
        Ok(Job::new(args, image.name(), out))
    };
    // What is wrong with the flags is said before the wait for another job.
    let planned = job()?;
    if args.dry_run {
        return args.format.print(|| planned.to_string(), &planned);
    }
    let program = engine::program(args.engine)?;
    // Emulated jobs side by side only take longer, and leftover containers are told from those in use.
    let _lock = store.lock("try")?;
    // The other job may have taken the folder.
    let job = job()?;
    let outcome = outcome(args, &job, &image, program, store, progress)?;
    say(&job, &outcome, program, args.format)?;
    match outcome.cause {
        None => Ok(()),
        Some(cause) => Err(anyhow!(cause))
            .context(format!("the job {}", outcome.outcome.replace('-', " ")))
            .hint(format!("its logs are in `{}`", job.out.display())),
    }
}

/// Runs the containers, and removes them. The store's lock for it has to be held.
fn outcome(
    args: &TryArgs,
    job: &Job,
    image: &TriedImage,
    program: &'static str,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<JobOutcome> {
    // Asked first: what is wrong with the image is said before anything is built or loaded.
    let plain = EngineCommand::plain(program);
    let known = image.known(&plain, store)?;
    let count = network::number(job).map_or(job.nodes.len(), |last| last + 1);
    let containers = Containers::new("try", count, &[], args.grace.as_secs(), program, store, progress)?;
    let recipe = place::recipe(args.recipe.as_deref())?;
    let id = match known {
        Some(id) => id,
        None => image.load(&plain, store, &args.registry, &recipe, progress)?,
    };
    let is_new = !job.out.exists();
    let created = create(args, job, &containers, &id, !progress.is_quiet());
    // Nothing has run yet that somebody would want to look at.
    let (tables, consoles) = created.inspect_err(|_| folders::remove(job, is_new))?;
    progress.line(&format!(
        "trying {} with {program}: {} of {}; output in `{}`",
        job.image,
        progress::count(job.nodes.len(), "node"),
        progress::count(job.devices as usize, "device"),
        job.out.display()
    ));
    let table = table::completed(&job.nodes, job.devices);
    let (timeout, grace) = (args.timeout, args.grace);
    let watched =
        Watched { containers: &containers, consoles: &consoles, tables: &tables, table: &table, timeout, grace };
    Ok(outcome::collect(job, &watch(&watched)?))
}

/// Creates the folders and the containers of all nodes, and starts what they have to find.
fn create(
    args: &TryArgs,
    job: &Job,
    containers: &Containers,
    image: &str,
    shown: bool,
) -> anyhow::Result<(Vec<ConfigMap>, Vec<Console>)> {
    let tables = folders::create(job, args.code.as_deref(), args.framework)?;
    let console = |node| Console::create(node, &outcome::console(job, &job.nodes[node as usize]), shown);
    let consoles = (0..args.nodes).map(console).collect::<anyhow::Result<_>>()?;
    let network = network::start(job, containers, image)?;
    let is_named = network == Network::Own || containers.way.names_hosts_of_one_network();
    for (number, node) in job.nodes.iter().enumerate() {
        containers
            .create(number, network, &job.options(node, is_named), image, &job.command)
            .with_context(|| format!("failed to create the container of node {number}"))?;
    }
    Ok((tables, consoles))
}

/// What is kept as JSON beside the logs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    image: &'a str,
    engine: &'a str,
    out: &'a Path,
    #[serde(flatten)]
    outcome: &'a JobOutcome,
}

fn say(job: &Job, outcome: &JobOutcome, engine: &str, format: Format) -> anyhow::Result<()> {
    let report = Report { image: &job.image, engine, out: &job.out, outcome };
    let path = job.out.join("report.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&report)?);
    fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    format.print(|| text::table(outcome, &place::workspace()), &report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_a_clock() {
        let read = |text: &str| duration(text).map(|time| time.as_secs()).ok();
        assert_eq!(["90", "90s", "30m", "2h"].map(read), [Some(90), Some(90), Some(1800), Some(7200)]);
        assert_eq!(["", "0", "m", "+5", "5d", "99999999999999999999", "9999999999999h"].map(read), [None; 7]);
    }
}
