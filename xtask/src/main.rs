//! The commands of the project: their names, and who does them.

mod completions;
#[cfg(test)]
mod documents;

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{self, ExitCode},
    sync::Arc,
};

use anyhow::Context;
use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use fmtk::{
    host::{doctor, login, setup},
    init, pipeline,
    recipe::stacks,
    resolve::{place, prepare},
    ship::{diff, images, inspect, job, push},
    terminal::{interrupt, progress::Progress, report},
    try_out,
};

/// Build the ModelArts training image and push it, with nothing but cargo
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
struct Args {
    /// Folder of finished layers and images, shared by all clones [default: the user's cache folder, `fmtk`]
    #[arg(long, global = true, value_name = "DIR", env = "FMTK_STORE")]
    store: Option<PathBuf>,
    /// Print only warnings and errors on stderr
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a recipe for a base of your own, from what is in it
    Init(init::InitArgs),
    /// Build the image into the store
    Image(Box<pipeline::ImageArgs>),
    /// Build an image of the registry again from the packages here, and compare every layer
    Verify(Box<pipeline::verify::VerifyArgs>),
    /// Push a built image to a registry and print its `user_image_url`
    Push(Box<push::PushArgs>),
    /// Download the recipe's wheels from PyPI into the package folder
    Fetch(prepare::FetchArgs),
    /// Pin the packages and the base by digest in `image.lock`
    Lock(prepare::LockArgs),
    /// List the stacks that a recipe can lie on, or print one
    Stacks(stacks::StacksArgs),
    /// Show an image, a wheel or CANN's installer
    Inspect(inspect::InspectArgs),
    /// Show what is different in two images: packages, layers, environment, labels, and what a push would send
    Diff(diff::DiffArgs),
    /// List the images of an organisation in the registry, newest first
    Images(images::ImagesArgs),
    /// Log in to the registry with the console's `docker login …` line, or a key, on stdin
    Login(login::LoginArgs),
    /// Prepare this host's docker and hosts file for a registry without TLS and DNS
    HostSetup(setup::HostSetupArgs),
    /// Check everything that can go wrong between this host and a pushed image
    Doctor(Box<doctor::DoctorArgs>),
    /// Run a whole job on this machine, in containers of a built image
    Try(Box<try_out::TryArgs>),
    /// Print what starts a pushed image on a cluster: ModelArts, Volcano, Ascend Operator, Slurm
    Job(Box<job::JobArgs>),
    /// Run the end-to-end tests with real engines, registries and packages
    #[command(disable_help_flag = true)]
    E2e(Elsewhere),
    /// Measure against docker and other tools, side by side
    #[command(disable_help_flag = true)]
    Bench(Elsewhere),
    /// Push again and again over lines that go wrong at random, for developers
    #[command(disable_help_flag = true)]
    Soak(Elsewhere),
    /// Renew the pinned list of Debian packages for the sample's base, for developers
    #[command(disable_help_flag = true)]
    SamplePackages(Elsewhere),
    /// Print the script by which a shell completes `cargo xtask`
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: completions::Shell,
    },
}

impl Command {
    /// What people know of an interrupted command, where it has something to tell.
    fn stays(&self) -> Option<&'static str> {
        match self {
            Self::Image(_) | Self::Verify(_) => {
                Some("what is finished stays in the store; run the same command again to continue")
            }
            Self::Push(_) => Some("what the registry has is not sent again; run the same command again to continue"),
            Self::Init(_) | Self::Fetch(_) | Self::Lock(_) | Self::Inspect(_) | Self::Diff(_) => {
                Some("run the same command again to continue")
            }
            Self::Try(_) => Some("the containers are being removed"),
            Self::Login(_) => Some("log in again"),
            _ => None,
        }
    }
}

/// What the crate of end-to-end tests and benches reads: no user has to compile it.
#[derive(Debug, clap::Args)]
struct Elsewhere {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let args = Args::try_parse().unwrap_or_else(|error| variable_named(error, env::args_os()).exit());
    let done = run(&args);
    // Programs that ctrl-C has ended too are no failure of ours, and what is being removed then is waited for.
    interrupt::wait_if_pending();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error),
    }
}

/// The error of a value that is in no argument, but in an environment variable: it names that, not a flag that nobody gave.
fn variable_named(mut error: clap::Error, mut words: impl Iterator<Item = OsString>) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return error };
    // As in `--timestamp <TS>`.
    let flag = shown.split(' ').next().unwrap_or_default().to_owned();
    let commands = Args::command();
    let mut all = commands.get_subcommands().flat_map(clap::Command::get_arguments).chain(commands.get_arguments());
    let argument = all.find(|one| flag.strip_prefix("--") == one.get_long() && one.get_env().is_some());
    if let Some(variable) = argument.and_then(clap::Arg::get_env)
        && !words.any(|word| word.to_string_lossy().split('=').next() == Some(&flag))
    {
        let named = format!("the environment variable {}", variable.to_string_lossy());
        error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    }
    error
}

fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new(args.quiet);
    let store = || {
        let store = place::store(args.store.as_deref(), &progress)?;
        let own = store.clone();
        interrupt::before_end(Arc::new(move || own.abandon()));
        if let Some(stays) = args.command.stays() {
            let progress = progress.clone();
            interrupt::watch(move || progress.last_line(&format!("interrupted: {stays}")))
                .context("failed to watch for ctrl-C")?;
        }
        anyhow::Ok(store)
    };
    match &args.command {
        Command::Init(args) => init::run(args, &store()?, &progress),
        Command::Image(args) => {
            let store = store()?;
            pipeline::run(args, &place::call(&args.recipe, &store), &store, &progress)
        }
        Command::Verify(args) => {
            let store = store()?;
            pipeline::verify::run(args, &place::call(&args.recipe, &store), &store, &progress)
        }
        Command::Push(args) => push::run(args, &store()?, &progress),
        Command::Fetch(args) => {
            let store = store()?;
            prepare::fetch(args, &place::call(&args.recipe, &store), &store, &progress)
        }
        Command::Lock(args) => {
            let store = store()?;
            prepare::lock(args, &place::call(&args.recipe, &store), &store, &progress)
        }
        Command::Stacks(args) => stacks::run(args),
        Command::Inspect(args) => inspect::run(args, &store()?, &progress),
        Command::Diff(args) => diff::run(args, &store()?, &progress),
        Command::Images(args) => images::run(args, &progress),
        Command::Login(args) => login::run(args, &store()?, &progress),
        Command::HostSetup(args) => setup::run(args, &progress),
        Command::Doctor(args) => {
            let store = store()?;
            doctor::run(args, &place::call(&args.recipe(), &store), store, &progress)
        }
        Command::Try(args) => try_out::run(args, &store()?, &progress),
        Command::Job(args) => job::run(args, &store()?, &progress),
        Command::E2e(_) | Command::Bench(_) | Command::Soak(_) | Command::SamplePackages(_) => elsewhere(),
        Command::Completions { shell } => report::data(&completions::script(*shell, Args::command())),
    }
}

/// Becomes the program of the end-to-end tests, which reads the same arguments.
fn elsewhere() -> anyhow::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = process::Command::new(&cargo);
    command.args(["run", "--package", "e2e", "--manifest-path"]);
    command.arg(place::workspace().join("Cargo.toml")).arg("--").args(env::args_os().skip(1));
    // What cargo says to a program that it runs would have it build dependencies again, now and the next time.
    let told = |name: &str| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        command.env_remove(name);
    }
    Err(command.exec()).with_context(|| format!("failed to run `{}`", cargo.display()))
}
