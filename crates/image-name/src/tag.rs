//! The tag of an image.

use crate::{
    refusal::{Fault, Rule, characters, length},
    text::checked_text,
};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution spec, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

checked_text!(Tag, "tag", check);

/// Characters of a tag.
pub(crate) const MAX: usize = 128;

pub(crate) fn check(text: &str) -> Result<(), Fault> {
    length(text, MAX)?;
    characters(text, "a-z, A-Z, 0-9, `_`, `.` and `-`", |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))?;
    if text.starts_with(['.', '-']) {
        return Err(Fault::new(Rule::Start("a letter, a digit or `_`"), 0));
    }
    Ok(())
}

impl Tag {
    /// A text that was made of a tag's characters and is no longer than one.
    pub(crate) fn of_checked(text: String) -> Self {
        Self(text)
    }
}
