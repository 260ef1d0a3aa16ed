//! `fmtk-launch`: starts the training processes of this server, watches over them, and leaves nothing behind.

mod args;
mod bind;
mod clock;
mod closing;
mod environment;
mod exit;
mod family;
mod guardian;
mod help;
mod hints;
mod idle;
mod job;
mod oom;
mod output;
mod places;
mod printable;
mod proc;
mod rank;
mod reap;
mod report;
mod run;
mod setup;
mod show;
mod signals;
mod stall;
mod start;
mod supervise;
mod task;
mod teardown;
mod units;
mod variables;
mod wait;

use std::io::Write;
use std::process::ExitCode;

use args::Invocation;
use exit::Exit;
use run::Failure;

fn main() -> ExitCode {
    let exit = match args::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => obey(invocation).unwrap_or_else(|failure| complain(&failure.text, failure.exit)),
        Err(wrong) => complain(&format!("{wrong}\nhint: run `fmtk-launch --help`"), Exit::USAGE),
    };
    ExitCode::from(exit.0)
}

fn obey(invocation: Invocation) -> Result<Exit, Failure> {
    match invocation {
        Invocation::Help(text) => Ok(print(text)),
        Invocation::Version => Ok(print(concat!("fmtk-launch ", env!("CARGO_PKG_VERSION"), "\n"))),
        Invocation::Run(options) if options.dry_run => Ok(print(&printable::lines(&show::plan(&run::plan(options)?)))),
        Invocation::Run(options) => run::run(options, None),
        Invocation::Task(request) => task::run(*request),
        Invocation::CopyFiles => task::local::serve()
            .map(|()| Exit::SUCCESS)
            .map_err(|error| Failure { exit: Exit::FAILURE, text: format!("failed to answer: {error}") }),
        Invocation::Variables => Ok(print(&variables::page())),
        Invocation::Env(options, rank) => Ok(print(&show::variables(&run::plan(options)?, rank)?)),
        Invocation::Table(command, path) => Ok(print(&show::table(command, &path)?)),
    }
}

fn complain(message: &str, exit: Exit) -> Exit {
    // Nobody is left to tell when stderr is closed; the exit code still says it.
    let _ = writeln!(std::io::stderr(), "error: {}", printable::message(message));
    exit
}

fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::SUCCESS,
        // `fmtk-launch --help | head -1` closed the pipe: not an error worth words.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::SUCCESS,
        Err(error) => complain(&format!("failed to write to `stdout`: {error}"), Exit::FAILURE),
    }
}
