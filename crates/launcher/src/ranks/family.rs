//! The processes below the launcher, also those that have left their group or session.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::unistd::{Pid, getpgid, getsid};

use crate::ranks::describe;
use crate::ranks::proc::{self, Process};
use crate::ranks::signals;

/// Where the kernel tells of processes.
const PROC: &str = "/proc";

/// The child that is no rank's and ends after them; 0 where there is none.
static SPARED: AtomicI32 = AtomicI32::new(0);

/// Leaves this child, and all below it, out of what the functions here find; `None` ends that.
pub fn spare(child: Option<i32>) {
    SPARED.store(child.unwrap_or(0), Ordering::Relaxed);
}

/// The child that is spared.
pub fn spared() -> Option<i32> {
    Some(SPARED.load(Ordering::Relaxed)).filter(|it| *it != 0)
}

/// Process ids of this process's children, adopted ones too, alive or dead.
pub fn children() -> io::Result<Vec<i32>> {
    let mut children = proc::children(Path::new(PROC), own_pid())?;
    children.retain(|it| Some(*it) != spared());
    Ok(children)
}

/// The groups of all that descends from this process, but for its own group.
pub fn groups() -> io::Result<BTreeSet<i32>> {
    let own = group_of(own_pid());
    let descendants = proc::descendants(&list()?, &[own_pid()]);
    Ok(descendants.into_iter().filter_map(group_of).filter(|it| Some(*it) != own).collect())
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

/// What is below this process, a few lines each: who it is and what it waits for.
pub fn describe() -> Vec<String> {
    let mut processes = list().unwrap_or_default();
    processes.retain(Process::is_alive);
    describe::describe(Path::new(PROC), &proc::descendants(&processes, &[own_pid()]))
}

/// Every process but the spared one, by which those below it are not found, either.
fn list() -> io::Result<Vec<Process>> {
    let mut processes = proc::list(Path::new(PROC))?;
    processes.retain(|it| Some(it.pid) != spared());
    Ok(processes)
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}
