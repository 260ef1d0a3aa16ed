//! How the writers call the event loop, without anybody waking while all is quiet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// One descriptor that gets readable by [`Wake::call`] or when the alarm goes off.
///
/// The alarm is a timerfd because a writer can call it off without waking the loop; a time-out of the loop's own poll
/// would have to run out.
pub(crate) struct Wake {
    both: Epoll,
    event: EventFd,
    /// True soon after each write to `event`, so that most ticks need not read it.
    called: AtomicBool,
    alarm: TimerFd,
}

impl Wake {
    /// Errors: no descriptors left.
    pub(crate) fn new() -> io::Result<Wake> {
        let both = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let alarm = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        both.add(&event, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        both.add(&alarm, EpollEvent::new(EpollFlags::EPOLLIN, 1))?;
        Ok(Wake { both, event, called: AtomicBool::new(false), alarm })
    }

    /// To be polled for reading, not to be read.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.both.0.as_fd()
    }

    /// Makes the descriptor readable until [`Wake::heard`].
    pub(crate) fn call(&self) {
        // It fails only when 2^64 calls went unheard.
        let _ = self.event.write(1);
        self.called.store(true, Ordering::Release);
    }

    /// To be called before looking at what the writers have to say.
    pub(crate) fn heard(&self) {
        if self.called.swap(false, Ordering::AcqRel) {
            // EAGAIN: heard already, the flag came late.
            let _ = self.event.read();
        }
    }

    /// Lets the alarm go off once after `delay`; an earlier alarm is forgotten.
    pub(crate) fn set_alarm(&self, delay: Duration) {
        // Zero would mean never.
        let delay = TimeSpec::from_duration(delay.max(Duration::from_nanos(1)));
        // It fails only for times out of range.
        let _ = self.alarm.set(Expiration::OneShot(delay), TimerSetTimeFlags::empty());
    }

    /// Calls the alarm off, also after it went off.
    pub(crate) fn unset_alarm(&self) {
        let _ = self.alarm.unset();
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn readable(wake: &Wake, milliseconds: u16) -> bool {
        let timeout = PollTimeout::from(milliseconds);
        poll(&mut [PollFd::new(wake.fd(), PollFlags::POLLIN)], timeout).unwrap() == 1
    }

    #[test]
    fn calls_and_alarms_make_it_readable_until_heard() {
        let wake = Wake::new().unwrap();
        assert!(!readable(&wake, 0));
        wake.call();
        wake.call();
        assert!(readable(&wake, 0));
        wake.heard();
        assert!(!readable(&wake, 0));
        wake.set_alarm(Duration::ZERO);
        assert!(readable(&wake, 10_000));
        wake.unset_alarm();
        assert!(!readable(&wake, 0));
    }
}
