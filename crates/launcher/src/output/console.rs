//! What the console gets, in order: whole lines of ranks on stdout, the launcher's own on stderr.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::LEAST;
use super::batch::Source;
use super::console_writer::{BUFFERED, Shared, State, lock, rouse, start};
use super::lines::{Splitter, pieces};
use super::wake::Wake;

/// The event loop's end.
pub(crate) struct Console {
    shared: Arc<Shared>,
    err: File,
    pause: Duration,
    lanes: Vec<Lane>,
    /// Lanes that have not ended.
    open: usize,
    /// The generation that the lanes' shares are of.
    generation: u64,
    /// The writer has to be woken at the next tick.
    owed: bool,
    /// That stdout is closed was told.
    told_closed: bool,
    scratch: Vec<u8>,
}

/// One rank's way to the console.
struct Lane {
    shown: bool,
    ended: bool,
    splitter: Splitter,
    /// Bytes of this generation.
    used: usize,
    /// Its share is used up; when to stop waiting for the console.
    full_until: Option<Instant>,
    skipping: bool,
    /// Lines that were skipped.
    lost: u64,
}

impl Console {
    /// Starts the writer. Errors: no thread to be had.
    pub(crate) fn start(out: OwnedFd, err: OwnedFd, pause: Duration, wake: Arc<Wake>) -> io::Result<Console> {
        let own = File::from(err.try_clone()?);
        let shared = start(out.into(), err.into(), wake)?;
        let (lanes, scratch) = (Vec::new(), Vec::new());
        Ok(Console { shared, err: own, pause, lanes, open: 0, generation: 0, owed: false, told_closed: false, scratch })
    }

    /// A lane whose lines begin with `prefix`, or one that is never shown; numbered from 0.
    pub(crate) fn open(&mut self, prefix: Option<String>) {
        let shown = prefix.is_some();
        self.open += usize::from(shown);
        self.lanes.push(Lane {
            shown,
            ended: !shown,
            splitter: Splitter::default(),
            used: 0,
            full_until: None,
            skipping: false,
            lost: 0,
        });
        self.lock().open(prefix.unwrap_or_default());
    }

    fn share(&self) -> usize {
        (BUFFERED / self.open.max(1)).max(2 * LEAST)
    }

    /// Bytes that there is room for; no limit where nothing is shown or lines are skipped.
    pub(crate) fn room(&self, sink: usize) -> usize {
        let lane = &self.lanes[sink];
        if !lane.shown {
            return usize::MAX;
        }
        let state = self.lock();
        if state.closed.is_some() {
            usize::MAX
        } else if state.generation != self.generation {
            self.share()
        } else if lane.skipping {
            usize::MAX
        } else {
            self.share().saturating_sub(lane.used)
        }
    }

    /// Takes over the lines that end in `bytes`, or counts them as lost.
    pub(crate) fn take(&mut self, sink: usize, bytes: &[u8], now: Instant) {
        self.refresh();
        let share = self.share();
        let Some(lane) = self.lanes.get_mut(sink).filter(|lane| lane.shown) else { return };
        let scratch = &mut self.scratch;
        let mut state = lock(&self.shared);
        let skip = lane.skipping || state.closed.is_some();
        let before = state.front.bytes.len();
        lane.splitter.feed(bytes, |first, second| {
            if skip {
                scratch.clear();
                scratch.extend_from_slice(first);
                scratch.extend_from_slice(second);
                let lost = pieces(scratch).count() as u64;
                lane.lost += lost;
                state.untold += lost;
            } else {
                state.front.push(Source::Rank(sink), &[first, second]);
            }
        });
        if skip {
            return;
        }
        lane.used += state.front.bytes.len() - before;
        self.owed |= !state.front.is_empty();
        if lane.used + LEAST > share && lane.full_until.is_none() {
            state.starved = true;
            // A console that took longer than that for the last generation is slow: no rank waits for it again.
            let patience = if state.last_took >= self.pause { Duration::ZERO } else { self.pause };
            lane.full_until = Some(now + patience);
            lane.skipping = patience.is_zero();
        }
        if state.front.bytes.len() >= BUFFERED / 8 {
            rouse(&self.shared, &mut state);
        }
    }

    /// Takes over the unfinished line of a rank that writes nothing more.
    pub(crate) fn end(&mut self, sink: usize) {
        self.refresh();
        let lane = &mut self.lanes[sink];
        let rest = lane.splitter.finish();
        let mut state = lock(&self.shared);
        if !rest.is_empty() {
            if lane.skipping || state.closed.is_some() {
                lane.lost += 1;
                state.untold += 1;
            } else {
                state.front.push(Source::Rank(sink), &[&rest]);
                self.owed = true;
            }
        }
        if !std::mem::replace(&mut lane.ended, true) {
            self.open -= 1;
        }
    }

    /// A line of our own, never skipped.
    pub(crate) fn say(&mut self, line: &str) {
        self.refresh();
        let mut state = lock(&self.shared);
        state.front.push(Source::Own, &[line.as_bytes(), b"\n"]);
        rouse(&self.shared, &mut state);
    }

    /// Wakes the writer if there is work, and reconsiders who waits and who skips. Returns what people should be told.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<String> {
        self.refresh();
        for lane in &mut self.lanes {
            lane.skipping |= lane.full_until.is_some_and(|until| until <= now);
        }
        let mut state = lock(&self.shared);
        if std::mem::take(&mut self.owed) && !state.front.is_empty() {
            rouse(&self.shared, &mut state);
        }
        let error = state.closed.as_ref().filter(|_| !self.told_closed)?;
        self.told_closed = true;
        Some(format!(
            "failed to write to `stdout`: {error}: the log files go on, the console shows no more of the ranks"
        ))
    }

    /// When [`Console::tick`] has something to do although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let waiting = self.lanes.iter().filter(|lane| !lane.skipping);
        waiting.filter_map(|lane| lane.full_until).min()
    }

    /// True when [`Console::tick`] has to be called before the loop sleeps.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed
    }

    /// Ends all lanes: nothing more of the ranks comes.
    pub(crate) fn settle(&mut self) {
        (0..self.lanes.len()).for_each(|sink| self.end(sink));
        let mut state = lock(&self.shared);
        state.push_untold();
        state.settling = true;
        rouse(&self.shared, &mut state);
    }

    /// Since when there is no progress; `None` when all that there is was written.
    pub(crate) fn unsettled_since(&self) -> Option<Instant> {
        self.lock().unsettled_since()
    }

    /// Lines that the console did not get, by number; with `abandon` also those that wait, and the writer stops as soon as it
    /// can.
    pub(crate) fn results(&mut self, abandon: bool) -> Vec<u64> {
        let mut state = lock(&self.shared);
        let mut lost = if abandon { state.abandon() } else { state.lost() };
        lost.iter_mut().zip(&self.lanes).for_each(|(lost, lane)| *lost += lane.lost);
        lost
    }

    /// Lets the writer stop when all is written.
    pub(crate) fn close(&mut self) {
        let mut state = lock(&self.shared);
        state.closing = true;
        rouse(&self.shared, &mut state);
    }

    /// Says a line although the writer hangs, if stderr takes it at once.
    pub(crate) fn say_past_the_writer(&self, line: &str) {
        let mut polled = [PollFd::new(self.err.as_fd(), PollFlags::POLLOUT)];
        // What a pipe that can be written to takes without waiting is PIPE_BUF.
        let takes_it = line.len() < 4096 && poll(&mut polled, PollTimeout::ZERO) == Ok(1);
        if takes_it {
            // Nobody is left to tell.
            let _ = (&self.err).write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Looks whether the writer took the lines over: then there is room for all again, and what was skipped is told.
    fn refresh(&mut self) {
        let mut state = lock(&self.shared);
        if state.generation == self.generation {
            return;
        }
        self.generation = state.generation;
        for lane in &mut self.lanes {
            (lane.used, lane.full_until, lane.skipping) = (0, None, false);
        }
        if state.closed.is_none() {
            self.owed |= state.push_untold();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }
}
