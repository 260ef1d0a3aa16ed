//! A version as the image tag has it: `3.9`, `1.8.1`, `5.1.RC2`.

use crate::{
    refusal::{Fault, Rule, characters, length},
    text::checked_text,
};

/// Letters and digits, in groups joined by single dots; no `_`, `-` or `+`, which separate the parts of the image tag
/// or may not stand in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

checked_text!(Version, "version", check);

pub(crate) fn check(text: &str) -> Result<(), Fault> {
    length(text, 64)?;
    characters(text, "letters, digits and `.`", |c| c.is_ascii_alphanumeric() || c == '.')?;
    groups(text, &['.'])
}

/// Checks that no separator is first, last or beside another.
pub(crate) fn groups(text: &str, separators: &[char]) -> Result<(), Fault> {
    if text.starts_with(separators) {
        return Err(Fault::new(Rule::Start("a letter or digit"), 0));
    }
    if text.ends_with(separators) {
        return Err(Fault::new(Rule::End("a letter or digit"), text.len() - 1));
    }
    let mut pairs = text.char_indices().zip(text.chars().skip(1));
    match pairs.find(|((_, left), right)| separators.contains(left) && separators.contains(right)) {
        Some(((at, _), _)) => Err(Fault::new(Rule::Separators("have no two separators side by side"), at + 1)),
        None => Ok(()),
    }
}
