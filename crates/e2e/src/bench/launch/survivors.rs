//! Who is left when a launcher is gone.

use anyhow::Context;

use super::{
    RANKS,
    launchers::{Launcher, Launchers},
};
use crate::{
    bench::row::{Bar, Row, Unit},
    testbed::{Family, signal},
};

const SLEEPER: &str = "exec sleep 600";
/// A rank with a child that does not heed SIGTERM.
const STUBBORN: &str = "(trap '' TERM; while :; do sleep 1; done) & exec sleep 600";

/// What happens, the signal, whether it goes to the second process of ours, which nobody else has, and what ranks do.
const CASES: [(&str, &str, bool, &str); 5] = [
    ("SIGINT", "INT", false, SLEEPER),
    ("SIGHUP", "HUP", false, SLEEPER),
    ("SIGKILL", "KILL", false, SLEEPER),
    ("SIGTERM with a stubborn grandchild", "TERM", false, STUBBORN),
    ("SIGKILL of our second process", "KILL", true, SLEEPER),
];

/// Counts the cases that leave a process of the ranks.
pub fn run(launchers: &Launchers) -> anyhow::Result<Vec<Row>> {
    let mut left = Vec::new();
    for launcher in launchers.all() {
        let mut cases = 0;
        for (what, name, to_second, script) in CASES {
            if to_second && launcher != Launcher::Ours {
                continue;
            }
            let count = survivors(launchers, launcher, name, to_second, script)?;
            launchers.bench.say(format!("{}: {what}: {count} survivors", launcher.name()));
            cases += usize::from(count > 0);
        }
        left.push((launcher.name(), cases as f64));
    }
    let figure = "endings that leave somebody (theirs of 4)";
    let row = |(name, cases): &(&str, f64)| Row::beside(figure, left[0].1, name, *cases, Unit::Count, Bar::AtMost(0.0));
    Ok(left[1..].iter().map(row).collect())
}

fn survivors(
    launchers: &Launchers,
    launcher: Launcher,
    name: &str,
    to_second: bool,
    script: &str,
) -> anyhow::Result<usize> {
    let (command, _) = launchers.launch(launcher, &["--grace", "1s"], &["sh", "-c", script])?;
    let mut child = command.spawn()?;
    let processes = if script == STUBBORN { 2 * RANKS } else { RANKS };
    let family = Family::wait_for(&launcher.mark(), processes)?;
    let second = family.own.iter().copied().find(|pid| *pid != child.id());
    signal(second.filter(|_| to_second).unwrap_or(child.id()), name)?;
    child.wait().context("failed to wait for the launcher")?;
    let left = Family::left_behind(&launcher.mark())?;
    left.kill();
    Ok(left.ranks.len())
}
