//! The process above the launcher: when the launcher is killed, everything that it started still comes to an end.
//!
//! It is the one that was called, so signals and the exit code are its business; it passes the one on and the other back.
//! Both are subreapers, where the system has that: whatever a rank leaves behind becomes a child of the launcher, or of the
//! guardian when the launcher has gone. Neither outlives the other: the launcher gets [`signals::GUARDIAN_GONE`] and stops the ranks.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::exit::Exit;
use crate::ranks::family;
use crate::ranks::name;
use crate::ranks::reap::{End, reap};
use crate::ranks::signals::{self, Signals};
use crate::ranks::wait;

/// Which of the two a process is after [`split`].
#[derive(Debug)]
pub enum Side {
    /// The one above, with the process id of the other.
    Guardian {
        launcher: i32,
        /// Children from before: not of this program.
        before: Vec<i32>,
    },
    /// The one that does the work.
    Launcher {
        /// Whether what ranks leave behind becomes its child.
        adopts: bool,
    },
}

/// How long the guardian of a whole container gives processes that it did not start.
const STRANGERS_GRACE: Duration = Duration::from_secs(2);

/// How long the guardian waits for what can't be killed, a process that hangs in a driver for example.
const UNKILLABLE: Duration = Duration::from_secs(60);

/// Makes two processes of this one. Only while there is one thread.
pub fn split() -> io::Result<Side> {
    be_subreaper()?;
    let before = family::children().unwrap_or_default();
    let guardian = nix::unistd::getpid();
    match fork()? {
        0 => {
            // A session of its own: what a terminal sends comes by way of the guardian, once.
            nix::unistd::setsid()?;
            let adopts = be_subreaper()?;
            nix::sys::prctl::set_pdeathsig(signals::GUARDIAN_GONE)?;
            // It may have been killed before that.
            if nix::unistd::getppid() != guardian {
                signals::send(nix::unistd::getpid().as_raw(), libc::SIGKILL);
            }
            name::change();
            Ok(Side::Launcher { adopts })
        }
        launcher => Ok(Side::Guardian { launcher, before }),
    }
}

/// Has orphans below this process become its children; false where nobody can, which is no reason to run nothing:
/// qemu-user, which runs the image on other machines, does not pass the call on.
fn be_subreaper() -> io::Result<bool> {
    match nix::sys::prctl::set_child_subreaper(true) {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[allow(unsafe_code)]
fn fork() -> io::Result<i32> {
    // SAFETY: there is one thread, as `split` demands, so no lock is held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

/// Passes signals to the launcher until that has ended, then sees to what it has left. Gives the exit code. Where the launcher
/// was killed, `report` is given the cause and that code.
pub fn guard(launcher: i32, before: &[i32], signals: &Signals, report: impl FnOnce(String, Exit)) -> io::Result<Exit> {
    let end = loop {
        wait::readable(&[signals.as_fd()], None)?;
        let mut ended = Vec::new();
        while let Some(signal) = signals.next()? {
            match signal {
                libc::SIGCHLD => ended.extend(reap()?.ended),
                // The guardian's own guardian is nobody.
                signal if signal == signals::GUARDIAN_GONE as i32 => {}
                signal => {
                    signals::send(launcher, signal);
                    if signals::STOPPING.contains(&signal) {
                        // One that is stopped would never hear of it.
                        signals::send(launcher, libc::SIGCONT);
                    }
                    if signal == libc::SIGTSTP {
                        // For the shell that waits for this process. As the first process of a container it goes on.
                        signals::send(nix::unistd::getpid().as_raw(), libc::SIGSTOP);
                    }
                }
            }
        }
        if let Some((_, end)) = ended.iter().find(|(pid, _)| *pid == launcher) {
            break *end;
        }
    };
    let swept = sweep(before, signals)?;
    if let End::Signal(signal) = end {
        let cause = format!("the launcher itself (pid {launcher}) was killed by {}", signals::name(signal));
        // Nobody is left to tell when stderr is closed; the exit code still says it.
        let _ = writeln!(
            io::stderr(),
            "fmtk-launch: FAILED: {cause}; killed all that it had started ({swept} processes were left)"
        );
        report(cause, end.exit());
    }
    if nix::unistd::getpid().as_raw() == 1 {
        end_container(signals)?;
    }
    Ok(end.exit())
}

/// Kills what the launcher has left, and waits for it. Gives how many there were.
fn sweep(before: &[i32], signals: &Signals) -> io::Result<usize> {
    let deadline = Instant::now() + UNKILLABLE;
    let mut killed = Vec::new();
    loop {
        if reap()?.none_left {
            return Ok(killed.len());
        }
        // The launcher has left our session, so what is in it descends from those who were there before.
        let is_stranger = |pid: &i32| before.contains(pid) || family::session_of(*pid) == family::session_of(0);
        let left: Vec<i32> = family::children()?.into_iter().filter(|it| !is_stranger(it)).collect();
        if left.is_empty() || Instant::now() >= deadline {
            return Ok(killed.len());
        }
        for pid in left {
            family::kill(pid);
            if !killed.contains(&pid) {
                killed.push(pid);
            }
        }
        // Each death is told by a signal; the time is for those that do not die.
        wait::readable(&[signals.as_fd()], Some(deadline.min(Instant::now() + Duration::from_secs(1))))?;
        while signals.next()?.is_some() {}
    }
}

/// As the first process of a container: the others get a chance to end before the kernel kills them.
fn end_container(signals: &Signals) -> io::Result<()> {
    signals::send_to_all(libc::SIGTERM);
    let deadline = Instant::now() + STRANGERS_GRACE;
    while !reap()?.none_left && Instant::now() < deadline {
        wait::readable(&[signals.as_fd()], Some(deadline))?;
        while signals.next()?.is_some() {}
    }
    Ok(())
}
