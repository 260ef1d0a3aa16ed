//! The two edits to fmk.py, for the command line: judges each file that is named, and replaces it where it lacks them.

mod args;
mod report;

use std::io::{self, Write};
use std::process::ExitCode;

use args::{Format, Invocation, Mode, Work};
use fmk_patch::{judge_file, name_in_diff, patch_file, printable, unified_diff};
use report::Entry;

/// Exit code for an edit that is not applied, or would change something under `--check`.
const FAILED: u8 = 1;

/// Exit code for wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let written = match args::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Help) => print(args::HELP.as_bytes(), 0),
        Ok(Invocation::Version) => print(concat!("fmk-patch ", env!("CARGO_PKG_VERSION"), "\n").as_bytes(), 0),
        Ok(Invocation::Run(work)) => run(&work),
        Err(wrong) => {
            complain(&wrong.to_string());
            let _ = writeln!(io::stderr(), "hint: run `fmk-patch --help`");
            Ok(USAGE)
        }
    };
    written.map_or_else(
        |error| {
            complain(&format!("failed to write to `stdout`: {error}"));
            ExitCode::from(FAILED)
        },
        ExitCode::from,
    )
}

/// Does the work on every file, whatever became of the others, and says how each ended.
fn run(work: &Work) -> io::Result<u8> {
    let mut entries = Vec::new();
    let mut diffs = Vec::new();
    for path in &work.paths {
        let outcome = match work.mode {
            Mode::Write => patch_file(path, work.edits, work.backup),
            Mode::Check | Mode::Diff | Mode::DryRun => judge_file(path, work.edits),
        };
        if let (Mode::Diff, Ok(file)) = (work.mode, &outcome) {
            let script = if path.is_dir() { path.join(fmk_patch::SCRIPT_NAME) } else { path.clone() };
            diffs.extend(unified_diff(&name_in_diff(&script, &file.target), &file.source, &file.report.splices));
        }
        entries.push(Entry { path, outcome });
    }
    for entry in &entries {
        if let Err(error) = &entry.outcome {
            complain(&error.to_string());
        }
    }
    let code = if entries.iter().all(|entry| entry.is_good(work.mode)) { 0 } else { FAILED };
    match (work.mode, work.format) {
        // The diff is the data; what else there is to say must not get into it.
        (Mode::Diff, _) => {
            let _ = io::stderr().write_all(report::human(&entries).as_bytes());
            print(&diffs, code)
        }
        (_, Format::Human) => print(report::human(&entries).as_bytes(), code),
        (_, Format::Json) => print(report::json(&entries)?.as_bytes(), code),
    }
}

fn complain(message: &str) {
    // Nobody is left to tell when stderr is closed; the exit code still says it.
    let _ = writeln!(io::stderr(), "error: {}", printable(message));
}

/// `code` once `bytes` are written.
fn print(bytes: &[u8], code: u8) -> io::Result<u8> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // `fmk-patch --diff … | head -1` closed the pipe: not an error worth words.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(code),
        other => other.map(|()| code),
    }
}
