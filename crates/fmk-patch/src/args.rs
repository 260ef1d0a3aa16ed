//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use fmk_patch::{Backup, Edits};
use lexopt::{Arg, Parser, ValueExt};

/// What `--help` says.
pub const HELP: &str = include_str!("help.txt");

#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    Help,
    Version,
    Run(Work),
}

/// Work on files.
#[derive(Debug, PartialEq, Eq)]
pub struct Work {
    /// Scripts and folders, at least one.
    pub paths: Vec<PathBuf>,
    pub edits: Edits,
    /// Whether anything is written.
    pub mode: Mode,
    /// Whether old texts are kept.
    pub backup: Backup,
    pub format: Format,
}

/// What is done with a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Files are replaced.
    Write,
    /// The exit code says whether one would be.
    Check,
    /// The changes are printed.
    Diff,
    DryRun,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Human,
    Json,
}

/// Reads the arguments that follow the program's name. The error is about the first that is wrong.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, lexopt::Error> {
    let mut parser = Parser::from_args(arguments);
    let mut work =
        Work { paths: Vec::new(), edits: Edits::ALL, mode: Mode::Write, backup: Backup::None, format: Format::Human };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(Invocation::Help),
            Arg::Long("version") | Arg::Short('V') => return Ok(Invocation::Version),
            Arg::Long("check") => choose(&mut work.mode, Mode::Check)?,
            Arg::Long("diff") => choose(&mut work.mode, Mode::Diff)?,
            Arg::Long("dry-run") => choose(&mut work.mode, Mode::DryRun)?,
            Arg::Long("only") => work.edits = parser.value()?.parse()?,
            Arg::Long("backup") => work.backup = Backup::Keep,
            Arg::Long("format") => work.format = parser.value()?.parse_with(format)?,
            Arg::Value(path) => work.paths.push(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    if work.mode == Mode::Diff && work.format == Format::Json {
        return Err("`--diff` prints a diff, which has no JSON form".into());
    }
    if work.paths.is_empty() {
        return Err("no file is named".into());
    }
    Ok(Invocation::Run(work))
}

fn choose(mode: &mut Mode, new: Mode) -> Result<(), &'static str> {
    if *mode != Mode::Write && *mode != new {
        return Err("only one of `--check`, `--diff` and `--dry-run` may be given");
    }
    *mode = new;
    Ok(())
}

fn format(name: &str) -> Result<Format, &'static str> {
    match name {
        "human" => Ok(Format::Human),
        "json" => Ok(Format::Json),
        _ => Err("the formats are `human` and `json`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_asked_for() {
        let work = |paths: &[&str]| Work {
            paths: paths.iter().map(PathBuf::from).collect(),
            edits: Edits::ALL,
            mode: Mode::Write,
            backup: Backup::None,
            format: Format::Human,
        };
        assert_eq!(run("fmk.py dir"), Ok(Invocation::Run(work(&["fmk.py", "dir"]))));
        assert_eq!(run("-- --check"), Ok(Invocation::Run(work(&["--check"]))));
        assert_eq!(
            run("--backup --only=code-cwd x --format json --check --check"),
            Ok(Invocation::Run(Work {
                edits: Edits { log_path: false, code_cwd: true },
                mode: Mode::Check,
                backup: Backup::Keep,
                format: Format::Json,
                ..work(&["x"])
            }))
        );
        assert_eq!(run("--nonsense --help"), Err("invalid option '--nonsense'".to_owned()));
        assert_eq!(run("--help --nonsense"), Ok(Invocation::Help));
        assert_eq!(run("-V"), Ok(Invocation::Version));
    }

    #[test]
    fn wrong_usage() {
        for (line, expected) in [
            ("", "no file is named"),
            ("--check", "no file is named"),
            ("--check --diff x", "only one of `--check`, `--diff` and `--dry-run` may be given"),
            ("--diff --format json x", "`--diff` prints a diff, which has no JSON form"),
            ("--only", "missing argument for option '--only'"),
            ("--backup=yes x", "unexpected argument for option '--backup': \"yes\""),
        ] {
            assert_eq!(run(line), Err(expected.to_owned()), "{line}");
        }
        assert!(run("--only nothing x").unwrap_err().contains("unknown edit `nothing`"));
        assert!(run("--format yaml x").unwrap_err().contains("the formats are `human` and `json`"));
    }
}
