//! The processes of this machine, or container, as /proc has them.
//!
//! A scan is no snapshot: processes come and go while it runs, so who must find all of them scans again until none is new.

mod stat;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use libc::pid_t;

pub use stat::{Process, parse};

/// How many ticks of [`Process::ticks`] make a second: USER_HZ, which is 100 on x86-64 and
/// aarch64 whatever the kernel's own clock is.
pub const TICKS_PER_SECOND: u64 = 100;

/// Every process, zombies too (see [`Process::is_alive`]), ascending by pid where the kernel lists them so. `proc` is where procfs is mounted.
///
/// Those that end meanwhile, and what can't be read or understood, are left out.
pub fn list(proc: &Path) -> io::Result<Vec<Process>> {
    let mut text = Vec::new();
    let mut processes = Vec::new();
    for entry in fs::read_dir(proc)? {
        // An error in the middle means that /proc itself is broken; what there is so far would pass for all.
        let name = entry?.file_name();
        if number(&name).is_some() {
            processes.extend(read(&proc.join(name), &mut text));
        }
    }
    Ok(processes)
}

/// One process; `None` where it has gone.
pub fn process(proc: &Path, pid: pid_t) -> Option<Process> {
    read(&proc.join(pid.to_string()), &mut Vec::new())
}

/// The direct children of `pid`, zombies too; none where it has gone.
///
/// Read from each thread's `children` where the kernel has that file (CONFIG_PROC_CHILDREN), else by a scan of all.
pub fn children(proc: &Path, pid: pid_t) -> io::Result<Vec<pid_t>> {
    match quick_children(proc, pid) {
        Some(children) => Ok(children),
        None => Ok(list(proc)?.iter().filter(|process| process.parent == pid).map(|process| process.pid).collect()),
    }
}

/// All below `ancestor` in `processes`, without itself, parents before their children.
pub fn descendants(processes: &[Process], ancestor: pid_t) -> Vec<pid_t> {
    let mut seen = HashSet::from([ancestor]);
    let mut found = Vec::new();
    below(processes, vec![ancestor], &mut seen, &mut found);
    found
}

/// What belongs to the rank that `leader` leads: its session, and all that descends from a member of it.
///
/// Double forks that left the session have another parent by then and are not found here.
pub fn of_session(processes: &[Process], leader: pid_t) -> Vec<&Process> {
    let members: Vec<pid_t> = processes
        .iter()
        .filter(|process| process.session == leader || process.pid == leader)
        .map(|process| process.pid)
        .collect();
    let mut seen: HashSet<pid_t> = members.iter().copied().collect();
    below(processes, members, &mut seen, &mut Vec::new());
    processes.iter().filter(|process| seen.contains(&process.pid)).collect()
}

/// Adds to `seen` and `found` what descends from `parents`. Each pid is taken once: a scan during which pids were used
/// again can show a circle.
fn below(processes: &[Process], mut parents: Vec<pid_t>, seen: &mut HashSet<pid_t>, found: &mut Vec<pid_t>) {
    let mut children: HashMap<pid_t, Vec<pid_t>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process.pid);
    }
    while let Some(parent) = parents.pop() {
        for child in children.get(&parent).into_iter().flatten().filter(|child| seen.insert(**child)) {
            found.push(*child);
            parents.push(*child);
        }
    }
}

/// `None` where the kernel doesn't have the file.
fn quick_children(proc: &Path, pid: pid_t) -> Option<Vec<pid_t>> {
    let Ok(threads) = fs::read_dir(proc.join(pid.to_string()).join("task")) else {
        return Some(Vec::new());
    };
    let mut children = Vec::new();
    for thread in threads.flatten().map(|thread| thread.path()) {
        match fs::read_to_string(thread.join("children")) {
            Ok(text) => children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<pid_t>().ok())),
            // Without the file a living thread still has its `stat`; one that ended has neither.
            Err(_) if thread.join("stat").exists() => return None,
            Err(_) => {}
        }
    }
    Some(children)
}

fn read(folder: &Path, text: &mut Vec<u8>) -> Option<Process> {
    text.clear();
    // 52 numbers of at most 20 digits and a name of at most 64 bytes: more is not a stat file.
    File::open(folder.join("stat")).ok()?.take(4096).read_to_end(text).ok()?;
    parse(text)
}

/// A pid or thread id from the name of its folder.
pub fn number(name: &OsStr) -> Option<pid_t> {
    let name = name.to_str()?;
    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A /proc of (pid, parent, session), each with one thread.
    fn fake(processes: &[(pid_t, pid_t, pid_t)]) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (pid, parent, session) in processes {
            let stat = format!("{pid} (a) b) S {parent} {pid} {session} 0 -1 4 0 0 0 0 1 2 3 4 20 0 1 0 99 0");
            for folder in [format!("{pid}"), format!("{pid}/task/{pid}")] {
                fs::create_dir_all(proc.path().join(&folder)).unwrap();
                fs::write(proc.path().join(folder).join("stat"), &stat).unwrap();
            }
        }
        proc
    }

    fn sorted(mut pids: Vec<pid_t>) -> Vec<pid_t> {
        pids.sort_unstable();
        pids
    }

    fn pids(processes: &[Process]) -> Vec<pid_t> {
        sorted(processes.iter().map(|process| process.pid).collect())
    }

    #[test]
    fn lists_processes_and_nothing_else() {
        let proc = fake(&[(1, 0, 1), (20, 1, 20)]);
        fs::write(proc.path().join("uptime"), "1 1").unwrap();
        fs::create_dir(proc.path().join("sys")).unwrap();
        fs::create_dir(proc.path().join("30")).unwrap();
        fs::create_dir(proc.path().join("40")).unwrap();
        fs::write(proc.path().join("40/stat"), "40 (x S").unwrap();
        assert_eq!(pids(&list(proc.path()).unwrap()), [1, 20]);
        assert_eq!(process(proc.path(), 20).unwrap().comm, b"a) b");
        assert_eq!(process(proc.path(), 21), None);
        assert_eq!(list(Path::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn children_come_from_their_file_or_from_a_scan() {
        let proc = fake(&[(1, 0, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2)]);
        assert_eq!(sorted(children(proc.path(), 1).unwrap()), [2, 3]);
        // The file is believed where it is, and every thread has its own.
        fs::write(proc.path().join("1/task/1/children"), "2 ").unwrap();
        fs::create_dir(proc.path().join("1/task/7")).unwrap();
        fs::write(proc.path().join("1/task/7/children"), "8 9 ").unwrap();
        // A thread that ended meanwhile has no files.
        fs::create_dir(proc.path().join("1/task/6")).unwrap();
        assert_eq!(sorted(children(proc.path(), 1).unwrap()), [2, 8, 9]);
        assert!(children(proc.path(), 77).unwrap().is_empty());
    }

    #[test]
    fn descendants_are_found_through_circles() {
        let proc = fake(&[(1, 0, 1), (2, 1, 2), (3, 2, 2), (4, 3, 4), (5, 1, 5), (8, 9, 8), (9, 8, 8)]);
        let all = list(proc.path()).unwrap();
        assert_eq!(sorted(descendants(&all, 2)), [3, 4]);
        assert_eq!(sorted(descendants(&all, 1)), [2, 3, 4, 5]);
        assert_eq!(sorted(descendants(&all, 8)), [9]);
        assert!(descendants(&all, 77).is_empty());
    }

    #[test]
    fn a_session_has_its_members_and_their_descendants() {
        // 6 was left behind by its parent but kept the session; 7 left the session but kept its parent.
        let proc = fake(&[(1, 0, 1), (2, 1, 2), (6, 1, 2), (7, 6, 7), (8, 7, 7), (3, 1, 3)]);
        let all = list(proc.path()).unwrap();
        let of: Vec<pid_t> = of_session(&all, 2).into_iter().map(|process| process.pid).collect();
        assert_eq!(sorted(of), [2, 6, 7, 8]);
    }

    #[test]
    fn the_real_one_has_us_and_our_child() {
        let proc = Path::new("/proc");
        let us = pid_t::try_from(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = pid_t::try_from(child.id()).unwrap();
        let all = list(proc).unwrap();
        let (ours, its) = (process(proc, us).unwrap(), process(proc, pid).unwrap());
        let found = children(proc, us).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ours.is_alive() && its.is_alive());
        assert_eq!((its.parent, its.session), (us, ours.session));
        assert!(found.contains(&pid) && descendants(&all, us).contains(&pid));
        assert_eq!(process(proc, pid), None);
    }
}
