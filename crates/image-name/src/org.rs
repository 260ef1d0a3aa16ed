//! The organisation of SWR that an image belongs to: `mindxsdk`.

use crate::{
    refusal::{Fault, Rule, characters, length},
    text::checked_text,
};

/// An organisation of SWR: 1–64 of `a-z 0-9 _ -`, a letter first, a letter or digit last, separators single save `__`.
///
/// SWR's two published rules disagree on dots, so they are refused: a name that both allow always works.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgName(String);

checked_text!(OrgName, "organisation", check);

fn check(text: &str) -> Result<(), Fault> {
    length(text, 64)?;
    characters(text, "a-z, 0-9, `_` and `-`", |c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))?;
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(Fault::new(Rule::Start("a lowercase letter"), 0));
    }
    if text.ends_with(separator) {
        return Err(Fault::new(Rule::End("a-z or 0-9"), text.len() - 1));
    }
    let mut run = 0;
    for (at, c) in text.char_indices() {
        run = if separator(c) { run + 1 } else { 0 };
        if run > 2 || (run == 2 && &text[at - 1..=at] != "__") {
            return Err(Fault::new(Rule::Separators("have no two separators side by side, save `__`"), at));
        }
    }
    Ok(())
}

fn separator(c: char) -> bool {
    matches!(c, '_' | '-')
}
