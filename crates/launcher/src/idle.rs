//! Waiting while no rank runs: for a time to come, or for copies; signals and output are seen to meanwhile.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use libc::c_int;

use crate::output::Output;
use crate::reap::reap;
use crate::signals::{self, STOPPING, Signals};
use crate::task::storage::Storage;
use crate::wait;

/// Where things are heard from and said.
pub struct Heard<'a> {
    /// What stops the launcher comes from here.
    pub signals: &'a Signals,
    /// `None` where it has ended already.
    pub output: Option<&'a mut Output>,
    /// What could not be said for want of it.
    pub lines: Vec<String>,
}

/// Why the wait is over.
pub struct Over {
    /// The signal that stops the launcher, if that was it.
    pub signal: Option<c_int>,
    /// What could not be said.
    pub lines: Vec<String>,
}

/// Waits until `is_over` says so of the copies, until `until` has come, or until a signal comes that stops the launcher.
pub fn idle(
    mut heard: Heard<'_>,
    storage: &mut Storage,
    until: Option<Instant>,
    is_over: impl Fn(&Storage) -> bool,
) -> io::Result<Over> {
    let mut is_readable = false;
    loop {
        let (stopping, has_child_ended) = stopping(heard.signals)?;
        if has_child_ended {
            for (pid, end) in reap()?.ended {
                storage.ended(pid, end);
            }
        }
        let now = Instant::now();
        for line in storage.turn(is_readable, now) {
            match &mut heard.output {
                Some(output) => output.say(&format!("fmtk-launch: {line}")),
                None => heard.lines.push(line),
            }
        }
        heard.output.iter_mut().for_each(|it| it.tick(now));
        if stopping.is_some() || is_over(storage) || until.is_some_and(|it| now >= it) {
            return Ok(Over { signal: stopping, lines: heard.lines });
        }
        let output = heard.output.as_deref();
        let next = [output.and_then(Output::deadline), storage.deadline(), until].into_iter().flatten().min();
        let mut descriptors = vec![heard.signals.as_fd()];
        descriptors.extend(output.map(Output::wake_fd));
        let own = storage.fd();
        descriptors.extend(own);
        let ready = wait::readable(&descriptors, next)?;
        is_readable = own.is_some() && ready.last() == Some(&true);
    }
}

/// The first signal that has arrived and stops the launcher, and whether a child has ended.
pub fn stopping(signals: &Signals) -> io::Result<(Option<c_int>, bool)> {
    let (mut stopping, mut has_child_ended) = (None, false);
    while let Some(signal) = signals.next()? {
        if signal == libc::SIGCHLD {
            has_child_ended = true;
        } else if STOPPING.contains(&signal) {
            stopping = stopping.or(Some(signal));
        } else if signal == signals::GUARDIAN_GONE as c_int {
            stopping = stopping.or(Some(libc::SIGTERM));
        }
    }
    Ok((stopping, has_child_ended))
}
