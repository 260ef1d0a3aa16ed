//! Waiting while no rank runs: for a time to come, or for copies; signals and output are seen to meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
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

/// A signal stopped the launcher while it had nothing to stop yet.
pub fn stopped_before_start(signal: c_int) -> Failure {
    let text = format!("stopped from outside by {} before any rank was started", signals::name(signal));
    Failure::new(Exit::signal(signal), text)
}
