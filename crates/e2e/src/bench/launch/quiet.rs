//! What a launcher costs while it does nothing: memory after much output, wake-ups while all ranks are quiet.

use std::{fs, io, path::Path, thread, time::Duration};

use anyhow::Context;

use super::{
    BYTES, LINES, RANKS,
    launchers::{Launcher, Launchers},
};
use crate::{
    bench::row::{Bar, Row, Unit},
    testbed::{Family, end_by, paths, wait_until},
};

/// How long everything has to be still before it counts.
const STILL: Duration = Duration::from_secs(2);

/// Measures both in one run of each launcher, at the same time: ranks write all lines, stay, and are watched.
pub fn run(launchers: &Launchers, watched: Duration) -> anyhow::Result<Vec<Row>> {
    let (rank, lines, bytes) = (launchers.rank(), LINES.to_string(), BYTES.to_string());
    let mut runs = Vec::new();
    for launcher in launchers.all() {
        let (command, logs) = launchers.launch(launcher, &[], &[&rank, "lines", &lines, &bytes, "stay"])?;
        let mut child = command.stream()?;
        let mut pipe = child.stdout.take().context("no pipe")?;
        let reader = thread::spawn(move || io::copy(&mut pipe, &mut io::sink()));
        // torchrun has no files.
        let until = if launcher == Launcher::Torchrun { 0 } else { RANKS * LINES * BYTES };
        wait_for_bytes(&logs, until as u64)?;
        thread::sleep(STILL);
        let family = Family::wait_for(&launcher.mark(), RANKS)?;
        runs.push((launcher, child, reader, family.pss()?, family));
    }
    thread::sleep(STILL);
    launchers.bench.say(format!("watching quiet ranks for {watched:?}"));
    let switches = || runs.iter().map(|run| run.4.switches()).collect::<anyhow::Result<Vec<_>>>();
    let before = switches()?;
    thread::sleep(watched);
    let after = switches()?;

    let mut found = Vec::new();
    for ((launcher, mut child, reader, pss, _), (before, after)) in runs.into_iter().zip(before.into_iter().zip(after))
    {
        // As the platform does.
        end_by(&mut child, "TERM")?;
        // What could not be read does not matter any more.
        let _ = reader.join();
        launchers.bench.say(format!("{}: {pss} bytes, {} switches", launcher.name(), after - before));
        found.push((launcher.name(), pss as f64, (after - before) as f64));
    }
    let ((_, our_pss, our_switches), others) = found.split_first().context("nobody was measured")?;
    let quiet = format!("context switches, quiet for {} s", watched.as_secs());
    let memory = others.iter().map(|(name, pss, _)| {
        Row::beside("memory after all lines (Pss)", *our_pss, name, *pss, Unit::Bytes, Bar::AtMost(3e6))
    });
    let switches = others
        .iter()
        .map(|(name, _, switches)| Row::beside(&quiet, *our_switches, name, *switches, Unit::Count, Bar::AtMost(0.0)));
    Ok(memory.chain(switches).collect())
}

/// Waits until the files of a folder hold so many bytes.
fn wait_for_bytes(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    wait_until(&format!("`{}` has {bytes} bytes", folder.display()), || {
        let sizes = paths(folder)?.into_iter().filter_map(|path| path.metadata().ok());
        Ok(sizes.filter(fs::Metadata::is_file).map(|meta| meta.len()).sum::<u64>() >= bytes)
    })
}
