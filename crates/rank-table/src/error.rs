//! Why there is no table, or no place in it.

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
    let mut shown = String::from("`");
    for it in text.chars().take(MAX) {
        if it.is_control() { shown.extend(it.escape_default()) } else { shown.push(it) }
    }
    shown + if text.chars().nth(MAX).is_some() { "…`" } else { "`" }
}
