//! Signals: blocked and read from a descriptor, so that no handler runs and nothing is asynchronous.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use libc::c_int;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What stops the ranks when the launcher gets it.
pub const STOPPING: [c_int; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// What is only passed on to the ranks; SIGTSTP as SIGSTOP.
const PASSED_ON: [c_int; 4] = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGTSTP, libc::SIGCONT];

/// What the launcher gets when its guardian is gone: a signal that nobody sends for anything else and that can be caught.
pub const GUARDIAN_GONE: Signal = Signal::SIGSTKFLT;

/// What containers are told to stop by besides SIGTERM: lxc sends SIGPWR, systemd-nspawn SIGRTMIN+3 as glibc counts, which is
/// not what musl would make of it.
const CONTAINER_STOPS: [c_int; 2] = [libc::SIGPWR, 34 + 3];

#[derive(Debug, Default)]
pub struct ReceivedSignals {
    /// A signal that stops the launcher; SIGTERM where its guardian is gone.
    pub stopping: Option<c_int>,
    pub passed_on: Vec<c_int>,
    pub child_ended: bool,
    pub guardian_gone: bool,
}

/// Signals that are kept back until [`Signals::next`] takes them.
#[derive(Debug)]
pub struct Signals {
    waiting: SignalFd,
    is_paused: Cell<bool>,
}

impl Signals {
    /// Blocks all signals that mean something to the launcher in this thread and those that it will start.
    ///
    /// A blocked signal is queued even where it was ignored, as `cmd &` of a shell has it with SIGINT. Only an ignored SIGHUP
    /// stays ignored, which is what `nohup` is for, and an ignored SIGTSTP, after which nobody would send SIGCONT.
    pub fn block() -> io::Result<Signals> {
        let others = [GUARDIAN_GONE as c_int, libc::SIGCHLD];
        let set = set_of(STOPPING.into_iter().chain(PASSED_ON).chain(CONTAINER_STOPS).chain(others));
        // A log file that has reached the limit of `ulimit -f` is a write that fails, not the end of the training. The ranks
        // get the default again.
        dispose(libc::SIGXFSZ, libc::SIG_IGN);
        // A parent that ignored it would have the kernel reap our children for us, exit codes and all.
        dispose(libc::SIGCHLD, libc::SIG_DFL);
        set.thread_block()?;
        let waiting = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals { waiting, is_paused: Cell::new(false) })
    }

    /// Whether the last of SIGTSTP and SIGCONT that [`Signals::heard`] took was the former: then ranks are to stand still.
    pub fn is_paused(&self) -> bool {
        self.is_paused.get()
    }

    /// Takes all that has arrived: what arrives together has happened at once.
    pub fn heard(&self) -> io::Result<ReceivedSignals> {
        let mut heard = ReceivedSignals::default();
        while let Some(signal) = self.next()? {
            match signal {
                libc::SIGCHLD => heard.child_ended = true,
                libc::SIGTSTP => {
                    self.is_paused.set(true);
                    heard.passed_on.push(libc::SIGSTOP);
                }
                libc::SIGCONT => {
                    self.is_paused.set(false);
                    heard.passed_on.push(libc::SIGCONT);
                }
                _ if STOPPING.contains(&signal) => heard.stopping = Some(signal),
                _ if PASSED_ON.contains(&signal) => heard.passed_on.push(signal),
                _ => heard.guardian_gone = true,
            }
        }
        if heard.guardian_gone {
            heard.stopping = Some(libc::SIGTERM);
        }
        Ok(heard)
    }

    /// The next one that has arrived; `None` if there is none so far. What stops containers is given as SIGTERM.
    pub fn next(&self) -> io::Result<Option<c_int>> {
        loop {
            match self.waiting.read_signal() {
                Ok(info) => {
                    // The numbers are 1..=64.
                    let signal = info.and_then(|it| c_int::try_from(it.ssi_signo).ok());
                    return Ok(signal.map(|it| if CONTAINER_STOPS.contains(&it) { libc::SIGTERM } else { it }));
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiting.as_fd()
    }
}

/// `SIGTERM`, `SIGRTMIN+3`.
pub fn name(signal: c_int) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if signal >= libc::SIGRTMIN() => format!("SIGRTMIN+{}", signal - libc::SIGRTMIN()),
        Err(_) => format!("signal {signal}"),
    }
}

/// Sends `signal` to every process of a group. That it has gone, or has become another user's, is no error: whoever is left
/// is found by other means.
pub fn send_to_group(group: i32, signal: c_int) {
    // -1 would be every process there is, and 0 our own group.
    if group > 1 {
        kill(-group, signal);
    }
}

/// Sends `signal` to a process, if it is still there.
pub fn send(pid: i32, signal: c_int) {
    if pid > 0 {
        kill(pid, signal);
    }
}

/// Sends `signal` to every process that this one may send to: as the first process of a container, to all others in it.
pub fn send_to_all(signal: c_int) {
    kill(-1, signal);
}

#[allow(unsafe_code)]
fn kill(pid: i32, signal: c_int) {
    // SAFETY: kill takes no pointers.
    unsafe { libc::kill(pid, signal) };
}

/// A set of these, but for SIGHUP and SIGTSTP where they are ignored.
#[allow(unsafe_code)]
fn set_of(signals: impl Iterator<Item = c_int>) -> SigSet {
    // SAFETY: `set` is large enough for any set and is initialised before use. The binding knows no real-time signals.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals.filter(|it| ![libc::SIGHUP, libc::SIGTSTP].contains(it) || !is_ignored(*it)) {
            libc::sigaddset(&mut set, signal);
        }
        SigSet::from_sigset_t_unchecked(set)
    }
}

#[allow(unsafe_code)]
fn is_ignored(signal: c_int) -> bool {
    // SAFETY: `old` is large enough for any sigaction and all zero is a valid one; asking changes nothing.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut old) == 0 && old.sa_sigaction == libc::SIG_IGN
    }
}

#[allow(unsafe_code)]
fn dispose(signal: c_int, disposition: libc::sighandler_t) {
    // SAFETY: neither the default disposition nor an ignored signal runs code of ours.
    unsafe { libc::signal(signal, disposition) };
}

/// Between fork and exec: own session, default dispositions and an empty mask, death with `parent`.
///
/// Calls only async-signal-safe functions and allocates nothing.
#[allow(unsafe_code)]
pub fn settle_child(parent: i32) -> io::Result<()> {
    // SAFETY: all of these are async-signal-safe, pointers are to live locals, `set` is initialised before use, and the child has one thread.
    unsafe {
        if libc::setsid() < 0 {
            return Err(io::Error::last_os_error());
        }
        // The kernel's own struct sigaction, at most 32 bytes, all zero: SIG_DFL, no flags, empty mask. The C library
        // refuses its two internal signals, 32 and 33, which a parent may well have left ignored.
        let default = [0u64; 4];
        for signal in 1..=64 {
            // KILL and STOP answer EINVAL: they have nothing to reset.
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<u64>(), 8);
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
        // KILL, because a command that ignores TERM would keep its NPU occupied.
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The launcher may have died before prctl: then nobody would send that signal.
        if libc::getppid() != parent {
            libc::_exit(128 + libc::SIGKILL);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (signal, expected) in
            [(9, "SIGKILL"), (15, "SIGTERM"), (libc::SIGRTMIN() + 3, "SIGRTMIN+3"), (0, "signal 0")]
        {
            assert_eq!(name(signal), expected);
        }
    }
}
