//! Lines on their way to the console: bytes as the ranks wrote them, made into prefixed lines only when written.

use super::lines::pieces;

/// Whose bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// A rank's, by number: for stdout.
    Rank(usize),
    /// The launcher's own: for stderr.
    Own,
}

/// Bytes of several sources in order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// Runs of one source, with their length in bytes. Each starts where a line starts.
    runs: Vec<(Source, usize)>,
}

/// Up to where a batch is done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cursor {
    run: usize,
    /// Bytes done of that run.
    within: usize,
    /// Bytes done of the batch.
    done: usize,
}

impl Cursor {
    /// Bytes of the batch between an earlier cursor and this one.
    pub(crate) fn distance(&self, earlier: &Cursor) -> usize {
        self.done - earlier.done
    }
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends `slices`, which are whole lines when put together.
    pub(crate) fn push(&mut self, source: Source, slices: &[&[u8]]) {
        slices.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
        let length = slices.iter().map(|slice| slice.len()).sum();
        match self.runs.last_mut() {
            Some((last, total)) if *last == source => *total += length,
            _ => self.runs.push((source, length)),
        }
    }

    /// Empties it but keeps up to `capacity` bytes for the next lines.
    pub(crate) fn clear(&mut self, capacity: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(capacity);
        self.runs.clear();
    }

    /// Calls `each` with the lines from `cursor` on until it says no, and moves `cursor` behind the last one it took.
    pub(crate) fn walk(&self, cursor: &mut Cursor, mut each: impl FnMut(Source, &[u8]) -> bool) {
        while let Some(&(source, length)) = self.runs.get(cursor.run) {
            let rest = length - cursor.within;
            for piece in pieces(&self.bytes[cursor.done..cursor.done + rest]) {
                if !each(source, piece) {
                    return;
                }
                cursor.within += piece.len();
                cursor.done += piece.len();
            }
            (cursor.run, cursor.within) = (cursor.run + 1, 0);
        }
    }
}
