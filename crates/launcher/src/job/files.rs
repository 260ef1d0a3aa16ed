//! The folders and files of a job on this server, and what they are called.

use std::path::{Path, PathBuf};

use super::{Job, Lookup, Processes, Rank, is_rank};

/// The folders that the ranks of this server share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    pub code: PathBuf,
    pub logs: PathBuf,
    /// The v1 rank table, if there is a table.
    pub table: Option<PathBuf>,
    /// Parent of the devices' folders.
    pub work: PathBuf,
    /// Whether HOME is of no use.
    pub replace_home: bool,
}

impl Folders {
    pub fn work_of(&self, rank: &Rank) -> PathBuf {
        device_folder(&self.work, rank.device)
    }

    pub fn process_log(&self, job: &Job, rank: &Rank, lookup: Lookup) -> PathBuf {
        let own = format!("rank_{}", rank.rank);
        let Some(preset) = lookup("ASCEND_PROCESS_LOG_PATH").map(PathBuf::from) else {
            return self.logs.join(file_name(&job.id)).join("ascend/process_log").join(own);
        };
        // The ranks have another working folder.
        let preset = std::path::absolute(&preset).unwrap_or(preset);
        // In the environment of a rank of the vendor's scripts: a neighbour of its folder, not a folder in it. Where each rank
        // may start a launcher, their jobs have ranks of the same numbers.
        let outer = lookup("RANK_ID").filter(|_| !is_rank(lookup));
        let outer = outer.map(|it| format!("rank_{}", it.to_string_lossy()));
        match preset.parent() {
            Some(parent) if outer.is_some_and(|outer| preset.ends_with(outer)) => parent.join(own),
            _ => preset.join(own),
        }
    }

    /// The log file of a rank, named as by the vendor's scripts; with the attempt from the second on. That of the scripts
    /// themselves is beside those that they write.
    pub fn log_file(&self, job: &Job, rank: &Rank, attempt: u32) -> PathBuf {
        let own = match job.processes {
            Processes::Ranks => format!("proc-rank-{}-device-{}", rank.rank, rank.device),
            Processes::PerNode(_) => format!("command-node-{}", rank.rank),
            Processes::Scripts => format!("scripts-node-{}", rank.rank),
        };
        self.logs.join(format!("{}-{own}{}.txt", file_name(&job.id), suffix(attempt)))
    }

    /// The log file of MindSpore's scheduler.
    pub fn scheduler_log(&self, job: &Job, attempt: u32) -> PathBuf {
        self.logs.join(format!("{}-scheduler{}.txt", file_name(&job.id), suffix(attempt)))
    }

    /// The report of a run whose first attempt has this number.
    pub fn report_file(&self, job: &Job, attempt: u32) -> PathBuf {
        let first = job.ranks.first().map_or(0, |it| it.rank);
        let what = if job.starts_ranks() { "rank" } else { "node" };
        self.logs.join(format!("{}-report-{what}-{first}{}.json", file_name(&job.id), suffix(attempt)))
    }
}

/// What the name of a file of this attempt ends with.
fn suffix(attempt: u32) -> String {
    if attempt > 1 { format!("-attempt-{attempt}") } else { String::new() }
}

/// The work folder of `device` (its logical index on this server) below the folder of all of them.
pub fn device_folder(work: &Path, device: u32) -> PathBuf {
    work.join(format!("device{device}"))
}

/// A job's id as part of a file's name. One that can't be a name as it is ends with a hash of itself, so that two different ids
/// have different files.
pub fn file_name(id: &str) -> String {
    // A name has 255 bytes at most; what is appended to the id, numbers and all, takes less than 80.
    let end = id.floor_char_boundary(150);
    let name: String = id[..end].chars().map(|it| if it == '/' || it.is_control() { '_' } else { it }).collect();
    let name = if name == "." || name == ".." { name.replace('.', "_") } else { name };
    if name == id { name } else { format!("{name}-{:08x}", fnv_1a(id) >> 32) }
}

/// FNV-1a, the same in every build. The upper bits are mixed best.
pub fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, it| (hash ^ u64::from(it)).wrapping_mul(0x100_0000_01b3))
}

/// A name with those characters alone that the tuning kit allows in a folder's.
pub fn plain(name: &str) -> String {
    name.chars().map(|it| if it.is_ascii_alphanumeric() || "-_".contains(it) { it } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::job::tests::{folders, job, of_test};

    #[test]
    fn process_logs_are_never_shared() {
        let here = std::env::current_dir().expect("a working folder").join("own/rank_9");
        for (variables, expected) in [
            (&[][..], "/log/j_1-44892f19/ascend/process_log/rank_9"),
            (&[("ASCEND_PROCESS_LOG_PATH", "/own")], "/own/rank_9"),
            (&[("ASCEND_PROCESS_LOG_PATH", "/own/rank_3"), ("RANK_ID", "3")], "/own/rank_9"),
            (&[("ASCEND_PROCESS_LOG_PATH", "/own/rank_3")], "/own/rank_3/rank_9"),
            (
                &[("ASCEND_PROCESS_LOG_PATH", "/own/rank_3"), ("RANK_ID", "3"), ("RANK", "3"), ("FMTK_ATTEMPT", "1")],
                "/own/rank_3/rank_9",
            ),
            (&[("ASCEND_PROCESS_LOG_PATH", "own")], here.to_str().expect("UTF-8")),
        ] {
            let job = job("j/1");
            let found = folders().process_log(&job, &job.ranks[1], &of_test(variables));
            assert_eq!(found.to_str(), Some(expected));
        }
    }

    #[test]
    fn files() {
        let name = |id: &str, attempt| folders().log_file(&job(id), &job(id).ranks[1], attempt).display().to_string();
        assert_eq!(name("modelarts-job-1", 1), "/log/modelarts-job-1-proc-rank-9-device-1.txt");
        assert_eq!(name("../x", 2), "/log/.._x-7132eda6-proc-rank-9-device-1-attempt-2.txt");
        let long = name(&"ü".repeat(150), u32::MAX);
        assert!(long.len() < 240 && long.contains("ü-c96cd02e-proc-rank-9-device-1-attempt-4294967295.txt"), "{long}");
        let names: BTreeSet<_> = ["a/b", "a\nb", "a_b", "..", ".", "__", "_"].map(|it| name(it, 1)).into();
        assert_eq!(names.len(), 7, "{names:?}");
        let report = |attempt| folders().report_file(&job("j"), attempt).display().to_string();
        assert_eq!([report(1), report(3)], ["/log/j-report-rank-8.json", "/log/j-report-rank-8-attempt-3.json"]);
    }
}
