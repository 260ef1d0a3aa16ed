//! The commands of the project; this file only dispatches.

mod app_config;
mod args;
mod base;
mod bench;
mod build;
mod call;
mod cann;
mod clock;
mod connect;
mod context;
mod doctor;
mod e2e;
mod engine;
mod fetch;
mod front;
mod host_setup;
mod image;
mod images;
mod inspect;
mod intact;
mod lock;
mod login;
mod machine;
mod output;
mod packages;
mod place;
mod plan;
mod prepare;
mod progress;
mod push;
mod recipe;
mod record;
mod report;
mod room;
mod sample;
mod scripts;
mod setup;
mod shell;
mod testbed;
mod tools;
mod trial;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{
    args::{Args, Command},
    progress::Progress,
};

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&room::hinted(error)),
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let progress = Progress::new(args.quiet);
    let store = || place::store(args.store.as_deref());
    match &args.command {
        Command::Image(args) => image::run(args, &store()?, &progress),
        Command::Push(args) => push::run(args, &store()?, &progress),
        Command::Fetch(args) => prepare::fetch(args, &store()?, &progress),
        Command::Lock(args) => prepare::lock(args, &store()?, &progress),
        Command::Inspect(args) => inspect::run(args, &store()?, &progress),
        Command::Images(args) => images::run(args),
        Command::Login(args) => login::run(args, &store()?, &progress),
        Command::HostSetup(args) => host_setup::run(args, &progress),
        Command::Doctor(args) => doctor::run(args, store()?, &progress),
        Command::Try(args) => trial::run(args, &store()?, &progress),
        Command::SamplePackages { check } => sample::renew(*check, &progress),
        Command::Bench(bench) => bench::run(bench, args.store.as_deref()),
        Command::E2e(e2e) => e2e::run(e2e, args.store.as_deref()),
        Command::Completions { shell } => {
            // Into memory: it would panic where stdout is closed or full.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "cargo-xtask", &mut script);
            report::data(&String::from_utf8_lossy(&script))
        }
    }
}
