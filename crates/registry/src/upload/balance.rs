//! What a blob has cost so far: bytes that the registry keeps, and bytes that have to be sent again.

use std::mem;

/// How many times its own size a blob may cost in bytes that the registry throws away, before there is progress that
/// stays. With 2.3 a line is tried three times that carries three quarters of the blob, and nothing is sent 2.4 times.
const THROWN_AWAY: f64 = 2.3;

/// How many bytes may be thrown away for each that the registry keeps. A line that is cut every 64 KiB and loses chunks of
/// 1 MiB still carries the blob; whoever keeps less has it sent again and again to no avail.
const FAIR: u64 = 16;

/// The bytes of one blob.
pub(super) struct Balance {
    /// Of the blob.
    size: u64,
    /// Up to which byte the upload was sent.
    sent_to: u64,
    /// The most that the registry has kept.
    best: u64,
    /// Those that were thrown away, and that those which the registry has kept since do not make up for.
    thrown_away: u64,
    /// The same of cuts alone, while the line carried nothing else.
    cut_off: u64,
    /// Those since the last cut, and the most that went out between two.
    streak: u64,
    largest: u64,
}

/// What came of the bytes that were sent last.
pub(super) struct Outcome {
    /// More of the blob than the registry has ever had.
    pub gained: u64,
    /// Those that have to be sent again.
    pub lost: u64,
}

impl Balance {
    pub fn new(size: u64) -> Self {
        Self { size, sent_to: 0, best: 0, thrown_away: 0, cut_off: 0, streak: 0, largest: 0 }
    }

    /// So many bytes behind the first `from` were given to the line.
    pub fn sends(&mut self, from: u64, bytes: u64) {
        self.sent_to = from + bytes;
        self.streak += bytes;
    }

    /// The line was cut while they were on their way.
    pub fn is_cut(&mut self) {
        self.largest = self.largest.max(mem::take(&mut self.streak));
    }

    /// The registry has the blob's first `kept` bytes; what was sent beyond is lost, `to_a_cut` of a line that carried
    /// nothing else or otherwise.
    pub fn keeps(&mut self, kept: u64, to_a_cut: bool) -> Outcome {
        let lost = mem::replace(&mut self.sent_to, kept).saturating_sub(kept);
        let gained = kept.saturating_sub(self.best);
        let made_up = gained.saturating_mul(FAIR);
        self.best += gained;
        self.thrown_away = (self.thrown_away + lost).saturating_sub(made_up);
        self.cut_off = (self.cut_off + if to_a_cut { lost } else { 0 }).saturating_sub(made_up);
        Outcome { gained, lost }
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
        let next = self.cut_off.saturating_add(self.largest.min(self.size));
        next as f64 > THROWN_AWAY * self.size as f64
    }

    /// The most bytes that went out between two cuts.
    pub fn largest(&self) -> u64 {
        self.largest
    }
}
