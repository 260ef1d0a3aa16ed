//! What becomes of the ranks' output: raw bytes to a log file each, whole prefixed lines to the console.
//!
//! Two threads write, so that a log folder or a console that hangs never holds up the event loop. Between them and the
//! loop are bounded buffers:
//! - *Files* lose nothing while their folder works. When the buffer is full the rank is not read from, so it waits. A
//!   write that hangs for 10 s, and errors, are told; from then on bytes are dropped and counted until it works again.
//! - *The console* loses nothing while it keeps up. When its buffer is full the ranks wait for at most 1 s, and for one
//!   that was slow before they don't wait at all; then lines are skipped whole and counted. What no newline has ended,
//!   a progress bar or a prompt, is shown as a line of its own at most twice a second for each rank.
//!
//! While nothing is written nobody wakes up, but for one look after a second.

mod console;
mod files;
mod lines;
mod log_file;
mod tail;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::console::Console;
use self::files::Files;
pub use self::tail::LINES;
use self::tail::Tail;
use self::worker::Wake;
use crate::printable;

/// Bytes that are read from a rank at once at most: what a pipe holds.
pub const AT_ONCE: usize = 64 * 1024;

/// Bytes that are worth a read; for less room than that the rank waits.
const LEAST: usize = 4096;

/// Where output goes and how.
pub struct Options {
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    pub colour: bool,
    /// Bytes of a log file before the next one is begun; 0 for no limit.
    pub log_max_size: u64,
    pub patience: Patience,
}

impl Options {
    /// The streams that we were started with. Errors: no descriptors left.
    pub fn inherited(colour: bool, log_max_size: u64) -> io::Result<Options> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(Options { stdout, stderr, colour, log_max_size, patience: Patience::default() })
    }
}

pub struct Patience {
    /// For a call to the file system, before bytes for files are dropped.
    pub hang: Duration,
    /// For a full console, before lines are skipped.
    pub pause: Duration,
    /// Before opening or renaming a file is tried again, and before it is looked whether it is still at its path.
    pub retry: Duration,
    /// Before the console shows what no newline has ended, and between two states of it.
    pub update: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            hang: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            update: Duration::from_millis(500),
        }
    }
}

/// A rank, in one attempt.
#[derive(Debug)]
pub struct Sink {
    /// What its lines on the console begin with, in brackets: `rank 3`.
    pub label: String,
    /// Its log file, which is appended to if it is there.
    pub file: PathBuf,
    pub on_console: bool,
}

/// What became of a sink's output.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The last part of the log; those before it have `.1`, `.2`, … appended, the oldest first.
    pub file: PathBuf,
    /// Files written to, 0 if it could never be opened.
    pub parts: u32,
    /// Bytes in them that are of this rank.
    pub bytes: u64,
    /// Bytes that are not in them.
    pub bytes_lost: u64,
    /// Lines that the console should have shown and did not.
    pub console_lines_lost: u64,
    /// The last thing that went wrong with the file.
    pub trouble: Option<String>,
}

/// The event loop's end of it all. Sinks are numbered as they are opened.
///
/// The loop polls [`Output::wake_fd`] and, up to [`Output::deadline`], the pipes of those ranks that
/// [`Output::wants`] more of; after each round of [`Output::take`] it calls [`Output::tick`] once, which is what wakes
/// the writers.
pub struct Output {
    wake: Wake,
    files: Files,
    console: Console,
    colour: bool,
    sinks: Vec<State>,
    /// The time of the last call that told it.
    now: Instant,
}

struct State {
    label: String,
    ended: bool,
    tail: Tail,
    /// When something was first taken from it, and last.
    output: Option<(Instant, Instant)>,
}

impl Output {
    /// Starts the two threads, which inherit the caller's signal mask: signals must be blocked by now.
    /// Errors: no descriptors or threads to be had.
    pub fn start(options: Options) -> io::Result<Output> {
        let Options { stdout, stderr, colour, log_max_size, patience } = options;
        let wake = Wake::new()?;
        let files = Files::start(log_max_size, patience.hang, patience.retry, wake.clone())?;
        let console = Console::start(stdout, stderr, &patience, wake.clone())?;
        Ok(Output { wake, files, console, colour, sinks: Vec::new(), now: Instant::now() })
    }

    /// Makes room for a rank; its file is opened soon by the thread. For the next attempt of a rank that ended it is
    /// called again with the same label; the earlier one's [`Output::tail`] is empty then.
    pub fn open(&mut self, sink: Sink) -> usize {
        for state in self.sinks.iter_mut().filter(|state| state.ended && state.label == sink.label) {
            state.tail = Tail::default();
        }
        self.console.open(sink.on_console.then(|| console::prefix(&sink.label, self.colour)));
        self.files.open(sink.file);
        self.sinks.push(State { label: sink.label, ended: false, tail: Tail::default(), output: None });
        self.sinks.len() - 1
    }

    /// Gets readable when there is room again or a writer has something to say: then [`Output::tick`] is due. Not to
    /// be read.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.fd()
    }

    /// Bytes that may be read from this rank's pipe now, at most [`AT_ONCE`]; 0: not to be polled now. To be asked
    /// right before each read, because ranks share the room.
    pub fn wants(&self, sink: usize) -> usize {
        match self.files.room(sink).min(self.console.room(sink)) {
            0..LEAST => 0,
            room => room.min(AT_ONCE),
        }
    }

    /// Takes over what was read from the rank's pipe.
    pub fn take(&mut self, sink: usize, bytes: &[u8], now: Instant) {
        self.now = now;
        if bytes.is_empty() {
            return;
        }
        self.files.take(sink, bytes, now);
        self.console.take(sink, bytes, now);
        self.sinks[sink].tail.push(bytes);
        let output = &mut self.sinks[sink].output;
        *output = Some((output.map_or(now, |it| it.0), now));
    }

    /// The rank's pipe is at its end: shows its unfinished line, closes its file when all is written.
    pub fn end(&mut self, sink: usize) {
        self.sinks[sink].ended = true;
        self.files.end(sink);
        self.console.end(sink);
    }

    /// Puts a line of the launcher's own on stderr, after all that was taken before. Never dropped.
    pub fn say(&mut self, line: &str) {
        self.console.say(&own(line));
    }

    /// Wakes the writers if there is work for them, ends pauses, tells of hangs and errors.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        self.wake.heard();
        let messages = self.files.tick(now);
        for message in messages.into_iter().chain(self.console.tick(now)) {
            self.say(&message);
        }
    }

    /// When [`Output::tick`] has to be called at the latest although nothing happens; `None` when all is quiet.
    pub fn deadline(&self) -> Option<Instant> {
        if self.files.worker.lock().is_owed() || self.console.worker.lock().is_owed() {
            return Some(self.now);
        }
        [self.files.deadline(self.now), self.console.deadline()].into_iter().flatten().min()
    }

    /// The last 50 lines of a rank, as a terminal would show them; from its last traceback on, where that began earlier.
    pub fn tail(&self, sink: usize) -> Vec<String> {
        self.sinks[sink].tail.lines()
    }

    /// When something was first taken from this rank, and last.
    pub fn first_and_last_output(&self, sink: usize) -> Option<(Instant, Instant)> {
        self.sinks[sink].output
    }

    /// Ends all sinks and waits until their files are written, as [`Output::finish`] does.
    pub fn settle_files(&mut self, patience: Duration) {
        (0..self.sinks.len()).for_each(|sink| self.end(sink));
        self.tick(Instant::now());
        self.files.worker.drain(Instant::now(), patience);
        self.tick(Instant::now());
    }

    /// Ends all sinks and waits until everything is written, or until neither writer has made progress for `patience`; a
    /// thread that is still in a call then is left behind. Then says what `last` makes of the summaries, one for each sink as
    /// they were opened: nothing comes after that.
    pub fn finish(mut self, patience: Duration, last: impl FnOnce(&[Summary]) -> Vec<String>) -> Vec<Summary> {
        let started = Instant::now();
        self.settle_files(patience);
        let mut summaries = self.files.results();
        let hangs = !self.console.worker.drain(started, patience);
        // What the writers had to say in the meantime.
        self.tick(Instant::now());
        for (summary, lost) in summaries.iter_mut().zip(self.console.results(hangs)) {
            summary.console_lines_lost = lost;
        }
        for line in last(&summaries) {
            if hangs { self.console.say_past_the_writer(&own(&line)) } else { self.say(&line) }
        }
        if !hangs {
            self.console.worker.drain(Instant::now(), patience);
        }
        summaries
    }
}

fn own(line: &str) -> String {
    format!("fmtk-launch: {}", printable::line(line))
}
