//! When which scenario runs: what needs the machine for itself first, one after the other, then the rest side by side.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    thread,
};

/// Runs each of `alone` while nothing else runs, in this order; then `jobs` of `beside` at a time, begun in this order.
/// Each job has a world of its own, which is made where it runs and is there until it ends. Gives the outcomes as they
/// came.
///
/// # Errors
///
/// If a world can't be made; what the others have begun is finished.
pub fn run<T: Sync, W, O: Send>(
    [alone, beside]: [&[T]; 2],
    jobs: NonZeroUsize,
    world: impl Fn(usize) -> anyhow::Result<W> + Sync,
    one: impl Fn(&W, &T) -> O + Sync,
) -> anyhow::Result<Vec<O>> {
    let own = world(0)?;
    let outcomes: Mutex<Vec<O>> = Mutex::new(alone.iter().map(|task| one(&own, task)).collect());
    let queue: Mutex<VecDeque<&T>> = Mutex::new(beside.iter().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = |world: &W| {
        while let Some(task) = next() {
            let outcome = one(world, task);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        }
    };
    thread::scope(|scope| {
        let work = &work;
        let world = &world;
        let others = (1..jobs.get().min(beside.len())).map(|job| scope.spawn(move || world(job).map(|it| work(&it))));
        let others: Vec<_> = others.collect();
        work(&own);
        let panicked = |_| anyhow::anyhow!("a scenario panicked");
        others.into_iter().try_for_each(|other| other.join().map_err(panicked)?)
    })?;
    Ok(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
    };

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    #[test]
    fn each_runs_once_and_in_order_where_one_runs_at_a_time() {
        let done = run([&[1, 2], &[3, 4, 5]], NonZeroUsize::MIN, |_| Ok(()), |(), task| *task).unwrap();
        assert_eq!(done, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn two_run_at_once_and_each_job_has_a_world_of_its_own() {
        // Both sides meet here: run one after the other, the first would wait for ever.
        let meet = Barrier::new(2);
        // No thread may see another's.
        let world = |job| Ok((job, Cell::new(0)));
        let mut seen = run([&[], &[(), ()]], TWO, world, |(job, count), ()| {
            meet.wait();
            count.set(count.get() + 1);
            (*job, count.get())
        });
        seen.as_mut().unwrap().sort_unstable();
        assert_eq!(seen.unwrap(), [(0, 1), (1, 1)]);
    }

    #[test]
    fn what_needs_the_machine_for_itself_runs_while_nothing_else_does() {
        let running = AtomicUsize::new(0);
        let done = run(
            [&["alone"; 50], &["beside"; 50]],
            TWO,
            |_| Ok(()),
            |(), task| {
                let others = running.fetch_add(1, SeqCst);
                thread::yield_now();
                running.fetch_sub(1, SeqCst);
                *task == "beside" || others == 0
            },
        );
        let done = done.unwrap();
        assert_eq!((done.len(), done.iter().all(|is_right| *is_right)), (100, true));
    }

    #[test]
    fn a_world_that_can_not_be_made_is_an_error() {
        let world = |job| if job == 1 { anyhow::bail!("no world") } else { Ok(()) };
        let failed = run([&[], &[1, 2]], TWO, world, |(), task| *task).unwrap_err();
        assert_eq!(failed.to_string(), "no world");
    }
}
