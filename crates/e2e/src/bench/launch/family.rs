//! The processes of a run, by the mark in their environment.

use std::fs;

use anyhow::Context;

use super::rivals::{Launcher, MARK};
use crate::testbed::wait_until;

/// The processes of a launcher.
#[derive(Debug, Default)]
pub struct Family {
    /// The launcher's own: guardian, `tee`s.
    pub own: Vec<u32>,
    /// Ranks and what they started.
    pub ranks: Vec<u32>,
}

impl Family {
    /// Those that live.
    pub fn of(launcher: Launcher) -> anyhow::Result<Self> {
        let mark = format!("{MARK}={}", launcher.mark());
        let mut family = Self::default();
        for entry in fs::read_dir("/proc").context("failed to list `/proc`")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A zombie has none, and is gone for all that matters here.
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let has = |start: &str| environment.split(|byte| *byte == 0).any(|it| it.starts_with(start.as_bytes()));
            if !has(&mark) {
                continue;
            }
            let is_rank = has("RANK_ID=") || has("RANK=");
            if is_rank { family.ranks.push(pid) } else { family.own.push(pid) }
        }
        Ok(family)
    }

    /// Waits until there are at least so many processes of the ranks.
    pub fn wait_for(launcher: Launcher, ranks: usize) -> anyhow::Result<Self> {
        let mut family = Self::default();
        wait_until(&format!("{} has started {ranks} processes", launcher.name()), || {
            family = Self::of(launcher)?;
            Ok(family.ranks.len() >= ranks)
        })?;
        Ok(family)
    }

    /// Sum of the proportional set sizes of the launcher's own, bytes.
    pub fn pss(&self) -> anyhow::Result<u64> {
        let of = |pid: &u32| {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))?;
            number(&text, "Pss:").map(|kib| kib * 1024).with_context(|| format!("no `Pss:` in `{path}`"))
        };
        self.own.iter().map(of).sum()
    }

    /// Context switches of all threads of the launcher's own, since they began.
    pub fn switches(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for pid in &self.own {
            let path = format!("/proc/{pid}/task");
            for task in fs::read_dir(&path).with_context(|| format!("failed to list `{path}`"))?.flatten() {
                let text = fs::read_to_string(task.path().join("status")).unwrap_or_default();
                sum += number(&text, "voluntary_ctxt_switches:").unwrap_or(0);
                sum += number(&text, "nonvoluntary_ctxt_switches:").unwrap_or(0);
            }
        }
        Ok(sum)
    }
}

/// The number behind a name at the start of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let text = "Pss_Dirty:  4 kB\nPss:    1234 kB\nnonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t5\n";
        assert_eq!(number(text, "Pss:"), Some(1234));
        assert_eq!(number(text, "voluntary_ctxt_switches:"), Some(5));
        assert_eq!(number(text, "Rss:"), None);
    }
}
