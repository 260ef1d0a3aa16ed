//! Outcomes of jobs whose folders are written here: reports have the shape of the launcher's version 1.

use std::{fs, path::Path, time::Duration};

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::try_out::{
    plan::{self, tests::job},
    text,
};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What the launcher of a node leaves: a report of one rank, and its log with three lines.
fn leave(job: &Job, node: usize, outcome: &str, cause: Option<&str>, code: Option<u8>, signal: Option<&str>) {
    let folder = job.folder(&job.nodes[node]).join("modelarts/log");
    let log = format!("{}/log/j-proc-rank-{node}-device-0.txt", plan::MOUNT_PATH);
    let rank = json!({
        "rank": node, "device": 0, "outcome": outcome, "code": code, "signal": signal, "seconds": 1.25,
        "log": log, "log_parts": 2,
    });
    let of_job = if outcome == "stopped" { "terminated" } else { outcome };
    let report = json!({ "outcome": of_job, "cause": cause, "rank_size": 9, "attempts": [{ "ranks": [] }, { "ranks": [rank] }] });
    write(&folder.join(format!("j-report-rank-{node}.json")), &report.to_string());
    write(&folder.join(format!("j-proc-rank-{node}-device-0.txt")), "1\n");
    write(&folder.join(format!("j-proc-rank-{node}-device-0.txt.1")), "2\n3\n");
}

fn end(code: Result<i32, &str>, stopped: bool) -> NodeEnd {
    NodeEnd { code: code.map_err(str::to_owned), time: Duration::from_secs(3), stopped }
}

fn check(job: &Job, nodes: Vec<NodeEnd>, cause: Option<Cause>, expected: Expect) -> JobOutcome {
    let outcome = collect(job, &JobEnd { nodes, cause, time: Duration::from_secs(4) });
    expected.assert_eq(&text::table(&outcome, &job.out));
    outcome
}

#[test]
fn the_cause_is_the_node_that_failed_first_and_its_launchers_words() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 3);
    leave(&job, 0, "stopped", Some("it was told to stop by SIGTERM"), None, Some("SIGTERM"));
    leave(&job, 1, "failed", Some("rank 1 (device 0) exited with code 7"), Some(7), None);
    leave(&job, 2, "failed", Some("rank 2 (device 0) exited with code 9"), Some(9), None);
    let ends = vec![end(Ok(143), true), end(Ok(7), false), end(Ok(9), true)];
    let expected = expect![[r#"
        node  rank  device  outcome  code     lines  seconds  log
        0     0     0       stopped  SIGTERM  3      1.2      node-0/modelarts/log/j-proc-rank-0-device-0.txt
        0     all   all     stopped  143      3      3.0      node-0/console.txt
        1     1     0       failed   7        3      1.2      node-1/modelarts/log/j-proc-rank-1-device-0.txt
        1     all   all     failed   7        3      3.0      node-1/console.txt
        2     2     0       failed   9        3      1.2      node-2/modelarts/log/j-proc-rank-2-device-0.txt
        2     all   all     failed   9        3      3.0      node-2/console.txt
        failed after 4.0 s: node 1 ended with exit code 7: rank 1 (device 0) exited with code 7
    "#]];
    let outcome = check(&job, ends, Some(Cause::Node(1)), expected);
    assert_eq!((outcome.exit_code, outcome.cause_node), (Some(7), Some(1)));
}

#[test]
fn the_scheduler_is_below_the_ranks_of_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 1);
    leave(&job, 0, "succeeded", None, Some(0), None);
    let logs = job.folder(&job.nodes[0]).join("modelarts/log");
    let log = format!("{}/log/j-scheduler.txt", plan::MOUNT_PATH);
    write(&logs.join("j-scheduler.txt"), "a\n");
    let report = logs.join("j-report-rank-0.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    text["attempts"][1]["scheduler"] = json!({ "outcome": "succeeded", "code": 0, "seconds": 2, "log": log });
    write(&report, &text.to_string());
    let expected = expect![[r#"
        node  rank       device  outcome    code  lines  seconds  log
        0     0          0       succeeded  0     3      1.2      node-0/modelarts/log/j-proc-rank-0-device-0.txt
        0     scheduler  -       succeeded  0     1      2.0      node-0/modelarts/log/j-scheduler.txt
        0     all        all     succeeded  0     4      3.0      node-0/console.txt
        succeeded after 4.0 s
    "#]];
    check(&job, vec![end(Ok(0), false)], None, expected);
}

#[test]
fn without_a_report_the_logs_say_which_ranks_there_were() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 1);
    let logs = job.folder(&job.nodes[0]).join("cache/log");
    write(&logs.join("j-proc-rank-10-device-1.txt"), "x\n");
    write(&logs.join("j-proc-rank-9-device-0.txt"), "");
    write(&logs.join("other.txt"), "");
    let expected = expect![[r#"
        node  rank  device  outcome    code  lines  seconds  log
        0     9     0       -          -     0      -        node-0/cache/log/j-proc-rank-9-device-0.txt
        0     10    1       -          -     1      -        node-0/cache/log/j-proc-rank-10-device-1.txt
        0     all   all     succeeded  0     1      3.0      node-0/console.txt
        succeeded after 4.0 s
    "#]];
    let outcome = check(&job, vec![end(Ok(0), false)], None, expected);
    assert_eq!((outcome.exit_code, outcome.cause_node), (Some(0), None));
}

/// A boot command that runs the launcher once more, as platforms do that recover in place.
#[test]
fn the_last_attempt_counts() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 1);
    let logs = job.folder(&job.nodes[0]).join("modelarts/log");
    for (name, text) in [
        ("j-proc-rank-0-device-0.txt", "1\n"),
        ("j-proc-rank-0-device-0-attempt-2.txt", "1\n2\n"),
        ("j-proc-rank-0-device-0-attempt-10.txt", "1\n2\n3\n"),
    ] {
        write(&logs.join(name), text);
    }
    let of_logs = expect![[r#"
        node  rank  device  outcome    code  lines  seconds  log
        0     0     0       -          -     3      -        node-0/modelarts/log/j-proc-rank-0-device-0-attempt-10.txt
        0     all   all     succeeded  0     3      3.0      node-0/console.txt
        succeeded after 4.0 s
    "#]];
    check(&job, vec![end(Ok(0), false)], None, of_logs);
    for (name, cause) in [("", "first"), ("-attempt-2", "second"), ("-attempt-10", "last")] {
        write(&logs.join(format!("j-report-rank-0{name}.json")), &json!({ "cause": cause }).to_string());
    }
    let outcome = collect(&job, &JobEnd { nodes: vec![end(Ok(1), false)], cause: None, time: Duration::ZERO });
    assert_eq!(outcome.nodes[0].cause.as_deref(), Some("last"));
}

#[test]
fn what_was_not_started_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 1);
    let expected = expect![[r#"
        node  rank  device  outcome      code  lines  seconds  log
        0     all   all     not-started  -     0      3.0      node-0/console.txt
        failed after 4.0 s: node 0: it was not started: no such file
    "#]];
    let ends = vec![end(Err("it was not started: no such file"), false)];
    let outcome = check(&job, ends, Some(Cause::Node(0)), expected);
    assert_eq!((outcome.outcome, outcome.exit_code), ("failed", None));
}

#[test]
fn what_starts_the_ranks_is_no_rank() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 1);
    let report =
        json!({ "outcome": "failed", "cause": "the command exited", "attempts": [{ "ranks": [{ "rank": 0 }] }] });
    write(&job.folder(&job.nodes[0]).join("modelarts/log/j-report-node-0.json"), &report.to_string());
    let expected = expect![[r#"
        node  rank  device  outcome  code  lines  seconds  log
        0     all   all     failed   3     0      3.0      node-0/console.txt
        failed after 4.0 s: node 0 ended with exit code 3: the command exited
    "#]];
    check(&job, vec![end(Ok(3), false)], Some(Cause::Node(0)), expected);
}

#[test]
fn a_job_that_takes_too_long_has_no_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 1);
    leave(&job, 0, "stopped", Some("it was told to stop by SIGTERM"), None, Some("SIGTERM"));
    let expected = expect![[r#"
        node  rank  device  outcome  code     lines  seconds  log
        0     0     0       stopped  SIGTERM  3      1.2      node-0/modelarts/log/j-proc-rank-0-device-0.txt
        0     all   all     stopped  143      3      3.0      node-0/console.txt
        timed-out after 4.0 s: it took longer than `--timeout` allows
    "#]];
    let outcome = check(&job, vec![end(Ok(143), true)], Some(Cause::Timeout), expected);
    assert_eq!(outcome.exit_code, None);
}

#[test]
fn without_a_report_the_console_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), 1);
    let cause = |said: &str| {
        fs::create_dir_all(job.folder(&job.nodes[0])).unwrap();
        fs::write(console(&job, &job.nodes[0]), said).unwrap();
        let end = JobEnd { nodes: vec![end(Ok(2), false)], cause: Some(Cause::Node(0)), time: Duration::ZERO };
        collect(&job, &end).cause.unwrap()
    };
    assert_eq!(cause("x\nerror: no folder\nhint: make one\n"), "node 0 ended with exit code 2: no folder");
    assert_eq!(
        cause("error: this task can't be run:\n  no `code_path`\n  no `data_path`\nhint: make one\n"),
        "node 0 ended with exit code 2: this task can't be run: no `code_path`; no `data_path`"
    );
    assert_eq!(cause("x\nTraceback\nKeyError: 3\n\n"), "node 0 ended with exit code 2: KeyError: 3");
    assert_eq!(cause(""), "node 0 ended with exit code 2");
}
