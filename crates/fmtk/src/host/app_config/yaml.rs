//! YAML as a tree that knows where in the text each of its nodes is.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Collections within collections: a real app_config has four.
const DEPTH: usize = 64;

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the text. Of a collection in block style, only where it begins is exact.
    pub range: Range<usize>,
    /// Its line, from 1.
    pub line: usize,
    /// The number of its anchor; 0 where it has none.
    pub anchor: usize,
    /// Its tag, as in `!!str`.
    pub tag: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text, and how it is written.
    Scalar(String, ScalarStyle),
    /// Keys with their values, as they come.
    Mapping(Vec<(Node, Node)>),
    /// Items.
    Sequence(Vec<Node>),
    /// What the anchor of this number stands at.
    Alias(usize),
}

/// Where a text is no YAML, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbled {
    /// The line, from 1.
    pub line: usize,
    /// What the parser says.
    pub reason: String,
}

/// The documents of a text without a byte order mark.
pub fn parse(text: &str) -> Result<Vec<Node>, Garbled> {
    // The parser counts in characters.
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    let mut reader = Reader { parser: Parser::new_from_str(text), offsets };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
            (event, span) => documents.push(reader.node(event, span, 0)?),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    offsets: Vec<usize>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Garbled> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(Garbled { line: error.marker().line(), reason: error.info().to_owned() }),
            None => Err(Garbled { line: 1, reason: "it ends too early".to_owned() }),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Garbled> {
        let line = span.start.line();
        if depth > DEPTH {
            return Err(Garbled { line, reason: format!("it is nested deeper than {DEPTH} levels") });
        }
        let start = span.start;
        let mut end = span.end;
        let (kind, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => (Kind::Scalar(text.into_owned(), style), anchor, tag),
            Event::Alias(anchor) => (Kind::Alias(anchor), 0, None),
            Event::SequenceStart(anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, span) => {
                            end = span.end;
                            break;
                        }
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (Kind::Sequence(items), anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        end = span.end;
                        break;
                    }
                    let key = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    entries.push((key, self.node(event, span, depth + 1)?));
                }
                (Kind::Mapping(entries), anchor, tag)
            }
            other => return Err(Garbled { line, reason: format!("{other:?} is out of place") }),
        };
        let at = |index: usize| self.offsets.get(index).or(self.offsets.last()).copied().unwrap_or_default();
        let range = at(start.index())..at(end.index()).max(at(start.index()));
        Ok(Node { kind, range, line, anchor, tag: tag.map(|tag| tag.to_string()) })
    }
}

impl Node {
    /// Whether both mean the same, wherever and however they are written. Tags and anchors count.
    pub fn means(&self, other: &Self) -> bool {
        let same = match (&self.kind, &other.kind) {
            (Kind::Scalar(one, style), Kind::Scalar(another, other)) => {
                // `null` is not `"null"`.
                one == another && (*style == ScalarStyle::Plain) == (*other == ScalarStyle::Plain)
            }
            (Kind::Mapping(one), Kind::Mapping(another)) => {
                one.len() == another.len()
                    && one.iter().zip(another).all(|((key, value), (other_key, other_value))| {
                        key.means(other_key) && value.means(other_value)
                    })
            }
            (Kind::Sequence(one), Kind::Sequence(another)) => {
                one.len() == another.len() && one.iter().zip(another).all(|(one, another)| one.means(another))
            }
            (Kind::Alias(one), Kind::Alias(another)) => one == another,
            _ => false,
        };
        same && self.anchor == other.anchor && self.tag == other.tag
    }

    /// Whether an alias for this anchor is anywhere in it.
    pub fn refers_to(&self, anchor: usize) -> bool {
        match &self.kind {
            Kind::Scalar(..) => false,
            Kind::Alias(found) => *found == anchor,
            Kind::Sequence(items) => items.iter().any(|item| item.refers_to(anchor)),
            Kind::Mapping(entries) => {
                entries.iter().any(|(key, value)| key.refers_to(anchor) || value.refers_to(anchor))
            }
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }
}
