//! Trying again: how often, how long to wait, and not to ask too fast once a registry has said so.

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

/// Keeps requests apart once the registry has said that there are too many.
#[derive(Default)]
pub(crate) struct Pacer {
    next: Mutex<Option<Instant>>,
}

/// 10 requests a second: half of what SWR allows a tenant, who may have other clients.
const APART: Duration = Duration::from_millis(100);

impl Pacer {
    /// From now on requests are kept apart.
    pub(crate) fn slow_down(&self) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
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
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = *next else { return Duration::ZERO };
        *next = Some(slot.max(now) + APART);
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
    fn requests_are_apart_only_after_the_registry_said_so() {
        let pacer = Pacer::default();
        let now = Instant::now();
        assert_eq!([pacer.slot(now), pacer.slot(now)], [Duration::ZERO; 2]);
        pacer.slow_down();
        let later = now + Duration::from_secs(1);
        let slots: Vec<_> = (0..4).map(|_| pacer.slot(later)).collect();
        assert_eq!(slots, [Duration::ZERO, APART, APART * 2, APART * 3]);
        assert_eq!(pacer.slot(later + Duration::from_secs(9)), Duration::ZERO);
    }
}
