//! What `run` is asked for, and how its flags are read.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::units;

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

/// What `--bind` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bind {
    /// Leave the ranks where the launcher may run.
    #[default]
    None,
    /// Equal contiguous shares of the allowed CPUs.
    Even,
    /// Equal shares of the CPUs of the device's NUMA node.
    Numa,
}

impl Bind {
    /// The values of `--bind`, by their names.
    pub fn from_name(name: &str) -> Option<Bind> {
        match name {
            "none" => Some(Bind::None),
            "even" => Some(Bind::Even),
            "numa" => Some(Bind::Numa),
            _ => None,
        }
    }
}

/// The collective library wants 10 s between the end of the last process and a new start.
pub const MIN_BACKOFF: Duration = Duration::from_secs(10);

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

/// The name of a flag, free of the parser that its value is taken from.
pub fn owned(flag: Arg<'_>) -> String {
    match flag {
        Arg::Long(name) => format!("--{name}"),
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Value(word) => word.to_string_lossy().into_owned(),
    }
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

    #[test]
    fn names_are_those_of_the_flag() {
        assert_eq!(
            ["none", "even", "numa"].map(Bind::from_name),
            [Some(Bind::None), Some(Bind::Even), Some(Bind::Numa)]
        );
        assert_eq!(Bind::from_name("NUMA"), None);
    }
}
