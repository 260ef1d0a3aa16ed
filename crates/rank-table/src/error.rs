//! Why there is no table, or no place in it.

use file_edit::printable;

/// Why something is not so. Displayed as a sentence, of several lines where there are several faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub(crate) message: String,
    /// Whether waiting may help: the file may be about to be written, or on the way to `completed`.
    pub may_pass: bool,
}

impl Error {
    pub(crate) fn passing(message: impl Into<String>) -> Error {
        Error { message: message.into(), may_pass: true }
    }

    pub(crate) fn lasting(message: impl Into<String>) -> Error {
        Error { message: message.into(), may_pass: false }
    }
}

/// Foreign text for a message: in backticks, on one line, control characters escaped, cut at 64 characters.
pub(crate) fn quote(text: &str) -> String {
    const MAX: usize = 64;
    let start: String = text.chars().take(MAX).collect();
    format!("`{}{}`", printable(&start), if start.len() < text.len() { "…" } else { "" })
}
