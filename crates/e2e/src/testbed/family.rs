//! The processes of a launcher, by a mark in their environment.

use std::fs;

use anyhow::Context;

use super::wait::{signal, wait_until};

#[derive(Debug, Default)]
pub struct Family {
    /// The launcher's own: guardian, `tee`s.
    pub own: Vec<u32>,
    /// Ranks and what they started.
    pub ranks: Vec<u32>,
}

impl Family {
    /// Those that have `NAME=VALUE` in their environment.
    pub fn of(mark: &str) -> anyhow::Result<Self> {
        let mut family = Self::default();
        for entry in fs::read_dir("/proc").context("failed to list `/proc`")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A zombie has none, and is gone for all that matters here.
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let variables = || environment.split(|byte| *byte == 0);
            if variables().any(|it| it == mark.as_bytes()) {
                let is_rank = variables().any(|it| it.starts_with(b"RANK_ID=") || it.starts_with(b"RANK="));
                if is_rank { family.ranks.push(pid) } else { family.own.push(pid) }
            }
        }
        Ok(family)
    }

    /// Waits until there are at least so many processes of the ranks.
    pub fn wait_for(mark: &str, ranks: usize) -> anyhow::Result<Self> {
        let mut family = Self::default();
        wait_until(&format!("{ranks} processes of ranks are there"), || {
            family = Self::of(mark)?;
            Ok(family.ranks.len() >= ranks)
        })?;
        Ok(family)
    }

    /// Waits until nobody is left to end the ranks and none of them is just about to end. Who is there then stays.
    pub fn left_behind(mark: &str) -> anyhow::Result<Self> {
        let mut family = Self::default();
        wait_until("who is to end has ended", || {
            family = Self::of(mark)?;
            let may_end_them = |pid: &u32| !proc(*pid, "comm").is_ok_and(|name| name.trim() == "tee");
            let is_settled = !family.own.iter().any(may_end_them) && family.ranks.iter().all(|pid| sleeps(*pid));
            Ok(family.ranks.is_empty() || is_settled)
        })?;
        Ok(family)
    }

    pub fn kill(&self) {
        // One may have ended by itself.
        self.ranks.iter().chain(&self.own).for_each(|pid| drop(signal(*pid, "KILL")));
    }

    /// Sum of the proportional set sizes of the launcher's own, bytes.
    pub fn pss(&self) -> anyhow::Result<u64> {
        let of = |pid: &u32| number(&proc(*pid, "smaps_rollup")?, "Pss:").context("no `Pss:`").map(|kib| kib * 1024);
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

/// Whether a process waits for something and no signal is on its way to it.
fn sleeps(pid: u32) -> bool {
    let status = proc(pid, "status").unwrap_or_default();
    let is = |name: &str, expected: &str| status.lines().any(|line| line.starts_with(name) && line.contains(expected));
    is("State:", "S (") && is("SigPnd:", "0000000000000000") && is("ShdPnd:", "0000000000000000")
}

fn proc(pid: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))
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
