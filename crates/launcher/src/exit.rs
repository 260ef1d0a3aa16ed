//! What the exit code says.

use libc::c_int;

/// Exit code of the launcher. The ranks' own codes come through as they are, so these are only the ones of the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Every rank ended with 0.
    pub const SUCCESS: Exit = Exit(0);
    /// A check of `rank-table check` failed, or standard output is gone.
    pub const FAILURE: Exit = Exit(1);
    /// Wrong usage, or a rank table that can't be used: the input has to change.
    pub const USAGE: Exit = Exit(2);
    /// `--stall` saw neither output nor work; the code of `timeout`.
    pub const STALLED: Exit = Exit(124);
    /// The launcher itself failed: no rank table in time, no folder, no process. The code of `docker run`.
    pub const LAUNCHER: Exit = Exit(125);
    /// The command can't be executed, as a shell has it.
    pub const NOT_EXECUTABLE: Exit = Exit(126);
    /// The command was not found, as a shell has it.
    pub const NOT_FOUND: Exit = Exit(127);

    /// 128 + the number of a signal, as a shell has it.
    pub fn signal(signal: c_int) -> Exit {
        // Signals are 1..=64.
        Exit(u8::try_from(128 + signal).unwrap_or(u8::MAX))
    }
}
