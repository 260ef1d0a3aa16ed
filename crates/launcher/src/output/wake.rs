//! How the writers call the event loop, without anybody waking while all is quiet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// A descriptor that is readable from [`Wake::call`] to [`Wake::heard`].
pub(crate) struct Wake {
    event: EventFd,
    /// True soon after each write to `event`, so that most ticks need not read it.
    called: AtomicBool,
}

impl Wake {
    /// Errors: no descriptors left.
    pub(crate) fn new() -> io::Result<Wake> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Wake { event, called: AtomicBool::new(false) })
    }

    /// To be polled for reading, not to be read.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Makes the descriptor readable.
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
}
