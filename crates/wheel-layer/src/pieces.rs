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

/// Does the work for each piece, which it is told with its number, so many at once, and gives what came of each in their
/// order. Where the system gives no more threads fewer are at work.
pub(crate) fn each<T: Send>(
    pieces: &[Range<usize>],
    at_once: usize,
    work: impl Fn(usize, Range<usize>) -> T + Sync,
) -> Vec<T> {
    let done: Vec<Mutex<Option<T>>> = pieces.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((piece, place)) = pieces.get(number).zip(done.get(number)) else { break };
            let result = work(number, piece.clone());
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_once.min(pieces.len()) {
            if thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
    // None is empty: a worker that panics takes the scope along.
    done.into_iter().filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use std::{sync::Condvar, time::Duration};

    use super::*;

    #[test]
    fn what_comes_of_each_piece_comes_in_order() {
        let pieces: Vec<Range<usize>> = (0..100).map(|at| at..at + 2).collect();
        // Two meet at each step: one alone would wait there in vain.
        let (begun, came) = (Mutex::new(0), Condvar::new());
        let found = each(&pieces, 2, |number, piece| {
            let mut begun = begun.lock().unwrap();
            *begun += 1;
            came.notify_all();
            let wanted = number / 2 * 2 + 2;
            let (_begun, waited) =
                came.wait_timeout_while(begun, Duration::from_secs(60), |begun| *begun < wanted).unwrap();
            assert!(!waited.timed_out(), "nobody came");
            piece.start
        });
        assert_eq!(found, (0..100).collect::<Vec<usize>>());
        assert!(each(&[], 2, |_, piece| piece.start).is_empty());
    }
}
