//! What became of a job, from the exit codes of its containers and the reports of their launchers.

use std::{
    cmp::Reverse,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;

use super::{
    plan::{Job, Node},
    watch::{Cause, JobEnd, NodeEnd},
};
use crate::{resolve::containers::tail, terminal::report};

/// The whole job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobOutcome {
    /// `succeeded`, `failed` or `timed-out`.
    pub outcome: &'static str,
    /// The first failure's, as the platform would have it; none where it took too long.
    pub exit_code: Option<i32>,
    pub cause: Option<String>,
    pub cause_node: Option<usize>,
    /// From the first container's start to the last one's end.
    pub seconds: f64,
    pub nodes: Vec<NodeOutcome>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeOutcome {
    pub node: u32,
    /// `succeeded`, `failed`, `stopped`, or `not-started`.
    pub outcome: &'static str,
    pub exit_code: Option<i32>,
    pub seconds: f64,
    pub console: PathBuf,
    pub report: Option<PathBuf>,
    /// What the launcher, or the engine, said was the reason.
    pub cause: Option<String>,
    pub ranks: Vec<RankOutcome>,
    /// MindSpore's, on the node that has it.
    pub scheduler: Option<ProcessOutcome>,
}

/// A rank.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankOutcome {
    pub rank: u64,
    /// DEVICE_ID.
    pub device: u64,
    #[serde(flatten)]
    pub process: ProcessOutcome,
}

/// A process, as its launcher's report has it; without a report only what its log's name says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessOutcome {
    pub outcome: Option<String>,
    pub exit_code: Option<u64>,
    pub signal: Option<String>,
    pub lines: u64,
    pub seconds: Option<f64>,
    /// Its log on this machine, or in the container where that is in no shared folder.
    pub log: PathBuf,
}

/// Collects everything.
pub fn collect(job: &Job, end: &JobEnd) -> JobOutcome {
    let nodes: Vec<NodeOutcome> = job.nodes.iter().zip(&end.nodes).map(|(node, end)| of_node(job, node, end)).collect();
    let (outcome, cause_node, cause, exit_code) = match end.cause {
        None => ("succeeded", None, None, Some(0)),
        Some(Cause::Timeout) => ("timed-out", None, Some("it took longer than `--timeout` allows".to_owned()), None),
        Some(Cause::Node(index)) => {
            let node = &nodes[index];
            let code = node.exit_code.map(|code| format!(" ended with exit code {code}")).unwrap_or_default();
            let why = node.cause.as_deref().map(|cause| format!(": {cause}")).unwrap_or_default();
            ("failed", Some(index), Some(format!("node {index}{code}{why}")), node.exit_code)
        }
    };
    JobOutcome { outcome, exit_code, cause, cause_node, seconds: rounded(end.time.as_secs_f64()), nodes }
}

fn of_node(job: &Job, node: &Node, end: &NodeEnd) -> NodeOutcome {
    let logs = log_files(job, node);
    let report_attempt = |path: &Path| {
        let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
        ["-report-rank-", "-report-node-"].iter().any(|it| stem.contains(it)).then(|| attempt(stem).1)
    };
    // The last one, where the boot command was run again; of two folders, the one that comes first.
    let reports = logs.iter().rev().filter_map(|path| Some((report_attempt(path)?, path)));
    let file = reports.max_by_key(|it| it.0).map(|it| it.1);
    let report: Value = file.and_then(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).unwrap_or_default();
    let attempt = report["attempts"].as_array().and_then(|attempts| attempts.last());
    // Where something else starts the ranks, the report has only the process that does.
    let reported = attempt.filter(|_| report["rank_size"].is_number());
    let ranks = match reported.and_then(|attempt| attempt["ranks"].as_array()) {
        Some(ranks) => ranks.iter().map(|rank| of_rank(job, node, rank)).collect(),
        None => {
            let mut ranks: Vec<(u32, RankOutcome)> = logs.iter().filter_map(|path| of_log(path)).collect();
            ranks.sort_by_key(|(attempt, rank)| (rank.rank, Reverse(*attempt)));
            ranks.dedup_by_key(|it| it.1.rank);
            ranks.into_iter().map(|it| it.1).collect()
        }
    };
    let scheduler = attempt.map(|attempt| &attempt["scheduler"]).filter(|scheduler| scheduler.is_object());
    let outcome = match &end.code {
        Err(_) => "not-started",
        Ok(0) => "succeeded",
        // Another may fail by itself in the moment in which it would be stopped.
        Ok(_) if end.stopped && report["outcome"] != "failed" => "stopped",
        Ok(_) => "failed",
    };
    let console = console(job, node);
    let of_console = || last_words(&console).filter(|_| outcome == "failed");
    let cause = end.code.as_ref().err().map(String::as_str).or(report["cause"].as_str());
    NodeOutcome {
        node: node.index,
        outcome,
        exit_code: end.code.as_ref().ok().copied(),
        seconds: rounded(end.time.as_secs_f64()),
        report: file.cloned(),
        cause: cause.map(str::to_owned).or_else(of_console),
        ranks,
        scheduler: scheduler.map(|scheduler| of_process(job, node, scheduler)),
        console,
    }
}

/// Where all that a node's container says goes.
pub fn console(job: &Job, node: &Node) -> PathBuf {
    job.folder(node).join("console.txt")
}

/// What a console says of a failure: the last line that calls itself an error, as our launcher's does, else the last one.
fn last_words(console: &Path) -> Option<String> {
    let text = tail(console, 16 << 10).ok()?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let error = lines.iter().rposition(|line| line.starts_with("error: "));
    let words = match error.map(|at| &lines[at..]) {
        // The list of what is wrong stands indented below.
        Some([first, rest @ ..]) => {
            let list = rest.iter().take_while(|line| line.starts_with("  ")).map(|line| line.trim());
            let list = list.collect::<Vec<_>>().join("; ");
            format!("{} {list}", first.trim_start_matches("error: ").trim())
        }
        _ => (*lines.last()?).to_owned(),
    };
    Some(report::printable(words.trim()))
}

/// The files in the folders where launchers put their logs, by name: in the first that the platform has, and in those that
/// they fall back to.
fn log_files(job: &Job, node: &Node) -> Vec<PathBuf> {
    let private = format!("tmp/fmtk-{}/log", job.uid);
    let files = |folder: &str| {
        let entries = fs::read_dir(job.folder(node).join(folder)).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    };
    ["modelarts/log", "cache/log", "tmp/log", &private].into_iter().flat_map(files).collect()
}

fn of_rank(job: &Job, node: &Node, rank: &Value) -> RankOutcome {
    let number = |name: &str| rank[name].as_u64().unwrap_or_default();
    RankOutcome { rank: number("rank"), device: number("device"), process: of_process(job, node, rank) }
}

fn of_process(job: &Job, node: &Node, process: &Value) -> ProcessOutcome {
    let inside = process["log"].as_str().unwrap_or_default();
    let log = job.on_host(node, inside).unwrap_or_else(|| inside.into());
    let text = |name: &str| process[name].as_str().map(str::to_owned);
    ProcessOutcome {
        outcome: text("outcome"),
        exit_code: process["code"].as_u64(),
        signal: text("signal"),
        lines: lines_of_all(&log, process["log_parts"].as_u64().unwrap_or(1)),
        seconds: process["seconds"].as_f64().map(rounded),
        log,
    }
}

/// The name of a launcher's file without the attempt that it ends with, and that attempt.
fn attempt(stem: &str) -> (&str, u32) {
    let numbered = stem.rsplit_once("-attempt-").and_then(|(stem, number)| Some((stem, number.parse().ok()?)));
    numbered.unwrap_or((stem, 1))
}

/// By the name that the vendor's scripts and our launcher give a log: `<job>-proc-rank-<R>-device-<D>.txt`, with
/// `-attempt-<N>` from the second attempt on. Gives that, too.
fn of_log(path: &Path) -> Option<(u32, RankOutcome)> {
    let (name, attempt) = attempt(path.file_name()?.to_str()?.strip_suffix(".txt")?);
    let (rank, device) = name.rsplit_once("-proc-rank-")?.1.split_once("-device-")?;
    let (rank, device) = (rank.parse().ok()?, device.parse().ok()?);
    let (log, lines) = (path.to_owned(), lines_of_all(path, 1));
    let process = ProcessOutcome { outcome: None, exit_code: None, signal: None, lines, seconds: None, log };
    Some((attempt, RankOutcome { rank, device, process }))
}

/// Newlines in a log and in the parts that were put aside.
fn lines_of_all(log: &Path, parts: u64) -> u64 {
    let part = |number: u64| PathBuf::from(format!("{}.{number}", log.display()));
    lines(log) + (1..parts).map(|number| lines(&part(number))).sum::<u64>()
}

fn lines(file: &Path) -> u64 {
    let Ok(mut file) = fs::File::open(file) else { return 0 };
    let (mut count, mut buffer) = (0, vec![0; 256 << 10]);
    while let Ok(read @ 1..) = file.read(&mut buffer) {
        count += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    count
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
