//! How much of a base is held in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::IndexError;
use crate::Digest;

/// Bytes that the entries of all layers together may take. Those of a base of 500,000 files count 90 MiB: whole paths are
/// counted, and less is kept of them.
const MOST: usize = 192 << 20;
/// What an entry costs beside its path: its place in a list or in the map of its folder, allocator's overhead.
pub(super) const NODE: usize = 96;

/// The layers hold more than is looked at, or in folders too deep; the text says which.
#[derive(Debug)]
pub(super) struct TooMuch(pub String);

impl TooMuch {
    pub fn of(self, layer: Digest) -> IndexError {
        IndexError::TooMuch { layer, reason: self.0 }
    }
}

/// Memory that is left for entries. All layers take from it, and nothing is given back, so that what they take is the same
/// in whatever order they are read.
pub(super) struct Budget {
    most: usize,
    left: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(MOST)
    }
}

impl Budget {
    pub fn of(most: usize) -> Self {
        Self { most, left: AtomicUsize::new(most) }
    }

    pub fn take(&self, bytes: usize) -> Result<(), TooMuch> {
        let taken = self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        let much = || format!("the base holds more files than can be listed in {} MiB of memory", self.most >> 20);
        taken.map(drop).map_err(|_| TooMuch(much()))
    }
}
