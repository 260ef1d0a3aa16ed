//! How much of a base is held in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::IndexError;

/// Bytes of memory that a base may take: those of more than 2 million entries. With paths of 100 bytes, a tenth of them
/// folders, so many count 660 MiB; an entry counts once for each layer that has it. No more than what is counted is held at
/// the end, when the files of all layers and the index are there, and less where paths are long.
pub(super) const MOST: usize = 768 << 20;
/// What an entry takes beside its path: its place in the list of its layer (56 bytes), in the map of its folder (90, since
/// maps that grow in order are half full), and in the index's list of names, and what the allocator adds.
pub(super) const ENTRY: usize = 160;
/// What a folder takes beside that and its path: the map of what is in it, whose first node has space for 11 names however
/// few there are (560 bytes), its attributes (80), and its place in the index's map of folders (110).
pub(super) const FOLDER: usize = 768;

/// Memory that is left for the entries of a base. All layers take from it, and nothing is given back, so that what they
/// take is the same in whatever order they are read.
pub(super) struct Budget<'a> {
    base: &'a str,
    most: usize,
    left: AtomicUsize,
}

impl<'a> Budget<'a> {
    /// That of the base with this name.
    pub fn new(base: &'a str) -> Self {
        Self::of(base, MOST)
    }

    pub fn of(base: &'a str, most: usize) -> Self {
        Self { base, most, left: AtomicUsize::new(most) }
    }

    pub fn take(&self, bytes: usize) -> Result<(), IndexError> {
        let taken = self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        let error = |_| IndexError::TooManyFiles { base: self.base.to_owned(), mib: self.most >> 20 };
        taken.map(drop).map_err(error)
    }
}
