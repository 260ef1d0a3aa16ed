//! The tag of an image.

use crate::{
    ImageTag,
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

impl From<&ImageTag> for Tag {
    fn from(tag: &ImageTag) -> Self {
        // An `ImageTag` is made of a tag's characters, begins with `py_` and has checked its own length.
        Self(tag.to_string())
    }
}
