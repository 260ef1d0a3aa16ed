//! What a launcher costs while it does nothing: memory after much output, wake-ups while all ranks are quiet.

use std::{fs, io, path::Path, process::Child, thread, time::Duration};

use anyhow::Context;

use super::{
    BYTES, LINES, RANKS,
    family::Family,
    rivals::{Launcher, Rivals},
};
use crate::{
    bench::row::{Bar, Row, Unit},
    testbed::wait_until,
};

/// How long everything has to be still before it counts.
const STILL: Duration = Duration::from_secs(2);

/// Measures both in one run of each launcher, at the same time: ranks write all lines, stay, and are watched.
pub fn run(rivals: &Rivals, watched: Duration) -> anyhow::Result<Vec<Row>> {
    let rank = rivals.rank();
    let (lines, bytes) = (LINES.to_string(), BYTES.to_string());
    let mut runs = Vec::new();
    for launcher in rivals.all() {
        let (command, logs) = rivals.launch(launcher, &[], &[&rank, "lines", &lines, &bytes, "stay"])?;
        let mut child = command.stream()?;
        let mut pipe = child.stdout.take().context("no pipe")?;
        let reader = thread::spawn(move || io::copy(&mut pipe, &mut io::sink()));
        // torchrun has no files.
        let until = if launcher == Launcher::Torchrun { 0 } else { RANKS * LINES * BYTES };
        wait_for_bytes(&logs, until as u64)?;
        thread::sleep(STILL);
        let family = Family::wait_for(launcher, RANKS)?;
        runs.push((launcher, child, reader, family.pss()?, family));
    }
    thread::sleep(STILL);
    rivals.log.say(&format!("watching quiet ranks for {watched:?}"));
    let before = runs.iter().map(|run| run.4.switches()).collect::<anyhow::Result<Vec<_>>>()?;
    thread::sleep(watched);
    let after = runs.iter().map(|run| run.4.switches()).collect::<anyhow::Result<Vec<_>>>()?;

    let mut found = Vec::new();
    for ((launcher, mut child, reader, pss, _), (before, after)) in runs.into_iter().zip(before.into_iter().zip(after))
    {
        end(&mut child)?;
        // What could not be read does not matter any more.
        let _ = reader.join();
        rivals.log.say(&format!("{}: {pss} bytes, {} switches", launcher.name(), after - before));
        found.push((launcher.name(), pss as f64, (after - before) as f64));
    }
    let seconds = watched.as_secs();
    let mut rows = Vec::new();
    let (_, our_pss, our_switches) = found[0];
    for (name, pss, _) in &found[1..] {
        let figure = "memory after all lines (Pss)";
        rows.push(Row { unit: Unit::Bytes, ..Row::beside(figure, our_pss, name, *pss, Bar::AtMost(3e6)) });
    }
    for (name, _, switches) in &found[1..] {
        let figure = format!("context switches, quiet for {seconds} s");
        rows.push(Row { unit: Unit::Count, ..Row::beside(&figure, our_switches, name, *switches, Bar::AtMost(0.0)) });
    }
    Ok(rows)
}

/// Waits until the files of a folder hold so many bytes.
fn wait_for_bytes(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    wait_until(&format!("`{}` has {bytes} bytes", folder.display()), || {
        let entries = fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))?;
        let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
        let found: u64 = sizes.filter(fs::Metadata::is_file).map(|meta| meta.len()).sum();
        Ok(found >= bytes)
    })
}

/// Has the launcher end as the platform does, and waits for it.
fn end(child: &mut Child) -> anyhow::Result<()> {
    super::survivors::signal(child.id(), libc::SIGTERM);
    child.wait().context("failed to wait for the launcher")?;
    Ok(())
}
