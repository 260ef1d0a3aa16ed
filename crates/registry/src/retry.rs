//! Trying again: how often, how long to wait, and not to ask faster than SWR allows.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When to try again. The waits double from `first` to `longest`, each shortened by up to half at random.
#[derive(Clone)]
pub struct Retry {
    /// How often a request is made at most; 1 is never again.
    pub attempts: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait; also the longest that a `Retry-After` is followed.
    pub longest: Duration,
    /// Waits.
    pub sleep: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl Default for Retry {
    /// Six attempts with waits of 0.25 s to 30 s: about 8 s in all, and longer where the registry says how long.
    fn default() -> Self {
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(30));
        Self { attempts: 6, first, longest, sleep: Arc::new(std::thread::sleep) }
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl Retry {
    /// How long to wait before attempt `next` (the second is 1), at least as long as the registry has asked for.
    pub(crate) fn wait(&self, next: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1 << (next - 1).min(16)).min(self.longest);
        // Each state has random keys of its own.
        let share = RandomState::new().hash_one(next) as f64 / u64::MAX as f64;
        doubled.mul_f64(1.0 - share / 2.0).max(asked.unwrap_or_default().min(self.longest))
    }
}

/// Keeps requests apart.
#[derive(Default)]
pub(crate) struct Pacer {
    pace: Mutex<Pace>,
}

#[derive(Default)]
struct Pace {
    /// How far apart requests are; zero does not hold them up.
    apart: Duration,
    /// When the next one may go.
    next: Option<Instant>,
}

/// 18 requests a second: SWR answers 503 to a tenant that makes more than 20.
const APART: Duration = Duration::from_millis(55);

/// 10 requests a second, once the registry has said that there are too many: the tenant may have other clients.
const FURTHER_APART: Duration = Duration::from_millis(100);

impl Pacer {
    /// Requests are kept below SWR's limit from the first.
    pub(crate) fn of_registry() -> Self {
        Self { pace: Mutex::new(Pace { apart: APART, next: None }) }
    }

    /// From now on requests are kept further apart.
    pub(crate) fn slow_down(&self) {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).apart = FURTHER_APART;
    }

    /// Waits for this request's turn.
    pub(crate) fn turn(&self, retry: &Retry) {
        let wait = self.slot(Instant::now());
        if !wait.is_zero() {
            (retry.sleep)(wait);
        }
    }

    /// Takes the next slot; returns how far off it is.
    fn slot(&self, now: Instant) -> Duration {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.apart.is_zero() {
            return Duration::ZERO;
        }
        let slot = pace.next.map_or(now, |next| next.max(now));
        pace.next = Some(slot + pace.apart);
        slot.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_bounds_and_differ() {
        let retry = Retry::default();
        for next in 1..12 {
            let full = (retry.first * (1 << (next - 1))).min(retry.longest);
            let waits = [(); 8].map(|()| retry.wait(next, None));
            assert!(waits.iter().all(|wait| *wait <= full && *wait >= full / 2), "{next}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{next}: {waits:?}");
        }
        assert_eq!(retry.wait(1, Some(Duration::from_secs(5))), Duration::from_secs(5));
        assert_eq!(retry.wait(1, Some(Duration::from_secs(9999))), retry.longest);
    }

    #[test]
    fn requests_stay_below_a_limit_and_further_below_once_the_registry_said_so() {
        let now = Instant::now();
        let slots = |pacer: &Pacer, now| [(); 4].map(|()| pacer.slot(now).as_millis());
        for (pacer, apart) in [(Pacer::default(), 0), (Pacer::of_registry(), 55)] {
            assert_eq!(slots(&pacer, now), [0, apart, 2 * apart, 3 * apart]);
            pacer.slow_down();
            let later = now + Duration::from_secs(1);
            assert_eq!(slots(&pacer, later), [0, 100, 200, 300]);
            assert_eq!(pacer.slot(later + Duration::from_secs(9)), Duration::ZERO);
        }
        assert!(Duration::from_secs(1).as_millis() / APART.as_millis() < 20);
    }
}
