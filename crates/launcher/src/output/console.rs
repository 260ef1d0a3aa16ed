//! What the console gets, in order: whole lines of ranks on stdout, the launcher's own on stderr.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::lines::Splitter;
use super::worker::{Shared, Wake, Worker};
use super::{LEAST, Patience};

/// Bytes that wait for the console, shared out to the ranks; as many again are in the writer's hands.
///
/// 128 KiB: 256 KiB gave no more throughput with eight ranks, and cost 300 KiB of memory.
const BUFFERED: usize = 128 * 1024;

/// Bytes in one write at most: nearly what an empty pipe takes at once, because each write wakes its reader.
const WRITE: usize = 56 * 1024;

/// Bytes in one write to a pipe that is not empty. That is PIPE_BUF: the write gets in whole or not at all (pipe(7)), so that
/// we know what was shown when it hangs for good.
const CAREFUL_WRITE: usize = 4096;

pub(crate) struct Console {
    pub(crate) worker: Worker<State>,
    err: File,
}

#[derive(Default)]
pub(crate) struct State {
    lanes: Vec<Lane>,
    /// What the writer takes next.
    waiting: Batch,
    /// How long a rank waits for the console when its share is used up.
    pause: Duration,
    /// How long what no newline has ended waits to be shown.
    update: Duration,
    /// The console took longer than that for the last batch: no rank waits for it again.
    is_slow: bool,
    /// When the writer took the batch that it has in hand.
    taken: Option<Instant>,
    /// Lines lost of which people were told.
    told: u64,
    /// There is no stdout any more.
    is_closed: bool,
    /// What people should be told of that.
    message: Option<String>,
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
    /// Lines that ought to be shown, that were skipped, and that were written.
    lines: u64,
    skipped: u64,
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
    lines: u64,
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
            Some(last) if last.source == source && last.length + length <= CAREFUL_WRITE => {
                (last.lines, last.length) = (last.lines + 1, last.length + length);
            }
            _ => self.runs.push(Run { source, lines: 1, length }),
        }
    }
}

impl Lane {
    /// When something is to be shown that no newline has ended. Not while the rank is not read, or lines are skipped: the
    /// newline may have been written long ago.
    fn due(&self) -> Option<Instant> {
        self.splitter.due().filter(|_| self.full_until.is_none())
    }
}

impl State {
    /// Bytes that may wait of each rank.
    fn share(&self) -> usize {
        let open = self.lanes.iter().filter(|it| !it.ended && it.prefix.is_some()).count();
        (BUFFERED / open.max(1)).max(2 * LEAST)
    }

    fn push(&mut self, sink: usize, line: &[u8]) {
        let lane = &mut self.lanes[sink];
        let Some(prefix) = &lane.prefix else { return };
        lane.lines += 1;
        if self.is_closed {
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

    /// Begins the rank's wait for the console, or its skipping, where its share is used up. To be called after
    /// [`State::push`].
    fn look_for_room(&mut self, sink: usize, now: Instant) {
        let (share, is_slow, pause) = (self.share(), self.is_slow, self.pause);
        let lane = &mut self.lanes[sink];
        if lane.used + LEAST > share && lane.full_until.is_none() {
            lane.full_until = Some(if is_slow { now } else { now + pause });
            lane.skipping = is_slow;
        }
    }

    /// Says that lines were lost, if it was not said of all of them.
    fn tell(&mut self, lost: u64) {
        let count = lost.saturating_sub(std::mem::replace(&mut self.told, lost));
        if count > 0 {
            self.waiting.push(None, "", format!("[fmtk-launch] console: {}", skipped(count)).as_bytes());
        }
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
        if !self.is_closed {
            self.tell(self.lanes.iter().map(|it| it.skipped).sum());
        }
        Some(is_waited_for)
    }
}

impl Console {
    /// Starts the writer. Errors: no thread to be had.
    pub(crate) fn start(out: OwnedFd, err: OwnedFd, patience: &Patience, wake: Wake) -> io::Result<Console> {
        let (out, err) = (File::from(out), File::from(err));
        let own = err.try_clone()?;
        let write = move |shared: &Shared<State>| write_console(shared, out, err);
        let state = State { pause: patience.pause, update: patience.update, ..State::default() };
        let worker = Worker::start("console", state, wake, write)?;
        Ok(Console { worker, err: own })
    }

    /// A lane whose lines begin with `prefix`, or one that is never shown; numbered from 0.
    pub(crate) fn open(&mut self, prefix: Option<String>) {
        let state = &mut self.worker.lock().buffer;
        state.lanes.push(Lane { prefix, splitter: Splitter::new(state.update), ..Lane::default() });
    }

    /// Bytes that there is room for; no limit where nothing is shown or lines are skipped.
    pub(crate) fn room(&self, sink: usize) -> usize {
        let state = &self.worker.lock().buffer;
        let lane = &state.lanes[sink];
        let no_limit = lane.prefix.is_none() || lane.skipping || state.is_closed;
        if no_limit { usize::MAX } else { state.share().saturating_sub(lane.used) }
    }

    /// Takes over the lines that end in `bytes`, or counts them as lost.
    pub(crate) fn take(&mut self, sink: usize, bytes: &[u8], now: Instant) {
        let mut state = self.worker.lock();
        if state.buffer.lanes[sink].prefix.is_none() {
            return;
        }
        let buffer = &mut state.buffer;
        let mut splitter = std::mem::take(&mut buffer.lanes[sink].splitter);
        splitter.feed(bytes, now, |line| buffer.push(sink, line));
        buffer.lanes[sink].splitter = splitter;
        buffer.look_for_room(sink, now);
        state.todo = true;
        if state.buffer.waiting.text.len() >= BUFFERED / 8 {
            self.worker.rouse(&mut state, now);
        }
    }

    /// Takes over the unfinished line of a rank that writes nothing more.
    pub(crate) fn end(&mut self, sink: usize) {
        let mut state = self.worker.lock();
        let mut splitter = std::mem::take(&mut state.buffer.lanes[sink].splitter);
        splitter.finish(|line| state.buffer.push(sink, line));
        state.todo = true;
        state.buffer.lanes[sink].ended = true;
    }

    /// A line of our own, never skipped.
    pub(crate) fn say(&mut self, line: &str) {
        let mut state = self.worker.lock();
        state.buffer.waiting.push(None, "", line.as_bytes());
        state.todo = true;
        self.worker.rouse(&mut state, Instant::now());
    }

    /// Wakes the writer if there is work, and reconsiders who waits and who skips. Returns what people should be told.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<String> {
        let mut state = self.worker.lock();
        for sink in 0..state.buffer.lanes.len() {
            let lane = &mut state.buffer.lanes[sink];
            lane.skipping |= lane.full_until.is_some_and(|until| until <= now);
            if lane.due().is_some_and(|due| due <= now)
                && let Some(line) = lane.splitter.show(now)
            {
                state.buffer.push(sink, &line);
                state.buffer.look_for_room(sink, now);
                state.todo = true;
            }
        }
        self.worker.rouse(&mut state, now);
        state.buffer.message.take()
    }

    /// When [`Console::tick`] has something to do although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.worker.lock();
        let lanes = state.buffer.lanes.iter();
        lanes.filter_map(|lane| lane.due().or(lane.full_until.filter(|_| !lane.skipping))).min()
    }

    /// Lines that the console did not get, by number; that it did not is told. To be called when nothing more is to come; the
    /// writer `hangs` or has written all.
    pub(crate) fn results(&mut self, hangs: bool) -> Vec<u64> {
        let mut state = self.worker.lock();
        let lost: Vec<u64> = state.buffer.lanes.iter().map(|it| it.lines - it.shown).collect();
        let count = lost.iter().sum();
        if hangs && count > 0 {
            drop(state);
            // All of them: what the writer has in hand may have told of some, and was not seen.
            self.say_past_the_writer(&format!("[fmtk-launch] console: it hangs, {}", skipped(count)));
        } else {
            state.buffer.tell(count);
            state.todo = true;
        }
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

fn skipped(count: u64) -> String {
    let lines = if count == 1 { "line" } else { "lines" };
    format!("{count} {lines} skipped, they are in the log files")
}

fn write_console(shared: &Shared<State>, mut out: File, mut err: File) {
    let is_pipe = out.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    let mut batch = Batch::default();
    let mut is_closed = false;
    while let Some(is_waited_for) = shared.next(|state| state.hand_over(&mut batch)) {
        if is_waited_for {
            shared.wake.call();
        }
        let (mut text, mut runs) = (&batch.text[..], &batch.runs[..]);
        while let Some(first) = runs.first() {
            let limit = if is_pipe && unread(&out) > 0 { CAREFUL_WRITE } else { WRITE };
            let (written, later) = runs.split_at(one_write(runs, limit));
            let (now, rest) = text.split_at(written.iter().map(|it| it.length).sum());
            let error = match first.source {
                Some(_) if is_closed => None,
                Some(_) => write_all(&mut out, now).err(),
                // Without stderr nobody is left to tell.
                None => write_all(&mut err, now).err().and(None),
            };
            let is_news = error.is_some();
            is_closed |= is_news;
            let goes_on = shared.progress(|state| {
                // Of a write that fails none count as shown: some may have been seen, and the report says skipped.
                for Run { source, lines, .. } in written {
                    source.filter(|_| !is_closed).into_iter().for_each(|sink| state.lanes[sink].shown += lines);
                }
                state.is_closed = is_closed;
                if let Some(error) = error {
                    let text = "the log files go on, the console shows no more of the ranks";
                    state.message = Some(format!("failed to write to `stdout`: {error}: {text}"));
                }
                is_news
            });
            if !goes_on {
                return;
            }
            (text, runs) = (rest, later);
        }
        batch.text.clear();
        batch.text.shrink_to(2 * BUFFERED);
        batch.runs.clear();
    }
}

/// How many of the runs go into one write: those of one stream, up to `limit` bytes, one at least.
fn one_write(runs: &[Run], limit: usize) -> usize {
    let mut length = 0;
    let fits = |run: &&Run| {
        length += run.length;
        length <= limit && run.source.is_some() == runs[0].source.is_some()
    };
    runs.iter().take_while(fits).count().max(1)
}

#[allow(unsafe_code)]
pub(super) fn unread(pipe: &impl AsRawFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, to a live local.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    // What can't be told may be full.
    if result == 0 { usize::try_from(count).unwrap_or(usize::MAX) } else { usize::MAX }
}

fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever shares the terminal or pipe with us may have made it so; we wait as if it were not.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // On a failure the next write says more.
                let _ = poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the lines of a rank begin with: `[rank 3] `, coloured on a terminal.
pub(super) fn prefix(label: &str, colour: bool) -> String {
    if !colour {
        return format!("[{label}] ");
    }
    // Red is left out: it looks like an error.
    let number: u32 = label.bytes().map(u32::from).sum();
    format!("\x1b[{}m[{label}]\x1b[0m ", 32 + number % 5)
}
