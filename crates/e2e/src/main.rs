//! End-to-end tests and measurements of the built program: what `cargo xtask e2e`, `cargo xtask bench` and
//! `cargo xtask soak` run, and what else only developers need.

mod bench;
mod sample_packages;
mod scenarios;
mod soak;
mod testbed;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use fmtk::terminal::{progress::Progress, report};

/// Everything is read as `cargo xtask` got it, so that help and errors are of one piece.
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
    /// Run the end-to-end tests with real engines, registries and packages
    E2e(scenarios::E2eArgs),
    /// Measure against docker and other tools, side by side
    Bench(bench::BenchArgs),
    /// Push again and again over lines that go wrong at random, and check every image
    Soak(soak::SoakArgs),
    /// Renew the pinned list of the Debian packages that the sample's base is made of
    SamplePackages {
        /// Only say whether the list is up to date; exit 1 if it is not
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::E2e(e2e) => scenarios::run(e2e, args.store.as_deref()),
        Command::Bench(bench) => bench::run(bench, args.store.as_deref()),
        Command::Soak(soak) => soak::run(soak, args.store.as_deref()),
        Command::SamplePackages { check } => sample_packages::run(*check, &Progress::new(args.quiet)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error),
    }
}

#[cfg(test)]
#[path = "../tests/commands/mod.rs"]
mod commands;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_the_documents_parse() {
        let shown = commands::shown();
        let of_developers = shown.iter().filter(|(_, words)| {
            words.starts_with(&["cargo".to_owned(), "xtask".to_owned()])
                && words.get(2).is_some_and(|name| ["e2e", "bench", "soak", "sample-packages"].contains(&name.as_str()))
        });
        let mut parsed = 0;
        for (page, words) in of_developers {
            parsed += 1;
            if let Err(error) = Args::try_parse_from(&words[1..]) {
                use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
                // Prose names `cargo xtask bench` alone, which prints its help, or an error where `$FMTK_STORE` is set.
                let is_alone = matches!(error.kind(), DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand);
                assert!(is_alone, "{page}: `{}`\n{error}", words.join(" "));
            }
        }
        assert!(parsed > 5, "the documents show next to no commands for developers");
    }
}
