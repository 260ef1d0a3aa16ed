//! The shape of a report: what is written at the end of a run, and read again by `fmtk-launch report`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Moment;
use crate::ranks::rank::{Outcome, RankOutcome};

/// The version of the shape. Keys may be added without a new one.
pub const VERSION: u32 = 1;

/// What one launcher tells of its run. Where the launcher was killed, its guardian tells much less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    /// Name and version of the program.
    pub launcher: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Which of the job's nodes this is, where that is known apart from its ranks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// What the ranks are programs of, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    pub outcome: Outcome,
    pub exit_code: u8,
    /// Why it did not succeed, in a sentence.
    pub cause: Option<String>,
    pub hint: Option<String>,
    /// The failed rank tells of the end of another one: the cause is elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follower: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Moment>,
    /// Of a launcher that was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Ranks of the whole job. Null where the vendor's scripts start the ranks. Then the only one in an attempt is the
    /// scripts' process, with the server's number.
    pub rank_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptReport>,
    /// The copies of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// From 0.
    pub index: u32,
    pub count: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub attempt: u32,
    pub outcome: Outcome,
    pub exit_code: u8,
    pub started: Moment,
    pub seconds: f64,
    /// How long no rank had done anything, where that was the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_seconds: Option<f64>,
    /// What could not be killed.
    #[serde(default)]
    pub survivors: Vec<String>,
    pub ranks: Vec<RankReport>,
    /// Of MindSpore, on node 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerReport>,
}

/// The process that MindSpore's ranks register with; the keys are those of a rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchedulerReport {
    pub pid: Option<i32>,
    pub outcome: RankOutcome,
    pub code: Option<u8>,
    pub signal: Option<String>,
    pub started: Option<Moment>,
    pub ended: Option<Moment>,
    pub log: String,
    #[serde(default)]
    pub log_bytes: u64,
    #[serde(default)]
    pub log_bytes_lost: u64,
    #[serde(default)]
    pub last_lines: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankReport {
    pub rank: u32,
    pub local_rank: u32,
    pub device: u32,
    pub pid: Option<i32>,
    pub outcome: RankOutcome,
    pub code: Option<u8>,
    pub signal: Option<String>,
    /// The kernel had killed processes for want of memory.
    #[serde(default)]
    pub out_of_memory: bool,
    pub started: Option<Moment>,
    /// When it was first heard of, and last.
    pub first_output: Option<Moment>,
    pub last_output: Option<Moment>,
    pub ended: Option<Moment>,
    /// From its start to its end.
    pub seconds: Option<f64>,
    /// The last part of the log.
    pub log: String,
    #[serde(default)]
    pub log_parts: u32,
    #[serde(default)]
    pub log_bytes: u64,
    #[serde(default)]
    pub log_bytes_lost: u64,
    /// CANN's own log of the process, where it failed.
    pub plog: Option<String>,
    pub log_trouble: Option<String>,
    #[serde(default)]
    pub console_lines_skipped: u64,
    /// It tells of the end of another rank.
    #[serde(default)]
    pub follower: bool,
    /// Of a rank that failed: its last lines, from its last traceback on where that begins earlier.
    #[serde(default)]
    pub last_lines: Vec<String>,
}
