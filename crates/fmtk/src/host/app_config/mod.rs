//! `push --app-config`: the job's app_config gets the image's address, and nothing else of it changes.

#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use file_edit::{Original, Splice, apply, unified_diff};
use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::terminal::report::WithHint;

/// 1 MiB: a thousand times what a real one has.
const LIMIT: usize = 1 << 20;

/// What is to be done to one app_config.
pub struct Planned {
    path: PathBuf,
    original: Original,
    change: Option<Splice>,
}

/// Finds the place of `scenario.modelarts.user_image_url` in the file and the change that sets it; writes nothing.
/// A file in which it can't be set, or that can't be written, is an error of the input.
pub fn plan(path: &Path, url: &str) -> anyhow::Result<Planned> {
    let original = Original::read(path, LIMIT).input()?;
    let change = change(&original.bytes, url)
        .with_context(|| format!("can't set `user_image_url` in `{}`", path.display()))
        .hint("it has to be `scenario: {modelarts: {user_image_url: …}}`, each key once and the value on one line")
        .input()?;
    if change.is_some() {
        original.check_writable().input()?;
    }
    Ok(Planned { path: path.to_owned(), original, change })
}

impl Planned {
    /// Whether the file has another value yet.
    pub fn changes(&self) -> bool {
        self.change.is_some()
    }

    /// The change as a unified diff; empty where there is none.
    pub fn diff(&self) -> String {
        let name = file_edit::name_in_diff(&self.path, &self.original.target);
        String::from_utf8_lossy(&unified_diff(&name, &self.original.bytes, self.change.as_slice())).into_owned()
    }

    /// Replaces the file, whole or not at all.
    pub fn write(&self) -> anyhow::Result<()> {
        if let Some(change) = &self.change {
            self.original.replace(&apply(&self.original.bytes, std::slice::from_ref(change)), None)?;
        }
        Ok(())
    }
}

const KEY: &str = "user_image_url";

/// The change that sets the value to `url`, which has letters, digits and `/ : . _ -` alone; `None` where it is set
/// already. The changed text was parsed again: only the value differs.
fn change(bytes: &[u8], url: &str) -> anyhow::Result<Option<Splice>> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| anyhow!("it is not UTF-8 at byte {}", error.valid_up_to()))?;
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let text = &text[mark..];
    let document = Document::parse(text)?;
    let modelarts = document.modelarts()?;
    let found = document.member(modelarts.value, KEY)?;
    let is_set = |event: &Event| matches!(event, Event::Scalar(text, _, 0, None) if text == url);
    if found.is_some_and(|found| is_set(&document.parts[found.value].event)) {
        return Ok(None);
    }
    let splice = match found {
        Some(found) => document.replaced(text, found, url),
        None => document.added(text, modelarts, url),
    };
    let is_right = |splice: &Splice| {
        let new = apply(text.as_bytes(), std::slice::from_ref(splice));
        document.differs_in_value_only(found, &new, url)
    };
    let Some(mut splice) = splice.filter(is_right) else {
        let line = document.parts[found.map_or(modelarts.value, |found| found.key)].line;
        bail!("line {line}: `{KEY}` is written in a way that is not understood");
    };
    splice.range = splice.range.start + mark..splice.range.end + mark;
    Ok(Some(splice))
}

/// What the parser reads at one place of the text.
struct Part<'t> {
    event: Event<'t>,
    /// Its bytes. Of a collection, those of its first letter.
    range: Range<usize>,
    /// From 1.
    line: usize,
}

impl Part<'_> {
    fn scalar(&self) -> Option<&str> {
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
    fn parse(text: &'t str) -> anyhow::Result<Self> {
        // The parser counts in characters.
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        let at = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
        let (mut parts, mut documents) = (Vec::new(), 0);
        for read in Parser::new_from_str(text) {
            let (event, span) = read
                .map_err(|error| anyhow!("it is not valid YAML: line {}: {}", error.marker().line(), error.info()))?;
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) => documents += 1,
                event => {
                    let (start, end) = (at(span.start.index()), at(span.end.index()));
                    parts.push(Part { event, range: start..end.max(start), line: span.start.line() });
                }
            }
        }
        ensure!(documents == 1, "it holds {documents} YAML documents where one is expected");
        Ok(Self { parts })
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
    fn member(&self, mapping: usize, key: &str) -> anyhow::Result<Option<Entry>> {
        let entries = self.entries(mapping);
        let mut found = entries.into_iter().filter(|entry| self.parts[entry.key].scalar() == Some(key));
        let first = found.next();
        if let Some(second) = found.next() {
            bail!("line {}: `{key}` is there a second time", self.parts[second.key].line);
        }
        Ok(first)
    }

    /// The entry whose mapping the value belongs to.
    fn modelarts(&self) -> anyhow::Result<Entry> {
        let mut found = Entry { key: 0, value: 0 };
        self.check_mapping(0, "the document")?;
        for (key, path) in [("scenario", "scenario"), ("modelarts", "scenario.modelarts")] {
            found = self.member(found.value, key)?.with_context(|| format!("it has no `{path}`"))?;
            self.check_mapping(found.value, path)?;
        }
        Ok(found)
    }

    /// What an anchor stands at may be seen elsewhere too.
    fn check_mapping(&self, at: usize, path: &str) -> anyhow::Result<()> {
        let part = &self.parts[at];
        let is_own = match part.event {
            Event::MappingStart(0, _) => true,
            Event::MappingStart(anchor, _) => self.parts.iter().all(|part| part.event != Event::Alias(anchor)),
            _ => false,
        };
        ensure!(is_own, "line {}: `{path}` is not a mapping, or not one that is used here alone", part.line);
        Ok(())
    }

    /// The value, on one line, keeps its quotes.
    fn replaced(&self, text: &str, entry: Entry, url: &str) -> Option<Splice> {
        let [key, value] = [entry.key, entry.value].map(|at| &self.parts[at]);
        let start = value.range.start;
        let put = |length: usize, new: String| Splice { range: start..start + length, text: new.into_bytes() };
        let Event::Scalar(scalar, style, ..) = &value.event else { return None };
        match style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let quote = text[start..].chars().next()?;
                let length = text[start + 1..].find(quote)? + 2;
                Some(put(length, format!("{quote}{url}{quote}")))
            }
            ScalarStyle::Plain if text[start..].starts_with(&**scalar) && !scalar.is_empty() => {
                Some(put(scalar.len(), url.to_owned()))
            }
            // An empty value has no place of its own: it goes behind the colon.
            ScalarStyle::Plain => {
                let colon = key.range.end + text[key.range.end..].find(':')? + 1;
                // Quoted, since some parsers take no colon in a plain text between braces.
                let is_flow = text[colon..].trim_start_matches([' ', '\t']).starts_with([',', '}']);
                Some(Splice::insert(colon, if is_flow { format!(" \"{url}\"") } else { format!(" {url}") }))
            }
            _ => None,
        }
    }

    /// The first entry of a mapping in lines, which has none of the key yet, above the comments of the one that was first.
    fn added(&self, text: &str, modelarts: Entry, url: &str) -> Option<Splice> {
        let first = self.entries(modelarts.value).into_iter().next()?;
        let first = self.parts[first.key].range.start;
        let indent = &text[text[..first].rfind(['\n', '\r'])? + 1..first];
        let header = self.parts[modelarts.key].range.start;
        let end = header + text[header..].find(['\n', '\r'])?;
        let ending = if text[end..].starts_with("\r\n") { "\r\n" } else { &text[end..=end] };
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
