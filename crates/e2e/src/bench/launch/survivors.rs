//! Who is left when a launcher is gone.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{
    RANKS,
    family::Family,
    rivals::{Launcher, Rivals},
};
use crate::bench::row::{Bar, Row, Unit};

/// How long the system gets to end what was killed, after the launcher is gone.
const SETTLED: Duration = Duration::from_secs(5);

/// A rank with a child that does not heed SIGTERM.
const STUBBORN: &str = "(trap '' TERM; while :; do sleep 1; done) & exec sleep 600";

/// What is done to whom.
const CASES: [(&str, i32, Victim, &str); 5] = [
    ("SIGINT", libc::SIGINT, Victim::Started, "exec sleep 600"),
    ("SIGHUP", libc::SIGHUP, Victim::Started, "exec sleep 600"),
    ("SIGKILL", libc::SIGKILL, Victim::Started, "exec sleep 600"),
    ("SIGTERM with a stubborn grandchild", libc::SIGTERM, Victim::Started, STUBBORN),
    ("SIGKILL of our second process", libc::SIGKILL, Victim::Second, "exec sleep 600"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The process that was started.
    Started,
    /// The other one of ours; nobody else has one.
    Second,
}

/// Counts the cases that leave a process of the ranks.
pub fn run(rivals: &Rivals) -> anyhow::Result<Vec<Row>> {
    let mut left = Vec::new();
    for launcher in rivals.all() {
        let mut cases = 0;
        for (what, number, victim, script) in CASES {
            if victim == Victim::Second && launcher != Launcher::Ours {
                continue;
            }
            let count = survivors(rivals, launcher, number, victim, script)?;
            rivals.log.say(&format!("{}: {what}: {count} survivors", launcher.name()));
            cases += usize::from(count > 0);
        }
        left.push((launcher.name(), cases as f64));
    }
    let row = |(name, cases): &(&str, f64)| {
        let bar = Bar::AtMost(0.0);
        Row {
            unit: Unit::Count,
            ..Row::beside("endings that leave somebody (theirs of 4)", left[0].1, name, *cases, bar)
        }
    };
    Ok(left[1..].iter().map(row).collect())
}

fn survivors(rivals: &Rivals, launcher: Launcher, number: i32, victim: Victim, script: &str) -> anyhow::Result<usize> {
    let (command, _) = rivals.launch(launcher, &["--grace", "1s"], &["sh", "-c", script])?;
    let mut child = command.spawn()?;
    let processes = if script == STUBBORN { 2 * RANKS } else { RANKS };
    let family = Family::wait_for(launcher, processes)?;
    let second = family.own.iter().copied().find(|pid| *pid != child.id());
    signal(if victim == Victim::Second { second.unwrap_or(child.id()) } else { child.id() }, number);
    child.wait().context("failed to wait for the launcher")?;
    let begin = Instant::now();
    loop {
        let left = Family::of(launcher)?;
        if left.ranks.is_empty() || begin.elapsed() > SETTLED {
            left.ranks.iter().chain(&left.own).for_each(|pid| signal(*pid, libc::SIGKILL));
            return Ok(left.ranks.len());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Sends a signal to a process that we started or that descends from one; it may be gone.
#[allow(unsafe_code)]
pub fn signal(pid: u32, number: i32) {
    let Ok(pid) = i32::try_from(pid) else { return };
    // SAFETY: kill(2) takes numbers only, and a positive one names a single process.
    unsafe { libc::kill(pid, number) };
}
