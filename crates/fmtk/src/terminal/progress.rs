//! What people see while a command works: one plain line a step, on stderr; a moving line on a terminal.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::terminal::report;

/// Says what happens, to people.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    live: bool,
    drawn: Mutex<Option<Instant>>,
}

impl Progress {
    /// Lines unless `quiet`; a moving line only on a terminal.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, live: !quiet && stderr().is_terminal(), drawn: Mutex::new(None) }
    }

    /// Whether only warnings and errors are to be seen; programs that we run are then silenced too.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A step that is done or begun.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            self.write(&format!("{}{text}\n", self.clear()));
        }
    }

    /// Something the user should know; shown with `--quiet` too.
    pub fn warning(&self, text: &str) {
        self.write(&format!("{}warning: {}\n", self.clear(), report::bounded(text)));
    }

    /// The state of a long step, redrawn in place at most ten times a second.
    pub fn moving(&self, text: impl FnOnce() -> String) {
        if !self.live {
            return;
        }
        let mut drawn = self.drawn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if drawn.is_some_and(|at| at.elapsed() < Duration::from_millis(100)) {
            return;
        }
        *drawn = Some(Instant::now());
        drop(drawn);
        self.write(&format!("\r\x1b[2K{}", text()));
    }

    fn clear(&self) -> &'static str {
        if self.live { "\r\x1b[2K" } else { "" }
    }

    fn write(&self, text: &str) {
        // A closed stderr must not stop the work.
        let _ = stderr().lock().write_all(text.as_bytes());
    }
}

/// `129.2 MB`: powers of ten, as registries and docker print sizes.
pub fn bytes(size: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{size} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// `1 layer`, `16 layers`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `CANN 5.1.RC2 (2 of 9)`; the thing alone where it is in one piece. Counts from 1.
pub fn piece(thing: &str, number: usize, of: usize) -> String {
    if of == 1 { thing.to_owned() } else { format!("{thing} ({number} of {of})") }
}

/// `0.71 s`, `2 min 05 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.2} s", time.as_secs_f64()),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_registries_print_them() {
        let shown: Vec<String> = [0, 999, 1000, 999_949, 999_950, 129_154_761, 12_000_000_000].map(bytes).into();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "129.2 MB", "12.0 GB"]);
    }

    #[test]
    fn a_piece_is_numbered_where_there_are_several() {
        assert_eq!([piece("base", 1, 1), piece("base", 2, 30)], ["base", "base (2 of 30)"]);
    }

    #[test]
    fn times_above_a_minute_are_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(713)), "0.71 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
