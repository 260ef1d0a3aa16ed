//! Work is done by several threads and its results come in order.

use std::{
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Cores of this machine that may be used, 1 where that is not known.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does `work` for each item, by at most so many threads, this one among them, which take the items in their order.
/// Returns the results in that order.
///
/// Where the system gives no more threads, fewer are at work. A panic of `work` goes on in the caller.
pub fn map<I: Sync, T: Send>(items: &[I], threads: usize, work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let results = until(items, threads, |item| ControlFlow::<T, T>::Continue(work(item)));
    // None is missing: nothing broke off.
    results.into_iter().flatten().collect()
}

/// The same, until a result is a [`ControlFlow::Break`]: items that nobody has begun by then have no result.
pub fn until<I: Sync, T: Send>(
    items: &[I],
    threads: usize,
    work: impl Fn(&I) -> ControlFlow<T, T> + Sync,
) -> Vec<Option<T>> {
    let results: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((item, result)) = items.get(number).zip(results.get(number)) else { return };
            let done = match work(item) {
                ControlFlow::Continue(done) => done,
                ControlFlow::Break(done) => {
                    next.store(items.len(), Ordering::Relaxed);
                    done
                }
            };
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            if thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
    results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use std::{sync::Condvar, time::Duration};

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        // Two meet at each step: one alone would wait there in vain.
        let (begun, came) = (Mutex::new(0), Condvar::new());
        let found = map(&items, 2, |item| {
            let mut begun = begun.lock().unwrap();
            *begun += 1;
            came.notify_all();
            let wanted = item / 2 * 2 + 2;
            let (_begun, waited) =
                came.wait_timeout_while(begun, Duration::from_secs(60), |begun| *begun < wanted).unwrap();
            assert!(!waited.timed_out(), "nobody came");
            *item
        });
        assert_eq!(found, items);
        assert!(map(&[0_u8; 0], 2, |item| *item).is_empty());
    }

    #[test]
    fn nothing_is_begun_after_a_break() {
        let stop_at_3 = |item: &u32| if *item == 3 { ControlFlow::Break(*item) } else { ControlFlow::Continue(*item) };
        assert_eq!(until(&[1, 2, 3, 4, 5], 1, stop_at_3), [Some(1), Some(2), Some(3), None, None]);
        let found = until(&(0..1000).collect::<Vec<u32>>(), 4, stop_at_3);
        assert_eq!(found[3], Some(3));
        // Each of the four had one item, and the counter's own at most one more.
        assert!(found.iter().flatten().count() < 1000);
    }
}
