//! Work is done by several threads and its results come in order.

use std::{
    cmp::Reverse,
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
    map_longest_first(items, threads, |_| 0, work)
}

/// The same, but the items whose work is longest are taken first: one that is begun last has nothing beside it when it is
/// the only one left. `length` is in any unit; those of one length are taken in their order.
pub fn map_longest_first<I: Sync, T: Send>(
    items: &[I],
    threads: usize,
    length: impl Fn(&I) -> u64,
    work: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let results = until_longest_first(items, threads, length, |item| ControlFlow::<T, T>::Continue(work(item)));
    // None is missing: nothing broke off.
    results.into_iter().flatten().collect()
}

/// [`map`], until a result is a [`ControlFlow::Break`]: items that nobody has begun by then have no result.
pub fn until<I: Sync, T: Send>(
    items: &[I],
    threads: usize,
    work: impl Fn(&I) -> ControlFlow<T, T> + Sync,
) -> Vec<Option<T>> {
    until_longest_first(items, threads, |_| 0, work)
}

/// [`map_longest_first`], until a result is a [`ControlFlow::Break`].
pub fn until_longest_first<I: Sync, T: Send>(
    items: &[I],
    threads: usize,
    length: impl Fn(&I) -> u64,
    work: impl Fn(&I) -> ControlFlow<T, T> + Sync,
) -> Vec<Option<T>> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_cached_key(|number| Reverse(length(&items[*number])));
    let results: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let Some(number) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let done = match work(&items[*number]) {
                ControlFlow::Continue(done) => done,
                ControlFlow::Break(done) => {
                    next.store(items.len(), Ordering::Relaxed);
                    done
                }
            };
            *results[*number].lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
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
    fn the_longest_are_begun_first_and_results_keep_the_order_of_the_items() {
        let begun = Mutex::new(Vec::new());
        let work = |item: &u64| {
            begun.lock().unwrap().push(*item);
            item * 10
        };
        assert_eq!(map_longest_first(&[20, 30, 21, 40], 1, |item| item / 10, work), [200, 300, 210, 400]);
        // Of one length are 20 and 21.
        assert_eq!(*begun.lock().unwrap(), [40, 30, 20, 21]);
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
