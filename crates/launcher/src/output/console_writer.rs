//! The thread that writes to the console.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::STACK;
use super::batch::{Batch, Cursor, Source};
use super::wake::Wake;

/// Bytes that wait for the console, shared out to the ranks; as many again are in the writer's hands.
///
/// 128 KiB: 256 KiB gave no more throughput with eight ranks, and cost 300 KiB of memory.
pub(crate) const BUFFERED: usize = 128 * 1024;

/// Bytes in one write at most: nearly what a pipe holds, because each write wakes its reader.
const WRITE: usize = 56 * 1024;

/// Bytes in one write to a pipe that has not surely room for more. That is PIPE_BUF: the write gets in whole or not at
/// all (pipe(7)), so that we know what was shown when it hangs for good.
const CAREFUL_WRITE: usize = 4096;

/// Bytes that a pipe holds, unless somebody changed that; it holds them in pages.
const PIPE: usize = 64 * 1024;

/// The meeting point of the two.
pub(crate) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    wake: Arc<Wake>,
}

/// What the event loop and the writer share.
pub(crate) struct State {
    /// What the writer takes next.
    pub(crate) front: Batch,
    /// What it has; only it changes that, and only under the lock.
    taken: Arc<Batch>,
    /// Up to where that is written.
    cursor: Cursor,
    /// Counts how often `front` was taken.
    pub(crate) generation: u64,
    /// How long the writer had the one before.
    pub(crate) last_took: Duration,
    /// The loop waits for the next generation and has to be called.
    pub(crate) starved: bool,
    /// By number.
    prefixes: Vec<Arc<str>>,
    /// Lines that the writer could not write, by number.
    lost: Vec<u64>,
    /// Lines lost, by whomever, and not yet told.
    pub(crate) untold: u64,
    /// Why there is no stdout any more.
    pub(crate) closed: Option<io::Error>,
    /// The writer sleeps on `work`.
    idle: bool,
    pub(crate) closing: bool,
    /// The event loop waits until the writer has nothing more to do.
    pub(crate) settling: bool,
    pub(crate) done: bool,
    /// Nobody waits for the writer any more: it must stop when it can.
    abandoned: bool,
    /// When something was last written.
    pub(crate) progress: Instant,
}

impl State {
    /// A rank with that prefix.
    pub(crate) fn open(&mut self, prefix: String) {
        self.prefixes.push(prefix.into());
        self.lost.push(0);
    }

    /// Says how many lines were lost since it was last said, if any were.
    pub(crate) fn push_untold(&mut self) -> bool {
        let count = std::mem::take(&mut self.untold);
        if count > 0 {
            let lines = if count == 1 { "line" } else { "lines" };
            let text = format!("[fmtk-launch] console: {count} {lines} skipped, they are in the log files\n");
            self.front.push(Source::Own, &[text.as_bytes()]);
        }
        count > 0
    }

    /// Since when there is no progress; `None` when everything is written that there is.
    pub(crate) fn unsettled_since(&self) -> Option<Instant> {
        let is_settled = self.done || (self.idle && self.front.is_empty());
        (!is_settled).then_some(self.progress)
    }

    /// Lines that the writer could not write so far, by number.
    pub(crate) fn lost(&self) -> Vec<u64> {
        self.lost.clone()
    }

    /// Stops the writer, now if it is in no call; lines that it lost and will not write, by number.
    pub(crate) fn abandon(&mut self) -> Vec<u64> {
        if !self.done && !self.abandoned {
            self.abandoned = true;
            let (taken, mut cursor) = (Arc::clone(&self.taken), self.cursor);
            let lost = &mut self.lost;
            let mut count = |source, _: &[u8]| {
                if let Source::Rank(sink) = source {
                    lost[sink] += 1;
                }
                true
            };
            taken.walk(&mut cursor, &mut count);
            self.front.walk(&mut Cursor::default(), &mut count);
        }
        self.lost.clone()
    }
}

/// Starts the thread. Errors: no thread to be had.
pub(crate) fn start(out: File, err: File, wake: Arc<Wake>) -> io::Result<Arc<Shared>> {
    let state = State {
        front: Batch::default(),
        taken: Arc::default(),
        cursor: Cursor::default(),
        generation: 0,
        last_took: Duration::ZERO,
        starved: false,
        prefixes: Vec::new(),
        lost: Vec::new(),
        untold: 0,
        closed: None,
        idle: false,
        closing: false,
        settling: false,
        done: false,
        abandoned: false,
        progress: Instant::now(),
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), wake });
    let theirs = Arc::clone(&shared);
    let is_pipe = out.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    let (text, prefixes, lost) = (Vec::with_capacity(WRITE), Vec::new(), Vec::new());
    let writer = Writer { out, err, is_pipe, text, prefixes, gone: false, lost, began: None };
    thread::Builder::new().name("console".into()).stack_size(STACK).spawn(move || writer.run(&theirs))?;
    Ok(shared)
}

/// Never held during a system call that may block.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the writer if it sleeps.
pub(crate) fn rouse(shared: &Shared, state: &mut State) {
    if std::mem::replace(&mut state.idle, false) {
        shared.work.notify_one();
    }
}

struct Writer {
    out: File,
    err: File,
    /// `out` is a pipe.
    is_pipe: bool,
    /// What is being written.
    text: Vec<u8>,
    prefixes: Vec<Arc<str>>,
    /// There is no stdout any more.
    gone: bool,
    /// Lines lost by that and not yet in [`State`], by number.
    lost: Vec<u64>,
    /// When the batch in hand was taken.
    began: Option<Instant>,
}

impl Writer {
    fn run(mut self, shared: &Shared) {
        while let Some(batch) = self.next_batch(shared) {
            let mut cursor = Cursor::default();
            loop {
                let before = cursor;
                let result = match self.compose(&batch, &mut cursor) {
                    None => break,
                    Some(true) => write_all(&mut self.out, &self.text),
                    // Without stderr nobody is left to tell.
                    Some(false) => write_all(&mut self.err, &self.text).or(Ok(())),
                };
                let closed = result.err().map(|(written, error)| {
                    self.gone = true;
                    self.lose(&batch, before, cursor, written);
                    error
                });
                if !self.publish(shared, cursor, closed) {
                    return;
                }
            }
            if self.gone && !self.publish(shared, cursor, None) {
                return;
            }
        }
    }

    /// Bytes of the next write, unless a single line is longer.
    fn limit(&self) -> usize {
        if self.is_pipe { surely_fits(unread(&self.out)) } else { WRITE }
    }

    /// Fills `text` with what one write may take, whole lines of one stream; true for stdout, `None` at the end.
    fn compose(&mut self, batch: &Batch, cursor: &mut Cursor) -> Option<bool> {
        let limit = self.limit();
        let Writer { text, prefixes, lost, .. } = self;
        let mut stream = None;
        text.clear();
        batch.walk(cursor, |source, line| {
            let for_out = source != Source::Own;
            if stream.is_some_and(|stream| stream != for_out) {
                return false;
            }
            let prefix = match source {
                Source::Own => "",
                Source::Rank(sink) if self.gone => {
                    lost[sink] += 1;
                    return true;
                }
                Source::Rank(sink) => &prefixes[sink],
            };
            if !text.is_empty() && text.len() + shown_length(prefix, line) > limit {
                return false;
            }
            stream = Some(for_out);
            append(text, prefix.as_bytes());
            append(text, line);
            if line.last() != Some(&b'\n') {
                text.push(b'\n');
            }
            true
        });
        stream
    }

    /// Counts as lost those lines between two cursors that are not in the first `written` bytes of their text.
    fn lose(&mut self, batch: &Batch, mut from: Cursor, to: Cursor, written: usize) {
        let mut end = 0;
        let mut left = to.distance(&from);
        batch.walk(&mut from, |source, line| {
            if let Source::Rank(sink) = source
                && left > 0
            {
                end += shown_length(&self.prefixes[sink], line);
                self.lost[sink] += u64::from(end > written);
            }
            left = left.saturating_sub(line.len());
            left > 0
        });
    }

    /// Tells the event loop how far the writing is; false when nobody cares any more.
    fn publish(&mut self, shared: &Shared, cursor: Cursor, closed: Option<io::Error>) -> bool {
        let mut state = lock(shared);
        if state.abandoned {
            return false;
        }
        (state.cursor, state.progress) = (cursor, Instant::now());
        if self.gone {
            for (sink, lost) in self.lost.iter_mut().enumerate() {
                state.untold += *lost;
                state.lost[sink] += std::mem::take(lost);
            }
        }
        if closed.is_some() {
            state.closed = closed;
            shared.wake.call();
        }
        true
    }

    /// Sleeps until there are lines; `None` when there will be none.
    fn next_batch(&mut self, shared: &Shared) -> Option<Arc<Batch>> {
        let took = self.began.take().map(|began| began.elapsed());
        let mut guard = lock(shared);
        loop {
            let state = &mut *guard;
            if state.abandoned {
                return None;
            }
            if !state.front.is_empty() {
                // Only `abandon` keeps another reference.
                let taken = Arc::get_mut(&mut state.taken)?;
                std::mem::swap(taken, &mut state.front);
                state.front.clear(2 * BUFFERED);
                state.cursor = Cursor::default();
                state.generation += 1;
                state.last_took = took.unwrap_or_default();
                state.progress = Instant::now();
                if std::mem::replace(&mut state.starved, false) {
                    shared.wake.call();
                }
                self.began = Some(state.progress);
                self.prefixes.extend_from_slice(&state.prefixes[self.prefixes.len()..]);
                self.lost.resize(self.prefixes.len(), 0);
                return Some(Arc::clone(&state.taken));
            }
            if (state.closing || state.settling) && state.push_untold() {
                continue;
            }
            if state.closing {
                state.done = true;
                shared.wake.call();
                return None;
            }
            state.idle = true;
            if state.settling {
                shared.wake.call();
            }
            while guard.idle {
                guard = shared.work.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Appends a line or a prefix. Lines are short, and a call of musl's memcpy for x86-64 takes as long as 60 ns for the
/// shortest: twice a line that was half of what the writer did.
fn append(text: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        16..=512 => append_by::<16>(text, bytes),
        8..16 => append_by::<8>(text, bytes),
        _ => text.extend_from_slice(bytes),
    }
}

/// Appends `N` bytes or more, `N` at a time.
fn append_by<const N: usize>(text: &mut Vec<u8>, bytes: &[u8]) {
    let (chunks, rest) = bytes.as_chunks::<N>();
    for chunk in chunks {
        text.extend_from_slice(chunk);
    }
    if let Some(last) = bytes.last_chunk::<N>().filter(|_| !rest.is_empty()) {
        // What is there of them is written once more.
        text.truncate(text.len() - (N - rest.len()));
        text.extend_from_slice(last);
    }
}

/// Bytes that a line takes on the console.
fn shown_length(prefix: &str, line: &[u8]) -> usize {
    prefix.len() + line.len() + usize::from(line.last() != Some(&b'\n'))
}

/// Bytes that a pipe with `unread` ones in it takes without waiting.
///
/// A write begins a page where its odd bytes do not fit behind those of the write before, so two such pages hold more
/// than one page's worth. The first page may be read in part and the last one begun.
fn surely_fits(unread: usize) -> usize {
    let pages = if unread == 0 { 0 } else { 2 * unread.div_ceil(CAREFUL_WRITE) + 2 };
    PIPE.saturating_sub(pages * CAREFUL_WRITE).clamp(CAREFUL_WRITE, WRITE)
}

/// Bytes in a pipe.
#[allow(unsafe_code)]
fn unread(pipe: &File) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, to a live local.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    // What can't be told may be full.
    if result == 0 { usize::try_from(count).unwrap_or(usize::MAX) } else { usize::MAX }
}

/// Writes all or says how many bytes were written.
fn write_all(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write(&bytes[done..]) {
            Ok(0) => return Err((done, ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever shares the terminal or pipe with us may have made it so; we wait as if it were not.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // On a failure the next write says more.
                let _ = poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_any_length_are_appended() {
        let bytes: Vec<u8> = (0..700).map(|n| (n % 251) as u8).collect();
        for length in 0..bytes.len() {
            let mut text = b"before".to_vec();
            append(&mut text, &bytes[..length]);
            assert_eq!(text, [b"before", &bytes[..length]].concat());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_surely_fits_into_a_pipe_does(
            steps in prop::collection::vec((any::<bool>(), prop_oneof![1..300usize, 3000..5000usize, 1..70_000usize]), 1..60),
        ) {
            let (mut reader, writer) = io::pipe().unwrap();
            let mut writer = File::from(OwnedFd::from(writer));
            for end in [reader.as_fd(), writer.as_fd()] {
                fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
            }
            let mut bytes = vec![0; 70_000];
            for (write, length) in steps {
                if write {
                    // As the writer does it: no more than fits, and of lines that end where they like.
                    let length = length.min(surely_fits(unread(&writer)));
                    match writer.write(&bytes[..length]) {
                        Ok(count) => prop_assert_eq!(count, length),
                        Err(error) => {
                            prop_assert_eq!(error.kind(), ErrorKind::WouldBlock);
                            prop_assert!(surely_fits(unread(&writer)) == CAREFUL_WRITE);
                        }
                    }
                } else {
                    let _ = reader.read(&mut bytes[..length]);
                }
            }
        }
    }
}
