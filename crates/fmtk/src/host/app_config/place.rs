//! The place in an app_config where `scenario.modelarts.user_image_url` is or belongs, and the change that sets it.

use std::ops::Range;

use file_edit::{Splice, apply};
use saphyr_parser::{Event, Parser, ScalarStyle};

const KEY: &str = "user_image_url";

/// Why the value can't be set in a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The bytes are not UTF-8.
    #[error("it is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// The text is no YAML.
    #[error("it is not valid YAML: line {line}: {reason}")]
    Garbled {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// There is more than one document, or none.
    #[error("it holds {0} YAML documents where one is expected")]
    Documents(usize),
    /// A part of the path is not there.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// A part of the path is of another kind.
    #[error("line {line}: `{path}` is {found}")]
    Shape {
        /// Where, from 1.
        line: usize,
        /// The part.
        path: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A key is there twice.
    #[error("line {line}: `{key}` is there a second time")]
    Twice {
        /// Where, from 1.
        line: usize,
        /// The key.
        key: &'static str,
    },
    /// The change was made on trial and does not mean what it should.
    #[error("line {line}: `{KEY}` is written in a way that is not understood")]
    NotUnderstood {
        /// Where, from 1.
        line: usize,
    },
}

/// The change that sets the value to `url`, which has letters, digits and `/ : . _ -` alone; `None` where it is set
/// already. The changed text was parsed again: only the value differs.
pub fn change(bytes: &[u8], url: &str) -> Result<Option<Splice>, Refused> {
    let text = std::str::from_utf8(bytes).map_err(|error| Refused::NotUtf8(error.valid_up_to()))?;
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let text = &text[mark..];
    let document = Document::parse(text)?;
    let modelarts = document.modelarts()?;
    let found = document.member(modelarts.value, KEY)?;
    let parts = &document.parts;
    let line = parts[found.map_or(modelarts.value, |found| found.key)].line;
    let splice = match found {
        Some(found) => {
            document.check_value(found)?;
            if parts[found.value].text() == Some(url) {
                return Ok(None);
            }
            replaced(text, &parts[found.key], &parts[found.value], url)
        }
        None => document.added(text, modelarts, url),
    };
    let mut splice = splice.ok_or(Refused::NotUnderstood { line })?;
    let new = apply(text.as_bytes(), std::slice::from_ref(&splice));
    if !document.differs_in_value_only(found, &new, url) {
        return Err(Refused::NotUnderstood { line });
    }
    splice.range = splice.range.start + mark..splice.range.end + mark;
    Ok(Some(splice))
}

/// What the parser reads at one place of the text.
struct Part<'t> {
    event: Event<'t>,
    /// Its bytes. Of a collection, those of its first letter.
    range: Range<usize>,
    /// Its line, from 1.
    line: usize,
}

impl Part<'_> {
    /// The text of a scalar.
    fn text(&self) -> Option<&str> {
        match &self.event {
            Event::Scalar(text, ..) => Some(text),
            _ => None,
        }
    }
}

/// The one document of a text: its parts in the order in which they are read.
struct Document<'t> {
    parts: Vec<Part<'t>>,
}

/// An entry of a mapping: where its key and its value begin in the list of parts.
#[derive(Clone, Copy)]
struct Entry {
    key: usize,
    value: usize,
}

impl<'t> Document<'t> {
    fn parse(text: &'t str) -> Result<Self, Refused> {
        // The parser counts in characters.
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        let at = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
        let (mut parts, mut documents) = (Vec::new(), 0);
        for read in Parser::new_from_str(text) {
            let (event, span) = read
                .map_err(|error| Refused::Garbled { line: error.marker().line(), reason: error.info().to_owned() })?;
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) => documents += 1,
                event => {
                    let (start, end) = (at(span.start.index()), at(span.end.index()));
                    parts.push(Part { event, range: start..end.max(start), line: span.start.line() });
                }
            }
        }
        if documents == 1 { Ok(Self { parts }) } else { Err(Refused::Documents(documents)) }
    }

    /// Where in the list the part behind this one and all that is in it begins.
    fn after(&self, begin: usize) -> usize {
        let mut depth = 0;
        let is_last = |part: &Part<'_>| {
            match part.event {
                Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => depth -= 1,
                _ => {}
            }
            depth == 0
        };
        self.parts[begin..].iter().position(is_last).map_or(self.parts.len(), |last| begin + last + 1)
    }

    fn entries(&self, mapping: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut key = mapping + 1;
        while self.parts.get(key).is_some_and(|part| part.event != Event::MappingEnd) {
            let value = self.after(key);
            entries.push(Entry { key, value });
            key = self.after(value);
        }
        entries
    }

    /// The entry of this key, which must be there once.
    fn member(&self, mapping: usize, key: &'static str) -> Result<Option<Entry>, Refused> {
        let entries = self.entries(mapping);
        let mut found = entries.into_iter().filter(|entry| self.parts[entry.key].text() == Some(key));
        let first = found.next();
        match found.next() {
            Some(second) => Err(Refused::Twice { line: self.parts[second.key].line, key }),
            None => Ok(first),
        }
    }

    /// The entry whose mapping the value belongs to.
    fn modelarts(&self) -> Result<Entry, Refused> {
        let mut found = Entry { key: 0, value: 0 };
        self.check_mapping(found.value, "the document")?;
        for (key, path) in [("scenario", "scenario"), ("modelarts", "scenario.modelarts")] {
            found = self.member(found.value, key)?.ok_or(Refused::Missing(path))?;
            self.check_mapping(found.value, path)?;
        }
        Ok(found)
    }

    fn check_mapping(&self, at: usize, path: &'static str) -> Result<(), Refused> {
        let found = match &self.parts[at].event {
            Event::MappingStart(anchor, _) if self.is_used(*anchor) => "an anchor that is used elsewhere too",
            Event::MappingStart(..) => return Ok(()),
            Event::Alias(_) => "an alias of something elsewhere",
            Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&**text, "" | "~" | "null") => "empty",
            Event::Scalar(..) => "a text and no mapping",
            _ => "a list and no mapping",
        };
        Err(Refused::Shape { line: self.parts[at].line, path, found })
    }

    /// The value can be replaced where it stands.
    fn check_value(&self, entry: Entry) -> Result<(), Refused> {
        let (anchor, tag) = match &self.parts[entry.value].event {
            Event::Scalar(_, _, anchor, tag) | Event::MappingStart(anchor, tag) | Event::SequenceStart(anchor, tag) => {
                (*anchor, tag.as_ref())
            }
            _ => (0, None),
        };
        let found = match &self.parts[entry.value].event {
            _ if self.is_used(anchor) => "an anchor that is used elsewhere too",
            _ if anchor != 0 => "an anchor",
            _ if tag.is_some() => "of a given type (`!…`)",
            Event::MappingStart(..) => "a mapping and no text",
            Event::SequenceStart(..) => "a list and no text",
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => "a text of several lines",
            _ => return Ok(()),
        };
        let line = self.parts[entry.key].line;
        Err(Refused::Shape { line, path: "scenario.modelarts.user_image_url", found })
    }

    /// Whether what this anchor stands at is seen elsewhere too.
    fn is_used(&self, anchor: usize) -> bool {
        anchor != 0 && self.parts.iter().any(|part| part.event == Event::Alias(anchor))
    }

    /// The first entry of the mapping, which has none of the key yet.
    fn added(&self, text: &str, modelarts: Entry, url: &str) -> Option<Splice> {
        let mapping = &self.parts[modelarts.value];
        let first = self.entries(modelarts.value).into_iter().next();
        if text[mapping.range.start..].starts_with('{') {
            let open = mapping.range.start + 1;
            let comma = match first {
                None => "",
                Some(_) if text[open..].starts_with(char::is_whitespace) => ",",
                Some(_) => ", ",
            };
            return Some(Splice::insert(open, format!("\"{KEY}\": \"{url}\"{comma}")));
        }
        let first = self.parts[first?.key].range.start;
        let indent = &text[text[..first].rfind(['\n', '\r'])? + 1..first];
        // Above the comments of the entry that was the first.
        let header = self.parts[modelarts.key].range.start;
        let end = header + text[header..].find(['\n', '\r'])?;
        let ending = match &text[end..] {
            rest if rest.starts_with("\r\n") => "\r\n",
            rest => &rest[..1],
        };
        Some(Splice::insert(end, format!("{ending}{indent}{KEY}: {url}")))
    }

    /// Whether the new text has the value, and apart from it means what this one does.
    fn differs_in_value_only(&self, found: Option<Entry>, new: &[u8], url: &str) -> bool {
        let Some(new) = std::str::from_utf8(new).ok().and_then(|text| Document::parse(text).ok()) else { return false };
        let entry = new.modelarts().and_then(|modelarts| new.member(modelarts.value, KEY));
        let Ok(Some(entry)) = entry else { return false };
        let is_set = matches!(&new.parts[entry.value].event, Event::Scalar(text, _, 0, None) if text == url);
        is_set && self.events_without(found).eq(new.events_without(Some(entry)))
    }

    fn events_without(&self, entry: Option<Entry>) -> impl Iterator<Item = &Event<'t>> {
        let left_out = entry.map_or(0..0, |entry| entry.key..self.after(entry.value));
        let kept = self.parts.iter().enumerate().filter(move |(at, _)| !left_out.contains(at));
        kept.map(|(_, part)| &part.event)
    }
}

fn replaced(text: &str, key: &Part<'_>, value: &Part<'_>, url: &str) -> Option<Splice> {
    let (start, written) = (value.range.start, text.get(value.range.clone())?);
    let written = written.trim_end();
    let put = |length: usize, url: String| Some(Splice { range: start..start + length, text: url.into_bytes() });
    match &value.event {
        Event::Alias(_) if written.starts_with('*') && !written.contains(char::is_whitespace) => {
            put(written.len(), url.to_owned())
        }
        // An empty value has no place of its own: it goes behind the colon.
        Event::Scalar(_, ScalarStyle::Plain, ..)
            if written.is_empty() || !text[key.range.end..].starts_with([':', ' ', '\t']) =>
        {
            empty(text, key, url)
        }
        Event::Scalar(found, ScalarStyle::Plain, ..) if written == found => put(written.len(), url.to_owned()),
        Event::Scalar(found, ScalarStyle::Plain, ..) if found == "~" => empty(text, key, url),
        Event::Scalar(_, style @ (ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted), ..) => {
            let quote = if *style == ScalarStyle::SingleQuoted { '\'' } else { '"' };
            put(quoted(&text[start..], quote)?, format!("{quote}{url}{quote}"))
        }
        _ => None,
    }
}

/// How long the quoted text at the begin is, where it ends on its line. The parser's own end is behind the blanks that
/// follow, and what follows them.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1).peekable();
    text.starts_with(quote).then_some(())?;
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\n' | '\r' => return None,
            '\\' if quote == '"' => drop(letters.next()),
            '\'' if quote == '\'' && letters.peek().is_some_and(|(_, next)| *next == '\'') => drop(letters.next()),
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Behind the colon of a key that has no value.
fn empty(text: &str, key: &Part<'_>, url: &str) -> Option<Splice> {
    let rest = text.get(key.range.end..)?;
    let colon = rest.find(':').filter(|at| rest[..*at].chars().all(|letter| matches!(letter, ' ' | '\t')))?;
    // Quoted, since some parsers take no colon in a plain text between braces.
    let next = rest[colon + 1..].trim_start_matches([' ', '\t']);
    let value = if next.starts_with([',', '}']) { format!(" \"{url}\"") } else { format!(" {url}") };
    Some(Splice::insert(key.range.end + colon + 1, value))
}
