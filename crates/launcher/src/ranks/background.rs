//! Waiting while no rank runs: for a time to come, for copies, or for what may hang; signals are seen to meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Instant;

use libc::c_int;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::ranks::reap::{End, reap};
use crate::ranks::signals::{self, ReceivedSignals, Signals};
use crate::ranks::wait;

/// What goes on beside the ranks in the same event loop, before they start and after they have ended, too.
pub trait Background {
    /// To be polled for reading.
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// When [`Background::turn`] has to be called at the latest.
    fn deadline(&self) -> Option<Instant>;

    /// Does what is due; `is_readable` tells of [`Background::fd`]. Gives what has to be said.
    fn turn(&mut self, is_readable: bool, now: Instant) -> Vec<String>;

    /// Takes a child that has ended; says whether it belonged to this.
    fn ended(&mut self, pid: i32, end: End) -> bool;
}

/// Waits until `is_over` says so of what goes on beside, until `until` has come, or until a signal comes that stops the
/// launcher. Gives that signal, and the lines that could not be said where there is no output any more.
pub fn wait<B: Background>(
    signals: &Signals,
    mut output: Option<&mut Output>,
    beside: &mut B,
    until: Option<Instant>,
    is_over: impl Fn(&B) -> bool,
) -> io::Result<(Option<c_int>, Vec<String>)> {
    let mut lines = Vec::new();
    let mut is_readable = false;
    loop {
        let ReceivedSignals { stopping, child_ended, .. } = signals.heard()?;
        if child_ended {
            for (pid, end) in reap()?.ended {
                beside.ended(pid, end);
            }
        }
        let now = Instant::now();
        for line in beside.turn(is_readable, now) {
            match &mut output {
                Some(output) => output.say(&line),
                None => lines.push(line),
            }
        }
        output.iter_mut().for_each(|it| it.tick(now));
        if stopping.is_some() || is_over(beside) || until.is_some_and(|it| now >= it) {
            return Ok((stopping, lines));
        }
        let output = output.as_deref();
        let next = [output.and_then(Output::deadline), beside.deadline(), until].into_iter().flatten().min();
        let mut descriptors = vec![signals.as_fd()];
        descriptors.extend(output.map(Output::wake_fd));
        let own = beside.fd();
        descriptors.extend(own);
        let ready = wait::readable(&descriptors, next)?;
        is_readable = own.is_some() && ready.last() == Some(&true);
    }
}

/// Calls `work` in a thread of its own: a network's file system or a name server may hang, and signals have to be heard. `None`
/// where it has not come back `until` then. A thread that hangs is left behind. `what` is done, for the error.
///
/// # Errors
///
/// With 128 + the signal if one stops the launcher, with 125 if the system allows no thread.
pub fn apart<T: Send + 'static>(
    signals: &Signals,
    what: &'static str,
    until: Option<Instant>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, Failure> {
    let failed = |error: io::Error| Failure::system(what, &error);
    let (is_done, teller) = io::pipe().map_err(failed)?;
    let work = move || {
        let result = work();
        drop(teller);
        result
    };
    // The kernel shows 15 bytes of a thread's name.
    let thread = thread::Builder::new().name("look".to_owned()).spawn(work).map_err(failed)?;
    while !wait::readable(&[signals.as_fd(), is_done.as_fd()], until).map_err(failed)?[1] {
        heed(signals, what)?;
        if until.is_some_and(|it| Instant::now() >= it) {
            return Ok(None);
        }
    }
    thread.join().map(Some).map_err(|_| Failure::new(Exit::LAUNCHER, format!("failed to {what}")))
}

/// Sleeps until then.
///
/// # Errors
///
/// As [`apart`].
pub fn pause(signals: &Signals, what: &'static str, until: Instant) -> Result<(), Failure> {
    while Instant::now() < until {
        heed(signals, what)?;
        wait::readable(&[signals.as_fd()], Some(until)).map_err(|error| Failure::system(what, &error))?;
    }
    Ok(())
}

/// Fails where a signal has arrived that stops the launcher.
fn heed(signals: &Signals, what: &'static str) -> Result<(), Failure> {
    match signals.heard().map_err(|error| Failure::system(what, &error))?.stopping {
        None => Ok(()),
        Some(signal) => Err(stopped_before_start(signal)),
    }
}

/// A signal stopped the launcher while it had nothing to stop yet.
pub fn stopped_before_start(signal: c_int) -> Failure {
    let text = format!("stopped from outside by {} before any rank was started", signals::name(signal));
    Failure::new(Exit::signal(signal), text)
}
