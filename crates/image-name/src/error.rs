//! Why a text is no name: which rule it breaks, and at which character.

/// A text that is no name of its kind. Displayed as what it should have been, the text, the rule that it breaks, and the
/// first character that does, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

/// A broken rule at a byte of the text, which is always the boundary of a character.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Worded to follow "must".
    rule: String,
    at: usize,
    part: Option<String>,
}

impl Broken {
    pub fn new(rule: impl Into<String>, at: usize) -> Self {
        Self { rule: rule.into(), at, part: None }
    }

    /// The same rule where the text is a part of another, after `offset` bytes of others.
    pub fn in_part(self, part: &str, offset: usize) -> Self {
        Self { part: Some(part.to_owned()), ..self.later(offset) }
    }

    /// The same rule after `offset` more bytes.
    pub fn later(self, offset: usize) -> Self {
        Self { at: self.at + offset, ..self }
    }

    pub fn of(self, what: &'static str, text: &str) -> NameError {
        let Self { rule, at, part } = self;
        let its = part.map(|part| format!(": its {part}")).unwrap_or_default();
        let character = text[..at].chars().count() + 1;
        let found = text[at..].chars().next().map_or("the end".to_owned(), |it| format!("`{}`", it.escape_debug()));
        // More than any name has: a foreign text of a megabyte must not fill the terminal.
        let mut shown: String = text.chars().take(200).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        NameError(format!("{what} `{shown}`{its} must {rule} (character {character}, {found})"))
    }
}

/// Serializes a name as its text, and deserializes it by parsing.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Gives a type with a function `read(&str) -> Result<Self, Broken>` its parsing, and serde as the printed text.
macro_rules! parsed_by_read {
    ($name:ident, $what:literal) => {
        impl std::str::FromStr for $name {
            type Err = $crate::NameError;

            fn from_str(text: &str) -> Result<Self, $crate::NameError> {
                Self::read(text).map_err(|broken| broken.of($what, text))
            }
        }

        $crate::error::serde_as_text!($name);
    };
}

pub(crate) use parsed_by_read;
pub(crate) use serde_as_text;
