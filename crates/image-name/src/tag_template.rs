//! How the tag of an image is made of its versions and its timestamp, and read back:
//! `py_{python}-ms_{mindspore}_cann_{cann}-{os}-{arch}-{chip}-{timestamp}`.

use std::{collections::BTreeMap, fmt};

use crate::{
    NameError, Tag, Timestamp,
    error::{Broken, parsed_by_read},
    names::{TAG_LENGTH, groups, length, of_a_tag},
};

/// A tag with placeholders, `{key}`, each of them once; `{timestamp}` is among them. Whatever it makes it reads back: a
/// placeholder is followed by a character that its value can't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(String),
    Timestamp,
}

/// The shape of the tags that jobs in the field have.
const DEFAULT: &str = "py_{python}-ms_{mindspore}_cann_{cann}-{os}-{arch}-{chip}-{timestamp}";

/// The placeholder of the timestamp.
const TIMESTAMP: &str = "timestamp";

/// A version or a platform as a tag has it, 1–64 characters: letters and digits, in groups joined by single dots. In the
/// values of `os`, `arch` and `chip` single underscores join too, as in `euler_2.8.3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagPart(String);

/// What a tag says, read by its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTag {
    /// The values by their keys.
    pub values: BTreeMap<String, TagPart>,
    /// When the image was built.
    pub timestamp: Timestamp,
}

impl TagPart {
    /// The value of this key. Fails where the tag can't have it.
    pub fn new(key: &str, text: &str) -> Result<Self, NameError> {
        let what = if may_hold_underscores(key) { "platform" } else { "version" };
        Self::read(key, text).map_err(|broken| broken.of(what, text))
    }

    /// The value as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(key: &str, text: &str) -> Result<Self, Broken> {
        match may_hold_underscores(key) {
            true => groups(text, &['.', '_'], "letters, digits, `.` and `_`")?,
            false => groups(text, &['.'], "letters, digits and `.`")?,
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TagPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl serde::Serialize for TagPart {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn may_hold_underscores(key: &str) -> bool {
    matches!(key, "os" | "arch" | "chip")
}

impl TagTemplate {
    /// The placeholders but `{timestamp}`, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(key) => Some(key.as_str()),
            Part::Text(_) | Part::Timestamp => None,
        })
    }

    /// The tag with these values. Fails where one is missing, or where the tag would be longer than its 128 characters.
    pub fn render(&self, values: &BTreeMap<String, TagPart>, timestamp: Timestamp) -> Result<Tag, NameError> {
        let mut tag = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => tag.push_str(text),
                Part::Timestamp => tag.push_str(&timestamp.to_string()),
                Part::Value(key) => match values.get(key) {
                    Some(value) => tag.push_str(value.as_str()),
                    None => {
                        let at = self.text.find(&format!("{{{key}}}")).unwrap_or_default();
                        let rule = format!("have a value for `{key}`");
                        return Err(Broken::new(rule, at).of("tag template", &self.text));
                    }
                },
            }
        }
        // All of it is ASCII.
        let rule = || format!("have at most {TAG_LENGTH} characters, not {}", tag.len());
        length(&tag, TAG_LENGTH).map_err(|_| Broken::new(rule(), TAG_LENGTH).of("image tag", &tag))?;
        Ok(Tag::of_checked(tag))
    }

    /// What a tag that was made by this template says, or where it does not fit.
    pub fn read_tag(&self, tag: &str) -> Result<ReadTag, NameError> {
        self.tag(tag).map_err(|broken| broken.of("image tag", tag))
    }

    fn tag(&self, tag: &str) -> Result<ReadTag, Broken> {
        length(tag, TAG_LENGTH)?;
        let misfit = |at| Broken::new(format!("read `{}`", self.text), at);
        let (mut values, mut timestamp, mut at) = (BTreeMap::new(), None, 0);
        for part in &self.parts {
            let rest = &tag[at..];
            let value = |key: &str| {
                let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_' && may_hold_underscores(key));
                &rest[..rest.find(ends).unwrap_or(rest.len())]
            };
            at += match part {
                Part::Text(text) if rest.starts_with(text) => text.len(),
                Part::Text(text) => {
                    let same = rest.bytes().zip(text.bytes()).take_while(|(one, other)| one == other).count();
                    // Equal bytes of ASCII end at a character.
                    return Err(misfit(at + same));
                }
                Part::Value(key) => {
                    let text = value(key);
                    let read = TagPart::read(key, text).map_err(|broken| broken.in_part(key, at))?;
                    values.insert(key.clone(), read);
                    text.len()
                }
                Part::Timestamp => {
                    let text = value(TIMESTAMP);
                    timestamp = Some(Timestamp::read(text).map_err(|broken| broken.in_part(TIMESTAMP, at))?);
                    text.len()
                }
            };
        }
        let timestamp = timestamp.filter(|_| at == tag.len()).ok_or_else(|| misfit(at))?;
        Ok(ReadTag { values, timestamp })
    }

    fn read(text: &str) -> Result<Self, Broken> {
        if text.starts_with(['.', '-']) {
            return Err(Broken::new("start with a letter, a digit, `_` or a placeholder", 0));
        }
        let (mut parts, mut at) = (Vec::new(), 0);
        while let Some(first) = text[at..].chars().next() {
            let rest = &text[at..];
            if first != '{' {
                let literal = &rest[..rest.find('{').unwrap_or(rest.len())];
                of_a_tag(literal).map_err(|broken| broken.later(at))?;
                parts.push(Part::Text(literal.to_owned()));
                at += literal.len();
                continue;
            }
            let end = rest.find('}').ok_or_else(|| Broken::new("close the brace of a placeholder", at))?;
            let key = &rest[1..end];
            let part = if key == TIMESTAMP { Part::Timestamp } else { Part::Value(key.to_owned()) };
            if let Some(other) = key.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                let rule = "have only letters, digits and `_` in the name of a placeholder";
                return Err(Broken::new(rule, at + 1 + other));
            }
            if key.is_empty() {
                return Err(Broken::new("name what a placeholder stands for", at + 1));
            }
            if parts.contains(&part) {
                return Err(Broken::new(format!("have `{{{key}}}` once"), at));
            }
            parts.push(part);
            at += end + 1;
            let told_apart = match text[at..].chars().next() {
                None | Some('-') => true,
                Some(next) => next == '_' && !may_hold_underscores(key),
            };
            if !told_apart {
                let or = if may_hold_underscores(key) { "" } else { " or `_`" };
                return Err(Broken::new(format!("have a `-`{or} after `{{{key}}}`, to be read back"), at));
            }
        }
        match parts.contains(&Part::Timestamp) {
            true => Ok(Self { text: text.to_owned(), parts }),
            false => Err(Broken::new("have a `{timestamp}`", text.len())),
        }
    }
}

impl Default for TagTemplate {
    fn default() -> Self {
        // Read by a test.
        Self::read(DEFAULT).unwrap_or(Self { text: String::new(), parts: Vec::new() })
    }
}

parsed_by_read!(TagTemplate, "tag template");

impl fmt::Display for TagTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
