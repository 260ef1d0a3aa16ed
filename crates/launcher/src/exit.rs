//! What the exit code says.

use std::io;

use libc::c_int;

/// Exit code of the launcher. The ranks' own codes come through as they are, so these are only the ones of the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

/// What each of them says, for people.
pub const CODES: &[(&str, &str)] = &[
    ("0", "every rank ended with 0, and the output of a task is where it belongs"),
    ("1", "standard output, or the page of `report`, can't be written to"),
    (
        "2",
        "wrong usage, a wrong path, or a rank table that can't be used, also for `rank-table check`, or files that `report` \
         can't join: the input has to change",
    ),
    ("124", "`--stall`: no rank had output or used its CPU for that long"),
    (
        "125",
        "the launcher failed: no rank table in time, no folder, no process, data that can't be copied in or output that can't be copied out, \
         or a command of `--per-node` that left processes behind",
    ),
    ("126", "the command can't be executed"),
    ("127", "the command was not found; of `launcher.py`: `fmtk-launch` was not"),
    (
        "128 + n",
        "signal n ended the rank that failed first, or stopped the launcher: 143 is SIGTERM, 130 SIGINT, 129 SIGHUP",
    ),
    ("any other", "that of the rank that failed first, or of the vendor's scripts where they start the ranks"),
];

impl Exit {
    pub const SUCCESS: Exit = Exit(0);
    pub const FAILURE: Exit = Exit(1);
    pub const USAGE: Exit = Exit(2);
    /// The code of `timeout`.
    pub const STALLED: Exit = Exit(124);
    /// The code of `docker run`.
    pub const LAUNCHER: Exit = Exit(125);
    /// This and the next one are a shell's.
    pub const NOT_EXECUTABLE: Exit = Exit(126);
    pub const NOT_FOUND: Exit = Exit(127);

    /// 128 + the number of a signal, as a shell has it.
    pub fn signal(signal: c_int) -> Exit {
        // Signals are 1..=64.
        Exit(u8::try_from(128 + signal).unwrap_or(u8::MAX))
    }
}

/// Why nothing was started; the text is for people.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub text: String,
}

impl Failure {
    /// One of which the text says everything.
    pub fn new(exit: Exit, text: impl ToString) -> Failure {
        Failure { exit, text: text.to_string() }
    }

    /// The system does not let the launcher do `what`.
    pub fn system(what: &str, error: &io::Error) -> Failure {
        Failure::new(Exit::LAUNCHER, format!("failed to {what}: {error}"))
    }
}
