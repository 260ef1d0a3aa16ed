//! Throughput, and whether every line arrives whole: a file for each rank, and the console.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

use super::{
    BYTES, LINES, RANKS,
    launchers::{Launcher, Launchers},
};
use crate::{
    bench::{
        meter::Console,
        row::{Bar, Row, Unit},
    },
    testbed::{bytes, data, name, paths, read},
};

/// Lines of a rank that is a Python program.
const PYTHON_LINES: usize = 25_000;
/// How long a console sleeps that can't keep up, in milliseconds after each 64 KiB. Ranks wait a second for what waits for
/// the console: one that is only slow, and takes that much in less time, loses nothing.
const SLEEP: usize = 1500;

pub fn run(launchers: &Launchers) -> anyhow::Result<Vec<Row>> {
    let (rank, python) = (launchers.rank(), read(&data("lines.py"))?);
    let (lines, length, few) = (LINES.to_string(), BYTES.to_string(), PYTHON_LINES.to_string());
    let fast = [rank.as_str(), "lines", &lines, &length];
    let mut rows = compare(launchers, "8 × 200,000 lines", LINES, &fast)?;
    let slow = ["python3", "-c", &python, &few, &length];
    rows.extend(compare(launchers, "8 × 25,000 lines of Python", PYTHON_LINES, &slow)?);

    let ours = |flags: &[&str], pause| once(launchers, Launcher::Ours, flags, LINES, pause, &fast);
    let count = |figure: &str, value: u64| Row::alone(figure, value as f64, Unit::Count, Bar::AtMost(0.0));
    let (rotated, logs, _) = ours(&["--log-max-size", "8MiB"], 0)?;
    rows.push(count("lines lost in files that are rotated at 8 MiB", lost_in_files(&logs, 0..RANKS, LINES)?));
    rows.push(count("lines torn or lost on the console meanwhile", rotated.torn + missing(&rotated, LINES)));

    let (slow, logs, said) = ours(&[], SLEEP)?;
    let lost = missing(&slow, LINES);
    launchers.bench.say(format!("a console that sleeps lost {lost} lines, the launcher says {said}"));
    ensure!(lost > 0, "the console was not slow enough to lose a line");
    rows.push(Row::alone("lines lost by a console that sleeps", lost as f64, Unit::Count, Bar::None));
    rows.push(count("beside what it says it lost", lost.abs_diff(said)));
    rows.push(count("lines torn on it", slow.torn));
    rows.push(count("lines lost in files meanwhile", lost_in_files(&logs, 0..RANKS, LINES)?));
    Ok(rows)
}

/// The same ranks under all launchers, in turns.
fn compare(launchers: &Launchers, what: &str, lines: usize, command: &[&str]) -> anyhow::Result<Vec<Row>> {
    let mut lost = 0;
    let (ours, others) = launchers.in_turns(what, |launcher| {
        let (console, logs, _) = once(launchers, launcher, &[], lines, 0, command)?;
        if launcher == Launcher::Ours {
            lost += lost_in_files(&logs, 0..RANKS, lines)?;
        }
        Ok(console)
    })?;
    let all = |of: &[Console], what: fn(&Console) -> f64| of.iter().map(what).collect::<Vec<_>>();
    let worst = |of: &[Console]| of.iter().map(|it| it.torn).max().unwrap_or(0) as f64;
    let mut rows = Vec::new();
    for (name, theirs) in &others {
        let row = |figure: &str, what: fn(&Console) -> f64, bar| {
            Row::timed(figure, &all(&ours, what), name, &all(theirs, what), bar)
        };
        rows.push(row(&format!("{what}, start to exit"), |it| it.seconds, Bar::Faster(2.0)));
        rows.push(row("first byte on the console to last", |it| it.flow_seconds, Bar::None));
        rows.push(row("CPU, ranks and launcher", |it| it.cpu_seconds, Bar::None));
        let (figure, bar) = ("lines torn on the console, at worst", Bar::AtMost(0.0));
        rows.push(Row::beside(figure, worst(&ours), name, worst(theirs), Unit::Count, bar));
    }
    let missing = ours.iter().map(|it| missing(it, lines)).max().unwrap_or(0);
    rows.push(Row::alone("lines lost on the console", missing as f64, Unit::Count, Bar::AtMost(0.0)));
    rows.push(Row::alone("lines lost in files", lost as f64, Unit::Count, Bar::AtMost(0.0)));
    Ok(rows)
}

/// One run: what the console got, where the files are, and the lines that the launcher says it skipped. The reader sleeps
/// for `pause` milliseconds after each 64 KiB.
fn once(
    launchers: &Launchers,
    launcher: Launcher,
    flags: &[&str],
    lines: usize,
    pause: usize,
    command: &[&str],
) -> anyhow::Result<(Console, PathBuf, u64)> {
    let (command, logs) = launchers.launch(launcher, flags, command)?;
    let (console, stderr) = launchers.bench.meter.console(command, &[RANKS, lines, BYTES, pause])?;
    let skipped =
        |line: &str| -> Option<u64> { line.strip_prefix("[fmtk-launch] console: ")?.split(' ').next()?.parse().ok() };
    Ok((console, logs, stderr.lines().filter_map(skipped).sum()))
}

fn missing(console: &Console, lines: usize) -> u64 {
    (RANKS * lines) as u64 - console.whole
}

/// Lines of these ranks that are not in their files, each in its place; those of a rank whose files hold more count as lost.
pub fn lost_in_files(logs: &Path, ranks: Range<usize>, lines: usize) -> anyhow::Result<u64> {
    let rest = "x".repeat(BYTES - 11);
    let files = paths(logs)?;
    let mut lost = 0;
    for rank in ranks {
        let part = format!("-proc-rank-{rank}-device-");
        let last = files.iter().find(|path| name(path).contains(&part) && name(path).ends_with(".txt"));
        let last = last.with_context(|| format!("no `*{part}*.txt` in `{}`", logs.display()))?;
        let parts = (1..).map(|number| last.with_extension(format!("txt.{number}"))).take_while(|path| path.exists());
        let text = parts.chain([last.clone()]).map(|part| bytes(&part)).collect::<anyhow::Result<Vec<_>>>()?.concat();
        let mut rows = text.split_inclusive(|byte| *byte == b'\n');
        let expected = (0..lines).map(|number| format!("{rank} {number:07} {rest}\n"));
        let right = expected.zip(&mut rows).filter(|(line, row)| line.as_bytes() == *row).count();
        lost += if rows.next().is_some() { lines } else { lines - right } as u64;
    }
    Ok(lost)
}
