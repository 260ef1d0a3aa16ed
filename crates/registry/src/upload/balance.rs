//! What a blob has cost so far: bytes that the registry keeps, and bytes that have to be sent again.

use std::mem;

use super::LARGE;

/// How many times its own size a blob, or one of [`LARGE`] if it is smaller, may cost in bytes that the registry throws
/// away, before there is progress that stays. With 2.3 a line is tried three times that carries three quarters of the blob,
/// and nothing is sent 2.4 times.
pub(super) const THROWN_AWAY: f64 = 2.3;

/// How many bytes may be thrown away for each that the registry keeps. A line that is cut every 64 KiB and loses chunks of
/// 1 MiB still carries the blob; whoever keeps less has it sent again and again to no avail.
const FAIR: u64 = 16;

/// The bytes of one blob.
pub(super) struct Balance {
    /// Of the blob.
    size: u64,
    /// Up to which byte the upload was sent.
    sent_to: u64,
    /// The most that the registry has kept of the upload.
    best: u64,
    /// What uploads that were lost have cost.
    lost: u64,
    /// Bytes that were thrown away, less [`FAIR`] for each that was kept since.
    thrown_away: u64,
    /// The same of those alone that were lost to a cut while the line carried nothing else.
    cut_off: u64,
    /// Bytes sent since the last cut, and the most that went out between two.
    streak: u64,
    largest: u64,
}

/// What came of the bytes that were sent last.
pub(super) struct Outcome {
    /// More of the blob than the registry has had before.
    pub gained: u64,
    /// Those that have to be sent again.
    pub lost: u64,
}

impl Balance {
    pub fn new(size: u64) -> Self {
        Self { size, sent_to: 0, best: 0, lost: 0, thrown_away: 0, cut_off: 0, streak: 0, largest: 0 }
    }

    /// So many bytes behind the first `from` were given to the line.
    pub fn record_sent(&mut self, from: u64, bytes: u64) {
        self.sent_to = from + bytes;
        self.streak += bytes;
    }

    /// The line was cut while they were on their way.
    pub fn record_cut(&mut self) {
        self.largest = self.largest.max(mem::take(&mut self.streak));
    }

    /// The registry has the blob's first `kept` bytes; what was sent beyond is lost, `to_a_cut` of a line that carried
    /// nothing else or otherwise.
    pub fn record_kept(&mut self, kept: u64, to_a_cut: bool) -> Outcome {
        let lost = mem::replace(&mut self.sent_to, kept).saturating_sub(kept);
        let gained = kept.saturating_sub(self.best);
        let made_up = gained.saturating_mul(FAIR);
        self.best += gained;
        self.thrown_away = (self.thrown_away + lost).saturating_sub(made_up);
        self.cut_off = (self.cut_off + if to_a_cut { lost } else { 0 }).saturating_sub(made_up);
        Outcome { gained, lost }
    }

    /// The upload is lost, and another is begun: what the registry keeps of that one counts as gained again, until the
    /// lost ones have cost too much. Each counts for a fair share at least, so that their number is bounded as well.
    pub fn record_lost(&mut self) {
        self.lost = self.lost.saturating_add(self.best.max(self.scale() / FAIR));
        if !self.is_too_much(self.lost) {
            self.best = 0;
        }
    }

    /// Whether what the registry keeps makes up for what it threw away.
    pub fn is_fair(&self) -> bool {
        self.thrown_away == 0
    }

    /// Whether cuts have cost anything that is not made up for.
    pub fn has_lost_to_cuts(&self) -> bool {
        self.cut_off > 0
    }

    /// Whether another attempt, cut as late as the latest so far, would make it too much.
    pub fn is_nearly_too_much(&self) -> bool {
        self.is_too_much(self.cut_off.saturating_add(self.largest.min(self.size)))
    }

    fn is_too_much(&self, bytes: u64) -> bool {
        bytes as f64 > THROWN_AWAY * self.scale() as f64
    }

    /// A small blob costs little however often it is sent: how often is for the attempts to bound.
    fn scale(&self) -> u64 {
        self.size.max(LARGE)
    }

    /// The most bytes that went out between two cuts.
    pub fn largest(&self) -> u64 {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Sends so many MiB of a blob, which a cut loses; whether another attempt would make it too much.
    fn cut(balance: &mut Balance, mebibytes: u64) -> bool {
        balance.record_sent(0, mebibytes * MIB);
        balance.record_cut();
        balance.record_kept(0, true);
        balance.is_nearly_too_much()
    }

    #[test]
    fn a_blob_costs_so_many_times_its_size_at_most_and_a_small_one_those_of_a_large_one() {
        for (size, sent, attempts) in [(32, 24, 3), (32, 31, 2), (32, 16, 4), (100, 1, 229), (16, 16, 2), (1, 1, 36)] {
            let mut balance = Balance::new(size * MIB);
            let made = 1 + (0..).take_while(|_| !cut(&mut balance, sent)).count();
            assert_eq!(made, attempts, "{sent} of {size} MiB");
            assert!(balance.largest() == sent * MIB && balance.has_lost_to_cuts());
        }
    }

    #[test]
    fn a_byte_that_is_kept_makes_up_for_a_fair_share_of_those_thrown_away() {
        for (sent, kept, is_fair) in
            [(17, 1, true), (18, 1, false), (36, 2, false), (34, 2, true), (5, 0, false), (5, 5, true)]
        {
            let mut balance = Balance::new(100);
            balance.record_sent(0, sent);
            let Outcome { gained, lost } = balance.record_kept(kept, true);
            assert_eq!((gained, lost, balance.is_fair()), (kept, sent - kept, is_fair), "{kept} of {sent}");
            assert_eq!(balance.has_lost_to_cuts(), !is_fair);
        }
        // What it has had before makes up for nothing.
        let mut balance = Balance::new(100);
        for (kept, gained, is_fair) in [(50, 50, true), (20, 0, false), (50, 0, false), (51, 1, false), (60, 9, true)] {
            balance.record_sent(0, 70);
            assert_eq!((balance.record_kept(kept, false).gained, balance.is_fair()), (gained, is_fair), "{kept}");
        }
        assert!(!balance.has_lost_to_cuts(), "none of it was lost to a cut");
    }

    #[test]
    fn what_is_kept_of_another_upload_counts_again_but_not_for_ever() {
        for (kept, uploads) in [(1, 37), (40, 6), (100, 3)] {
            let mut balance = Balance::new(100 * MIB);
            let gains = |_: &u64| {
                balance.record_sent(0, kept * MIB);
                let has_gained = balance.record_kept(kept * MIB, false).gained > 0 && balance.is_fair();
                balance.record_lost();
                balance.record_kept(0, true);
                has_gained
            };
            assert_eq!((0..).take_while(gains).count(), uploads, "{kept}");
        }
    }
}
