//! The place in an app_config where `scenario.modelarts.user_image_url` is or belongs, and the change that sets it.

use file_edit::{Splice, apply};
use saphyr_parser::ScalarStyle;

use super::yaml::{Garbled, Kind, Node, parse};

const OUTER: [&str; 2] = ["scenario", "modelarts"];
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

impl From<Garbled> for Refused {
    fn from(Garbled { line, reason }: Garbled) -> Self {
        Self::Garbled { line, reason }
    }
}

/// The change that sets the value to `url`, which has letters, digits and `/ : . _ -` alone; `None` where it is set
/// already. The changed text was parsed again: only the value differs.
pub fn change(bytes: &[u8], url: &str) -> Result<Option<Splice>, Refused> {
    let text = std::str::from_utf8(bytes).map_err(|error| Refused::NotUtf8(error.valid_up_to()))?;
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let text = &text[mark..];
    let root = document(text)?;
    let mapping = modelarts(&root)?;
    let found = member(mapping, KEY)?;
    if let Some((key, value)) = found {
        in_place(&root, value, key.line)?;
        if value.text() == Some(url) {
            return Ok(None);
        }
    }
    let line = found.map_or(mapping.line, |(key, _)| key.line);
    let splice = match found {
        Some((key, value)) => replaced(text, key, value, url),
        None => added(text, mapping, url),
    };
    let mut splice = splice.ok_or(Refused::NotUnderstood { line })?;
    let new = apply(text.as_bytes(), std::slice::from_ref(&splice));
    if !is_right(&root, &new, url) {
        return Err(Refused::NotUnderstood { line });
    }
    splice.range = splice.range.start + mark..splice.range.end + mark;
    Ok(Some(splice))
}

/// The one document of a text.
fn document(text: &str) -> Result<Node, Refused> {
    let mut documents = parse(text)?;
    match documents.pop() {
        Some(root) if documents.is_empty() => Ok(root),
        Some(_) => Err(Refused::Documents(documents.len() + 1)),
        None => Err(Refused::Documents(0)),
    }
}

/// The mapping that the value belongs to.
fn modelarts(root: &Node) -> Result<&Node, Refused> {
    let paths = ["scenario", "scenario.modelarts"];
    let mut node = root;
    check_mapping(root, node, "the document")?;
    for (key, path) in OUTER.into_iter().zip(paths) {
        node = member(node, key)?.ok_or(Refused::Missing(path))?.1;
        check_mapping(root, node, path)?;
    }
    Ok(node)
}

fn check_mapping(root: &Node, node: &Node, path: &'static str) -> Result<(), Refused> {
    let refused = |found| Err(Refused::Shape { line: node.line, path, found });
    match &node.kind {
        Kind::Mapping(_) if is_shared(root, node) => refused("an anchor that is used elsewhere too"),
        Kind::Mapping(_) => Ok(()),
        Kind::Alias(_) => refused("an alias of something elsewhere"),
        Kind::Scalar(text, ScalarStyle::Plain) if matches!(text.as_str(), "" | "~" | "null") => refused("empty"),
        Kind::Scalar(..) => refused("a text and no mapping"),
        Kind::Sequence(_) => refused("a list and no mapping"),
    }
}

/// What is changed must not be seen elsewhere.
fn is_shared(root: &Node, node: &Node) -> bool {
    node.anchor != 0 && root.refers_to(node.anchor)
}

/// The entry of this key, which must be there once.
fn member<'n>(mapping: &'n Node, key: &'static str) -> Result<Option<(&'n Node, &'n Node)>, Refused> {
    let Kind::Mapping(entries) = &mapping.kind else { return Ok(None) };
    let mut found = entries.iter().filter(|(name, _)| name.text() == Some(key));
    let first = found.next();
    match found.next() {
        Some((second, _)) => Err(Refused::Twice { line: second.line, key }),
        None => Ok(first.map(|(key, value)| (key, value))),
    }
}

/// The value can be replaced where it stands.
fn in_place(root: &Node, value: &Node, line: usize) -> Result<(), Refused> {
    let refused = |found| Err(Refused::Shape { line, path: "scenario.modelarts.user_image_url", found });
    match &value.kind {
        _ if is_shared(root, value) => refused("an anchor that is used elsewhere too"),
        _ if value.anchor != 0 => refused("an anchor"),
        _ if value.tag.is_some() => refused("of a given type (`!…`)"),
        Kind::Mapping(_) => refused("a mapping and no text"),
        Kind::Sequence(_) => refused("a list and no text"),
        Kind::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded) => refused("a text of several lines"),
        Kind::Scalar(..) | Kind::Alias(_) => Ok(()),
    }
}

fn replaced(text: &str, key: &Node, value: &Node, url: &str) -> Option<Splice> {
    let (start, written) = (value.range.start, text.get(value.range.clone())?);
    let written = written.trim_end();
    let put = |length: usize, url: String| Some(Splice { range: start..start + length, text: url.into_bytes() });
    match &value.kind {
        Kind::Alias(_) if written.starts_with('*') && !written.contains(char::is_whitespace) => {
            put(written.len(), url.to_owned())
        }
        // An empty value has no place of its own: it goes behind the colon.
        Kind::Scalar(_, ScalarStyle::Plain)
            if written.is_empty() || !text[key.range.end..].starts_with([':', ' ', '\t']) =>
        {
            empty(text, key, url)
        }
        Kind::Scalar(found, ScalarStyle::Plain) if written == found => put(written.len(), url.to_owned()),
        Kind::Scalar(found, ScalarStyle::Plain) if found == "~" => empty(text, key, url),
        Kind::Scalar(_, style @ (ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted)) => {
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
fn empty(text: &str, key: &Node, url: &str) -> Option<Splice> {
    let rest = text.get(key.range.end..)?;
    let colon = rest.find(':').filter(|at| rest[..*at].chars().all(|letter| matches!(letter, ' ' | '\t')))?;
    // Quoted, since some parsers take no colon in a plain text between braces.
    let next = rest[colon + 1..].trim_start_matches([' ', '\t']);
    let value = if next.starts_with([',', '}']) { format!(" \"{url}\"") } else { format!(" {url}") };
    Some(Splice::insert(key.range.end + colon + 1, value))
}

fn added(text: &str, mapping: &Node, url: &str) -> Option<Splice> {
    let Kind::Mapping(entries) = &mapping.kind else { return None };
    let quote = match entries.first() {
        Some((Node { kind: Kind::Scalar(_, ScalarStyle::DoubleQuoted), .. }, _)) => "\"",
        Some((Node { kind: Kind::Scalar(_, ScalarStyle::SingleQuoted), .. }, _)) => "'",
        _ => "",
    };
    if text[mapping.range.start..].starts_with('{') {
        let open = mapping.range.start + 1;
        let comma = if entries.is_empty() { "" } else { "," };
        let blank = if entries.is_empty() || text[open..].starts_with(char::is_whitespace) { "" } else { " " };
        return Some(Splice::insert(open, format!("{quote}{KEY}{quote}: \"{url}\"{comma}{blank}")));
    }
    let (first, _) = entries.first()?;
    let start = text[..first.range.start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let indent = text[start..first.range.start].to_owned();
    if !indent.chars().all(|letter| letter == ' ') {
        return None;
    }
    let ending = ending(text);
    // Behind the last entry that is whole on its line; there is no telling where a longer one ends.
    let last = entries.iter().rev().find_map(|(key, value)| line_end(text, key, value));
    Some(match last {
        Some(at) => Splice::insert(at, format!("{ending}{indent}{quote}{KEY}{quote}: {url}")),
        None => Splice::insert(first.range.start, format!("{quote}{KEY}{quote}: {url}{ending}{indent}")),
    })
}

/// The end of the line of an entry that has a plain or quoted value on it and nothing else but a comment.
fn line_end(text: &str, key: &Node, value: &Node) -> Option<usize> {
    let Kind::Scalar(_, style) = &value.kind else { return None };
    let simple = !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
    let same_line = !text.get(key.range.start..value.range.end)?.trim_end().contains(['\n', '\r']);
    if !simple || !same_line || value.range.is_empty() {
        return None;
    }
    let end = text[key.range.start..].find(['\n', '\r']).map_or(text.len(), |at| key.range.start + at);
    let rest = text.get(value.range.end.min(end)..end)?.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(end)
}

/// How the text's first line ends.
fn ending(text: &str) -> &'static str {
    match text.find(['\n', '\r']) {
        Some(at) if text[at..].starts_with("\r\n") => "\r\n",
        Some(at) if text[at..].starts_with('\r') => "\r",
        _ => "\n",
    }
}

/// Whether the new text has the value, and apart from it means what the old one did.
fn is_right(old: &Node, new: &[u8], url: &str) -> bool {
    let Some(mut new) = std::str::from_utf8(new).ok().and_then(|text| document(text).ok()) else { return false };
    let mut old = old.clone();
    let taken = take(&mut new);
    take(&mut old);
    taken.is_some_and(|value| value.text() == Some(url) && value.tag.is_none()) && old.means(&new)
}

/// Takes the value out of a document.
fn take(root: &mut Node) -> Option<Node> {
    let mut node = root;
    for key in OUTER {
        let Kind::Mapping(entries) = &mut node.kind else { return None };
        node = &mut entries.iter_mut().find(|(name, _)| name.text() == Some(key))?.1;
    }
    let Kind::Mapping(entries) = &mut node.kind else { return None };
    let at = entries.iter().position(|(name, _)| name.text() == Some(KEY))?;
    Some(entries.remove(at).1)
}
