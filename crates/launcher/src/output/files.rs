//! The log files: bytes wait in bounded buffers, and a thread writes them.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::log_file::LogFile;
use super::worker::{Shared, Wake, Worker};
use super::{AT_ONCE, LEAST, Summary};

/// Bytes that wait for all files together, about: [`Files::room`] shares it out.
const BUFFERED: usize = 1024 * 1024;

/// How often it is looked whether a write still hangs. Less often than it is called a hang, so that one that is done soon
/// leaves no time-out that wakes the loop while all is quiet.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Files {
    pub(crate) worker: Worker<Queues>,
    hang: Duration,
}

#[derive(Default)]
pub(crate) struct Queues {
    queues: Vec<Queue>,
    /// Where the search for work begins, so that every file gets its turn: behind the one that the thread has in hand.
    next: usize,
    /// A write takes too long, so bytes are dropped.
    hung: bool,
    messages: Vec<String>,
}

#[derive(Default)]
struct Queue {
    opened: bool,
    /// Nothing more comes; the file is to be closed after what is pending.
    ended: bool,
    closed: bool,
    pending: Vec<u8>,
    /// Bytes that were dropped after `pending`.
    dropped: u64,
    /// The loop found no room and has to be called when there is.
    starved: bool,
    /// Bytes that came.
    taken: u64,
    summary: Summary,
}

impl Queues {
    /// Bytes that may wait for each file.
    fn share(&self) -> usize {
        let open = self.queues.iter().filter(|it| !it.ended).count();
        (BUFFERED / open.max(1)).clamp(AT_ONCE / 8, AT_ONCE)
    }

    /// The next file that has something to be done; the bytes to be written take the place of those in `bytes`.
    fn next_job(&mut self, bytes: &mut Vec<u8>) -> Option<Job> {
        let has_work = |it: &Queue| !it.opened || !it.pending.is_empty() || it.dropped > 0 || it.ended && !it.closed;
        let count = self.queues.len();
        let sink = (0..count).map(|n| (self.next + n) % count).find(|&sink| has_work(&self.queues[sink]))?;
        self.next = sink + 1;
        let queue = &mut self.queues[sink];
        queue.opened = true;
        std::mem::swap(&mut queue.pending, bytes);
        let (dropped, starved) = (std::mem::take(&mut queue.dropped), std::mem::take(&mut queue.starved));
        Some(Job { sink, path: queue.summary.file.clone(), dropped, close: queue.ended, starved })
    }
}

/// What the writer does at a time.
struct Job {
    sink: usize,
    path: PathBuf,
    /// Bytes lost after those that are to be written.
    dropped: u64,
    close: bool,
    starved: bool,
}

impl Files {
    /// Starts the writer. Errors: no thread to be had.
    pub(crate) fn start(max_size: u64, hang: Duration, retry: Duration, wake: Wake) -> io::Result<Files> {
        let write = move |shared: &Shared<Queues>| write_files(shared, max_size, retry);
        Ok(Files { worker: Worker::start("log files", Queues::default(), wake, write)?, hang })
    }

    /// A file to be opened by the writer; its number is one more than the last one's, from 0.
    pub(crate) fn open(&mut self, file: PathBuf) {
        let mut state = self.worker.lock();
        let summary = Summary { file, ..Summary::default() };
        state.buffer.queues.push(Queue { summary, ..Queue::default() });
        state.todo = true;
    }

    pub(crate) fn room(&self, sink: usize) -> usize {
        let state = &self.worker.lock().buffer;
        match &state.queues[sink] {
            _ if state.hung => AT_ONCE,
            // The note of what was dropped comes before what would be taken now.
            queue if queue.dropped > 0 => 0,
            queue => state.share().saturating_sub(queue.pending.len()),
        }
    }

    /// Takes bytes over, or counts them as dropped while the writer hangs.
    pub(crate) fn take(&mut self, sink: usize, bytes: &[u8], now: Instant) {
        let mut state = self.worker.lock();
        state.todo = true;
        let (hung, share) = (state.buffer.hung, state.buffer.share());
        let queue = &mut state.buffer.queues[sink];
        queue.taken += bytes.len() as u64;
        if hung || queue.dropped > 0 {
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

    pub(crate) fn end(&mut self, sink: usize) {
        let mut state = self.worker.lock();
        state.buffer.queues[sink].ended = true;
        state.todo = true;
    }

    /// Wakes the writer if there is work, watches over it, and returns what it has to say.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<String> {
        let mut state = self.worker.lock();
        self.worker.rouse(&mut state, now);
        let is_too_long = state.busy_since().is_some_and(|since| since + self.hang <= now);
        let queues = &mut state.buffer;
        let mut messages = std::mem::take(&mut queues.messages);
        if is_too_long && !queues.hung && queues.next > 0 {
            queues.hung = true;
            queues.queues.iter_mut().for_each(|queue| queue.starved = true);
            let path = &queues.queues[queues.next - 1].summary.file;
            let (folder, seconds) = (path.parent().unwrap_or(path).display(), self.hang.as_secs());
            messages.push(format!(
                "failed to write to `{folder}` for {seconds} s: the ranks go on, but the log files lose what they print"
            ));
        }
        messages
    }

    /// When [`Files::tick`] has to be called although nothing happens.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let state = self.worker.lock();
        if state.buffer.hung { None } else { Some((state.busy_since()? + self.hang).min(now + LOOK)) }
    }

    /// What became of everything, by number.
    pub(crate) fn results(&self) -> Vec<Summary> {
        let summary = |queue: &Queue| {
            let gave_up = || format!("failed to write to `{}` in time", queue.summary.file.display());
            let trouble = queue.summary.trouble.clone().or_else(|| (!queue.closed).then(gave_up));
            let bytes_lost = queue.taken.saturating_sub(queue.summary.bytes);
            Summary { trouble, bytes_lost, ..queue.summary.clone() }
        };
        self.worker.lock().buffer.queues.iter().map(summary).collect()
    }
}

fn write_files(shared: &Shared<Queues>, max_size: u64, retry: Duration) {
    let mut files: Vec<Option<LogFile>> = Vec::new();
    let mut bytes = Vec::with_capacity(AT_ONCE);
    while let Some(Job { sink, path, dropped, close, starved }) = shared.next(|queues| queues.next_job(&mut bytes)) {
        if starved {
            shared.wake.call();
        }
        if files.len() <= sink {
            files.resize_with(sink + 1, || None);
        }
        let file = files[sink].get_or_insert_with(|| LogFile::new(path, max_size, retry));
        file.append(&bytes, dropped, close, || {
            shared.progress(|_| false);
        });
        let mut messages = std::mem::take(&mut file.messages);
        let (parts, written, trouble) = (file.parts, file.written, file.trouble.clone());
        if close {
            // A network's file system may take its time for that too.
            files[sink] = None;
        }
        bytes.clear();
        bytes.shrink_to(AT_ONCE);
        shared.progress(|queues| {
            let queue = &mut queues.queues[sink];
            let summary = &mut queue.summary;
            (summary.parts, summary.bytes, summary.trouble, queue.closed) = (parts, written, trouble, close);
            if close {
                queue.pending = Vec::new();
            }
            if std::mem::take(&mut queues.hung) {
                messages.insert(
                    0,
                    "the log files are written again; a note in each says how many bytes are missing".into(),
                );
            }
            queues.messages.append(&mut messages);
            !queues.messages.is_empty()
        });
    }
}
