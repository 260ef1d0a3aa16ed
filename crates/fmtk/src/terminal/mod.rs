//! What commands say, and how: reports, progress, words of a shell, the clock.

pub(crate) mod clock;
pub mod digest;
pub mod progress;
pub mod report;
pub mod room;
pub mod shell;
