//! The repository of an image within its organisation: `fmtk-ma`.

use crate::{component, refusal::Fault, text::checked_text};

/// A repository of SWR: one path component of 1–128 characters. Dots are allowed: repositories that have them exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

checked_text!(Repository, "repository", check);

fn check(text: &str) -> Result<(), Fault> {
    component::check(text, 128)
}
