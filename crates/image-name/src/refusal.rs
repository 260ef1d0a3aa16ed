//! Why a text is no name: which rule it breaks, and at which character.

use std::fmt;

/// A text that is no name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{}`{} must {rule} ({})", shown(.text), its(*.part), place(.text, *.at))]
pub struct NameError {
    what: &'static str,
    text: String,
    part: Option<&'static str>,
    rule: Rule,
    at: usize,
}

/// A rule of a name, worded to follow "must".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// There is at least one character.
    NotEmpty,
    /// There are at most this many characters.
    Length(usize),
    /// What the first character may be.
    Start(&'static str),
    /// What the last character may be.
    End(&'static str),
    /// Which characters there are at all.
    Characters(&'static str),
    /// Which separators stand where.
    Separators(&'static str),
    /// Which parts there are, in which order.
    Parts(&'static str),
    /// Which numbers there are.
    Range(&'static str),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty => f.write_str("not be empty"),
            Self::Length(max) => write!(f, "have at most {max} characters"),
            Self::Start(what) => write!(f, "start with {what}"),
            Self::End(what) => write!(f, "end with {what}"),
            Self::Characters(what) => write!(f, "hold only {what}"),
            Self::Separators(what) | Self::Parts(what) | Self::Range(what) => f.write_str(what),
        }
    }
}

impl NameError {
    /// What the text should have been: `organisation`, `tag`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part at fault, of a name that has parts: `tag` of an image reference.
    pub fn part(&self) -> Option<&'static str> {
        self.part
    }

    /// The rule that it breaks.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The first character that breaks the rule, counted from 1; one past the last where something is missing there.
    pub fn character(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }
}

/// A broken rule at a byte of the text, which is always the boundary of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    rule: Rule,
    at: usize,
    part: Option<&'static str>,
}

impl Fault {
    pub(crate) const fn new(rule: Rule, at: usize) -> Self {
        Self { rule, at, part: None }
    }

    /// The same fault where the text is a part of one, after `offset` bytes of others.
    pub(crate) fn in_part(self, part: &'static str, offset: usize) -> Self {
        Self { at: self.at + offset, part: Some(part), ..self }
    }

    pub(crate) fn of(self, what: &'static str, text: &str) -> NameError {
        NameError { what, text: text.to_owned(), part: self.part, rule: self.rule, at: self.at }
    }
}

/// The fault of the first character that `allowed` refuses.
pub(crate) fn characters(text: &str, what: &'static str, allowed: impl Fn(char) -> bool) -> Result<(), Fault> {
    match text.find(|c| !allowed(c)) {
        Some(at) => Err(Fault::new(Rule::Characters(what), at)),
        None => Ok(()),
    }
}

/// The faults of too few and too many characters.
pub(crate) fn length(text: &str, max: usize) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new(Rule::NotEmpty, 0));
    }
    match text.char_indices().nth(max) {
        Some((at, _)) => Err(Fault::new(Rule::Length(max), at)),
        None => Ok(()),
    }
}

/// 200 characters are more than any name has: a foreign text of a megabyte must not fill the terminal.
fn shown(text: &str) -> String {
    let mut head: String = text.chars().take(200).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}

fn its(part: Option<&str>) -> String {
    part.map(|part| format!(": its {part}")).unwrap_or_default()
}

fn place(text: &str, at: usize) -> String {
    let character = text[..at].chars().count() + 1;
    match text[at..].chars().next() {
        Some(found) => format!("character {character}, `{}`", found.escape_debug()),
        None => format!("character {character}, the end"),
    }
}
