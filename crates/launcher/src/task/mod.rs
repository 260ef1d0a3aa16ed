//! `fmtk-launch task`: the launch kit's parameters become the tuning kit on every device, with what it needs brought in
//! and what it makes taken out.

pub mod arguments;
mod arrange;
mod check;
mod rules;
mod scripts;

use std::io::Write;

pub use arguments::Request;

use crate::exit::{Exit, Failure};
use crate::job::paths::{self, Surroundings};
use crate::job::variables;
use crate::printable;
use crate::run;
use crate::show;

/// Runs a task; with `--dry-run` prints what it would be.
pub fn run(request: Request) -> Result<Exit, Failure> {
    let is_legacy = request.legacy_exit_codes;
    match obey(request) {
        Ok(exit) if is_legacy && exit != Exit::SUCCESS => Ok(Exit::FAILURE),
        Err(failure) if is_legacy => Err(Failure { exit: Exit::FAILURE, ..failure }),
        as_it_is => as_it_is,
    }
}

fn obey(request: Request) -> Result<Exit, Failure> {
    for word in &request.ignored {
        say(&format!("warning: `{word}` is not a parameter of a task and is ignored"));
    }
    let (checked, notes) = check::check(&request, &variables::own, &variables::volcano_tasks())?;
    notes.iter().for_each(|note| say(&format!("warning: {note}")));
    let is_dry = request.options.dry_run;
    let arranged = arrange::arrange(request, checked);
    let (options, transfers) = arranged.inspect_err(|_| drop(paths::remove_own(&Surroundings::real(is_dry), false)))?;
    if !is_dry {
        return run::run(options, Some(transfers));
    }
    let plan = show::plan(&run::plan(options)?);
    let text = plan + &transfers.plan();
    show::print(&printable::lines(&text))
}

fn say(line: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "fmtk-launch: {}", printable::line(line));
}
