//! What a push has learned of its line and of the registry: how many blobs the line carries side by side, and whether an
//! upload outlives a cut.

use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// The line of one push, which all its uploads share.
pub(crate) struct Line {
    traffic: Mutex<Traffic>,
    /// Told when an upload leaves its lane.
    left: Condvar,
    /// Whether the registry has told of bytes that it kept of an upload which was broken off.
    keeps: AtomicBool,
    /// Whether the registry has forgotten an upload because it was cut.
    forgets: AtomicBool,
    /// How often there was progress that stays: a blob is complete, or the registry keeps more of one.
    progress: AtomicU64,
}

struct Traffic {
    /// How many may send.
    lanes: usize,
    /// How many do.
    busy: usize,
    /// How often the line was cut.
    cuts: u64,
}

/// Leave to send, until it is dropped.
pub(crate) struct Lane<'l>(&'l Line);

impl Line {
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            traffic: Mutex::new(Traffic { lanes, busy: 0, cuts: 0 }),
            left: Condvar::new(),
            keeps: AtomicBool::default(),
            forgets: AtomicBool::default(),
            progress: AtomicU64::default(),
        }
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a lane.
    pub(crate) fn enter(&self) -> Lane<'_> {
        self.take_turn(self.traffic());
        Lane(self)
    }

    fn take_turn(&self, traffic: MutexGuard<'_, Traffic>) {
        let is_full = |traffic: &mut Traffic| traffic.busy >= traffic.lanes;
        self.left.wait_while(traffic, is_full).unwrap_or_else(PoisonError::into_inner).busy += 1;
    }

    /// How often the line was cut so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.traffic().cuts
    }

    /// Takes note of a cut of what was begun after so many. One cut breaks all connections, and counts once.
    pub(crate) fn cut(&self, after: u64) {
        let mut traffic = self.traffic();
        if traffic.cuts == after {
            traffic.cuts += 1;
            traffic.lanes = (traffic.lanes / 2).max(1);
        }
    }

    /// Whether the registry forgets uploads that are cut.
    pub(crate) fn forgets(&self) -> bool {
        self.forgets.load(Ordering::Relaxed)
    }

    /// Takes note that the registry has kept bytes of an upload that was broken off.
    pub(crate) fn has_kept(&self) {
        self.keeps.store(true, Ordering::Relaxed);
    }

    /// Takes note that an upload which was cut is lost. A registry that has kept one does not forget them: it was
    /// restarted, say.
    pub(crate) fn has_lost(&self) {
        if !self.keeps.load(Ordering::Relaxed) {
            self.forgets.store(true, Ordering::Relaxed);
        }
    }

    /// How often there was progress that stays.
    pub(crate) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Takes note of some.
    pub(crate) fn has_progressed(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}

impl Lane<'_> {
    /// Waits for another turn if there are fewer lanes by now than uploads that send.
    pub(crate) fn make_room(&self) {
        let mut traffic = self.0.traffic();
        if traffic.busy > traffic.lanes {
            traffic.busy -= 1;
            self.0.left.notify_all();
            self.0.take_turn(traffic);
        }
    }

    /// Whether nobody else sends.
    pub(crate) fn is_alone(&self) -> bool {
        self.0.traffic().busy == 1
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.0.traffic().busy -= 1;
        self.0.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_halves_the_lanes_once_however_many_connections_it_breaks() {
        let line = Line::new(8);
        let lanes = || line.traffic().lanes;
        line.cut(0);
        line.cut(0);
        assert_eq!((lanes(), line.cuts()), (4, 1));
        for cuts in 1..5 {
            line.cut(cuts);
        }
        assert_eq!((lanes(), line.cuts()), (1, 5));
    }

    #[test]
    fn after_a_cut_one_goes_on_and_the_others_wait_for_it() {
        let line = Line::new(3);
        let (first, second) = (line.enter(), line.enter());
        line.cut(0);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                second.make_room();
                assert_eq!(line.traffic().busy, 1);
                drop(second);
            });
            first.make_room();
            drop(first);
            other.join().unwrap();
        });
        assert_eq!(line.traffic().busy, 0);
    }
}
