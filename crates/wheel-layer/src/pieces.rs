//! The pieces that a large layer is split into: which files go into which, and making them side by side.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Tar header and padding of a file, about.
const OVERHEAD: u64 = 1024;

/// Pieces that are made at once, at most: each takes two threads and some 6 MiB.
const AT_ONCE: usize = 4;

/// Splits files of these compressed sizes, in their order, into pieces of at most `limit` bytes; a larger file has a
/// piece to itself. At least one piece, which may be empty.
pub(crate) fn split(sizes: impl Iterator<Item = u64>, limit: u64) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut begin, mut end, mut size) = (0, 0, 0_u64);
    for bytes in sizes {
        let bytes = bytes.saturating_add(OVERHEAD);
        if size > 0 && size.saturating_add(bytes) > limit {
            pieces.push(begin..end);
            (begin, size) = (end, 0);
        }
        size = size.saturating_add(bytes);
        end += 1;
    }
    pieces.push(begin..end);
    pieces
}

/// Does the work for each piece, several at once, and gives what came of each in their order.
pub(crate) fn each<T: Send>(pieces: &[Range<usize>], work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let done: Vec<Mutex<Option<T>>> = pieces.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some((piece, place)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            pieces.get(number).zip(done.get(number))
        } {
            let result = work(piece.clone());
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..cores.min(AT_ONCE).min(pieces.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    // None is empty: a worker that panics takes the scope along.
    done.into_iter().filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_together_as_long_as_they_fit() {
        let pieces = |sizes: &[u64], limit| -> Vec<(usize, usize)> {
            split(sizes.iter().copied(), limit).into_iter().map(|piece| (piece.start, piece.end)).collect()
        };
        assert_eq!(pieces(&[], 10_000), [(0, 0)]);
        assert_eq!(pieces(&[1000, 2000, 3000, 1], 11_000), [(0, 4)]);
        assert_eq!(pieces(&[4000, 4000, 4000], 10_048), [(0, 2), (2, 3)]);
        assert_eq!(pieces(&[4000, 4000, 4000], 10_047), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(pieces(&[10, 50_000, 10], 10_000), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(pieces(&[u64::MAX, u64::MAX], 5), [(0, 1), (1, 2)]);
    }

    #[test]
    fn what_comes_of_each_piece_comes_in_order() {
        let pieces: Vec<Range<usize>> = (0..100).map(|at| at..at + 2).collect();
        let found = each(&pieces, |piece| {
            thread::yield_now();
            piece.start
        });
        assert_eq!(found, (0..100).collect::<Vec<usize>>());
        assert!(each(&[], |piece| piece.start).is_empty());
    }
}
