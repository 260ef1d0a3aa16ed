//! Making the pieces of a large layer side by side.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Pieces that are made at once, at most: each takes two threads and some 6 MiB.
const AT_ONCE: usize = 4;

/// How many pieces are made at once on this machine.
pub(crate) fn at_once() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(AT_ONCE)
}

/// Does the work for each piece, so many at once, and gives what came of each in their order.
pub(crate) fn each<T: Send>(
    pieces: &[Range<usize>],
    at_once: usize,
    work: impl Fn(Range<usize>) -> T + Sync,
) -> Vec<T> {
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
    thread::scope(|scope| {
        for _ in 1..at_once.min(pieces.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    // None is empty: a worker that panics takes the scope along.
    done.into_iter().filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn what_comes_of_each_piece_comes_in_order() {
        let pieces: Vec<Range<usize>> = (0..100).map(|at| at..at + 2).collect();
        // Two meet at each step: one alone would wait there for ever.
        let meeting = Barrier::new(2);
        let found = each(&pieces, 2, |piece| {
            meeting.wait();
            piece.start
        });
        assert_eq!(found, (0..100).collect::<Vec<usize>>());
        assert!(each(&[], 2, |piece| piece.start).is_empty());
    }
}
