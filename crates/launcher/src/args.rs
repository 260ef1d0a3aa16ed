//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::joined;
use crate::options::{Given, Problem, RUN, RunOptions, typed};
use crate::show::TableCommand;
use crate::storage::local::COPY_FILES;
use crate::task::Request;
use crate::task::arguments::{self, TASK};

const TOP: &str = "\
Starts, watches and stops the training processes of this server

Usage: fmtk-launch run [FLAGS] [--] COMMAND [ARGUMENT]...
       fmtk-launch task --task_type=… --code_path=… [PARAMETERS] [FLAGS]
       fmtk-launch env [FLAGS] [--rank N]
       fmtk-launch rank-table check|show|convert FILE
       fmtk-launch report [FLAGS] FILE...
       fmtk-launch --version | --help

Subcommands:
  run         Start COMMAND once for each device of this server and watch over it
  task        Run the tuning kit on each device, by the launch kit's parameters
  env         Print the variables that a rank would get
  rank-table  Check a rank table, show it, or print it as v1
  report      Join the reports of all nodes of a job

`fmtk-launch run --help` has the flags, `fmtk-launch task --help` the parameters,
`fmtk-launch env --list` every variable and exit code.
";

const ENV: &str = "\
Print the variables that a rank would get, NAME=VALUE on a line each

Usage: fmtk-launch env [FLAGS OF run] [--rank N]
       fmtk-launch env --list

  --rank N               Rank of the job [default: the first of this server]
  --list                 Print every variable and exit code and what it means instead, as
                         Markdown

A table that is not complete is an error here unless --wait says how long to wait.
";

const TABLE: &str = "\
Check a rank table, show it, or print it as v1

Usage: fmtk-launch rank-table check FILE
       fmtk-launch rank-table show FILE
       fmtk-launch rank-table convert FILE

  check    Say all that is wrong with it; exits with 2 where something is
  show     List servers and ranks, and say which of them this server is
  convert  Print it as v1 (`version` 1.0), which the collective library reads

FILE may be a folder with a jobstart_hccl.json or hccl.json.
";

const REPORT: &str = "\
Join the reports of all nodes of a job: what failed first, and the time line of all ranks

Usage: fmtk-launch report [FLAGS] FILE...

  --html FILE            Write it as a page, too, that needs no other file
  --format text|json     What is printed [default: text]
  --job ID               Take the reports of this job alone

FILE is a report, `<job>-report-rank-<N>.json`, or a folder: then all in it count.
A file that is not a report, or reports of several jobs, are errors with exit code 2.
";

#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    Help(String),
    Version,
    Run(RunOptions),
    /// The variables of one rank on standard output; of the first of this server, where none is named.
    Env(RunOptions, Option<u32>),
    /// All variables and exit codes on standard output.
    Variables,
    /// Look at a rank table.
    Table(TableCommand, PathBuf),
    Task(Box<Request>),
    /// Join reports.
    Report(joined::Request),
    /// Copy files as standard input asks for it: the launcher's own helper.
    CopyFiles,
}

pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, Problem> {
    let mut parser = Parser::from_args(words);
    match parser.next()? {
        None => Err(Problem("no subcommand was given".to_owned())),
        Some(Arg::Short('h') | Arg::Long("help")) => alone(parser, Invocation::Help(TOP.to_owned())),
        Some(Arg::Short('V') | Arg::Long("version")) => alone(parser, Invocation::Version),
        Some(Arg::Value(word)) => match word.to_str() {
            Some("help") => alone(parser, Invocation::Help(TOP.to_owned())),
            Some("run") => run(parser),
            Some("env") => env(parser),
            Some("rank-table") => table(parser),
            Some("report") => report(parser),
            Some("task") => Ok(match arguments::parse(parser)? {
                None => Invocation::Help(TASK.to_owned()),
                Some(request) => Invocation::Task(Box::new(request)),
            }),
            Some(COPY_FILES) => alone(parser, Invocation::CopyFiles),
            _ => Err(Problem(format!("unknown subcommand `{}`", word.to_string_lossy()))),
        },
        Some(other) => Err(other.unexpected().into()),
    }
}

/// What prints the help for a command line: that of its subcommand, if it has one.
pub fn help_of(words: &[OsString]) -> String {
    match words.first().and_then(|it| it.to_str()) {
        Some(subcommand @ ("run" | "env" | "rank-table" | "report" | "task")) => {
            format!("fmtk-launch {subcommand} --help")
        }
        _ => "fmtk-launch --help".to_owned(),
    }
}

fn alone(mut parser: Parser, invocation: Invocation) -> Result<Invocation, Problem> {
    match parser.next()? {
        None => Ok(invocation),
        Some(extra) => Err(extra.unexpected().into()),
    }
}

fn run(mut parser: Parser) -> Result<Invocation, Problem> {
    let (mut given, mut command) = (Given::default(), Vec::new());
    loop {
        // What follows `--` is the command, whatever it looks like.
        if let Some(words) = parser.try_raw_args()
            && words.peek().is_some_and(|it| it == "--")
        {
            command = words.skip(1).collect();
            break;
        }
        match parser.next()? {
            None => break,
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Invocation::Help(RUN.to_owned())),
            // A word before the command is ours to understand, what follows its name is the command's.
            Some(Arg::Value(program)) => {
                command.push(program);
                command.extend(parser.raw_args()?);
                break;
            }
            Some(flag) => known(&mut given, &[RUN], typed(flag), &mut parser)?,
        }
    }
    let options = RunOptions { command, ..RunOptions::read(&given)? };
    if options.command.is_empty() {
        return Err(Problem("`run` was given no command".to_owned()));
    }
    Ok(Invocation::Run(options))
}

fn env(mut parser: Parser) -> Result<Invocation, Problem> {
    let mut given = Given::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Invocation::Help(ENV.to_owned())),
            Arg::Value(_) => return Err(argument.unexpected().into()),
            flag => known(&mut given, &[ENV, RUN], typed(flag), &mut parser)?,
        }
    }
    if given.has("list") {
        return Ok(Invocation::Variables);
    }
    let options = RunOptions { dry_run: true, ..RunOptions::read(&given)? };
    let rank = given.read("rank", |text| text.parse().map_err(|_| format!("`{text}` is not a rank")))?;
    Ok(Invocation::Env(options, rank))
}

fn table(mut parser: Parser) -> Result<Invocation, Problem> {
    let mut words = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Invocation::Help(TABLE.to_owned())),
            Arg::Value(word) => words.push(word),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let command = words.next().ok_or_else(|| Problem("`rank-table` needs `check`, `show` or `convert`".to_owned()))?;
    let command = match &*command.to_string_lossy() {
        "check" => TableCommand::Check,
        "show" => TableCommand::Show,
        "convert" => TableCommand::Convert,
        other => return Err(Problem(format!("`rank-table` knows `check`, `show` and `convert`, not `{other}`"))),
    };
    match (words.next(), words.next()) {
        (Some(file), None) => Ok(Invocation::Table(command, file.into())),
        (None, _) => Err(Problem("`rank-table` was given no file".to_owned())),
        (_, Some(extra)) => Err(Problem(format!("unexpected argument `{}`", extra.to_string_lossy()))),
    }
}

fn report(mut parser: Parser) -> Result<Invocation, Problem> {
    let (mut given, mut paths) = (Given::default(), Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Invocation::Help(REPORT.to_owned())),
            Arg::Value(path) => paths.push(PathBuf::from(path)),
            flag => known(&mut given, &[REPORT], typed(flag), &mut parser)?,
        }
    }
    if paths.is_empty() {
        return Err(Problem("`report` was given no file".to_owned()));
    }
    let format = |text: &str| match text {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err(format!("`{text}` is not `text` or `json`")),
    };
    let json = given.read("format", format)?.unwrap_or(false);
    let job = given.read("job", |text| Ok(text.to_owned()))?;
    Ok(Invocation::Report(joined::Request { paths, job, html: given.path("html")?, json }))
}

/// Takes over a flag that one of the help texts has; any other is refused.
fn known(given: &mut Given, helps: &[&'static str], flag: String, parser: &mut Parser) -> Result<(), Problem> {
    if given.take(helps, &flag, parser)? { Ok(()) } else { Err(Problem(format!("unknown flag `{flag}`"))) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::options::{Bind, Framework, Master, NodeFlags};

    fn parsed(line: &str) -> Result<Invocation, Problem> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_are_the_ranks_own() {
        for (line, command) in [
            ("run python -u --help", &["python", "-u", "--help"][..]),
            ("run -- -odd -- x", &["-odd", "--", "x"]),
            ("run --dry-run -- --dry-run", &["--dry-run"]),
            ("run --grace=1s true --grace 2s", &["true", "--grace", "2s"]),
            ("run true -- x", &["true", "--", "x"]),
        ] {
            let Ok(Invocation::Run(options)) = parsed(line) else { panic!("{line}: {:?}", parsed(line)) };
            assert_eq!(options.command, command, "{line}");
        }
    }

    #[test]
    fn every_flag() {
        let line = "run --rank-table t --framework torch --nnodes 2 --node-rank 1 --master m:80 --wait 1m --grace 2s --code-dir c --log-dir l --console 0,2-3 --log-max-size 1MiB \
                    --bind numa --max-restarts 3 --restart-backoff 11s --stall 5m --report r --dry-run -- x";
        let expected = RunOptions {
            rank_table: Some("t".into()),
            devices: None,
            framework: Some(Framework::Torch),
            nodes: NodeFlags {
                count: Some(2),
                index: Some(1),
                master: Some(Master { host: "m".to_owned(), port: Some(80) }),
            },
            per_node: false,
            wait: Some(Duration::from_secs(60)),
            grace: Duration::from_secs(2),
            code_dir: Some("c".into()),
            log_dir: Some("l".into()),
            console: Some(vec![0, 2, 3]),
            log_max_size: 1 << 20,
            bind: Bind::Numa,
            max_restarts: 3,
            restart_backoff: Duration::from_secs(11),
            stall: Some(Duration::from_secs(300)),
            report: Some("r".into()),
            dry_run: true,
            command: vec!["x".into()],
            task: None,
        };
        assert_eq!(parsed(line), Ok(Invocation::Run(expected)));
        let Ok(Invocation::Run(options)) = parsed("run --devices 4,5 --stall 0 x") else { panic!() };
        assert_eq!((options.devices, options.stall), (Some(vec![4, 5]), None));
        let Ok(Invocation::Run(options)) = parsed("run --per-node --devices 0-7 x") else { panic!() };
        assert!(options.per_node);
    }

    #[test]
    fn other_subcommands() {
        assert_eq!(parsed("rank-table show f"), Ok(Invocation::Table(TableCommand::Show, "f".into())));
        assert_eq!(parsed("env --list"), Ok(Invocation::Variables));
        let Ok(Invocation::Env(options, rank)) = parsed("env --rank 3 --devices 0-7") else { panic!() };
        assert_eq!((options.devices.map(|it| it.len()), rank, options.dry_run), (Some(8), Some(3), true));
    }

    #[test]
    fn reports_are_joined() {
        let expected = |job: Option<&str>, html: Option<&str>, json| {
            let paths = vec!["a".into(), "b".into()];
            Invocation::Report(joined::Request {
                paths,
                job: job.map(str::to_owned),
                html: html.map(PathBuf::from),
                json,
            })
        };
        assert_eq!(parsed("report a b"), Ok(expected(None, None, false)));
        assert_eq!(parsed("report --job j a --html p b --format json"), Ok(expected(Some("j"), Some("p"), true)));
    }

    /// `UPDATE_EXPECT=1 cargo test -p launcher refusals` writes them anew.
    #[test]
    fn refusals() {
        let mut refusals = String::new();
        for line in [
            "",
            "stop",
            "--version run",
            "run",
            "run --",
            "run --ranks 8",
            "run -x",
            "run --wait soon true",
            "run --grace 18446744073709551615 true",
            "run --console some true",
            "run --bind all true",
            "run --max-restarts -1 true",
            "run --framework jax true",
            "run --per-node --framework torch true",
            "run --per-node --rank-table t true",
            "run --per-node --bind numa true",
            "run --per-node --devices 4,5 true",
            "run --nnodes 0 true",
            "run --node-rank -1 true",
            "run --master m:port true",
            "run --restart-backoff 1s true",
            "run --rank-table t --devices 0 true",
            "run --rank-table= true",
            "run --log-max-size 1 true",
            "run --stall 10ms true",
            "run --report",
            "env --list x",
            "env true",
            "rank-table",
            "rank-table merge f",
            "rank-table check",
            "rank-table check a b",
            "report",
            "report --html",
            "report --html= f",
            "report --format xml f",
            "report --nodes 2 f",
            "task --task_type",
            "task --code-dir /x",
            "task --ranks both",
            "task --sync-timeout 0",
            "task --legacy-exit-codes=1",
        ] {
            let Problem(why) = parsed(line).expect_err(line);
            refusals += &format!("fmtk-launch {line}\n    {why}\n");
        }
        expect_test::expect_file!["../tests/refusals.txt"].assert_eq(&refusals);
    }
}
