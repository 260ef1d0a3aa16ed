//! Whether the ranks have stopped getting anywhere: no output and no CPU time, on any of them, for a given time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ranks::proc::TICKS_PER_SECOND;

/// CPU time that an idle rank may use in a second. Not none: threads that wake up now and then only to look at a clock
/// (runtimes, profilers, log flushers) use some 0.1 ms a second, and a rank that gets anywhere uses far more than this.
const IDLE_PER_SECOND: Duration = Duration::from_millis(1);

/// What a live rank has done so far.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub rank: usize,
    /// When it last wrote anything, or was started.
    pub last_output: Instant,
    /// CPU time of all its processes, in ticks: the sum of [`crate::ranks::proc::Process::ticks`].
    pub ticks: u64,
}

/// The watch. It keeps no clock and reads nothing: whoever holds it calls [`Stall::feed`] when [`Stall::due`] says.
#[derive(Debug)]
pub struct Stall {
    limit: Duration,
    interval: Duration,
    fed: Instant,
    due: Instant,
    idle: BTreeMap<usize, Stretch>,
}

/// For how long a rank has been idle.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    since: Instant,
    ticks_then: u64,
    ticks_last: u64,
}

impl Stall {
    /// A watch that begins at `now` and calls it a stall when nothing happened for `limit`.
    pub fn new(limit: Duration, now: Instant) -> Stall {
        // Four samples tell a stall from a pause; below 1 s ticks of 10 ms are too coarse, and 30 s is late enough to see work begin.
        let interval = (limit / 4).clamp(Duration::from_secs(1), Duration::from_secs(30));
        Stall { limit, interval, fed: now, due: now, idle: BTreeMap::new() }
    }

    /// When the next samples are wanted.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Takes a sample of each live rank; true when all of them have been idle for the whole limit. Before
    /// [`Stall::due`] it does nothing.
    pub fn feed(&mut self, now: Instant, samples: &[Sample]) -> bool {
        if now < self.due {
            return false;
        }
        let elapsed = now.saturating_duration_since(self.fed);
        // We were not run, as in a paused container: then the ranks were not either, and all begins anew.
        let held_up = elapsed > self.interval * 2 + Duration::from_secs(1);
        let before = std::mem::take(&mut self.idle);
        for sample in samples {
            let anew = Stretch { since: now, ticks_then: sample.ticks, ticks_last: sample.ticks };
            let stretch = match before.get(&sample.rank) {
                Some(stretch) if !held_up && stretch.goes_on(sample, now, elapsed) => {
                    Stretch { ticks_last: sample.ticks, ..*stretch }
                }
                _ => anew,
            };
            self.idle.insert(sample.rank, stretch);
        }
        self.fed = now;
        let latest = self.idle.values().map(|stretch| stretch.since).max();
        let stalled_at = latest.map(|since| since + self.limit);
        let regular = now + self.interval;
        self.due = stalled_at.filter(|at| *at > now).map_or(regular, |at| at.min(regular));
        stalled_at.is_some_and(|at| at <= now)
    }
}

impl Stretch {
    fn goes_on(&self, sample: &Sample, now: Instant, elapsed: Duration) -> bool {
        let silent = sample.last_output <= self.since;
        // Fewer ticks than before: one of its processes has ended, which is a sign of life.
        let Some(used_last) = sample.ticks.checked_sub(self.ticks_last) else { return false };
        let used = sample.ticks.saturating_sub(self.ticks_then);
        // Of the last interval, so that time saved up over a long stretch doesn't hide a burst of work; and of the whole
        // stretch, as one tick an interval passes for rounding only once.
        silent && used_last <= allowance(elapsed) && used <= allowance(now.saturating_duration_since(self.since))
    }
}

/// Ticks that an idle rank may use in `time`, and one more, as any use at all can complete a tick begun long ago.
fn allowance(time: Duration) -> u64 {
    let idle = time.as_millis() * IDLE_PER_SECOND.as_millis() * u128::from(TICKS_PER_SECOND) / 1_000_000;
    u64::try_from(idle).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(40);

    /// Feeds `ticks(rank, second)` of `ranks` ranks that said nothing since the start, until `seconds` have passed or it
    /// stalls; the second of the stall.
    fn stalls(limit: Duration, ranks: usize, seconds: u64, ticks: impl Fn(usize, u64) -> u64) -> Option<u64> {
        let start = Instant::now();
        let mut watch = Stall::new(limit, start);
        while watch.due() <= start + Duration::from_secs(seconds) {
            let now = watch.due();
            let second = (now - start).as_secs();
            let samples: Vec<Sample> =
                (0..ranks).map(|rank| Sample { rank, last_output: start, ticks: ticks(rank, second) }).collect();
            if watch.feed(now, &samples) {
                return Some(second);
            }
            assert!(watch.due() > now);
        }
        None
    }

    #[test]
    fn idle_ranks_stall_exactly_at_the_limit_and_work_is_no_stall() {
        let long = Duration::from_secs;
        // 0.5 ms a second is a tick in 20 s: a look at a clock now and then. 2 ms a second is one in 5 s, which limits below
        // 20 s can't tell from 1 ms.
        let clock = |second: u64| (second + 18) / 20;
        for (limit, expect) in [(1, 1), (4, 4), (40, 40), (45, 45), (1800, 1800), (1810, 1810)] {
            assert_eq!(stalls(long(limit), 8, 10_000, |_, _| 17), Some(expect));
            assert_eq!(stalls(long(limit.max(4)), 2, 10_000, |_, second| second), None, "{limit}");
            assert_eq!(stalls(long(limit.max(20)), 2, 10_000, |_, second| second / 5), None, "{limit}");
        }
        for limit in [4, 40, 1800] {
            assert_eq!(stalls(long(limit), 2, 10_000, |_, second| clock(second)), Some(limit));
        }
    }

    #[test]
    fn one_rank_at_work_is_enough_and_a_burst_is_work() {
        assert_eq!(stalls(LIMIT, 8, 1000, |rank, second| if rank == 5 { second } else { 0 }), None);
        // Both wait for each other in turns: a burst of 50 ms each 30 s.
        assert_eq!(stalls(LIMIT, 2, 3000, |rank, second| (second + 15 * rank as u64) / 30 * 5), None);
        // A long pause saves nothing up for rank 0: half a second of work at 1010 s, after rank 1 stopped at 1000 s.
        let ticks = |rank, second: u64| if rank == 1 { second.min(1000) * 50 } else { u64::from(second >= 1010) * 50 };
        assert_eq!(stalls(LIMIT, 2, 3000, ticks), Some(1050));
        // Work until 100 s, then none.
        assert_eq!(stalls(LIMIT, 2, 1000, |_, second| second.min(100) * 50), Some(140));
    }

    #[test]
    fn output_an_ended_process_a_pause_of_ours_and_another_rank_begin_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let quiet = Sample { rank: 0, last_output: start, ticks: 100 };
        for (times, sample, expect) in [
            (&[0, 10, 20, 30, 40][..], &(|_| quiet) as &dyn Fn(u64) -> Sample, Some(40)),
            (&[0, 10, 20, 30, 40], &|second| Sample { last_output: at(second.min(15)), ..quiet }, None),
            (&[0, 10, 20, 30, 40], &|second| Sample { ticks: if second >= 30 { 99 } else { 100 }, ..quiet }, None),
            // One that comes later has its own time.
            (&[0, 10, 20, 30, 40], &|second| Sample { rank: usize::from(second >= 20), ..quiet }, None),
            // Nobody has fed it for an hour: the ranks were not run, either.
            (&[0, 3600, 3610, 3620, 3630, 3640], &|_| quiet, Some(3640)),
            // Feeding it early changes nothing.
            (&[0, 5, 10, 20, 30, 40], &|second| Sample { ticks: 100 + second % 10 * 9999, ..quiet }, Some(40)),
        ] {
            let mut watch = Stall::new(LIMIT, start);
            let stalled = times.iter().find(|second| watch.feed(at(**second), &[sample(**second)]));
            assert_eq!(stalled.copied(), expect, "{times:?}");
        }
        // One that has ended after some work holds up nobody: the other was idle all along.
        let mut watch = Stall::new(LIMIT, start);
        let left = |second: u64| match second {
            ..=30 => vec![quiet, Sample { rank: 1, last_output: start, ticks: second * 100 }],
            _ => vec![quiet],
        };
        assert_eq!([0, 10, 20, 30, 40].into_iter().find(|&second| watch.feed(at(second), &left(second))), Some(40));
        // None is left: nothing can stall.
        let mut watch = Stall::new(LIMIT, start);
        assert!((0..9).all(|step| !watch.feed(at(step * 10), &[])));
    }
}
