//! What commands say, and how: reports, progress, interruptions, colours, words of a shell, the clock, the machine.

pub(crate) mod clock;
pub(crate) mod hints;
pub mod interrupt;
pub mod machine;
pub mod progress;
pub mod report;
pub mod shell;
pub(crate) mod style;
