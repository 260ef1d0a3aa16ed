//! Trying again: how often, how long to wait, and not to ask too fast once a registry has said so.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::error::Cause;

/// When to try again. The waits double from `first` to `longest`, each shortened by up to half by a jitter that follows
/// from `seed`.
#[derive(Clone)]
pub struct Retry {
    /// How often a request is made at most; 1 is never again.
    pub attempts: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait; also the longest that a `Retry-After` is followed.
    pub longest: Duration,
    /// What the jitter follows from.
    pub seed: u64,
    /// Waits.
    pub sleep: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl Default for Retry {
    /// Six attempts with waits of 0.25 s to 30 s: about 8 s in all, and longer where the registry says how long.
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            attempts: 6,
            first: Duration::from_millis(250),
            longest: Duration::from_secs(30),
            seed: now.as_nanos() as u64 ^ u64::from(std::process::id()),
            sleep: Arc::new(std::thread::sleep),
        }
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl Retry {
    /// How long to wait before attempt `next` (the second is 1), given what the last one ended with.
    pub(crate) fn wait(&self, next: u32, salt: u64, cause: &Cause) -> Duration {
        let doubled = self.first.saturating_mul(1 << (next - 1).min(16)).min(self.longest);
        // splitmix64: spreads neighbouring seeds over all bits.
        let mut bits = self.seed.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (bits >> 40) as f64 / (1u64 << 24) as f64;
        let jittered = doubled.mul_f64(1.0 - share / 2.0);
        match cause {
            Cause::Busy { retry_after: Some(asked), .. } => jittered.max((*asked).min(self.longest)),
            _ => jittered,
        }
    }
}

/// Keeps requests apart once the registry has said that there are too many.
pub(crate) struct Pacer {
    next: Mutex<Option<Instant>>,
    salt: AtomicU64,
}

/// 10 requests a second: half of what SWR allows a tenant, who may have other clients.
const APART: Duration = Duration::from_millis(100);

impl Pacer {
    pub(crate) fn new() -> Self {
        Self { next: Mutex::new(None), salt: AtomicU64::new(0) }
    }

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

    /// A number that no other wait of this registry has had.
    pub(crate) fn salt(&self) -> u64 {
        self.salt.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<u64>) -> Cause {
        let retry_after = retry_after.map(Duration::from_secs);
        Cause::Busy { host: "h".into(), status: 503, retry_after, message: String::new() }
    }

    #[test]
    fn waits_double_within_their_bounds_and_follow_from_the_seed() {
        let retry = Retry { seed: 7, ..Retry::default() };
        let again = Retry { seed: 7, ..Retry::default() };
        for next in 1..12 {
            let full = retry.first * (1 << (next - 1));
            let wait = retry.wait(next, 3, &busy(None));
            assert!(wait <= full.min(retry.longest) && wait >= full.min(retry.longest) / 2, "{next}: {wait:?}");
            assert_eq!(wait, again.wait(next, 3, &busy(None)));
        }
        assert_ne!(retry.wait(1, 1, &busy(None)), retry.wait(1, 2, &busy(None)));
    }

    #[test]
    fn a_retry_after_is_followed_up_to_the_longest_wait() {
        let retry = Retry::default();
        assert_eq!(retry.wait(1, 0, &busy(Some(5))), Duration::from_secs(5));
        assert_eq!(retry.wait(1, 0, &busy(Some(9999))), retry.longest);
    }

    #[test]
    fn requests_are_apart_only_after_the_registry_said_so() {
        let pacer = Pacer::new();
        let now = Instant::now();
        assert_eq!([pacer.slot(now), pacer.slot(now)], [Duration::ZERO; 2]);
        pacer.slow_down();
        let later = now + Duration::from_secs(1);
        let slots: Vec<_> = (0..4).map(|_| pacer.slot(later)).collect();
        assert_eq!(slots, [Duration::ZERO, APART, APART * 2, APART * 3]);
        assert_eq!(pacer.slot(later + Duration::from_secs(9)), Duration::ZERO);
    }
}
