//! The flags of `run`: their help, from which they are read, and what they mean.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::units;

/// The help of `run`, and its flags (see [`Given::take`]).
pub const RUN: &str = "\
Start COMMAND once for each device of this server and watch over it

Usage: fmtk-launch run [FLAGS] [--] COMMAND [ARGUMENT]...

Which ranks:
  --rank-table PATH      Rank table, or its folder [default: $RANK_TABLE_FILE_V_1_0,
                         $RANK_TABLE_FILE, /user/config/jobstart_hccl.json,
                         /user/serverid/devindex/config/hccl.json]
  --devices LIST         No table: one rank for each of these devices (0,1 or 0-7)
  --framework auto|torch|mindspore|plain
                         Framework of the ranks: no rank table for torch; none and a
                         scheduler for mindspore [default: auto: what their Python has]
  --nnodes N             Nodes of the job, all with as many devices as this one
                         [default: what the cluster's variables say, 1]
  --node-rank I          Which of them this one is, from 0
  --master HOST[:PORT]   Node 0 of several
  --per-node             Start COMMAND once on this node: it starts the ranks itself, as
                         torchrun and msrun do. In its arguments {nnodes}, {node_rank},
                         {master_addr}, {master_port}, {nproc_per_node} and {world_size}
                         are filled in
  --wait DURATION        How long to wait for a complete table [default: 30m; 1m for
                         a job of one server that has not even the table's folder],
                         and for the name of node 0 [default: 10m]
Without a rank table, a job of one node starts one rank. With several nodes, give
--devices, the same on all of them, unless a variable says how many there are.

Life and death:
  --grace DURATION       Between SIGTERM and SIGKILL; a second Ctrl-C ends
                         it [default: 15s]
  --max-restarts N       Start all ranks of this server again after a failure, N times
                         at most; of several nodes only where the ranks of the others
                         can take these back [default: 0]
  --restart-backoff DURATION
                         Wait before that, 10s at least [default: 10s]
  --stall DURATION       Stop when no rank has output or uses its CPU for that long;
                         0 never does [default: 0]

Folders and output:
  --code-dir DIR         MODEL_TASK_CWD and the folder of the ranks
                         [default: $MODEL_TASK_CWD, this folder]
  --log-dir DIR          Where the ranks' output goes, a file each
                         [default: $MA_MOUNT_PATH/log, /tmp/log]
  --log-max-size SIZE    Size at which a log file is put aside [default: 1GiB]
  --console all|none|RANKS
                         Whose lines are shown, too (0,2-5) [default: all]
  --report FILE          Write the JSON report here, too

  --bind none|even|numa  Cores of a rank: all, an equal share, or the share near its
                         device [default: none]
  --dry-run              Only say what would be done

Durations are written 90, 90s, 1m30s or 2h, sizes 512MiB or 1GiB.

Exit codes: that of the rank that failed first, or 128 + the signal that ended it;
128 + the signal that the launcher was stopped with; 2 wrong usage or rank table,
124 stalled, 125 failure of the launcher or no rank table in time, 126 COMMAND can't
be executed, 127 COMMAND was not found
";

/// The flags of `run` as they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// `None` asks the environment.
    pub rank_table: Option<PathBuf>,
    pub devices: Option<Vec<u32>>,
    /// `None` finds out.
    pub framework: Option<Framework>,
    pub nodes: NodeFlags,
    pub per_node: bool,
    pub wait: Option<Duration>,
    pub grace: Duration,
    pub code_dir: Option<PathBuf>,
    pub log_dir: Option<PathBuf>,
    /// The ranks of the job whose lines are shown; `None` for all.
    pub console: Option<Vec<u32>>,
    /// Bytes.
    pub log_max_size: u64,
    pub bind: Bind,
    pub max_restarts: u32,
    pub restart_backoff: Duration,
    /// `None` for ever.
    pub stall: Option<Duration>,
    pub report: Option<PathBuf>,
    pub dry_run: bool,
    /// Program and arguments of a rank. Empty for `env`.
    pub command: Vec<OsString>,
    /// The ranks are a task's; no flag sets it.
    pub task: Option<TaskRanks>,
}

/// What the ranks of a task are besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRanks {
    pub node: u32,
    /// The command is the vendor's scripts, which start the ranks.
    pub by_scripts: bool,
}

impl RunOptions {
    /// Reads what was given. Errors: a value that means nothing, or two that exclude each other.
    pub fn read(given: &Given) -> Result<RunOptions, Problem> {
        let options = RunOptions {
            rank_table: given.path("rank-table")?,
            devices: given.read("devices", units::numbers)?,
            framework: given.read("framework", Framework::read)?.flatten(),
            nodes: NodeFlags {
                count: given.read("nnodes", nodes)?,
                index: given.read("node-rank", node)?,
                master: given.read("master", Master::read)?,
            },
            per_node: given.has("per-node"),
            wait: given.read("wait", units::duration)?,
            grace: given.read("grace", units::duration)?.unwrap_or(Duration::from_secs(15)),
            code_dir: given.path("code-dir")?,
            log_dir: given.path("log-dir")?,
            console: given.read("console", console)?.flatten(),
            log_max_size: given.read("log-max-size", units::size)?.unwrap_or(1 << 30),
            bind: given.read("bind", bind)?.unwrap_or_default(),
            max_restarts: given.read("max-restarts", restarts)?.unwrap_or(0),
            restart_backoff: given.read("restart-backoff", units::duration)?.unwrap_or(MIN_BACKOFF),
            stall: given.read("stall", units::duration)?.filter(|it| !it.is_zero()),
            report: given.path("report")?,
            dry_run: given.has("dry-run"),
            command: Vec::new(),
            task: None,
        };
        let wrong = if options.rank_table.is_some() && options.devices.is_some() {
            "`--rank-table` and `--devices` exclude each other: a table says which devices there are"
        } else if options.per_node && options.rank_table.is_some() {
            "`--per-node` and `--rank-table` exclude each other: COMMAND says what its ranks meet by"
        } else if options.per_node && options.framework.is_some() {
            "`--per-node` and `--framework` exclude each other: COMMAND says what its ranks meet by"
        } else if options.per_node && options.bind != Bind::None {
            "`--per-node` and `--bind` exclude each other: COMMAND starts the ranks, and binds them"
        } else if options.per_node
            && options.devices.as_ref().is_some_and(|it| !(0..).zip(it).all(|(at, it)| at == *it))
        {
            "`--per-node`: `--devices` says how many ranks COMMAND starts, as 0-7; which devices they see is up to \
             ASCEND_RT_VISIBLE_DEVICES"
        } else if options.restart_backoff < MIN_BACKOFF {
            "`--restart-backoff`: less than 10 s, which the collective library needs between two starts"
        } else if options.log_max_size < 4096 {
            "`--log-max-size`: less than 4KiB"
        } else if options.stall.is_some_and(|it| it < Duration::from_secs(1)) {
            "`--stall`: less than 1 s"
        } else {
            return Ok(options);
        };
        Err(Problem(wrong.to_owned()))
    }

    /// How long to wait for a complete table unless a flag says it: 30 minutes, one where none `is_likely` to come, and not
    /// at all where nothing will be started.
    pub fn patience(&self, is_likely: bool) -> Duration {
        let minutes = match is_likely {
            _ if self.dry_run => 0,
            true => 30,
            false => 1,
        };
        self.wait.unwrap_or(Duration::from_secs(minutes * 60))
    }
}

/// The framework of a job's ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framework {
    /// PyTorch: MASTER_ADDR, RANK and the like, and no rank table unless it is asked for.
    Torch,
    /// MindSpore without a rank table: MS_*, and a process besides the ranks, the scheduler, on node 0.
    MindSpore,
    /// None that the launcher knows: the rank table, where there is one, and all variables that a script may read.
    #[default]
    Plain,
}

impl Framework {
    /// As `--framework` has it.
    pub fn read(text: &str) -> Result<Option<Framework>, String> {
        match text {
            "auto" => Ok(None),
            "torch" => Ok(Some(Framework::Torch)),
            "mindspore" => Ok(Some(Framework::MindSpore)),
            "plain" => Ok(Some(Framework::Plain)),
            _ => Err(format!("`{text}` is not `auto`, `torch`, `mindspore` or `plain`")),
        }
    }

    /// Whether the ranks are given the rank table that the platform has for the job.
    pub fn wants_table(self) -> bool {
        self == Framework::Plain
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Framework::Torch => "torch",
            Framework::MindSpore => "mindspore",
            Framework::Plain => "plain",
        })
    }
}

/// Where rank 0 listens for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// An address or a name; an IPv6 address has no brackets.
    pub host: String,
    pub port: Option<u16>,
}

/// What `--nnodes`, `--node-rank` and `--master` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFlags {
    pub count: Option<u32>,
    pub index: Option<u32>,
    pub master: Option<Master>,
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => f.write_str(host),
            (host, Some(port)) if host.contains(':') => write!(f, "[{host}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

impl Master {
    /// Reads `HOST`, `HOST:PORT`, `[ADDRESS]:PORT` or an IPv6 address without a port.
    pub fn read(text: &str) -> Result<Master, String> {
        let wrong = || format!("`{text}` is not `HOST` or `HOST:PORT`");
        let (host, port) = match text.strip_prefix('[').map(|it| it.split_once(']').ok_or_else(wrong)).transpose()? {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            // Several colons are those of an IPv6 address.
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = port.map(|it| it.parse().ok().filter(|it| *it > 0).ok_or_else(wrong)).transpose()?;
        let is_host = !host.is_empty() && !host.contains(|it: char| it.is_whitespace() || it.is_control() || it == '/');
        if is_host { Ok(Master { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

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
const MIN_BACKOFF: Duration = Duration::from_secs(10);

fn nodes(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|it| *it > 0).ok_or_else(|| format!("`{text}` is not a number of nodes"))
}

fn node(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is not the number of a node"))
}

fn restarts(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number of restarts"))
}

fn console(text: &str) -> Result<Option<Vec<u32>>, String> {
    match text {
        "all" => Ok(None),
        "none" => Ok(Some(Vec::new())),
        _ => units::numbers(text).map(Some).map_err(|_| format!("`{text}` is not `all`, `none` or `0,2-5`")),
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

/// Why a command line is refused: one line, without the hint to the help.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Problem {
    fn from(error: lexopt::Error) -> Self {
        Problem(error.to_string())
    }
}

/// Flags with their values as they were typed; of one that was given twice the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given(Vec<(&'static str, OsString)>);

impl Given {
    /// Takes over a flag that one of the help texts has, with its value; says whether one has it.
    ///
    /// A help text has a flag on a line of its own that begins with two blanks and `--`; one blank before the next word makes
    /// that the name of its value.
    pub fn take(&mut self, helps: &[&'static str], flag: &str, parser: &mut Parser) -> Result<bool, Problem> {
        let lines = helps.iter().flat_map(|help| help.lines()).filter_map(|line| line.strip_prefix("  --"));
        let mut rows = lines.map(|line| line.split_once(' ').unwrap_or((line, "")));
        let Some((name, rest)) = rows.find(|(name, _)| flag.strip_prefix("--") == Some(*name)) else {
            return Ok(false);
        };
        let has_value = !rest.is_empty() && !rest.starts_with(' ');
        self.0.push((name, if has_value { parser.value()? } else { OsString::new() }));
        Ok(true)
    }

    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().rev().find(|it| it.0 == name).map(|it| it.1.as_os_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a flag as `read` understands it.
    pub fn read<V>(&self, name: &str, read: fn(&str) -> Result<V, String>) -> Result<Option<V>, Problem> {
        let Some(value) = self.value(name) else { return Ok(None) };
        read(&value.to_owned().string()?).map(Some).map_err(|why| Problem(format!("`--{name}`: {why}")))
    }

    /// A flag's path. Errors: an empty one.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>, Problem> {
        match self.value(name) {
            Some(value) if value.is_empty() => Err(Problem(format!("`--{name}`: an empty path"))),
            value => Ok(value.map(PathBuf::from)),
        }
    }
}

/// A flag as it was typed, free of the parser that its value is taken from.
pub fn typed(flag: Arg<'_>) -> String {
    match flag {
        Arg::Long(name) => format!("--{name}"),
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Value(word) => word.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters() {
        for (text, expected) in [
            ("node-0", Some(("node-0", None))),
            ("10.0.0.1:29500", Some(("10.0.0.1", Some(29_500)))),
            ("[fe80::1]:80", Some(("fe80::1", Some(80)))),
            ("[fe80::1]", Some(("fe80::1", None))),
            ("fe80::1", Some(("fe80::1", None))),
            ("", None),
            (":80", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:", None),
            ("[a", None),
            ("[a]80", None),
            ("http://a", None),
            ("a b", None),
        ] {
            let read = Master::read(text);
            let expected = expected.map(|(host, port)| Master { host: host.to_owned(), port });
            assert_eq!(read.as_ref().ok(), expected.as_ref(), "{text}");
            if let Ok(master) = read {
                assert_eq!(Master::read(&master.to_string()), Ok(master));
            }
        }
    }
}
