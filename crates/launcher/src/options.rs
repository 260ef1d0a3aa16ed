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
    /// The ranks are a task's; no flag sets it.
    pub task: Option<TaskRanks>,
}

/// What the ranks of a task are besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRanks {
    /// Number of this server.
    pub node: u32,
    /// The command is the vendor's scripts, which start the ranks.
    pub by_scripts: bool,
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
            task: None,
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

/// A flag, as it is read and as the help has it.
pub struct Flag<T: 'static> {
    /// What follows the two dashes.
    pub name: &'static str,
    /// What its value is called; empty where it takes none.
    pub value: &'static str,
    /// What it does, on as many lines as the help is to have.
    pub about: &'static str,
    take: fn(&mut T, Given) -> Result<(), Wrong>,
}

/// A flag, by its name, its value's name, what it does, and how it is taken.
pub const fn flag<T>(
    name: &'static str,
    value: &'static str,
    about: &'static str,
    take: fn(&mut T, Given) -> Result<(), Wrong>,
) -> Flag<T> {
    Flag { name, value, about, take }
}

/// The value of a flag as it was typed.
pub struct Given {
    /// The flag's name.
    pub flag: &'static str,
    /// Empty where the flag takes no value.
    pub value: OsString,
}

impl Given {
    /// The value as `read` understands it.
    pub fn read<V>(self, read: fn(&str) -> Result<V, String>) -> Result<V, Wrong> {
        read(&self.value.string()?).map_err(|why| Wrong(format!("`--{}`: {why}", self.flag)))
    }

    /// The value as a path.
    pub fn path(self) -> Result<PathBuf, Wrong> {
        let is_empty = self.value.is_empty();
        if is_empty { Err(Wrong(format!("`--{}`: an empty path", self.flag))) } else { Ok(self.value.into()) }
    }
}

/// Takes over the flag of that name with its value, if it is one of `flags`; says whether it is.
pub fn take<T>(flags: &[&[Flag<T>]], name: &str, parser: &mut Parser, to: &mut T) -> Result<bool, Wrong> {
    let Some(flag) = flags.iter().copied().flatten().find(|it| name.strip_prefix("--") == Some(it.name)) else {
        return Ok(false);
    };
    let value = if flag.value.is_empty() { OsString::new() } else { parser.value()? };
    (flag.take)(to, Given { flag: flag.name, value })?;
    Ok(true)
}

/// A flag as it was typed, free of the parser that its value is taken from.
pub fn typed(flag: Arg<'_>) -> String {
    match flag {
        Arg::Long(name) => format!("--{name}"),
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Value(word) => word.to_string_lossy().into_owned(),
    }
}

/// The flags of `run` in the groups of its help.
pub const FLAGS: &[&[Flag<RunOptions>]] = &[RANKS, LIFE, OUTPUT, OTHERS];

const RANKS: &[Flag<RunOptions>] = &[
    flag(
        "rank-table",
        "PATH",
        "Rank table, or its folder [default: $RANK_TABLE_FILE_V_1_0,\n\
         $RANK_TABLE_FILE, /user/config/jobstart_hccl.json]",
        |to, given| given.path().map(|it| to.rank_table = Some(it)),
    ),
    flag("devices", "LIST", "No table: one rank for each of these devices (0,1 or 0-7)", |to, given| {
        given.read(units::numbers).map(|it| to.devices = Some(it))
    }),
    flag("wait", "DURATION", "How long to wait for a complete table [default: 30m]", |to, given| {
        given.read(units::duration).map(|it| to.wait = Some(it))
    }),
];

const LIFE: &[Flag<RunOptions>] = &[
    flag("grace", "DURATION", "Between SIGTERM and SIGKILL; a second Ctrl-C ends\nit [default: 15s]", |to, given| {
        given.read(units::duration).map(|it| to.grace = it)
    }),
    flag(
        "max-restarts",
        "N",
        "Start all ranks of this server again after a failure, N times\nat most [default: 0]",
        |to, given| given.read(restarts).map(|it| to.max_restarts = it),
    ),
    flag("restart-backoff", "DURATION", "Wait before that, 10s at least [default: 10s]", |to, given| {
        given.read(units::duration).map(|it| to.restart_backoff = it)
    }),
    flag(
        "stall",
        "DURATION",
        "Stop when no rank has output or uses its CPU for that long;\n0 never does [default: 0]",
        |to, given| given.read(units::duration).map(|it| to.stall = Some(it).filter(|it| !it.is_zero())),
    ),
];

const OUTPUT: &[Flag<RunOptions>] = &[
    flag(
        "code-dir",
        "DIR",
        "MODEL_TASK_CWD and the folder of the ranks\n[default: $MODEL_TASK_CWD, this folder]",
        |to, given| given.path().map(|it| to.code_dir = Some(it)),
    ),
    flag(
        "log-dir",
        "DIR",
        "Where the ranks' output goes, a file each\n[default: $MA_MOUNT_PATH/log, /tmp/log]",
        |to, given| given.path().map(|it| to.log_dir = Some(it)),
    ),
    flag("log-max-size", "SIZE", "Size at which a log file is put aside [default: 1GiB]", |to, given| {
        given.read(units::size).map(|it| to.log_max_size = it)
    }),
    flag("console", "all|none|RANKS", "Whose lines are shown, too (0,2-5) [default: all]", |to, given| {
        given.read(console).map(|it| to.console = it)
    }),
    flag("report", "FILE", "Write the JSON report here, too", |to, given| given.path().map(|it| to.report = Some(it))),
];

const OTHERS: &[Flag<RunOptions>] = &[
    flag(
        "bind",
        "none|even|numa",
        "Cores of a rank: all, an equal share, or the share near its\ndevice [default: none]",
        |to, given| given.read(bind).map(|it| to.bind = it),
    ),
    flag("dry-run", "", "Only say what would be done", |to, _| {
        to.dry_run = true;
        Ok(())
    }),
];

fn restarts(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of restarts"))
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
    match text {
        "none" => Ok(Bind::None),
        "even" => Ok(Bind::Even),
        "numa" => Ok(Bind::Numa),
        _ => Err(format!("`{text}` is not `none`, `even` or `numa`")),
    }
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
