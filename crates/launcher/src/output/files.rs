//! The thread that writes the log files, and the bounded buffers between it and the event loop.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::log_file::{LogFile, Writing};
use super::wake::Wake;
use super::{AT_ONCE, STACK};

/// Bytes that wait for all files together, about: [`Files::room`] shares it out.
const BUFFERED: usize = 1024 * 1024;

/// What became of the bytes of one sink.
pub(crate) struct Kept {
    pub(crate) parts: u32,
    pub(crate) written: u64,
    pub(crate) trouble: Option<String>,
}

/// The event loop's end.
pub(crate) struct Files {
    shared: Arc<Shared>,
    hang: Duration,
    /// Sinks that are open.
    open: usize,
    /// The writer has to be woken at the next tick.
    owed: bool,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    wake: Arc<Wake>,
}

#[derive(Default)]
struct State {
    queues: Vec<Queue>,
    /// Where the search for work begins, so that every file gets its turn.
    next: usize,
    /// The writer sleeps on `work`.
    idle: bool,
    closing: bool,
    done: bool,
    /// Nobody waits for the writer any more: it must stop when it can.
    abandoned: bool,
    /// When the system call began that the writer is in.
    busy_since: Option<Instant>,
    /// Whose file that call is for.
    current: usize,
    /// Such a call takes too long, so bytes are dropped.
    hung: bool,
    /// The end of a hang has to be told.
    revived: bool,
    /// When the alarm goes off.
    alarm: Option<Instant>,
    messages: Vec<String>,
}

struct Queue {
    path: PathBuf,
    /// Not yet opened.
    fresh: bool,
    /// Nothing more comes; the file is to be closed after what is pending.
    ended: bool,
    closed: bool,
    pending: Vec<u8>,
    /// Bytes that were dropped after `pending`.
    dropped: u64,
    /// The loop found no room and has to be called when there is.
    starved: bool,
    kept: Kept,
}

impl Queue {
    fn has_work(&self) -> bool {
        self.fresh || !self.pending.is_empty() || self.dropped > 0 || (self.ended && !self.closed)
    }
}

impl Files {
    /// Starts the writer. Errors: no thread to be had.
    pub(crate) fn start(max_size: u64, hang: Duration, retry: Duration, wake: Arc<Wake>) -> io::Result<Files> {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), wake });
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("log files".into())
            .stack_size(STACK)
            .spawn(move || write_files(&theirs, max_size, retry))?;
        Ok(Files { shared, hang, open: 0, owed: false })
    }

    /// A file to be opened by the writer; its number is one more than the last one's, from 0.
    pub(crate) fn open(&mut self, path: PathBuf) {
        self.open += 1;
        self.owed = true;
        let kept = Kept { parts: 0, written: 0, trouble: None };
        let pending = Vec::new();
        let (fresh, ended, closed, starved) = (true, false, false, false);
        self.lock().queues.push(Queue { path, fresh, ended, closed, pending, dropped: 0, starved, kept });
    }

    fn share(&self) -> usize {
        (BUFFERED / self.open.max(1)).clamp(AT_ONCE / 8, AT_ONCE)
    }

    /// Bytes that there is room for.
    pub(crate) fn room(&self, sink: usize) -> usize {
        let state = self.lock();
        let queue = &state.queues[sink];
        if state.hung {
            AT_ONCE
        } else if queue.dropped > 0 && !queue.pending.is_empty() {
            // What was dropped comes before what would be taken now, but after what is pending.
            0
        } else {
            self.share().saturating_sub(queue.pending.len())
        }
    }

    /// Takes bytes over, or counts them as dropped while the writer hangs.
    pub(crate) fn take(&mut self, sink: usize, bytes: &[u8], now: Instant) {
        let share = self.share();
        let mut state = self.lock();
        let hung = state.hung;
        let queue = &mut state.queues[sink];
        if hung || (queue.dropped > 0 && !queue.pending.is_empty()) {
            queue.dropped += bytes.len() as u64;
            queue.starved = true;
            return;
        }
        if queue.pending.capacity() == 0 {
            queue.pending.reserve_exact(AT_ONCE);
        }
        queue.pending.extend_from_slice(bytes);
        queue.starved |= queue.pending.len() + super::LEAST > share;
        let much = queue.pending.len() >= AT_ONCE / 4;
        if !(much && rouse(&self.shared, &mut state, now)) {
            drop(state);
            self.owed = true;
        }
    }

    /// Nothing more comes for this file.
    pub(crate) fn end(&mut self, sink: usize) {
        if !std::mem::replace(&mut lock(&self.shared).queues[sink].ended, true) {
            self.open -= 1;
            self.owed = true;
        }
    }

    /// True when [`Files::tick`] has to be called before the loop sleeps.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed
    }

    /// Wakes the writer if there is work, watches over it, and returns what it has to say.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<String> {
        let mut state = self.lock();
        let mut messages = std::mem::take(&mut state.messages);
        if std::mem::take(&mut state.revived) {
            messages.push("the log files are written again; a note in each says how many bytes are missing".into());
        }
        if self.owed {
            rouse(&self.shared, &mut state, now);
        }
        if let Some(since) = state.busy_since.filter(|_| !state.hung) {
            let due = since + self.hang;
            if due <= now {
                state.hung = true;
                state.queues.iter_mut().for_each(|queue| queue.starved = true);
                messages.push(hang_message(&state.queues[state.current].path, self.hang));
                state.alarm = None;
                self.shared.wake.unset_alarm();
            } else if state.alarm.is_none_or(|alarm| alarm <= now) {
                state.alarm = Some(due);
                self.shared.wake.set_alarm(due - now);
            }
        }
        drop(state);
        self.owed = false;
        messages
    }

    /// Lets the writer stop when all is written.
    pub(crate) fn close(&mut self) {
        let mut state = self.lock();
        state.closing = true;
        state.queues.iter_mut().for_each(|queue| queue.ended = true);
        rouse(&self.shared, &mut state, Instant::now());
    }

    /// Since when there is no progress after [`Files::close`]; `None` when all is done.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        let state = self.lock();
        (!state.done).then(|| state.busy_since.unwrap_or_else(Instant::now))
    }

    /// What became of everything, by number. The writer stops at once if it has not yet.
    pub(crate) fn results(&mut self) -> Vec<Kept> {
        let mut state = self.lock();
        state.abandoned = true;
        let done = state.done;
        let kept = |queue: Queue| {
            let gave_up = || format!("failed to write to `{}` in time", queue.path.display());
            let trouble = queue.kept.trouble.or_else(|| (!done && !queue.closed).then(gave_up));
            Kept { trouble, ..queue.kept }
        };
        std::mem::take(&mut state.queues).into_iter().map(kept).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }
}

/// Wakes the writer if it sleeps; it is judged by the time it takes from `now` on.
fn rouse(shared: &Shared, state: &mut State, now: Instant) -> bool {
    let idle = std::mem::replace(&mut state.idle, false);
    if idle {
        state.busy_since = Some(now);
        shared.work.notify_one();
    }
    idle
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hang_message(path: &Path, hang: Duration) -> String {
    let folder = path.parent().unwrap_or(path).display();
    let seconds = hang.as_secs();
    format!("failed to write to `{folder}` for {seconds} s: the ranks go on, but the log files lose what they print")
}

/// What the writer does at a time.
struct Job {
    sink: usize,
    fresh: Option<PathBuf>,
    /// Bytes lost after those in the buffer.
    dropped: u64,
    close: bool,
}

fn write_files(shared: &Shared, max_size: u64, retry: Duration) {
    let mut files: Vec<Option<LogFile>> = Vec::new();
    let mut bytes = Vec::with_capacity(AT_ONCE);
    while let Some(job) = next_job(shared, &mut bytes) {
        let mut messages = Vec::new();
        let mut progress = |written| {
            let mut state = lock(shared);
            state.busy_since = Some(Instant::now());
            if let Some(queue) = state.queues.get_mut(job.sink) {
                queue.kept.written = written;
            }
            if std::mem::replace(&mut state.hung, false) {
                state.revived = true;
                shared.wake.call();
            }
        };
        let mut writing = Writing { max_size, retry, progress: &mut progress, tell: &mut messages };
        if files.len() <= job.sink {
            files.resize_with(job.sink + 1, || None);
        }
        let slot = &mut files[job.sink];
        if let Some(path) = job.fresh {
            slot.insert(LogFile::new(path)).open(&mut writing);
        }
        let Some(file) = slot else { continue };
        file.append(&bytes, &mut writing);
        if job.dropped > 0 || job.close {
            file.lose(job.dropped, &mut writing);
        }
        let (parts, written, trouble) = (file.parts, file.written, file.trouble.clone());
        if job.close {
            // A network's file system may take its time for that too.
            *slot = None;
            progress(written);
        }
        let mut state = lock(shared);
        if let Some(queue) = state.queues.get_mut(job.sink) {
            (queue.kept.parts, queue.kept.trouble) = (parts, trouble);
            queue.closed |= job.close;
            if queue.closed {
                queue.pending = Vec::new();
            }
        }
        if !messages.is_empty() {
            state.messages.append(&mut messages);
            shared.wake.call();
        }
    }
}

/// Sleeps until there is something to do, and swaps the bytes for it into `bytes`; `None` when all is done.
fn next_job(shared: &Shared, bytes: &mut Vec<u8>) -> Option<Job> {
    bytes.clear();
    bytes.shrink_to(AT_ONCE);
    let mut guard = lock(shared);
    loop {
        let state = &mut *guard;
        if state.abandoned {
            return None;
        }
        let count = state.queues.len();
        let found = (0..count).map(|n| (state.next + n) % count).find(|&sink| state.queues[sink].has_work());
        if let Some(sink) = found {
            state.next = sink + 1;
            state.current = sink;
            state.busy_since = Some(Instant::now());
            let queue = &mut state.queues[sink];
            std::mem::swap(bytes, &mut queue.pending);
            if std::mem::replace(&mut queue.starved, false) {
                shared.wake.call();
            }
            let fresh = std::mem::replace(&mut queue.fresh, false).then(|| queue.path.clone());
            return Some(Job { sink, fresh, dropped: std::mem::take(&mut queue.dropped), close: queue.ended });
        }
        state.busy_since = None;
        if state.alarm.take().is_some() {
            shared.wake.unset_alarm();
        }
        if state.closing {
            state.done = true;
            shared.wake.call();
            return None;
        }
        state.idle = true;
        while guard.idle {
            guard = shared.work.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
