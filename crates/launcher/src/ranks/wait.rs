//! Sleeping until a descriptor has something or a time has come.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Sleeps until one of the descriptors can be read or `until` has come, for ever where that is `None`. Says of each whether
/// it can be read or is at its end; an interrupted sleep says no of all.
pub fn readable(descriptors: &[BorrowedFd<'_>], until: Option<Instant>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = descriptors.iter().map(|it| PollFd::new(*it, PollFlags::POLLIN)).collect();
    let timeout = match until {
        None => PollTimeout::NONE,
        Some(until) => {
            // Rounded up: a time that has not quite come would be a turn of the loop for nothing.
            let nanoseconds = until.saturating_duration_since(Instant::now()).as_nanos();
            let milliseconds = nanoseconds.div_ceil(1_000_000).min(60_000);
            u16::try_from(milliseconds).map_or(PollTimeout::from(60_000u16), PollTimeout::from)
        }
    };
    match poll(&mut polled, timeout) {
        Ok(_) => Ok(polled.iter().map(|it| it.any().unwrap_or(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; descriptors.len()]),
        Err(error) => Err(error.into()),
    }
}

/// Ten seconds are long for a test: a debug build divides what it waits for in vain by `FMTK_TEST_HURRY`, a release knows
/// nothing of it.
pub fn shortened_for_tests(duration: Duration) -> Duration {
    let hurry = std::env::var("FMTK_TEST_HURRY").ok().filter(|_| cfg!(debug_assertions));
    duration / hurry.and_then(|it| it.parse().ok()).unwrap_or(1)
}
