//! A job that is run again where an earlier run of it has left logs, as platforms do to recover in place: its attempts are
//! counted on, so that no log and no report of an earlier one is overwritten.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::files::Folders;
use super::{Job, Lookup, given_id};
use crate::links;

/// The first attempt of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    pub attempt: u32,
    /// Whether an earlier run has succeeded in it, whose logs this one appends to.
    pub appends: bool,
}

/// The number of the first attempt of this run: 1, or the next after those whose logs or reports are there.
///
/// Only a job that is given an id can be told from another one that was started in the same folder. On a single node, a run
/// that follows one that succeeded is another step of the boot command and not a recovery; of several nodes, one may have
/// succeeded while another failed.
pub fn first_attempt(folders: &Folders, job: &Job, lookup: Lookup) -> First {
    let new = |attempt| First { attempt, appends: false };
    if given_id(&job.nodes, lookup).is_none() {
        return new(1);
    }
    let left = left_behind(folders, job);
    let Some(last) = left.iter().map(|it| it.attempt).max() else { return new(1) };
    let reports = left.iter().filter(|it| it.path.extension().is_some_and(|it| it == "json"));
    let is_over = reports.max_by_key(|it| it.attempt).is_some_and(|it| it.attempt == last && has_succeeded(&it.path));
    if is_over && job.nodes.count == 1 { First { attempt: last, appends: true } } else { new(last.saturating_add(1)) }
}

/// Takes an attempt for this run, by making the log of its first rank: of runs that start at the same time, one makes it. Gives
/// the next number that nobody has taken where another run was faster.
///
/// A log that can't be made is left to the ranks' output, and so is a link or a pipe in its place.
pub fn claim(attempt: u32, folders: &Folders, job: &Job, lookup: Lookup) -> u32 {
    let Some(first) = job.ranks.first().filter(|_| given_id(&job.nodes, lookup).is_some()) else { return attempt };
    let is_taken = |attempt: &u32| {
        let log = folders.log_file(job, first, *attempt);
        let made = links::open(&log, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, 0o644);
        made.is_err_and(|it| it.kind() == ErrorKind::AlreadyExists)
            && fs::symlink_metadata(&log).is_ok_and(|it| it.is_file())
    };
    (attempt..=u32::MAX).find(|it| !is_taken(it)).unwrap_or(attempt)
}

/// A log or a report of an earlier attempt.
struct Left {
    attempt: u32,
    path: PathBuf,
}

/// What attempts of this server's ranks have left. A folder that can't be listed hides it; logs are only appended to then.
fn left_behind(folders: &Folders, job: &Job) -> Vec<Left> {
    let logs = job.ranks.iter().map(|rank| folders.log_file(job, rank, 1));
    let files = logs.chain([folders.report_file(job, 1)]);
    let stems: Vec<String> = files.filter_map(|it| Some(it.file_stem()?.to_str()?.to_owned())).collect();
    let left = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let attempt = stems.iter().find_map(|stem| attempt_of(name.strip_prefix(stem.as_str())?))?;
        Some(Left { attempt, path: entry.path() })
    };
    let entries = fs::read_dir(&folders.logs).into_iter().flatten().flatten();
    // Links, pipes and devices are there because somebody wants the output in them.
    entries.filter(|it| it.file_type().is_ok_and(|it| it.is_file())).filter_map(left).collect()
}

/// The attempt that the rest of a file's name tells: `.txt` or `-attempt-3.txt.1`.
fn attempt_of(rest: &str) -> Option<u32> {
    match rest.strip_prefix("-attempt-") {
        Some(numbered) => numbered.split_once('.')?.0.parse().ok().filter(|it| *it > 0),
        None => rest.starts_with('.').then_some(1),
    }
}

fn has_succeeded(report: &Path) -> bool {
    let report = fs::read(report).ok().and_then(|it| serde_json::from_slice::<serde_json::Value>(&it).ok());
    report.is_some_and(|it| it["outcome"] == "succeeded")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::job::nodes::Nodes;
    use crate::job::tests::{folders, job, of_test};

    /// The first attempt of a run that finds these files; reports have this outcome. The ranks here are 8 and 9.
    fn check(files: &[&str], outcome: &str, nodes: u32, expected: u32) {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(folder.path().join(name), format!(r#"{{"outcome":"{outcome}"}}"#)).unwrap();
        }
        let folders = Folders { logs: folder.path().to_owned(), ..folders() };
        let job = Job { nodes: Nodes { count: nodes, ..Nodes::alone() }, ..job("j") };
        let first = |variables: &[(&str, &str)]| first_attempt(&folders, &job, &of_test(variables)).attempt;
        assert_eq!(first(&[("BATCH_JOB_ID", "j")]), expected, "{files:?} {outcome} {nodes}");
        assert_eq!(first(&[]), 1, "without an id, nothing tells whose they are");
    }

    #[test]
    fn attempts_are_counted_on() {
        const LOG: &str = "j-proc-rank-8-device-0.txt";
        const REPORT: &str = "j-report-rank-8.json";
        check(&[], "", 1, 1);
        check(&[LOG], "", 1, 2);
        check(&[REPORT], "failed", 1, 2);
        check(&[LOG, "j-proc-rank-9-device-1-attempt-4.txt.1"], "", 1, 5);
        check(&[LOG, "j-report-rank-8-attempt-7.json"], "terminated", 2, 8);
        // Those of other ranks and other jobs, and what is none.
        let others = ["j-proc-rank-80-device-0.txt", "jj-proc-rank-8-device-0.txt", "j-report-rank-80-attempt-3.json"];
        check(&others, "failed", 1, 1);
        check(&["j-proc-rank-8-device-0-attempt-x.txt", "j-proc-rank-8-device-0-attempt-0.txt"], "", 1, 1);
        check(&[LOG, "j-proc-rank-8-device-0-attempt-4294967295.txt"], "", 1, u32::MAX);
    }

    #[test]
    fn an_attempt_is_one_run_s() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders { logs: folder.path().to_owned(), ..folders() };
        let claim = |variables: &[(&str, &str)]| claim(1, &folders, &job("j"), &of_test(variables));
        const ID: &[(&str, &str)] = &[("BATCH_JOB_ID", "j")];
        let claimed: BTreeSet<u32> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| claim(ID))).collect();
            runs.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert_eq!(claimed, (1..=8).collect());
        assert_eq!(claim(&[]), 1, "without an id, logs are appended to");
        let log = folder.path().join("j-proc-rank-8-device-0-attempt-9.txt");
        std::os::unix::fs::symlink("/dev/null", log).unwrap();
        assert_eq!(claim(ID), 9, "somebody wants the output there");
        fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(claim(ID), 1, "the folder is gone");
    }

    #[test]
    fn the_next_step_of_a_boot_command_is_no_recovery() {
        let files = ["j-proc-rank-8-device-0.txt", "j-report-rank-8.json"];
        check(&files, "succeeded", 1, 1);
        check(&files, "succeeded", 2, 2);
        // One that was started again has no report under its last number.
        check(&[files[0], files[1], "j-proc-rank-8-device-0-attempt-2.txt"], "succeeded", 1, 3);
    }
}
