//! The report of a run as JSON: what became of each rank, and what was the cause.

pub mod closing;
mod hints;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::clock;
use crate::exit::Exit;
use crate::ranks::rank::RankOutcome;
use crate::ranks::reap::End;
use crate::ranks::signals;

/// The version of the report's shape. Keys may be added without a new one.
const VERSION: u32 = 1;

/// The whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this shape.
    pub version: u32,
    /// `fmtk-launch 0.1.0`.
    pub launcher: &'static str,
    /// JOB_ID.
    pub job: String,
    /// This server: its `server_id`, or the host's name.
    pub host: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What the launcher exits with.
    pub exit_code: u8,
    /// Why it did not succeed, in a sentence.
    pub cause: Option<String>,
    /// What may help, for a known signature.
    pub hint: Option<String>,
    /// Start of the first attempt, RFC 3339.
    pub started: String,
    /// From then to the end.
    pub seconds: f64,
    /// Ranks of the whole job; null where the vendor's scripts start them. Then the only one in an attempt is the scripts'
    /// process, with the server's number.
    pub rank_size: Option<u32>,
    /// Each start of the ranks, in order.
    pub attempts: Vec<Attempt>,
    /// What was copied to and from object storage, or to the folder for logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<Sync>,
}

/// The copies of a task, the report's own not among them.
#[derive(Debug, Clone, Serialize)]
pub struct Sync {
    /// All of them are complete.
    pub complete: bool,
    /// In the order in which they were asked for.
    pub copies: Vec<Copy>,
}

/// A copy, which may have been made again and again.
#[derive(Debug, Clone, Serialize)]
pub struct Copy {
    /// The parameter that asked for it.
    pub what: &'static str,
    /// A path or URL.
    pub from: String,
    /// The same.
    pub to: String,
    /// The last one succeeded.
    pub complete: bool,
    /// How often it was tried.
    pub tries: u32,
    /// Files that were copied, in all tries.
    pub files: u64,
    /// Why the last one failed.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every rank ended with 0.
    Succeeded,
    /// A rank did not.
    Failed,
    /// A signal from outside stopped it.
    Terminated,
    /// No rank had output or used its CPU for too long.
    Stalled,
    /// A rank could not be started.
    NotStarted,
    /// Every rank ended with 0, but the output could not be copied to object storage.
    NotSaved,
    /// The launcher was killed.
    LauncherKilled,
}

/// One start of the ranks.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What the launcher would exit with.
    pub exit_code: u8,
    /// When, RFC 3339.
    pub started: String,
    /// Until nothing of it was left.
    pub seconds: f64,
    /// Processes that could not be killed.
    pub survivors: Vec<String>,
    /// The ranks of this server, in the order of the rank table.
    pub ranks: Vec<Rank>,
}

/// One rank of an attempt.
#[derive(Debug, Clone, Serialize)]
pub struct Rank {
    /// Its number in the job.
    pub rank: u32,
    /// Its number on this server.
    pub local_rank: u32,
    /// DEVICE_ID.
    pub device: u32,
    /// Its process id; `None` where it could not be started.
    pub pid: Option<i32>,
    /// What became of it.
    pub outcome: RankOutcome,
    /// Its exit code.
    pub code: Option<u8>,
    /// The signal that ended it, by name.
    pub signal: Option<String>,
    /// The kernel killed it, or another of this container at that time, for want of memory.
    pub out_of_memory: bool,
    /// When it ended, RFC 3339.
    pub ended: Option<String>,
    /// How long it ran.
    pub seconds: Option<f64>,
    /// Its log file.
    pub log: String,
    /// How many files that became, because of its size.
    pub log_parts: u32,
    /// Bytes in them.
    pub log_bytes: u64,
    /// Bytes that could not be written.
    pub log_bytes_lost: u64,
    /// Why not.
    pub log_trouble: Option<String>,
    /// Lines that the console had no room for.
    pub console_lines_skipped: u64,
    /// Its last lines, where it failed.
    pub last_lines: Vec<String>,
}

impl Report {
    /// A report of no attempts yet.
    pub fn new(job: String, host: String, rank_size: Option<u32>, started: SystemTime) -> Report {
        Report {
            version: VERSION,
            launcher: LAUNCHER,
            job,
            host,
            outcome: Outcome::Succeeded,
            exit_code: 0,
            cause: None,
            hint: None,
            started: clock::text(started),
            seconds: 0.0,
            rank_size,
            attempts: Vec::new(),
            sync: None,
        }
    }
}

const LAUNCHER: &str = concat!("fmtk-launch ", env!("CARGO_PKG_VERSION"));

/// Code and signal of an end as the report has them.
pub fn code_and_signal(end: End) -> (Option<u8>, Option<String>) {
    match end {
        End::Code(code) => (Some(code), None),
        End::Signal(signal) => (None, Some(signals::name(signal))),
    }
}

/// Seconds with three digits.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Writes a report, whole or not at all; to `/dev/stdout`, a pipe or a device it is appended.
pub fn write(path: &Path, report: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    if is_special(path) {
        // Not to be waited for: a pipe may have no reader.
        let mut file = OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        return file.write_all(&text);
    }
    // Not synced: a disk that takes its time must not hold up the end.
    file_edit::replace(path, 0o666, |file| file.write_all(&text))
}

/// Whether a file must not take the place of what is there: root could, and the machine would be without its `/dev/null`.
fn is_special(path: &Path) -> bool {
    // `/dev/stdout` is a link, by way of /proc, to whatever that is.
    let is_link = path.symlink_metadata().is_ok_and(|it| it.is_symlink());
    let is_of_system = path.starts_with("/dev") || path.starts_with("/proc");
    path.metadata().is_ok_and(|it| !it.is_file()) || (is_link && is_of_system)
}

/// What the guardian knows when the launcher was killed.
pub fn write_launcher_killed(path: &Path, cause: String, exit: Exit) -> io::Result<()> {
    let killed = serde_json::json!({
        "version": VERSION,
        "launcher": LAUNCHER,
        "outcome": Outcome::LauncherKilled,
        "exit_code": exit.0,
        "cause": cause,
        "ended": clock::text(SystemTime::now()),
    });
    write(path, &killed)
}
