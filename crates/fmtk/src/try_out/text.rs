//! The outcome of a job as a table for people.

use std::path::Path;

use super::outcome::{JobOutcome, NodeOutcome, ProcessOutcome};

/// The table, a line a rank and MindSpore's scheduler, and how it ended. Logs are named from `base` on where they are below it.
pub fn table(outcome: &JobOutcome, base: &Path) -> String {
    let mut cells = vec![["node", "rank", "device", "outcome", "code", "lines", "seconds", "log"].map(str::to_owned)];
    for node in &outcome.nodes {
        let ranks = node.ranks.iter().map(|it| (it.rank.to_string(), it.device.to_string(), &it.process));
        let scheduler = node.scheduler.iter().map(|it| ("scheduler".to_owned(), unknown(), it));
        cells.extend(ranks.chain(scheduler).map(|(rank, device, it)| of_process(node, rank, device, it, base)));
        cells.push(of_node(node, base));
    }
    let widths: Vec<usize> =
        (0..8).map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &cells {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    let cause = outcome.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
    text + &format!("{} after {:.1} s{cause}\n", outcome.outcome, outcome.seconds)
}

fn of_process(node: &NodeOutcome, rank: String, device: String, it: &ProcessOutcome, base: &Path) -> [String; 8] {
    let code = it.exit_code.map(|code| code.to_string()).or_else(|| it.signal.clone());
    [
        node.node.to_string(),
        rank,
        device,
        it.outcome.clone().unwrap_or_else(unknown),
        code.unwrap_or_else(unknown),
        it.lines.to_string(),
        it.seconds.map_or_else(unknown, |seconds| format!("{seconds:.1}")),
        from(base, &it.log),
    ]
}

fn of_node(node: &NodeOutcome, base: &Path) -> [String; 8] {
    let code = node.exit_code.map_or_else(unknown, |code| code.to_string());
    let seconds = format!("{:.1}", node.seconds);
    let all = || "all".to_owned();
    let processes = node.ranks.iter().map(|rank| &rank.process).chain(&node.scheduler);
    let lines = processes.map(|it| it.lines).sum::<u64>().to_string();
    [node.node.to_string(), all(), all(), node.outcome.to_owned(), code, lines, seconds, from(base, &node.console)]
}

fn unknown() -> String {
    "-".to_owned()
}

fn from(base: &Path, path: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}
