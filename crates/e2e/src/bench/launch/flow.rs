//! Throughput, and whether every line arrives whole: a file for each rank, and the console.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};

use super::{
    BYTES, LINES, RANKS,
    rivals::{Launcher, Rivals},
};
use crate::bench::{
    meter::Console,
    row::{Bar, Row, Unit},
};

/// Lines of a rank that is a Python program.
const PYTHON_LINES: usize = 25_000;
/// How long a console sleeps that can't keep up, in milliseconds after each 64 KiB. Ranks wait a second for what waits for
/// the console: one that is only slow, and takes that much in less time, loses nothing.
const SLEEP: u32 = 1500;
/// A Python program that prints as training scripts do.
const PYTHON: &str = "
import os, sys
rank, rest = os.environ.get('RANK_ID') or os.environ['RANK'], 'x' * (int(sys.argv[2]) - 11)
for number in range(int(sys.argv[1])):
    print(f'{rank} {number:07} {rest}', flush=True)
";

/// Measures everything.
pub fn run(rivals: &Rivals) -> anyhow::Result<Vec<Row>> {
    let rank = rivals.rank();
    let (lines, bytes, few) = (LINES.to_string(), BYTES.to_string(), PYTHON_LINES.to_string());
    let fast = ["lines", &lines, &bytes].map(str::to_owned);
    let fast: Vec<&str> = [rank.as_str()].into_iter().chain(fast.iter().map(String::as_str)).collect();
    let mut rows = compare(rivals, "8 × 200,000 lines", LINES, &fast)?;
    rows.extend(compare(rivals, "8 × 25,000 lines of Python", PYTHON_LINES, &["python3", "-c", PYTHON, &few, &bytes])?);

    let (rotated, logs, _) = once(rivals, Launcher::Ours, &["--log-max-size", "8MiB"], LINES, 0, &fast)?;
    let count = |figure: &str, value: u64| Row::alone(figure, value as f64, Unit::Count, Bar::AtMost(0.0));
    rows.push(count("lines lost in files that are rotated at 8 MiB", lost_in_files(&logs, LINES)?));
    rows.push(count("lines torn or lost on the console meanwhile", rotated.torn + missing(&rotated, LINES)));

    let (slow, logs, said) = once(rivals, Launcher::Ours, &[], LINES, SLEEP, &fast)?;
    let lost = missing(&slow, LINES);
    rivals.log.say(&format!("a console that sleeps lost {lost} lines, the launcher says {said}"));
    ensure!(lost > 0, "the console was not slow enough to lose a line");
    rows.push(Row::alone("lines lost by a console that sleeps", lost as f64, Unit::Count, Bar::None));
    rows.push(count("beside what it says it lost", lost.abs_diff(said)));
    rows.push(count("lines torn on it", slow.torn));
    rows.push(count("lines lost in files meanwhile", lost_in_files(&logs, LINES)?));
    Ok(rows)
}

/// The same ranks under all launchers, in turns.
fn compare(rivals: &Rivals, what: &str, lines: usize, command: &[&str]) -> anyhow::Result<Vec<Row>> {
    let mut found: BTreeMap<&str, Vec<Console>> = BTreeMap::new();
    let mut lost = 0;
    for round in 1..=rivals.rounds {
        for launcher in rivals.all() {
            let (console, logs, _) = once(rivals, launcher, &[], lines, 0, command)?;
            if launcher == Launcher::Ours {
                lost += lost_in_files(&logs, lines)?;
            }
            rivals.log.say(&format!(
                "{what} {round}/{}: {}: {:.3} s, flow {:.3} s, CPU {:.3} s, {} torn",
                rivals.rounds,
                launcher.name(),
                console.seconds,
                console.flow_seconds,
                console.cpu_seconds,
                console.torn
            ));
            found.entry(launcher.name()).or_default().push(console);
        }
    }
    let ours = &found[Launcher::Ours.name()];
    let all = |of: &[Console], what: fn(&Console) -> f64| of.iter().map(what).collect::<Vec<_>>();
    let worst = |of: &[Console]| of.iter().map(|it| it.torn).max().unwrap_or(0) as f64;
    let mut rows = Vec::new();
    for (name, theirs) in found.iter().filter(|(name, _)| **name != Launcher::Ours.name()) {
        let row = |figure: &str, what: fn(&Console) -> f64, bar| {
            Row::timed(figure, &all(ours, what), name, &all(theirs, what), bar)
        };
        rows.push(row(&format!("{what}, start to exit"), |it| it.seconds, Bar::Faster(2.0)));
        rows.push(row("first byte on the console to last", |it| it.flow_seconds, Bar::None));
        rows.push(row("CPU, ranks and launcher", |it| it.cpu_seconds, Bar::None));
        let torn =
            Row::beside("lines torn on the console, at worst", worst(ours), name, worst(theirs), Bar::AtMost(0.0));
        rows.push(Row { unit: Unit::Count, ..torn });
    }
    let missing = ours.iter().map(|it| missing(it, lines)).max().unwrap_or(0);
    rows.push(Row::alone("lines lost on the console", missing as f64, Unit::Count, Bar::AtMost(0.0)));
    rows.push(Row::alone("lines lost in files", lost as f64, Unit::Count, Bar::AtMost(0.0)));
    Ok(rows)
}

/// One run: what the console got, where the files are, and the lines that the launcher says it skipped. The reader sleeps
/// for `pause` milliseconds after each 64 KiB.
fn once(
    rivals: &Rivals,
    launcher: Launcher,
    flags: &[&str],
    lines: usize,
    pause: u32,
    command: &[&str],
) -> anyhow::Result<(Console, std::path::PathBuf, u64)> {
    let (command, logs) = rivals.launch(launcher, flags, command)?;
    let numbers = [RANKS, lines, BYTES, pause as usize];
    let (console, stderr) = rivals.meter.console(command, &numbers)?;
    let skipped =
        |line: &str| -> Option<u64> { line.strip_prefix("[fmtk-launch] console: ")?.split(' ').next()?.parse().ok() };
    Ok((console, logs, stderr.lines().filter_map(skipped).sum()))
}

fn missing(console: &Console, lines: usize) -> u64 {
    (RANKS * lines) as u64 - console.whole
}

/// Lines of the ranks that are not in their files, each in its place; those of a rank whose files hold more count as lost.
fn lost_in_files(logs: &Path, lines: usize) -> anyhow::Result<u64> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("failed to read `{}`", path.display()));
    let rest = "x".repeat(BYTES - 11);
    let mut lost = 0;
    for rank in 0..RANKS {
        let entries = fs::read_dir(logs).with_context(|| format!("failed to list `{}`", logs.display()))?;
        let name = format!("-proc-rank-{rank}-device-{rank}.txt");
        let last = entries.flatten().map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with(&name));
        let last = last.with_context(|| format!("no `*{name}` in `{}`", logs.display()))?;
        let mut bytes = Vec::new();
        let parts = (1..).map(|number| last.with_extension(format!("txt.{number}"))).take_while(|path| path.exists());
        for part in parts.chain([last.clone()]) {
            bytes.extend(read(&part)?);
        }
        let mut rows = bytes.split_inclusive(|byte| *byte == b'\n');
        let expected = (0..lines).map(|number| format!("{rank} {number:07} {rest}\n"));
        let right = expected.zip(&mut rows).filter(|(line, row)| line.as_bytes() == *row).count();
        lost += if rows.next().is_some() { lines } else { lines - right } as u64;
    }
    Ok(lost)
}
