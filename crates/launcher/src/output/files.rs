//! The log files: bytes wait in bounded buffers, and a thread writes them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log_file::LogFile;
use super::wake::Wake;
use super::worker::{Buffer, Shared, Worker};
use super::{AT_ONCE, LEAST};

/// Bytes that wait for all files together, about: [`Files::room`] shares it out.
const BUFFERED: usize = 1024 * 1024;

/// How often it is looked whether a call still hangs. Less often than it is called a hang, so that a call that comes back
/// soon leaves no time-out that wakes the loop while all is quiet.
const LOOK: Duration = Duration::from_secs(1);

/// What became of the bytes of one sink.
#[derive(Default, Clone)]
pub(crate) struct Kept {
    pub(crate) parts: u32,
    pub(crate) written: u64,
    pub(crate) trouble: Option<String>,
}

/// The event loop's end.
pub(crate) struct Files {
    worker: Worker<Queues>,
    hang: Duration,
}

#[derive(Default)]
struct Queues {
    queues: Vec<Queue>,
    /// Where the search for work begins, so that every file gets its turn.
    next: usize,
    /// Whose file the thread has in hand.
    current: usize,
    /// A call for it takes too long, so bytes are dropped.
    hung: bool,
    messages: Vec<String>,
}

#[derive(Default)]
struct Queue {
    path: PathBuf,
    opened: bool,
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
        !self.opened || !self.pending.is_empty() || self.dropped > 0 || (self.ended && !self.closed)
    }

    /// What was dropped comes before what would be taken now, but after what is pending.
    fn has_gap(&self) -> bool {
        self.dropped > 0 && !self.pending.is_empty()
    }
}

impl Buffer for Queues {
    fn is_empty(&self) -> bool {
        !self.queues.iter().any(Queue::has_work)
    }
}

impl Queues {
    /// Bytes that may wait for each file.
    fn share(&self) -> usize {
        let open = self.queues.iter().filter(|it| !it.ended).count();
        (BUFFERED / open.max(1)).clamp(AT_ONCE / 8, AT_ONCE)
    }
}

impl Files {
    /// Starts the writer. Errors: no thread to be had.
    pub(crate) fn start(max_size: u64, hang: Duration, retry: Duration, wake: Arc<Wake>) -> io::Result<Files> {
        let write = move |shared: &Shared<Queues>| write_files(shared, max_size, retry);
        Ok(Files { worker: Worker::start("log files", Queues::default(), wake, write)?, hang })
    }

    /// A file to be opened by the writer; its number is one more than the last one's, from 0.
    pub(crate) fn open(&mut self, path: PathBuf) {
        self.worker.lock().queues.push(Queue { path, ..Queue::default() });
    }

    /// Bytes that there is room for.
    pub(crate) fn room(&self, sink: usize) -> usize {
        let state = self.worker.lock();
        match &state.queues[sink] {
            _ if state.hung => AT_ONCE,
            queue if queue.has_gap() => 0,
            queue => state.share().saturating_sub(queue.pending.len()),
        }
    }

    /// Takes bytes over, or counts them as dropped while the writer hangs.
    pub(crate) fn take(&mut self, sink: usize, bytes: &[u8], now: Instant) {
        let mut state = self.worker.lock();
        let (hung, share) = (state.hung, state.share());
        let queue = &mut state.queues[sink];
        if hung || queue.has_gap() {
            queue.dropped += bytes.len() as u64;
            queue.starved = true;
            return;
        }
        if queue.pending.capacity() == 0 {
            queue.pending.reserve_exact(AT_ONCE);
        }
        queue.pending.extend_from_slice(bytes);
        queue.starved |= queue.pending.len() + LEAST > share;
        if queue.pending.len() >= AT_ONCE / 4 {
            self.worker.rouse(&mut state, now);
        }
    }

    /// Nothing more comes for this file.
    pub(crate) fn end(&mut self, sink: usize) {
        self.worker.lock().queues[sink].ended = true;
    }

    /// Wakes the writer if there is work, watches over it, and returns what it has to say.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<String> {
        let mut state = self.worker.lock();
        self.worker.rouse(&mut state, now);
        let mut messages = std::mem::take(&mut state.messages);
        if !state.hung && state.busy_since().is_some_and(|since| since + self.hang <= now) {
            state.hung = true;
            state.queues.iter_mut().for_each(|queue| queue.starved = true);
            messages.push(hang_message(&state.queues[state.current].path, self.hang));
        }
        messages
    }

    /// When [`Files::tick`] has to be called although nothing happens.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let state = self.worker.lock();
        if state.hung { None } else { Some((state.busy_since()? + self.hang).min(now + LOOK)) }
    }

    /// Ends all files, and has the loop called when all is written.
    pub(crate) fn close(&mut self) {
        self.worker.lock().queues.iter_mut().for_each(|queue| queue.ended = true);
        self.worker.settle();
    }

    /// Since when there was no progress; `None` when all is written.
    pub(crate) fn busy_since(&self) -> Option<Instant> {
        self.worker.busy_since()
    }

    /// True when [`Files::tick`] has to be called before the loop sleeps.
    pub(crate) fn is_owed(&self) -> bool {
        self.worker.is_owed()
    }

    /// What became of everything, by number.
    pub(crate) fn results(&self) -> Vec<Kept> {
        let kept = |queue: &Queue| {
            let gave_up = || format!("failed to write to `{}` in time", queue.path.display());
            let trouble = queue.kept.trouble.clone().or_else(|| (!queue.closed).then(gave_up));
            Kept { trouble, ..queue.kept.clone() }
        };
        self.worker.lock().queues.iter().map(kept).collect()
    }
}

fn hang_message(path: &Path, hang: Duration) -> String {
    let folder = path.parent().unwrap_or(path).display();
    let seconds = hang.as_secs();
    format!("failed to write to `{folder}` for {seconds} s: the ranks go on, but the log files lose what they print")
}

/// What the writer does at a time.
struct Job {
    sink: usize,
    path: PathBuf,
    bytes: Vec<u8>,
    /// Bytes lost after those.
    dropped: u64,
    close: bool,
}

impl Queues {
    /// The next thing to do; `buffer` takes the place of the bytes that are to be written.
    fn next_job(&mut self, buffer: &mut Vec<u8>) -> Option<Job> {
        let count = self.queues.len();
        let sink = (0..count).map(|n| (self.next + n) % count).find(|&sink| self.queues[sink].has_work())?;
        (self.next, self.current) = (sink + 1, sink);
        let queue = &mut self.queues[sink];
        queue.opened = true;
        let bytes = std::mem::replace(&mut queue.pending, std::mem::take(buffer));
        let dropped = std::mem::take(&mut queue.dropped);
        Some(Job { sink, path: queue.path.clone(), bytes, dropped, close: queue.ended })
    }
}

fn write_files(shared: &Shared<Queues>, max_size: u64, retry: Duration) {
    let mut files: Vec<Option<LogFile>> = Vec::new();
    let mut buffer = Vec::with_capacity(AT_ONCE);
    let next = |buffer: &mut Vec<u8>| {
        shared.next(|queues| {
            let job = queues.next_job(buffer)?;
            if std::mem::take(&mut queues.queues[job.sink].starved) {
                shared.call();
            }
            Some(job)
        })
    };
    while let Some(Job { sink, path, mut bytes, dropped, close }) = next(&mut buffer) {
        let mut progress = |written| {
            shared.progress(|queues| {
                queues.queues[sink].kept.written = written;
                let revived = std::mem::take(&mut queues.hung);
                if revived {
                    let text = "the log files are written again; a note in each says how many bytes are missing";
                    queues.messages.push(text.to_owned());
                }
                revived
            });
        };
        if files.len() <= sink {
            files.resize_with(sink + 1, || None);
        }
        let file = files[sink].get_or_insert_with(|| LogFile::new(path, max_size, retry));
        file.open(&mut progress);
        file.append(&bytes, &mut progress);
        if dropped > 0 || close {
            file.lose(dropped, &mut progress);
        }
        let mut messages = std::mem::take(&mut file.messages);
        let kept = Kept { parts: file.parts, written: file.written, trouble: file.trouble.clone() };
        if close {
            // A network's file system may take its time for that too.
            files[sink] = None;
            progress(kept.written);
        }
        bytes.clear();
        bytes.shrink_to(AT_ONCE);
        buffer = bytes;
        shared.progress(|queues| {
            let queue = &mut queues.queues[sink];
            (queue.kept, queue.closed) = (kept, close);
            if close {
                queue.pending = Vec::new();
            }
            let says = !messages.is_empty();
            queues.messages.append(&mut messages);
            says
        });
    }
}
