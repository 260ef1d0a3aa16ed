//! Who is left, and which lines are lost, when one of two nodes is hit and the cluster's engine stops the other one.

use std::{
    io::{self, Read},
    path::Path,
    process::Child,
    thread::{self, JoinHandle},
};

use anyhow::{Context, anyhow};

use super::{BYTES, flow::lost_in_files, launchers::Launchers};
use crate::{
    bench::row::{Bar, Row, Unit},
    testbed::{Family, free_port, names, signal, wait_until},
};

/// Of each node.
const RANKS: usize = 4;
const LINES: usize = 5_000;

/// A rank that has written its lines stays, with a child that does not heed SIGTERM.
const SCRIPT: &str = "(trap '' TERM; while :; do sleep 1; done) > /dev/null &
    \"$0\" lines \"$1\" \"$2\" && : > \"$3/$RANK_ID\"; exec sleep 600";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The process that was started.
    Guardian,
    /// Its child, which started the ranks.
    Launcher,
    Rank,
}

const CASES: [(Victim, &str); 7] = [
    (Victim::Guardian, "TERM"),
    (Victim::Guardian, "INT"),
    (Victim::Guardian, "HUP"),
    (Victim::Guardian, "KILL"),
    (Victim::Launcher, "TERM"),
    (Victim::Launcher, "KILL"),
    (Victim::Rank, "KILL"),
];

/// What a case left and lost, of both nodes.
#[derive(Debug, Default)]
struct Loss {
    survivors: usize,
    /// Lines that are not in their files, or not in their place.
    in_files: u64,
    /// The same of the consoles.
    on_consoles: u64,
}

/// A node of the job: its launcher, and what that prints.
struct Node {
    child: Child,
    console: JoinHandle<io::Result<Vec<u8>>>,
    /// In the environment of all of its processes.
    mark: String,
}

/// Counts over all cases, each with either node as the one that is hit.
pub fn run(launchers: &Launchers) -> anyhow::Result<Vec<Row>> {
    let mut all = Loss::default();
    for (victim, name) in CASES {
        for hit in [0, 1] {
            let loss = case(launchers, victim, name, hit)?;
            launchers.bench.say(format!("SIG{name} to the {victim:?} of node {hit}: {loss:?}"));
            all.survivors += loss.survivors;
            all.in_files += loss.in_files;
            all.on_consoles += loss.on_consoles;
        }
    }
    let figure = format!("survivors on 2 nodes, {} endings", 2 * CASES.len());
    let count = |figure: &str, value: f64| Row::alone(figure, value, Unit::Count, Bar::AtMost(0.0));
    Ok(vec![
        count(&figure, all.survivors as f64),
        count("lines torn or lost in files", all.in_files as f64),
        count("lines torn or lost on the consoles", all.on_consoles as f64),
    ])
}

fn case(launchers: &Launchers, victim: Victim, name: &str, hit: usize) -> anyhow::Result<Loss> {
    let (logs, written) = ([0, 1].map(|node| format!("node-{node}")), launchers.bench.fresh("written")?);
    let master = free_port()?.to_string();
    let mut nodes = Vec::new();
    for (index, logs) in logs.iter().enumerate() {
        nodes.push(node(launchers, index, &launchers.bench.fresh(logs)?, &written, &master)?);
    }
    wait_until("all ranks have written their lines", || Ok(names(&written)?.len() == 2 * RANKS))?;

    let (guardian, family) = (nodes[hit].child.id(), Family::of(&nodes[hit].mark)?);
    let launcher = family.own.iter().copied().find(|pid| *pid != guardian).context("the launcher is one process")?;
    let pid = match victim {
        Victim::Guardian => guardian,
        Victim::Launcher => launcher,
        Victim::Rank => *family.ranks.iter().min().context("there are no ranks")?,
    };
    signal(pid, name)?;
    nodes[hit].child.wait().context("failed to wait for the launcher")?;
    // What the engine does when one of its nodes has ended.
    signal(nodes[1 - hit].child.id(), "TERM")?;

    let mut loss = Loss::default();
    for (index, mut node) in nodes.into_iter().enumerate() {
        node.child.wait().context("failed to wait for the launcher")?;
        let left = Family::left_behind(&node.mark)?;
        loss.survivors += left.ranks.len();
        // Its console ends with the last of them.
        left.kill();
        let console = node.console.join().map_err(|_| anyhow!("the reader of a console failed"))?;
        let ranks = index * RANKS..(index + 1) * RANKS;
        loss.in_files += lost_in_files(&launchers.bench.path(&logs[index]), ranks.clone(), LINES)?;
        let console = console.context("failed to read a console")?;
        loss.on_consoles += ranks.map(|rank| lost_on_console(&console, rank)).sum::<u64>();
    }
    Ok(loss)
}

fn node(launchers: &Launchers, index: usize, logs: &Path, written: &Path, master: &str) -> anyhow::Result<Node> {
    let mark = format!("FMTK_BENCH_NODE={index}-{}", std::process::id());
    let (name, value) = mark.split_once('=').context("a mark without a value")?;
    let run = launchers.bench.command(&launchers.program).words("run --framework plain --grace 1s --devices 0-3");
    let run = run.args(["--nnodes", "2", "--node-rank", &index.to_string(), "--master", master, "--log-dir"]).arg(logs);
    let run = run.args(["--", "sh", "-c", SCRIPT, &launchers.rank(), &LINES.to_string(), &BYTES.to_string()]);
    let mut child = run.arg(written).env("BATCH_JOB_ID", "bench").env(name, value).stream()?;
    let mut pipe = child.stdout.take().context("no pipe")?;
    let console = thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).map(|_| text)
    });
    Ok(Node { child, console, mark })
}

/// Lines of a rank that a console has not shown in their order, and those that it has shown otherwise.
fn lost_on_console(text: &[u8], rank: usize) -> u64 {
    let (prefix, rest) = (format!("[rank {rank}] {rank} "), "x".repeat(BYTES - 11));
    let shown = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.starts_with(prefix.as_bytes()));
    let expected = (0..LINES).map(|number| format!("{prefix}{number:07} {rest}\n"));
    (LINES - expected.zip(shown).filter(|(line, shown)| line.as_bytes() == *shown).count()) as u64
}
