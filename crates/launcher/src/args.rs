//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::bind::Bind;
use crate::task::Request;
use crate::units;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// A help text on standard output.
    Help(&'static str),
    /// The version on standard output.
    Version,
    /// Start the ranks of this server.
    Run(RunOptions),
    /// The variables of one rank on standard output; of the first of this server, where none is named.
    Env(RunOptions, Option<u32>),
    /// All variables and exit codes on standard output.
    Variables,
    /// Look at a rank table.
    Table(TableCommand, PathBuf),
    /// Start the tuning kit as the ranks of this server.
    Task(Box<Request>),
    /// Copy files as standard input asks for it: the launcher's own helper.
    CopyFiles,
}

/// What to do with a rank table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableCommand {
    /// Say what is wrong with it.
    Check,
    /// List its servers and ranks, and say which this server is.
    Show,
    /// The v1 table on standard output.
    Convert,
}

/// The flags of `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// The rank table or its folder; `None` asks the environment.
    pub rank_table: Option<PathBuf>,
    /// Devices of a job of one server that has no rank table.
    pub devices: Option<Vec<u32>>,
    /// How long to wait for a complete table; `None` where that was left to the launcher.
    pub wait: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// MODEL_TASK_CWD and the folder of the ranks.
    pub code_dir: Option<PathBuf>,
    /// Where the log files go.
    pub log_dir: Option<PathBuf>,
    /// Which ranks are on the console.
    pub console: Console,
    /// Bytes of a log file before a new one is begun.
    pub log_max_size: u64,
    /// Which cores a rank gets.
    pub bind: Bind,
    /// How often the ranks are started again after a failure.
    pub max_restarts: u32,
    /// How long to wait before that.
    pub restart_backoff: Duration,
    /// How long ranks may be without output and CPU time; `None` for ever.
    pub stall: Option<Duration>,
    /// Where the JSON report goes besides the log folder.
    pub report: Option<PathBuf>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Program and arguments of a rank. Empty for `env`.
    pub command: Vec<OsString>,
    /// What every rank finds set besides its own variables; no flag sets it.
    pub variables: Vec<(&'static str, OsString)>,
    /// The ranks refuse a HOME of another user; no flag sets it.
    pub own_home: bool,
    /// The command is the vendor's scripts, which start the ranks of the server with this number; no flag sets it.
    pub scripts_of: Option<u32>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            rank_table: None,
            devices: None,
            wait: None,
            grace: Duration::from_secs(15),
            code_dir: None,
            log_dir: None,
            console: Console::All,
            log_max_size: 1 << 30,
            bind: Bind::None,
            max_restarts: 0,
            restart_backoff: MIN_BACKOFF,
            stall: None,
            report: None,
            dry_run: false,
            command: Vec::new(),
            variables: Vec::new(),
            own_home: false,
            scripts_of: None,
        }
    }
}

impl RunOptions {
    /// How long to wait for a complete table: 30 minutes unless a flag says otherwise, and not at all where nothing will be
    /// started.
    pub fn patience(&self) -> Duration {
        self.wait.unwrap_or(if self.dry_run { Duration::ZERO } else { Duration::from_secs(30 * 60) })
    }
}

/// Which ranks' lines are on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Console {
    /// Every rank's of this server.
    All,
    /// None's.
    None,
    /// Those of these ranks of the job.
    Ranks(Vec<u32>),
}

impl Console {
    /// Whether it has the lines of this rank of the job.
    pub fn shows(&self, rank: u32) -> bool {
        match self {
            Console::All => true,
            Console::None => false,
            Console::Ranks(ranks) => ranks.contains(&rank),
        }
    }
}

/// The collective library wants 10 s between the end of the last process and a new start.
pub const MIN_BACKOFF: Duration = Duration::from_secs(10);

/// What the launcher calls itself as, to copy files; in no help text, as it is for nobody else.
pub const COPY_FILES: &str = "copy-files";

/// Why a command line is refused: one line, without the hint to the help.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Wrong {
    fn from(error: lexopt::Error) -> Self {
        Wrong(error.to_string())
    }
}

/// Reads the arguments after the program's own name.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, Wrong> {
    use crate::help;
    let mut parser = Parser::from_args(words);
    match parser.next()? {
        None => Err(Wrong("no subcommand was given".to_owned())),
        Some(Arg::Short('h') | Arg::Long("help")) => alone(parser, Invocation::Help(help::TOP)),
        Some(Arg::Short('V') | Arg::Long("version")) => alone(parser, Invocation::Version),
        Some(Arg::Value(word)) => match word.to_str() {
            Some("help") => alone(parser, Invocation::Help(help::TOP)),
            Some("run") => run(parser),
            Some("env") => env(parser),
            Some("rank-table") => table(parser),
            Some("task") => crate::task::arguments::parse(parser),
            Some(COPY_FILES) => alone(parser, Invocation::CopyFiles),
            _ => Err(Wrong(format!("unknown subcommand `{}`", word.to_string_lossy()))),
        },
        Some(other) => Err(other.unexpected().into()),
    }
}

fn alone(mut parser: Parser, invocation: Invocation) -> Result<Invocation, Wrong> {
    match parser.next()? {
        None => Ok(invocation),
        Some(extra) => Err(extra.unexpected().into()),
    }
}

fn run(mut parser: Parser) -> Result<Invocation, Wrong> {
    let mut options = RunOptions::default();
    loop {
        // What follows `--` is the command, whatever it looks like.
        if let Some(words) = parser.try_raw_args()
            && words.peek().is_some_and(|it| it == "--")
        {
            options.command = words.skip(1).collect();
            break;
        }
        match parser.next()? {
            None => break,
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Invocation::Help(crate::help::RUN)),
            // A word before the command is ours to understand, what follows its name is the command's.
            Some(Arg::Value(program)) => {
                options.command.push(program);
                options.command.extend(parser.raw_args()?);
                break;
            }
            Some(flag) => {
                let flag = owned(flag);
                known(option(&flag, &mut parser, &mut options)?, &flag)?;
            }
        }
    }
    if options.command.is_empty() {
        return Err(Wrong("`run` was given no command".to_owned()));
    }
    consistent(&options)?;
    Ok(Invocation::Run(options))
}

fn env(mut parser: Parser) -> Result<Invocation, Wrong> {
    let mut options = RunOptions { dry_run: true, ..RunOptions::default() };
    let mut rank = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Invocation::Help(crate::help::ENV)),
            Arg::Long("list") => return alone(parser, Invocation::Variables),
            Arg::Long("rank") => {
                let value = parser.value()?.string()?;
                rank = Some(value.parse().map_err(|_| Wrong(format!("`--rank`: `{value}` is no rank")))?);
            }
            Arg::Value(_) => return Err(argument.unexpected().into()),
            flag => {
                let flag = owned(flag);
                known(option(&flag, &mut parser, &mut options)?, &flag)?;
            }
        }
    }
    consistent(&options)?;
    Ok(Invocation::Env(options, rank))
}

fn table(mut parser: Parser) -> Result<Invocation, Wrong> {
    let mut words = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Invocation::Help(crate::help::TABLE)),
            Arg::Value(word) => words.push(word),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let command = words.next().ok_or_else(|| Wrong("`rank-table` needs `check`, `show` or `convert`".to_owned()))?;
    let command = match command.to_str() {
        Some("check") => TableCommand::Check,
        Some("show") => TableCommand::Show,
        Some("convert") => TableCommand::Convert,
        _ => {
            let command = command.to_string_lossy();
            return Err(Wrong(format!("`rank-table` knows `check`, `show` and `convert`, not `{command}`")));
        }
    };
    match (words.next(), words.next()) {
        (Some(file), None) => Ok(Invocation::Table(command, file.into())),
        (None, _) => Err(Wrong("`rank-table` was given no file".to_owned())),
        (_, Some(extra)) => Err(Wrong(format!("unexpected argument `{}`", extra.to_string_lossy()))),
    }
}

/// The name of a flag, free of the parser that its value is taken from.
pub fn owned(flag: Arg<'_>) -> String {
    match flag {
        Arg::Long(name) => format!("--{name}"),
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Value(word) => word.to_string_lossy().into_owned(),
    }
}

fn known(is_known: bool, flag: &str) -> Result<(), Wrong> {
    if is_known { Ok(()) } else { Err(Wrong(format!("unknown flag `{flag}`"))) }
}

/// The value of a flag, as `read` understands it.
pub fn of<T>(flag: &str, parser: &mut Parser, read: fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
    let value = parser.value()?.string()?;
    read(&value).map_err(|why| Wrong(format!("`{flag}`: {why}")))
}

/// Takes a flag of `run`, with its value; says whether it is one.
pub fn option(flag: &str, parser: &mut Parser, options: &mut RunOptions) -> Result<bool, Wrong> {
    match flag {
        "--rank-table" => options.rank_table = Some(path(flag, parser)?),
        "--devices" => options.devices = Some(of(flag, parser, units::numbers)?),
        "--wait" => options.wait = Some(of(flag, parser, units::duration)?),
        "--grace" => options.grace = of(flag, parser, units::duration)?,
        "--code-dir" => options.code_dir = Some(path(flag, parser)?),
        "--log-dir" => options.log_dir = Some(path(flag, parser)?),
        "--console" => options.console = of(flag, parser, console)?,
        "--log-max-size" => options.log_max_size = of(flag, parser, units::size)?,
        "--bind" => options.bind = of(flag, parser, bind)?,
        "--max-restarts" => {
            options.max_restarts =
                of(flag, parser, |text| text.parse().map_err(|_| format!("`{text}` is no number of restarts")))?;
        }
        "--restart-backoff" => options.restart_backoff = of(flag, parser, units::duration)?,
        "--stall" => options.stall = Some(of(flag, parser, units::duration)?).filter(|it| !it.is_zero()),
        "--report" => options.report = Some(path(flag, parser)?),
        "--dry-run" => options.dry_run = true,
        _ => return Ok(false),
    }
    Ok(true)
}

fn path(flag: &str, parser: &mut Parser) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(parser.value()?);
    if path.as_os_str().is_empty() { Err(Wrong(format!("`{flag}`: an empty path"))) } else { Ok(path) }
}

fn console(text: &str) -> Result<Console, String> {
    match text {
        "all" => Ok(Console::All),
        "none" => Ok(Console::None),
        ranks => {
            units::numbers(ranks).map(Console::Ranks).map_err(|_| format!("`{ranks}` is not `all`, `none` or `0,2-5`"))
        }
    }
}

fn bind(text: &str) -> Result<Bind, String> {
    Bind::from_name(text).ok_or_else(|| format!("`{text}` is not `none`, `even` or `numa`"))
}

/// What no flag can tell alone.
pub fn consistent(options: &RunOptions) -> Result<(), Wrong> {
    let wrong = |text: &str| Err(Wrong(text.to_owned()));
    if options.rank_table.is_some() && options.devices.is_some() {
        return wrong("`--rank-table` and `--devices` exclude each other: a table says which devices there are");
    }
    if options.restart_backoff < MIN_BACKOFF {
        return wrong("`--restart-backoff`: less than 10 s, which the collective library needs between two starts");
    }
    if options.log_max_size < 4096 {
        return wrong("`--log-max-size`: less than 4KiB");
    }
    if options.stall.is_some_and(|it| it < Duration::from_secs(1)) {
        return wrong("`--stall`: less than 1 s");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, Wrong> {
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
        let line = "run --rank-table t --wait 1m --grace 2s --code-dir c --log-dir l --console 0,2-3 --log-max-size 1MiB \
                    --bind numa --max-restarts 3 --restart-backoff 11s --stall 5m --report r --dry-run -- x";
        let expected = RunOptions {
            rank_table: Some("t".into()),
            devices: None,
            wait: Some(Duration::from_secs(60)),
            grace: Duration::from_secs(2),
            code_dir: Some("c".into()),
            log_dir: Some("l".into()),
            console: Console::Ranks(vec![0, 2, 3]),
            log_max_size: 1 << 20,
            bind: Bind::Numa,
            max_restarts: 3,
            restart_backoff: Duration::from_secs(11),
            stall: Some(Duration::from_secs(300)),
            report: Some("r".into()),
            dry_run: true,
            command: vec!["x".into()],
            ..RunOptions::default()
        };
        assert_eq!(parsed(line), Ok(Invocation::Run(expected)));
        let Ok(Invocation::Run(options)) = parsed("run --devices 4,5 --stall 0 x") else { panic!() };
        assert_eq!((options.devices, options.stall), (Some(vec![4, 5]), None));
    }

    #[test]
    fn other_subcommands() {
        for (line, expected) in [
            ("--help", Invocation::Help(crate::help::TOP)),
            ("run --help", Invocation::Help(crate::help::RUN)),
            ("env -h", Invocation::Help(crate::help::ENV)),
            ("rank-table --help", Invocation::Help(crate::help::TABLE)),
            ("-V", Invocation::Version),
            ("env --list", Invocation::Variables),
            ("rank-table show f", Invocation::Table(TableCommand::Show, "f".into())),
        ] {
            assert_eq!(parsed(line), Ok(expected), "{line}");
        }
        let Ok(Invocation::Env(options, rank)) = parsed("env --rank 3 --devices 0-7") else { panic!() };
        assert_eq!((options.devices.map(|it| it.len()), rank), (Some(8), Some(3)));
    }

    #[test]
    fn refusals() {
        for (line, expected) in [
            ("", "no subcommand was given"),
            ("stop", "unknown subcommand `stop`"),
            ("--version run", "unexpected argument \"run\""),
            ("run", "`run` was given no command"),
            ("run --", "`run` was given no command"),
            ("run --ranks 8", "unknown flag `--ranks`"),
            ("run -x", "unknown flag `-x`"),
            ("run --wait soon true", "`--wait`: `soon` is no duration: write `90`, `90s`, `1m30s`, `2h` or `500ms`"),
            ("run --console some true", "`--console`: `some` is not `all`, `none` or `0,2-5`"),
            ("run --bind all true", "`--bind`: `all` is not `none`, `even` or `numa`"),
            ("run --max-restarts -1 true", "`--max-restarts`: `-1` is no number of restarts"),
            (
                "run --restart-backoff 1s true",
                "`--restart-backoff`: less than 10 s, which the collective library needs between two starts",
            ),
            (
                "run --rank-table t --devices 0 true",
                "`--rank-table` and `--devices` exclude each other: a table says which devices there are",
            ),
            ("run --log-max-size 1 true", "`--log-max-size`: less than 4KiB"),
            ("run --report", "missing argument for option '--report'"),
            ("env --list x", "unexpected argument \"x\""),
            ("env true", "unexpected argument \"true\""),
            ("rank-table", "`rank-table` needs `check`, `show` or `convert`"),
            ("rank-table merge f", "`rank-table` knows `check`, `show` and `convert`, not `merge`"),
            ("rank-table check", "`rank-table` was given no file"),
            ("rank-table check a b", "unexpected argument `b`"),
        ] {
            assert_eq!(parsed(line), Err(Wrong(expected.to_owned())), "{line}");
        }
    }
}
