//! Bringing everything below the launcher to an end: asked first, killed after the grace, known to be gone at the end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libc::c_int;

use crate::ranks::family;
use crate::ranks::signals;
use crate::ranks::wait;

/// After SIGKILL, before it is told who is still there: a process that hangs in the driver does not die.
const WARN_AFTER: Duration = Duration::from_secs(10);

/// After SIGKILL, before the launcher ends without them.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// How far it is.
#[derive(Debug)]
pub struct Teardown {
    /// Groups that have been asked.
    asked: BTreeSet<c_int>,
    /// Which signal they were asked by; those that come to light later are asked by the same.
    signal: c_int,
    /// There was a SIGINT.
    is_interrupted: bool,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Asked; killed at that time.
    Asked(Instant),
    /// Killed at that time.
    Killed(Instant),
    /// Killed at that time, and it was told that some are still there.
    Warned(Instant),
    GivenUp,
}

/// What has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The grace is over and SIGKILL was sent.
    Killed,
    /// They are still there 10 s after SIGKILL.
    StillThere,
    /// They are still there 60 s after SIGKILL: there is nothing more to be done.
    GivenUp,
}

impl Teardown {
    /// Sends `signal` to the groups of the ranks, then to all others below the launcher.
    pub fn begin(signal: c_int, ranks: impl IntoIterator<Item = c_int>, grace: Duration, now: Instant) -> Teardown {
        let kill_at = wait::after(now, grace);
        let is_interrupted = signal == libc::SIGINT;
        let mut teardown = Teardown { asked: BTreeSet::new(), signal, is_interrupted, phase: Phase::Asked(kill_at) };
        // The ranks at once: to look for others takes milliseconds where there are many.
        for group in ranks {
            teardown.ask(group);
        }
        // Without /proc only the groups that are known can be asked; what is left is found by waiting for it.
        for group in family::groups().unwrap_or_default() {
            teardown.ask(group);
        }
        teardown
    }

    /// The same signal once more, or another one from outside. A second SIGINT means at once, whatever came first.
    pub fn again(&mut self, signal: c_int, now: Instant) {
        if signal == libc::SIGINT && std::mem::replace(&mut self.is_interrupted, true) {
            self.phase = match self.phase {
                Phase::Asked(_) => Phase::Asked(now),
                later => later,
            };
            return;
        }
        for group in &self.asked {
            signals::send_to_group(*group, signal);
        }
    }

    /// To be called when children have ended, and at [`Teardown::deadline`].
    pub fn step(&mut self, now: Instant) -> Option<News> {
        let news = match self.phase {
            Phase::Asked(kill_at) if now >= kill_at => {
                self.phase = Phase::Killed(now);
                Some(News::Killed)
            }
            Phase::Killed(since) if now >= since + WARN_AFTER => {
                self.phase = Phase::Warned(since);
                Some(News::StillThere)
            }
            Phase::Warned(since) if now >= since + GIVE_UP_AFTER => {
                self.phase = Phase::GivenUp;
                Some(News::GivenUp)
            }
            _ => None,
        };
        let children = family::children().unwrap_or_default();
        if matches!(self.phase, Phase::Asked(_)) {
            for group in children.into_iter().filter_map(family::group_of) {
                self.ask(group);
            }
        } else {
            // Whatever a killed one leaves behind becomes our child, and its death wakes us up.
            for group in std::mem::take(&mut self.asked) {
                signals::send_to_group(group, libc::SIGKILL);
            }
            for pid in children {
                family::kill(pid);
            }
        }
        news
    }

    /// When [`Teardown::step`] has to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Asked(kill_at) => Some(kill_at),
            Phase::Killed(since) => Some(since + WARN_AFTER),
            Phase::Warned(since) => Some(since + GIVE_UP_AFTER),
            Phase::GivenUp => None,
        }
    }

    /// Whether the launcher ends without those that are still there.
    pub fn has_given_up(&self) -> bool {
        self.phase == Phase::GivenUp
    }

    fn ask(&mut self, group: c_int) {
        if Some(group) != family::group_of(0) && self.asked.insert(group) {
            family::ask(group, self.signal);
        }
    }
}
