//! The reports of many nodes, made of that of one: the launcher's own, so that they have the shape that it writes.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Invocation, field, files};

/// Ranks of a node.
const RANKS: u64 = 8;
/// The rank that fails, on the node in the middle.
const FAILS: u64 = 5;

/// Has a launcher run eight ranks of which one fails, and writes its report into `folder` for so many nodes: that in the
/// middle fails, the others are stopped from outside. Gives the rank that is at fault.
pub fn node_reports(launcher: Invocation, nodes: u64, folder: &Path) -> anyhow::Result<u64> {
    let script = format!("echo up; [ $RANK = {FAILS} ] || exec sleep 600; echo 'ValueError: own' >&2; exit 7");
    let real = folder.join("real.json");
    let run = launcher.words("run --devices 0-7 --report").arg(&real).args(["--", "sh", "-c", &script]);
    // What names jobs and folders, and is none of these ranks' business.
    let others = ["MA_VJ_NAME", "MA_MOUNT_PATH", "RANK_TABLE_FILE", "RANK_TABLE_FILE_V_1_0"];
    run.without(&others).env("BATCH_JOB_ID", "many").env("TMPDIR", folder).fails(7)?;
    let real = files::read_json(&real)?;
    ensure!(field(&real, "outcome")? == "failed", "the report says {real}");
    for node in 0..nodes {
        let report = of_node(&real, node, nodes).context("the report has another shape")?;
        let name = format!("many-report-rank-{}.json", node * RANKS);
        files::write(&folder.join(name), serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(nodes / 2 * RANKS + FAILS)
}

fn of_node(real: &Value, node: u64, nodes: u64) -> Option<Value> {
    let host = format!("10.{}.{}.1", node / 250, node % 250);
    let real_host = real["host"].as_str()?;
    let mut report = real.clone();
    report["rank_size"] = json!(nodes * RANKS);
    let fails = node == nodes / 2;
    let outcome = |of: &mut Value| {
        of["outcome"] = json!("terminated");
        of["exit_code"] = json!(143);
    };
    if fails {
        let cause = real["cause"].as_str()?.replace(real_host, &host);
        report["cause"] = json!(cause.replace("rank 5", &format!("rank {}", node * RANKS + FAILS)));
    } else {
        outcome(&mut report);
        report["cause"] = json!("stopped from outside by SIGTERM");
    }
    report["host"] = json!(host);
    let attempt = report["attempts"].get_mut(0)?;
    if !fails {
        outcome(attempt);
    }
    for rank in attempt["ranks"].as_array_mut()? {
        let number = rank["rank"].as_u64()?;
        rank["rank"] = json!(node * RANKS + number);
        if !fails && rank["outcome"] == "failed" {
            rank["outcome"] = json!("stopped");
            rank["last_lines"] = json!([]);
        }
    }
    Some(report)
}
