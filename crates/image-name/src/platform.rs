//! What the image is made for, as its tag has it: `euler_2.8.3`, `aarch64`, `d910`.

use crate::{
    refusal::{Fault, characters, length},
    text::checked_text,
    version::groups,
};

/// An operating system, architecture or chip: letters and digits, in groups joined by single `.` or `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform(String);

checked_text!(Platform, "platform", check);

pub(crate) fn check(text: &str) -> Result<(), Fault> {
    length(text, 64)?;
    characters(text, "letters, digits, `.` and `_`", |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))?;
    groups(text, &['.', '_'])
}
