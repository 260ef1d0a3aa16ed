//! Bringing everything below the launcher or its guardian to an end: asked first, killed after the grace, known to be gone at
//! the end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libc::c_int;

use crate::ranks::family;
use crate::ranks::signals;
use crate::ranks::wait;
use crate::units;

/// After SIGKILL, before it is told who is still there: a process that hangs in the driver does not die.
const WARN_AFTER: Duration = Duration::from_secs(10);

/// After SIGKILL, before the launcher or its guardian ends without them.
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
    /// SIGKILL is sent from then on.
    kill_at: Instant,
    /// What was told so far.
    told: Option<TeardownEvent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TeardownEvent {
    /// The grace is over and SIGKILL was sent.
    Killed,
    /// They are still there 10 s after SIGKILL.
    StillThere,
    /// They are still there 60 s after SIGKILL: there is nothing more to be done.
    GivenUp,
}

impl TeardownEvent {
    /// What is said of it, and for how long `who` will be waited for.
    pub fn lines(self, who: &str) -> Vec<String> {
        match self {
            TeardownEvent::Killed => vec![format!("{who} did not end in time; killed by SIGKILL")],
            TeardownEvent::StillThere => {
                let left = units::shown(GIVE_UP_AFTER - WARN_AFTER);
                let first =
                    format!("{who} can't be killed; waiting for {left} more, in case a driver lets go of them:");
                [first].into_iter().chain(family::describe()).collect()
            }
            TeardownEvent::GivenUp => vec![format!("{who} still can't be killed; ending without them")],
        }
    }
}

impl Teardown {
    /// Sends `signal` to the groups of the ranks, then to all others below the launcher.
    pub fn begin(signal: c_int, ranks: impl IntoIterator<Item = c_int>, grace: Duration, now: Instant) -> Teardown {
        let (kill_at, is_interrupted) = (now + grace, signal == libc::SIGINT);
        let mut teardown = Teardown { asked: BTreeSet::new(), signal, is_interrupted, kill_at, told: None };
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
            return self.hurry(now);
        }
        for group in &self.asked {
            signals::send_to_group(*group, signal);
        }
    }

    /// Ends the grace.
    pub fn hurry(&mut self, now: Instant) {
        self.kill_at = self.kill_at.min(now);
    }

    /// To be called when children have ended, and at [`Teardown::deadline`].
    pub fn step(&mut self, now: Instant) -> Option<TeardownEvent> {
        let news = self.advance(now);
        let children = family::children().unwrap_or_default();
        if self.told.is_none() {
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

    /// What has to be told now, for the first time.
    fn advance(&mut self, now: Instant) -> Option<TeardownEvent> {
        let next = match self.told {
            None => TeardownEvent::Killed,
            Some(TeardownEvent::Killed) => TeardownEvent::StillThere,
            Some(_) => TeardownEvent::GivenUp,
        };
        let news = Some(next).filter(|_| self.deadline().is_some_and(|it| it <= now));
        if news == Some(TeardownEvent::Killed) {
            self.kill_at = now;
        }
        self.told = self.told.max(news);
        news
    }

    /// When [`Teardown::step`] has to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match self.told {
            None => Some(self.kill_at),
            Some(TeardownEvent::Killed) => Some(self.kill_at + wait::shortened_for_tests(WARN_AFTER)),
            Some(TeardownEvent::StillThere) => Some(self.kill_at + wait::shortened_for_tests(GIVE_UP_AFTER)),
            Some(TeardownEvent::GivenUp) => None,
        }
    }

    /// Whether those that are still there are not waited for any longer.
    pub fn has_given_up(&self) -> bool {
        self.told == Some(TeardownEvent::GivenUp)
    }

    fn ask(&mut self, group: c_int) {
        if Some(group) != family::group_of(0) && self.asked.insert(group) {
            family::ask(group, self.signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_killed_told_of_and_left() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (interrupted_at, expect) in [
            (None, [(7, TeardownEvent::Killed), (17, TeardownEvent::StillThere), (67, TeardownEvent::GivenUp)]),
            (Some(3), [(3, TeardownEvent::Killed), (13, TeardownEvent::StillThere), (63, TeardownEvent::GivenUp)]),
            (Some(9), [(7, TeardownEvent::Killed), (17, TeardownEvent::StillThere), (67, TeardownEvent::GivenUp)]),
        ] {
            let (asked, signal, kill_at) = (BTreeSet::new(), libc::SIGINT, at(7));
            let mut teardown = Teardown { asked, signal, is_interrupted: true, kill_at, told: None };
            let mut told = Vec::new();
            for second in 0..100 {
                if interrupted_at == Some(second) {
                    teardown.again(libc::SIGINT, at(second));
                }
                told.extend(teardown.advance(at(second)).map(|news| (second, news)));
            }
            assert_eq!(told, expect, "{interrupted_at:?}");
            assert!(teardown.has_given_up() && teardown.deadline().is_none());
        }
    }
}
