//! `try`: a whole job on this machine, as the platform would run it, in containers of a built image.

mod console;
mod folders;
mod image;
mod outcome;
mod plan;
mod table;
mod text;
mod time;
mod watch;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use oci_image::Store;
use serde_json::{Value, json};

pub use self::time::duration;
use self::{
    console::Console,
    image::Found,
    outcome::Outcome,
    plan::Job,
    watch::{Watched, watch},
};
use crate::{
    engine::{self, Guard, Way, probe},
    options::{Engine, Format, RegistryArgs},
    resolve::{place, tools},
    terminal::{clock, progress::Progress, report::WithHint},
};

/// Label of our containers; its value says which store they work for.
const LABEL: &str = "fmtk.try";

/// Flags of `try`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all nodes ended with 0; 1 one did not, and the table and the report name it with its own code; 2 wrong input.
The containers have no network: ranks of several nodes can't talk to each other.
ctrl-C stops the containers and removes them; what they wrote stays in the output folder.")]
pub struct TryArgs {
    /// A tag or timestamp in the store, or an image that the engine has [default: the last one built from this workspace]
    pub image: Option<String>,
    /// Nodes of the job, a container each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub nodes: u32,
    /// Devices of a node, a rank each
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub devices: u32,
    /// User that the containers run as
    #[arg(long, value_name = "UID", default_value_t = 1000)]
    pub uid: u32,
    /// Group that the containers run as; ma-user's, whose home others can't enter
    #[arg(long, value_name = "GID", default_value_t = 100)]
    pub gid: u32,
    /// Let nothing be written but below /cache, /tmp and $MA_MOUNT_PATH
    #[arg(long)]
    pub read_only: bool,
    /// Folder of training code that each node gets a copy of, in /home/ma-user/modelarts/user-job-dir/code, closed to others
    /// as the tuning kit wants it [default: a small example]
    #[arg(long, value_name = "DIR")]
    pub code: Option<PathBuf>,
    /// One more variable for the containers
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Stop the job after this time
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = crate::try_out::duration)]
    pub timeout: Duration,
    /// Time from SIGTERM to SIGKILL for containers that are stopped
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::try_out::duration)]
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
    /// The boot command, which no shell reads [default: the launcher, with the example as ranks]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs the command.
pub fn run(args: &TryArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let found = Found::new(args.image.as_deref(), store)?;
    if let Some(code) = args.code.as_deref().filter(|code| !code.is_dir()) {
        return Err(anyhow!("`{}` is no folder", code.display()))
            .hint("name the folder of the training code with `--code`")
            .input();
    }
    let job = || {
        let out = plan::out(args.out.as_deref(), &place::workspace(), &clock::now_local()?.to_string())?;
        Job::new(args, found.name(), out)
    };
    if args.dry_run {
        let job = job()?;
        return args.format.print(|| job.to_string(), &job);
    }
    // What is wrong with the flags is said before the wait for another job.
    job()?;
    let program = engine::program(args.engine)?;
    // Emulated jobs side by side only take longer, and containers that nobody holds are told from those in use.
    let _lock = match store.try_lock("try")? {
        Some(lock) => lock,
        None => {
            progress.line("waiting for another `try` with this store to end");
            store.lock("try")?
        }
    };
    // The other job may have taken the folder.
    let job = job()?;
    let outcome = outcome(args, &job, &found, program, store, progress)?;
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
    found: &Found,
    program: &'static str,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    // Asked first: what is wrong with the image is said before anything is built or loaded.
    let plain = Way::plain(program);
    let known = found.known(&plain, store)?;
    let here = engine::here(store);
    let label = format!("{LABEL}={here}");
    engine::remove_leftovers(program, &label);
    let tools = tools::build(store, progress)?;
    let tool = tools.first().context("no program for the image was built")?;
    let probe_name = format!("localhost/fmtk-probe:{here}");
    let container = |index: u32| format!("fmtk-try-{here}-{}-{index}", std::process::id());
    let containers: Vec<String> = job.nodes.iter().map(|node| container(node.index)).collect();
    let names: Vec<&str> = containers.iter().map(String::as_str).collect();
    let _guard = Guard::new(program, args.grace.as_secs(), &names, &[&probe_name])?;
    let way = probe(store, program, &probe_name, &tool.sha256)
        .map_err(|error| tools::damaged(error, store, std::slice::from_ref(tool)))?;
    let recipe = place::recipe(args.recipe.as_deref())?;
    let id = match known {
        Some(id) => id,
        None => found.load(&plain, store, &args.registry, &recipe, progress)?,
    };

    let unbegun = folders::Unbegun::new(&job.out);
    let tables = folders::create(job, args.code.as_deref())?;
    let shown = !progress.is_quiet();
    let console = |node| Console::create(node, &outcome::console(job, &job.nodes[node as usize]), shown);
    let consoles: Vec<Console> = (0..args.nodes).map(console).collect::<anyhow::Result<_>>()?;
    for (node, container) in job.nodes.iter().zip(&containers) {
        let arguments = job.create(node, container, &label, &id, &way.create);
        way.say(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
            .with_context(|| format!("failed to make the container of node {}", node.index))?;
    }
    unbegun.begin();
    progress.line(&format!(
        "trying {} with {program}: {} of {}; output in `{}`",
        job.image,
        crate::terminal::progress::count(job.nodes.len(), "node"),
        crate::terminal::progress::count(job.devices as usize, "device"),
        job.out.display()
    ));
    let (timeout, grace) = (args.timeout, args.grace);
    let table = table::completed(&job.nodes, job.devices);
    let watched = Watched {
        way: &way,
        containers: &containers,
        consoles: &consoles,
        tables: &tables,
        table: &table,
        timeout,
        grace,
    };
    Ok(outcome::collect(job, &watch(&watched)?))
}

/// The report: kept as JSON beside the logs, and printed.
fn say(job: &Job, outcome: &Outcome, program: &str, format: Format) -> anyhow::Result<()> {
    let mut document = json!({ "image": job.image, "engine": program, "out": job.out });
    if let (Value::Object(document), Value::Object(outcome)) = (&mut document, serde_json::to_value(outcome)?) {
        document.extend(outcome);
    }
    let path = job.out.join("report.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document)?);
    fs::write(&path, &text).with_context(|| format!("failed to write `{}`", path.display()))?;
    format.print(|| text::table(outcome, &place::workspace()), &document)
}
