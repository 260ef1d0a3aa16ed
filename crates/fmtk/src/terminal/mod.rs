//! What commands say, and how: reports, progress, interruptions, colours, words of a shell, passwords, the clock, the machine.

pub(crate) mod clock;
pub(crate) mod hints;
pub mod interrupt;
pub mod machine;
pub mod progress;
pub mod report;
pub(crate) mod secrets;
pub mod shell;
pub(crate) mod style;
