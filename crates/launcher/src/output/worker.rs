//! A thread that writes, and the buffer between it and the event loop.
//!
//! The loop never waits for the thread, whatever call that hangs in: it looks at [`State::busy_since`]. A thread that still
//! hangs when its [`Worker`] is dropped is left behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Stack of a thread, in bytes.
const STACK: usize = 64 * 1024;

/// How the threads call the event loop: a descriptor that is readable from [`Wake::call`] to [`Wake::heard`].
#[derive(Clone)]
pub(crate) struct Wake(Arc<EventFd>);

impl Wake {
    /// Errors: no descriptors left.
    pub(crate) fn new() -> io::Result<Wake> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Wake(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn call(&self) {
        // It fails only when 2^64 calls went unheard.
        let _ = self.0.write(1);
    }

    /// To be called before looking at what the threads have to say.
    pub(crate) fn heard(&self) {
        // EAGAIN: nobody has called.
        let _ = self.0.read();
    }
}

pub(crate) struct Worker<B>(Arc<Shared<B>>);

/// The thread's end.
pub(crate) struct Shared<B> {
    state: Mutex<State<B>>,
    /// There is work, or none is left.
    changed: Condvar,
    pub(crate) wake: Wake,
}

/// The buffer, and what the thread is doing.
pub(crate) struct State<B> {
    pub(crate) buffer: B,
    /// Something in the buffer is to be done. Set by the loop.
    pub(crate) todo: bool,
    /// The thread sleeps.
    idle: bool,
    /// When it was woken, or took or finished something.
    progress: Instant,
    /// Nobody needs the thread any more.
    over: bool,
}

impl<B: Send + 'static> Worker<B> {
    /// Starts a thread that does `work`. Errors: no thread to be had.
    pub(crate) fn start(
        name: &str,
        buffer: B,
        wake: Wake,
        work: impl FnOnce(&Shared<B>) + Send + 'static,
    ) -> io::Result<Worker<B>> {
        let state = State { buffer, todo: false, idle: false, progress: Instant::now(), over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), wake });
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name(name.into()).stack_size(STACK).spawn(move || work(&theirs))?;
        Ok(Worker(shared))
    }
}

impl<B> Worker<B> {
    /// The buffer. Never held during a system call that may block.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock()
    }

    /// Wakes the thread if it sleeps and there is work; it is judged by the time it takes from `now` on.
    pub(crate) fn rouse(&self, state: &mut State<B>, now: Instant) {
        if state.is_owed() {
            (state.idle, state.progress) = (false, now);
            self.0.changed.notify_all();
        }
    }

    /// Waits until all is done, or until there was no progress for `patience` after `started`. Says whether all is done.
    pub(crate) fn drain(&self, started: Instant, patience: Duration) -> bool {
        let mut state = self.lock();
        self.rouse(&mut state, Instant::now());
        while let Some(since) = state.busy_since() {
            let left = (since.max(started) + patience).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl<B> State<B> {
    /// Since when there was no progress; `None` where there is nothing to do.
    pub(crate) fn busy_since(&self) -> Option<Instant> {
        (self.todo || !self.idle).then_some(self.progress)
    }

    /// Whether there is work, and the thread sleeps.
    pub(crate) fn is_owed(&self) -> bool {
        self.todo && self.idle
    }
}

impl<B> Drop for Worker<B> {
    fn drop(&mut self) {
        self.lock().over = true;
        self.0.changed.notify_all();
    }
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `take` finds to do, after a sleep where it finds nothing; `None` when the thread has to end.
    pub(crate) fn next<J>(&self, mut take: impl FnMut(&mut B) -> Option<J>) -> Option<J> {
        let mut state = self.lock();
        while !state.over {
            state.progress = Instant::now();
            let job = take(&mut state.buffer);
            if job.is_some() {
                return job;
            }
            (state.todo, state.idle) = (false, true);
            self.changed.notify_all();
            while state.idle && !state.over {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        None
    }

    /// Tells of progress; false where nobody cares any more. `tell` says whether the loop has to be called.
    pub(crate) fn progress(&self, tell: impl FnOnce(&mut B) -> bool) -> bool {
        let mut state = self.lock();
        state.progress = Instant::now();
        if tell(&mut state.buffer) {
            self.wake.call();
        }
        !state.over
    }
}
