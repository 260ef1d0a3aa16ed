//! `fmtk-launch`: starts the training processes of this server, watches over them, and leaves nothing behind.

mod args;
mod clock;
mod exit;
mod job;
mod joined;
mod links;
mod options;
mod output;
mod printable;
mod ranks;
mod rendezvous;
mod report;
mod run;
mod show;
mod signatures;
mod storage;
mod task;
mod units;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use args::Invocation;
use exit::{Exit, Failure};
use show::print;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let exit = match args::parse(words.iter().cloned()) {
        Ok(invocation) => obey(invocation).unwrap_or_else(|failure| complain(&failure.text, failure.exit)),
        Err(wrong) => complain(&format!("{wrong}\nhint: run `{}`", args::help_of(&words)), Exit::USAGE),
    };
    ExitCode::from(exit.0)
}

fn obey(invocation: Invocation) -> Result<Exit, Failure> {
    match invocation {
        Invocation::Help(text) => print(&text),
        Invocation::Version => print(concat!("fmtk-launch ", env!("CARGO_PKG_VERSION"), "\n")),
        Invocation::Run(options) if options.dry_run => print(&printable::lines(&show::plan(&run::plan(options)?))),
        Invocation::Run(options) => run::run(options, None),
        Invocation::Task(request) => task::run(*request),
        Invocation::CopyFiles => storage::local::serve()
            .map(|()| Exit::SUCCESS)
            .map_err(|error| Failure { exit: Exit::FAILURE, text: format!("failed to answer: {error}") }),
        Invocation::Variables => print(&job::variables::page()),
        Invocation::Env(options, rank) => print(&show::variables(&run::plan(options)?, rank)?),
        Invocation::Report(request) => joined::run(&request),
        Invocation::Table(command, path) => print(&show::table(command, &path)?),
    }
}

fn complain(message: &str, exit: Exit) -> Exit {
    // Nobody is left to tell when stderr is closed; the exit code still says it.
    let _ = writeln!(std::io::stderr(), "error: {}", printable::message(message));
    exit
}
