//! Processes of this machine, as proc(5) tells of them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;

/// What is in `/proc/PID/stat`.
#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: u32,
    /// User and system, its own and that of children that were waited for, in hundredths of a second.
    ticks: f64,
}

/// CPU time so far of a process and all below it, also of those that have ended, seconds.
pub fn cpu_seconds(root: u32) -> anyhow::Result<f64> {
    let all = all()?;
    Ok(below(root, &all).iter().filter_map(|pid| all.get(pid)).map(|stat| stat.ticks).sum::<f64>() / 100.0)
}

/// The process and all that descend from it.
fn below(root: u32, all: &BTreeMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// Processes whose command line holds this text.
pub fn with_argument(text: &str) -> anyhow::Result<Vec<u32>> {
    let holds = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    Ok(all()?.into_keys().filter(holds).collect())
}

/// Open files of a process; nothing once it is gone.
pub fn open_files(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Its resident set and the largest that it had, bytes; nothing once it is gone.
pub fn memory(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some((bytes("VmRSS:")?, bytes("VmHWM:")?))
}

fn all() -> anyhow::Result<BTreeMap<u32, Stat>> {
    let entries = fs::read_dir("/proc").context("failed to list `/proc`")?.flatten();
    // One that ends meanwhile is none.
    let stats = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, stat(&entry.path())?)));
    Ok(stats.collect())
}

fn stat(process: &Path) -> Option<Stat> {
    parse(&fs::read_to_string(process.join("stat")).ok()?)
}

/// The parent is field 4, the times are fields 14 to 17; the name before them may hold blanks and brackets.
fn parse(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command, Stdio};

    use super::*;

    #[test]
    fn times_of_a_process_are_added_up() {
        let found = parse("7 (a ) b) S 3 7 7 0 -1 4194560 1 2 3 4 100 20 3 4000 20 0 1 0 5 6 7 8").unwrap();
        assert_eq!((found.parent, found.ticks), (3, 4123.0));
        let all = [(7, 1), (8, 7), (9, 8), (10, 1)].map(|(pid, parent)| (pid, Stat { parent, ticks: 0.0 }));
        assert_eq!(below(7, &all.into()), [7, 8, 9]);
    }

    #[test]
    fn a_process_is_found_by_its_arguments_until_it_ends() {
        let mut child = Command::new("cat").arg("-").arg("--").stdin(Stdio::piped()).spawn().unwrap();
        assert!(all().unwrap().get(&child.id()).is_some_and(|stat| stat.parent == process::id()));
        assert!(open_files(child.id()).unwrap() >= 3);
        assert!(memory(process::id()).unwrap().1 >= 1024);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(open_files(child.id()), None);
        assert!(with_argument("no process has this argument").unwrap().iter().all(|pid| *pid == process::id()));
    }
}
