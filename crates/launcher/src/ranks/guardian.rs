//! The process above the launcher: when the launcher is killed, everything that it started still comes to an end.
//!
//! It is the one that was called, so signals and the exit code are its business; it passes the one on and the other back.
//! Both are subreapers, where the system has that: whatever a rank leaves behind becomes a child of the launcher, or of the
//! guardian when the launcher has gone. Neither outlives the other: the launcher gets [`signals::GUARDIAN_GONE`] and stops the ranks.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::exit::Exit;
use crate::ranks::family;
use crate::ranks::name;
use crate::ranks::reap::{End, reap};
use crate::ranks::signals::{self, Signals};
use crate::ranks::teardown::Teardown;
use crate::ranks::wait;
use crate::units;

/// Which of the two a process is after [`split`].
#[derive(Debug)]
pub enum Side {
    Guardian(Guardian),
    /// The one that does the work.
    Launcher {
        /// Whether what ranks leave behind becomes its child.
        adopts: bool,
    },
}

/// The one above.
#[derive(Debug)]
pub struct Guardian {
    launcher: i32,
    /// Children from before: not of this program.
    before: Vec<i32>,
    /// What the launcher has said in [`do_not_wait_for`].
    given_up: PipeReader,
}

/// How long the guardian of a whole container gives processes that it did not start.
const STRANGERS_GRACE: Duration = Duration::from_secs(2);

/// The launcher's way to tell the guardian.
static GIVEN_UP: OnceLock<PipeWriter> = OnceLock::new();

/// Makes two processes of this one. Only while there is one thread.
pub fn split() -> io::Result<Side> {
    be_subreaper()?;
    let before = family::children().unwrap_or_default();
    let (given_up, teller) = io::pipe()?;
    // One that could not be killed may be a fork that still holds the other end.
    fcntl(&given_up, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
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
            let _ = GIVEN_UP.set(teller);
            Ok(Side::Launcher { adopts })
        }
        launcher => Ok(Side::Guardian(Guardian { launcher, before, given_up })),
    }
}

/// The launcher has waited in vain for these children, which the guardian will get: it does not begin anew.
pub fn do_not_wait_for(children: &[i32]) {
    let sessions: Vec<u8> =
        children.iter().filter_map(|it| family::session_of(*it)).flat_map(i32::to_ne_bytes).collect();
    // If the guardian has gone, nobody will wait.
    GIVEN_UP.get().map(|mut it| it.write_all(&sessions));
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

impl Guardian {
    /// Passes signals to the launcher until that has ended, then sees to what it has left, with as much `grace` as ranks get.
    /// Gives the exit code. Where the launcher was killed, `report` is given the cause and that code.
    pub fn guard(self, signals: &Signals, grace: Duration, report: impl FnOnce(String, Exit)) -> io::Result<Exit> {
        let launcher = self.launcher;
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
        if let End::Signal(signal) = end {
            let cause = format!("the launcher itself (pid {launcher}) was killed by {}", signals::name(signal));
            let grace = units::shown(grace);
            say(&format!("FAILED: {cause}; stopping all that it had started by SIGTERM, by SIGKILL after {grace}"));
            report(cause, end.exit());
        }
        self.sweep(signals, grace)?;
        if nix::unistd::getpid().as_raw() == 1 {
            end_container(signals)?;
        }
        Ok(end.exit())
    }

    /// Ends what is left: of a launcher that was killed, and of strangers, whose orphans are ours as well.
    fn sweep(mut self, signals: &Signals, grace: Duration) -> io::Result<()> {
        if reap()?.none_left {
            return Ok(());
        }
        let before = family::children()?.into_iter().filter(|it| self.before.contains(it));
        // The launcher has left our session, so what is in it descends from those who were there before.
        let sessions: Vec<i32> = before.chain([0]).filter_map(family::session_of).collect();
        family::spare(sessions.into_iter().chain(self.given_up()));
        let mut teardown = Teardown::begin(libc::SIGTERM, [], grace, Instant::now());
        while !reap()?.none_left && !teardown.has_given_up() {
            wait::readable(&[signals.as_fd()], teardown.deadline())?;
            let now = Instant::now();
            if let Some(signal) = signals.heard()?.stopping {
                teardown.again(signal, now);
            }
            let event = teardown.step(now);
            event.iter().flat_map(|it| it.lines("what was left behind")).for_each(|line| say(&line));
        }
        Ok(())
    }

    fn given_up(&mut self) -> Vec<i32> {
        let mut sessions = Vec::new();
        // It ends with an error where the pipe is still open, after what there is.
        let _ = self.given_up.read_to_end(&mut sessions);
        sessions.as_chunks().0.iter().copied().map(i32::from_ne_bytes).collect()
    }
}

/// Nobody is left to tell when stderr is closed; the exit code still says it.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "fmtk-launch: {line}");
}

/// As the first process of a container: the others get a chance to end before the kernel kills them.
fn end_container(signals: &Signals) -> io::Result<()> {
    family::spare([]);
    signals::send_to_all(libc::SIGTERM);
    let deadline = Instant::now() + STRANGERS_GRACE;
    while !reap()?.none_left && Instant::now() < deadline {
        wait::readable(&[signals.as_fd()], Some(deadline))?;
        while signals.next()?.is_some() {}
    }
    Ok(())
}
