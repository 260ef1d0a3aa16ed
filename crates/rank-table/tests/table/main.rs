//! Rank tables: refused for all that is wrong with them, converted, found, waited for.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod find;
mod golden;
mod properties;
mod refusals;
mod watch;

use expect_test::ExpectFile;
use serde_json::{Value, json};

/// A v0 table of groups of pods: the name, the server and the number of devices of each.
fn v0(groups: &[Vec<(String, String, usize)>]) -> Value {
    let mut pods = 0;
    let mut group = |of_group: &Vec<(String, String, usize)>| {
        let mut pod = |(name, server, devices): &(String, String, usize)| {
            pods += 1;
            let ip = |d| format!("10.{d}.{}.{}", pods / 256, pods % 256);
            let device = |d| json!({"device_id": pods * 8 + d, "device_ip": ip(d)});
            json!({"pod_name": name, "server_id": server, "devices": (0..*devices).map(device).collect::<Vec<_>>()})
        };
        let list: Vec<Value> = of_group.iter().map(&mut pod).collect();
        let devices: usize = of_group.iter().map(|(_, _, devices)| devices).sum();
        json!({"device_count": devices.to_string(), "instance_count": list.len(), "instance_list": list})
    };
    let list: Vec<Value> = groups.iter().map(&mut group).collect();
    json!({"status": "completed", "group_count": list.len().to_string(), "group_list": list})
}

/// Runs the cases of a file: each is some lines, which `run` is given, and its answer, the lines that begin with `|`.
/// Comments begin with `#`. `UPDATE_EXPECT=1` renews the answers.
fn check_cases(cases: &str, file: ExpectFile, run: impl Fn(&[&str]) -> String) {
    let answered = cases.trim_end().split("\n\n").map(|case| {
        let (comments, lines): (Vec<&str>, Vec<&str>) =
            case.lines().filter(|line| !line.starts_with('|')).partition(|line| line.starts_with('#'));
        let answer = if lines.is_empty() { String::new() } else { run(&lines) };
        let answer = answer.lines().map(|line| format!("| {line}"));
        let all = comments.iter().chain(&lines).map(|line| (*line).to_owned()).chain(answer);
        all.collect::<Vec<_>>().join("\n")
    });
    file.assert_eq(&(answered.collect::<Vec<_>>().join("\n\n") + "\n"));
}
