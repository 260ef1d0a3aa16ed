//! A thread that writes, and the buffer between it and the event loop.
//!
//! The loop never waits for the thread, whatever call that hangs in: it looks at [`Worker::busy_since`]. A thread that still
//! hangs when its [`Worker`] is dropped is left behind.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::wake::Wake;

/// Stack of a thread, in bytes.
const STACK: usize = 64 * 1024;

/// What is written by the thread.
pub(crate) trait Buffer: Send + 'static {
    /// Whether there is nothing to do for the thread.
    fn is_empty(&self) -> bool;
}

/// The event loop's end.
pub(crate) struct Worker<B>(Arc<Shared<B>>);

/// The thread's end.
pub(crate) struct Shared<B> {
    state: Mutex<State<B>>,
    work: Condvar,
    wake: Arc<Wake>,
}

/// The buffer, and what the thread is doing.
pub(crate) struct State<B> {
    buffer: B,
    /// The thread sleeps on `work`.
    idle: bool,
    /// When it was woken, or when its last call came back.
    progress: Instant,
    /// The loop wants to be called when there is nothing left to do.
    settling: bool,
    /// Nobody needs the thread any more.
    over: bool,
}

impl<B> Deref for State<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.buffer
    }
}

impl<B> DerefMut for State<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.buffer
    }
}

impl<B: Buffer> Worker<B> {
    /// Starts a thread that does `work`. Errors: no thread to be had.
    pub(crate) fn start(
        name: &str,
        buffer: B,
        wake: Arc<Wake>,
        work: impl FnOnce(&Shared<B>) + Send + 'static,
    ) -> io::Result<Worker<B>> {
        let state = State { buffer, idle: false, progress: Instant::now(), settling: false, over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), wake });
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name(name.into()).stack_size(STACK).spawn(move || work(&theirs))?;
        Ok(Worker(shared))
    }

    /// The buffer. Never held during a system call that may block.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock()
    }

    /// Whether there is work, and the thread sleeps.
    pub(crate) fn is_owed(&self) -> bool {
        let state = self.lock();
        state.idle && !state.buffer.is_empty()
    }

    /// Wakes the thread if it sleeps and there is work; it is judged by the time it takes from `now` on.
    pub(crate) fn rouse(&self, state: &mut State<B>, now: Instant) {
        if state.idle && !state.buffer.is_empty() {
            (state.idle, state.progress) = (false, now);
            self.0.work.notify_one();
        }
    }

    /// Has the loop called as soon as there is nothing left to do.
    pub(crate) fn settle(&self) {
        let mut state = self.lock();
        state.settling = true;
        self.rouse(&mut state, Instant::now());
    }

    /// Since when there was no progress; `None` where there is nothing to do.
    pub(crate) fn busy_since(&self) -> Option<Instant> {
        self.lock().busy_since()
    }
}

impl<B: Buffer> State<B> {
    /// As [`Worker::busy_since`].
    pub(crate) fn busy_since(&self) -> Option<Instant> {
        (!self.idle || !self.buffer.is_empty()).then_some(self.progress)
    }
}

impl<B> Drop for Worker<B> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.work.notify_one();
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
            state.idle = true;
            if state.settling {
                self.wake.call();
            }
            while state.idle && !state.over {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
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

    /// Calls the loop.
    pub(crate) fn call(&self) {
        self.wake.call();
    }
}
