//! What the console gets, in order: whole lines of ranks on stdout, the launcher's own on stderr.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memchr_iter;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::LEAST;
use super::lines::Splitter;
use super::wake::Wake;
use super::worker::{Buffer, Shared, Worker};

/// Bytes that wait for the console, shared out to the ranks; as many again are in the writer's hands.
///
/// 128 KiB: 256 KiB gave no more throughput with eight ranks, and cost 300 KiB of memory.
const BUFFERED: usize = 128 * 1024;

/// Bytes in one write at most: nearly what an empty pipe takes at once, because each write wakes its reader.
const WRITE: usize = 56 * 1024;

/// Bytes in one write to a pipe that is not empty. That is PIPE_BUF: the write gets in whole or not at all (pipe(7)), so that
/// we know what was shown when it hangs for good.
const CAREFUL_WRITE: usize = 4096;

/// The event loop's end.
pub(crate) struct Console {
    worker: Worker<State>,
    err: File,
    /// That stdout is closed was told.
    told_closed: bool,
}

#[derive(Default)]
struct State {
    lanes: Vec<Lane>,
    /// What the writer takes next.
    waiting: Batch,
    /// How long a rank waits for the console when its share is used up.
    pause: Duration,
    /// The console took longer than that for the last batch: no rank waits for it again.
    is_slow: bool,
    /// When the writer took the batch that it has in hand.
    taken: Option<Instant>,
    /// Lines lost of which people were told.
    told: u64,
    /// Why there is no stdout any more.
    closed: Option<io::Error>,
}

/// One rank's way to the console.
#[derive(Default)]
struct Lane {
    /// What its lines begin with; `None` where they are not shown.
    prefix: Option<String>,
    ended: bool,
    splitter: Splitter,
    /// Bytes of it that wait.
    used: usize,
    /// Its share is used up; when to stop waiting for the console.
    full_until: Option<Instant>,
    skipping: bool,
    /// Lines that ought to be shown.
    lines: u64,
    /// Lines of those that were skipped.
    skipped: u64,
    /// Lines of those that were written.
    shown: u64,
}

/// Lines as they are to be written.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    runs: Vec<Run>,
}

/// Whole lines of one source, as many as one careful write takes, or a single longer one.
#[derive(Clone, Copy)]
struct Run {
    /// A rank, by number; `None` is the launcher itself.
    source: Option<usize>,
    length: usize,
}

impl Batch {
    fn push(&mut self, source: Option<usize>, prefix: &str, line: &[u8]) {
        let before = self.text.len();
        self.text.extend_from_slice(prefix.as_bytes());
        self.text.extend_from_slice(line);
        if line.last() != Some(&b'\n') {
            self.text.push(b'\n');
        }
        let length = self.text.len() - before;
        match self.runs.last_mut() {
            Some(last) if last.source == source && last.length + length <= CAREFUL_WRITE => last.length += length,
            _ => self.runs.push(Run { source, length }),
        }
    }
}

impl Buffer for State {
    fn is_empty(&self) -> bool {
        self.waiting.runs.is_empty()
    }
}

impl State {
    /// Bytes that may wait of each rank.
    fn share(&self) -> usize {
        let open = self.lanes.iter().filter(|it| !it.ended && it.prefix.is_some()).count();
        (BUFFERED / open.max(1)).max(2 * LEAST)
    }

    /// Takes a line over, or counts it.
    fn push(&mut self, sink: usize, line: &[u8]) {
        let lane = &mut self.lanes[sink];
        let Some(prefix) = &lane.prefix else { return };
        lane.lines += 1;
        if self.closed.is_some() {
            return;
        }
        if lane.skipping {
            lane.skipped += 1;
            return;
        }
        let before = self.waiting.text.len();
        self.waiting.push(Some(sink), prefix, line);
        lane.used += self.waiting.text.len() - before;
    }

    /// Says that lines were lost, if it was not said of all of them.
    fn tell(&mut self, lost: u64) {
        let count = lost.saturating_sub(std::mem::replace(&mut self.told, lost));
        if count > 0 {
            let lines = if count == 1 { "line" } else { "lines" };
            let text = format!("[fmtk-launch] console: {count} {lines} skipped, they are in the log files");
            self.waiting.push(None, "", text.as_bytes());
        }
    }

    /// Lines that were not shown, by number.
    fn lost(&self) -> Vec<u64> {
        self.lanes.iter().map(|it| it.lines - it.shown).collect()
    }

    /// All that waits goes to the writer, if anything does, in exchange for an empty batch. Then there is room for all again,
    /// and what was skipped is told. Says whether the loop has to be called.
    fn hand_over(&mut self, batch: &mut Batch) -> Option<bool> {
        if let Some(taken) = self.taken.take() {
            self.is_slow = taken.elapsed() >= self.pause;
        }
        if self.waiting.runs.is_empty() {
            return None;
        }
        self.taken = Some(Instant::now());
        std::mem::swap(batch, &mut self.waiting);
        let is_waited_for = self.lanes.iter().any(|it| it.full_until.is_some());
        for lane in &mut self.lanes {
            (lane.used, lane.full_until, lane.skipping) = (0, None, false);
        }
        if self.closed.is_none() {
            self.tell(self.lanes.iter().map(|it| it.skipped).sum());
        }
        Some(is_waited_for)
    }
}

impl Console {
    /// Starts the writer. Errors: no thread to be had.
    pub(crate) fn start(out: OwnedFd, err: OwnedFd, pause: Duration, wake: Arc<Wake>) -> io::Result<Console> {
        let (out, err) = (File::from(out), File::from(err));
        let own = err.try_clone()?;
        let write = move |shared: &Shared<State>| write_console(shared, out, err);
        let worker = Worker::start("console", State { pause, ..State::default() }, wake, write)?;
        Ok(Console { worker, err: own, told_closed: false })
    }

    /// A lane whose lines begin with `prefix`, or one that is never shown; numbered from 0.
    pub(crate) fn open(&mut self, prefix: Option<String>) {
        self.worker.lock().lanes.push(Lane { prefix, ..Lane::default() });
    }

    /// Bytes that there is room for; no limit where nothing is shown or lines are skipped.
    pub(crate) fn room(&self, sink: usize) -> usize {
        let state = self.worker.lock();
        let lane = &state.lanes[sink];
        let no_limit = lane.prefix.is_none() || lane.skipping || state.closed.is_some();
        if no_limit { usize::MAX } else { state.share().saturating_sub(lane.used) }
    }

    /// Takes over the lines that end in `bytes`, or counts them as lost.
    pub(crate) fn take(&mut self, sink: usize, bytes: &[u8], now: Instant) {
        let mut state = self.worker.lock();
        if state.lanes[sink].prefix.is_none() {
            return;
        }
        let mut splitter = std::mem::take(&mut state.lanes[sink].splitter);
        splitter.feed(bytes, |line| state.push(sink, line));
        let (share, is_slow, pause) = (state.share(), state.is_slow, state.pause);
        let lane = &mut state.lanes[sink];
        lane.splitter = splitter;
        if lane.used + LEAST > share && lane.full_until.is_none() {
            lane.full_until = Some(if is_slow { now } else { now + pause });
            lane.skipping = is_slow;
        }
        if state.waiting.text.len() >= BUFFERED / 8 {
            self.worker.rouse(&mut state, now);
        }
    }

    /// Takes over the unfinished line of a rank that writes nothing more.
    pub(crate) fn end(&mut self, sink: usize) {
        let mut state = self.worker.lock();
        let rest = state.lanes[sink].splitter.finish();
        if !rest.is_empty() {
            state.push(sink, &rest);
        }
        state.lanes[sink].ended = true;
    }

    /// A line of our own, never skipped.
    pub(crate) fn say(&mut self, line: &str) {
        let mut state = self.worker.lock();
        state.waiting.push(None, "", line.as_bytes());
        self.worker.rouse(&mut state, Instant::now());
    }

    /// Wakes the writer if there is work, and reconsiders who waits and who skips. Returns what people should be told.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<String> {
        let mut state = self.worker.lock();
        for lane in &mut state.lanes {
            lane.skipping |= lane.full_until.is_some_and(|until| until <= now);
        }
        self.worker.rouse(&mut state, now);
        let error = state.closed.as_ref().filter(|_| !self.told_closed)?;
        self.told_closed = true;
        Some(format!(
            "failed to write to `stdout`: {error}: the log files go on, the console shows no more of the ranks"
        ))
    }

    /// When [`Console::tick`] has something to do although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.worker.lock();
        state.lanes.iter().filter(|lane| !lane.skipping).filter_map(|lane| lane.full_until).min()
    }

    /// True when [`Console::tick`] has to be called before the loop sleeps.
    pub(crate) fn is_owed(&self) -> bool {
        self.worker.is_owed()
    }

    /// Ends all lanes, and has the loop called when everything is written.
    pub(crate) fn settle(&mut self) {
        let count = self.worker.lock().lanes.len();
        (0..count).for_each(|sink| self.end(sink));
        self.worker.settle();
    }

    /// Since when there was no progress; `None` when all that there is was written.
    pub(crate) fn busy_since(&self) -> Option<Instant> {
        self.worker.busy_since()
    }

    /// Lines that the console did not get, by number; that it did not is told. To be called when nothing more is to come.
    pub(crate) fn results(&mut self) -> Vec<u64> {
        let mut state = self.worker.lock();
        let lost = state.lost();
        state.tell(lost.iter().sum());
        lost
    }

    /// Says a line although the writer hangs, if stderr takes it at once.
    pub(crate) fn say_past_the_writer(&self, line: &str) {
        let mut polled = [PollFd::new(self.err.as_fd(), PollFlags::POLLOUT)];
        // What a pipe that can be written to takes without waiting is PIPE_BUF.
        let takes_it = line.len() < CAREFUL_WRITE && poll(&mut polled, PollTimeout::ZERO) == Ok(1);
        if takes_it {
            // Nobody is left to tell.
            let _ = (&self.err).write_all(format!("{line}\n").as_bytes());
        }
    }
}

fn write_console(shared: &Shared<State>, mut out: File, mut err: File) {
    let is_pipe = out.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    let mut batch = Batch::default();
    let hand_over = |batch: &mut Batch| {
        shared.next(|state| {
            let is_waited_for = state.hand_over(batch)?;
            if is_waited_for {
                shared.call();
            }
            Some(state.closed.is_some())
        })
    };
    while let Some(mut is_closed) = hand_over(&mut batch) {
        let (mut text, mut runs) = (&batch.text[..], &batch.runs[..]);
        while let Some(first) = runs.first() {
            let for_out = first.source.is_some();
            let limit = if is_pipe && unread(&out) > 0 { CAREFUL_WRITE } else { WRITE };
            let (count, length) = one_write(runs, limit);
            let (now, later) = text.split_at(length);
            let result = match for_out {
                true if is_closed => Err((0, ErrorKind::BrokenPipe.into())),
                true => write_all(&mut out, now),
                // Without stderr nobody is left to tell.
                false => write_all(&mut err, now).or(Ok(())),
            };
            let (written, error) = result.err().map_or((length, None), |(written, error)| (written, Some(error)));
            let goes_on = shared.progress(|state| {
                let mut rest = &now[..written];
                for Run { source, length } in &runs[..count] {
                    let (run, after) = rest.split_at(rest.len().min(*length));
                    if let Some(sink) = *source {
                        state.lanes[sink].shown += memchr_iter(b'\n', run).count() as u64;
                    }
                    rest = after;
                }
                let is_news = error.is_some() && !is_closed;
                if is_news {
                    state.closed = error;
                }
                is_closed |= is_news;
                is_news
            });
            if !goes_on {
                return;
            }
            (text, runs) = (later, &runs[count..]);
        }
        batch.text.clear();
        batch.text.shrink_to(2 * BUFFERED);
        batch.runs.clear();
    }
}

/// How many of the runs go into one write, and how many bytes they have: those of one stream, up to `limit`, one at least.
fn one_write(runs: &[Run], limit: usize) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    for run in runs {
        let is_other = run.source.is_some() != runs[0].source.is_some();
        if count > 0 && (is_other || length + run.length > limit) {
            break;
        }
        (count, length) = (count + 1, length + run.length);
    }
    (count, length)
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
