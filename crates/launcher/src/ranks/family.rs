//! The processes below the launcher, also those that have left their group or session.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpgid, getsid};

use crate::ranks::describe;
use crate::ranks::proc::{self, Process};
use crate::ranks::signals;

/// The highest number that a kernel of 64 bits gives to a process.
const PID_MAX: i32 = 1 << 22;

/// Sessions whose processes are not for us to end.
static SPARED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Leaves these sessions, and all below their processes, out of what the functions here find; in place of earlier ones.
pub fn spare(sessions: impl IntoIterator<Item = i32>) {
    *spared() = sessions.into_iter().collect();
}

/// Whether any session is spared.
pub fn spares_any() -> bool {
    !spared().is_empty()
}

fn spared() -> MutexGuard<'static, BTreeSet<i32>> {
    SPARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the kernel tells of our processes; `None` where nothing does: /proc is not mounted, or is another pid namespace's.
fn own_proc() -> Option<&'static Path> {
    static PROC: OnceLock<Option<PathBuf>> = OnceLock::new();
    // A debug build takes another folder for it, so that tests can do without.
    let other = || std::env::var_os("FMTK_TEST_PROC").filter(|_| cfg!(debug_assertions));
    let find = || Some(PathBuf::from(other().unwrap_or("/proc".into()))).filter(|it| proc::is_own(it));
    PROC.get_or_init(find).as_deref()
}

/// Whether all of our processes can be seen; without that only children are found, which is enough to end everything: what
/// an ended one leaves behind is the next child.
pub fn is_seen() -> bool {
    own_proc().is_some()
}

/// Process ids of this process's children, adopted ones too, alive or dead.
pub fn children() -> io::Result<Vec<i32>> {
    let mut children = own_proc().map_or_else(|| Ok(children_by_number()), |it| proc::children(it, own_pid()))?;
    children.retain(|it| !session_of(*it).is_some_and(|session| spared().contains(&session)));
    Ok(children)
}

/// Without /proc: waitid(2) knows children from others, so it is asked about every number that a process has. Half a second
/// for four million numbers.
fn children_by_number() -> Vec<i32> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let are_children = |which: Id<'_>| waitid(which, flags) != Err(Errno::ECHILD);
    if !are_children(Id::All) {
        return Vec::new();
    }
    // The kernel's settings do not depend on whose processes /proc shows.
    let most = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|it| it.trim().parse().ok());
    let is_child = |pid: &i32| session_of(*pid).is_some() && are_children(Id::Pid(Pid::from_raw(*pid)));
    (1..=most.unwrap_or(PID_MAX)).filter(is_child).collect()
}

/// The groups of all that descends from this process, but for its own group.
pub fn groups() -> io::Result<BTreeSet<i32>> {
    let own = group_of(own_pid());
    let below = if is_seen() { proc::descendants(&list()?, &[own_pid()]) } else { children()? };
    Ok(below.into_iter().filter_map(group_of).filter(|it| Some(*it) != own).collect())
}

/// CPU time, in ticks, of all that belongs to each of `ranks`, and at last of whatever else is below this process: daemons, of
/// which nobody can tell whose they are. Zeros where nobody can see them.
pub fn ticks(ranks: &[i32]) -> Vec<u64> {
    proc::ticks(&list().unwrap_or_default(), own_pid(), ranks)
}

/// The group of a process, if that is still there and to be seen; 0 is this one.
pub fn group_of(pid: i32) -> Option<i32> {
    getpgid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw).filter(|it| *it > 0)
}

/// The session of a process, if that is still there; 0 where its leader is outside of our process namespace.
pub fn session_of(pid: i32) -> Option<i32> {
    getsid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw)
}

/// Asks a group to end. One that is stopped is continued, or it would never hear of it.
pub fn ask(group: i32, signal: i32) {
    signals::send_to_group(group, signal);
    signals::send_to_group(group, libc::SIGCONT);
}

/// Kills a child of ours with its group, at once for all of them: nobody can fork in between.
pub fn kill(pid: i32) {
    match group_of(pid) {
        Some(group) if Some(group) != group_of(own_pid()) => signals::send_to_group(group, libc::SIGKILL),
        _ => {}
    }
    signals::send(pid, libc::SIGKILL);
}

/// How many processes are below this one; without /proc, how many children.
pub fn count() -> usize {
    if !is_seen() {
        return children().unwrap_or_default().len();
    }
    let mut processes = list().unwrap_or_default();
    processes.retain(Process::is_alive);
    proc::descendants(&processes, &[own_pid()]).len()
}

/// What is below this process, a few lines each: who it is and what it waits for.
pub fn describe() -> Vec<String> {
    let Some(proc) = own_proc() else {
        return children().unwrap_or_default().iter().map(|pid| format!("pid {pid}")).collect();
    };
    let mut processes = list().unwrap_or_default();
    processes.retain(Process::is_alive);
    describe::describe(proc, &proc::descendants(&processes, &[own_pid()]))
}

/// Every process but the spared ones, by which those below them are not found, either.
fn list() -> io::Result<Vec<Process>> {
    let mut processes = proc::list(own_proc().ok_or(io::ErrorKind::Unsupported)?)?;
    processes.retain(|it| !spared().contains(&it.session));
    Ok(processes)
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}
