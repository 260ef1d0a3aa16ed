//! Why a text is not judged at all.

/// A text that is refused before any edit is looked at; nothing is said about the edits then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Longer than [`crate::MAX_BYTES`].
    #[error("it has {bytes} bytes, more than the {} allowed", crate::MAX_BYTES)]
    TooLarge {
        /// Its length, as far as it was read.
        bytes: u64,
    },
    /// Nested deeper than [`crate::MAX_NESTING`].
    #[error("its {what} are nested deeper than {limit} near line {line}")]
    TooDeep {
        /// `brackets and operators`, `blocks` or `statements and expressions`.
        what: &'static str,
        /// The depth that is allowed.
        limit: usize,
        /// Where the limit was passed.
        line: usize,
    },
    /// Not Python by the grammar.
    #[error("it is not valid Python: {message} at line {line}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// Where.
        line: usize,
    },
    /// A zero byte, which Python refuses anywhere in a source file.
    #[error("it has a zero byte at line {line}")]
    ZeroByte {
        /// Where.
        line: usize,
    },
    /// A byte that the encoding of the text, declared or UTF-8 by default, can't have there.
    #[error("byte {offset} (line {line}) is not valid {encoding}")]
    NotInEncoding {
        /// The declared name, or `UTF-8`.
        encoding: String,
        /// Counted from 0.
        offset: usize,
        /// Its line.
        line: usize,
    },
    /// A coding cookie (PEP 263) with an encoding in which the statements can't be told apart from the text.
    #[error("it declares the encoding `{0}`, which is not supported")]
    Encoding(String),
    /// A byte order mark together with a cookie that is not UTF-8; Python refuses that as well.
    #[error("it starts with a UTF-8 byte order mark but declares the encoding `{0}`")]
    MarkAgainstCookie(String),
    /// The judge itself could not run or did not finish.
    #[error("it could not be judged: {0}")]
    Judge(String),
}
