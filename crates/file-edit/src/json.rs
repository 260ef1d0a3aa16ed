//! One value of a JSON file is set, added or taken out; every other byte stays.

mod scan;

#[cfg(test)]
mod tests;

use serde_json::Value;

use self::scan::{Kind, Node};
use crate::splice::Splice;

/// Why a JSON text is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is no JSON. What it holds instead is not said: it may be a password.
    #[error("it is not valid JSON at line {line}, column {column}")]
    Garbled {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The bytes are not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A key is there twice, so that programs may disagree on which counts.
    #[error("line {line}: `{key}` is there a second time")]
    Twice {
        /// The key.
        key: String,
        /// From 1.
        line: usize,
    },
    /// A value is of another type.
    #[error("line {line}: `{key}` is not {wanted}")]
    Shape {
        /// The key; empty for the whole text.
        key: String,
        /// What it is to be.
        wanted: &'static str,
        /// From 1.
        line: usize,
    },
}

/// A JSON text, its parts and how it is laid out.
#[derive(Debug)]
pub struct Json<'t> {
    text: &'t str,
    /// Bytes of a byte order mark before the text.
    mark: usize,
    /// Nothing for a text of blanks.
    root: Option<Node>,
    /// What one level is indented by; nothing where all is on one line.
    unit: Option<String>,
    ending: &'static str,
}

impl<'t> Json<'t> {
    /// Reads a text; blanks alone are an object without members. `unit` indents what is added where the text does not
    /// show how it is done.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if it is no JSON.
    pub fn parse(bytes: &'t [u8], unit: &str) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let text = &text[mark..];
        if text.trim().is_empty() {
            return Ok(Self { text, mark, root: None, unit: Some(unit.to_owned()), ending: "\n" });
        }
        // It limits the depth too, so that what follows may recurse.
        serde_json::from_str::<Value>(text)
            .map_err(|error| JsonError::Garbled { line: error.line(), column: error.column() })?;
        let root = scan::scan(text);
        let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let indent = root.first_child().and_then(|at| line_indent(text, at));
        let unit = match indent {
            Some(indent) => Some(indent.to_owned()),
            None if root.first_child().is_some() => None,
            None => Some(unit.to_owned()),
        };
        Ok(Self { text, mark, root: Some(root), unit, ending })
    }

    /// The strings of the array at `path`; none where it is not there.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if a key of the path is there twice or is of another type.
    pub fn strings(&self, path: &[&str]) -> Result<Option<Vec<String>>, JsonError> {
        let Some(found) = self.find(path)? else { return Ok(None) };
        let Kind::Array(items) = &found.kind else { return Err(self.shape(path, "a list", found)) };
        Ok(Some(items.iter().filter_map(|item| serde_json::from_str(&self.text[item.range.clone()]).ok()).collect()))
    }

    /// The value at `path`, if it is there.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if a key of the path is there twice or is of another type.
    pub fn value(&self, path: &[&str]) -> Result<Option<Value>, JsonError> {
        let found = self.find(path)?;
        Ok(found.and_then(|found| serde_json::from_str(&self.text[found.range.clone()]).ok()))
    }

    /// The change that makes the value at `path` this one.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if a key of the path is there twice or is of another type.
    pub fn set(&self, path: &[&str], value: &Value) -> Result<Splice, JsonError> {
        let Some(root) = &self.root else {
            let text = format!("{}{}", self.print(&nested(path, value), ""), self.ending);
            return Ok(self.shifted(Splice { range: 0..self.text.len(), text: text.into_bytes() }));
        };
        let mut node = root;
        for (depth, key) in path.iter().enumerate() {
            match self.member(node, &path[..depth], key)? {
                Some(next) => node = next,
                None => return Ok(self.added(node, key, &nested(&path[depth + 1..], value))),
            }
        }
        let text = self.print(value, self.indent_at(node.range.start));
        Ok(self.shifted(Splice { range: node.range.clone(), text: text.into_bytes() }))
    }

    /// The change that puts a string at the end of the array at `path`, which is made where it is not there.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if a key of the path is there twice or is of another type.
    pub fn push(&self, path: &[&str], item: &str) -> Result<Splice, JsonError> {
        let item = Value::from(item);
        let Some(found) = self.find(path)? else { return self.set(path, &Value::from(vec![item])) };
        let Kind::Array(items) = &found.kind else { return Err(self.shape(path, "a list", found)) };
        let Some(last) = items.last() else { return self.set(path, &Value::from(vec![item])) };
        let between = match items.len() {
            // The blanks before the first one are those that the next ones have, but for a list on one line.
            1 => match &self.text[found.range.start + 1..last.range.start] {
                blanks if blanks.contains('\n') => blanks,
                _ if self.unit.is_some() => " ",
                _ => self.blank_after_comma(),
            },
            _ => self.blanks_before(last.range.start),
        };
        Ok(self.shifted(Splice::insert(last.range.end, format!(",{between}{item}"))))
    }

    /// The change that takes a string out of the array at `path`, with the array where it is then empty and `or_key`.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if a key of the path is there twice or is of another type.
    pub fn remove(&self, path: &[&str], item: &str, or_key: bool) -> Result<Option<Splice>, JsonError> {
        let Some(found) = self.find(path)? else { return Ok(None) };
        let Kind::Array(items) = &found.kind else { return Err(self.shape(path, "a list", found)) };
        let wanted = Value::from(item);
        let is_it =
            |node: &&Node| serde_json::from_str::<Value>(&self.text[node.range.clone()]).ok() == Some(wanted.clone());
        let Some(at) = items.iter().position(|node| is_it(&node)) else { return Ok(None) };
        if items.len() == 1 && or_key {
            return self.without(path);
        }
        let inner = found.range.start + 1..found.range.end - 1;
        let ranges: Vec<_> = items.iter().map(|node| node.range.clone()).collect();
        Ok(Some(self.shifted(cut(&ranges, at, inner))))
    }

    /// The change that takes the member at `path` out of its object.
    fn without(&self, path: &[&str]) -> Result<Option<Splice>, JsonError> {
        let Some((key, outer)) = path.split_last() else { return Ok(None) };
        let Some(object) = self.find(outer)? else { return Ok(None) };
        let Kind::Object(members) = &object.kind else { return Ok(None) };
        let Some(at) = members.iter().position(|member| member.key == *key) else { return Ok(None) };
        let inner = object.range.start + 1..object.range.end - 1;
        let ranges: Vec<_> = members.iter().map(|member| member.start..member.value.range.end).collect();
        Ok(Some(self.shifted(cut(&ranges, at, inner))))
    }

    /// Whether it is an object without members.
    pub fn is_empty(&self) -> bool {
        self.root.as_ref().is_none_or(|root| matches!(&root.kind, Kind::Object(members) if members.is_empty()))
    }

    fn find(&self, path: &[&str]) -> Result<Option<&Node>, JsonError> {
        let Some(mut node) = self.root.as_ref() else { return Ok(None) };
        for (depth, key) in path.iter().enumerate() {
            match self.member(node, &path[..depth], key)? {
                Some(next) => node = next,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    fn member<'n>(&self, node: &'n Node, path: &[&str], key: &str) -> Result<Option<&'n Node>, JsonError> {
        let Kind::Object(members) = &node.kind else { return Err(self.shape(path, "an object", node)) };
        let mut found = members.iter().filter(|member| member.key == key);
        let first = found.next();
        match found.next() {
            Some(second) => Err(JsonError::Twice { key: key.to_owned(), line: self.line(second.start) }),
            None => Ok(first.map(|member| &member.value)),
        }
    }

    fn shape(&self, path: &[&str], wanted: &'static str, node: &Node) -> JsonError {
        let key = path.last().map_or(String::new(), |key| (*key).to_owned());
        JsonError::Shape { key, wanted, line: self.line(node.range.start) }
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// A member at the end of an object.
    fn added(&self, object: &Node, key: &str, value: &Value) -> Splice {
        let key = Value::from(key);
        let outer = self.indent_at(object.range.start);
        let members = match &object.kind {
            Kind::Object(members) => members.as_slice(),
            _ => &[],
        };
        let Some(last) = members.last() else {
            let text = self.print(&nested(&[key.as_str().unwrap_or_default()], value), outer);
            return self.shifted(Splice { range: object.range.clone(), text: text.into_bytes() });
        };
        let at = last.value.range.end;
        let text = match line_indent(self.text, last.start) {
            Some(indent) => {
                format!(",{}{indent}{key}{}{}", self.ending, self.colon(), self.print(value, indent))
            }
            None => {
                let blank = if members.len() > 1 { self.blanks_before(last.start) } else { self.blank_after_comma() };
                format!(",{blank}{key}{}{}", self.colon(), flat(value, self.colon(), self.blank_after_comma()))
            }
        };
        self.shifted(Splice::insert(at, text))
    }

    /// The blanks that stand before an offset.
    fn blanks_before(&self, at: usize) -> &'t str {
        let before = &self.text[..at];
        &before[before.trim_end().len()..]
    }

    /// What stands between a key and its value, as the first member has it.
    fn colon(&self) -> &'t str {
        let first = match self.root.as_ref().map(|root| &root.kind) {
            Some(Kind::Object(members)) => members.first(),
            _ => None,
        };
        first.map_or(": ", |member| &self.text[member.key_end..member.value.range.start])
    }

    fn blank_after_comma(&self) -> &'static str {
        if self.colon().ends_with(' ') { " " } else { "" }
    }

    /// The blanks at the begin of the line that an offset is on.
    fn indent_at(&self, at: usize) -> &'t str {
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = &self.text[start..at];
        &line[..line.len() - line.trim_start().len()]
    }

    /// A value in the text's own style, for a place indented so.
    fn print(&self, value: &Value, indent: &str) -> String {
        let Some(unit) = &self.unit else { return flat(value, self.colon(), self.blank_after_comma()) };
        let deeper = format!("{indent}{unit}");
        let (open, close, items): (_, _, Vec<String>) = match value {
            Value::Array(items) => ('[', ']', items.iter().map(|item| self.print(item, &deeper)).collect()),
            Value::Object(members) => {
                let print = |(key, value)| {
                    format!("{}{}{}", Value::from(String::clone(key)), self.colon(), self.print(value, &deeper))
                };
                ('{', '}', members.iter().map(print).collect())
            }
            other => return other.to_string(),
        };
        if items.is_empty() {
            return format!("{open}{close}");
        }
        let lines: Vec<String> = items.iter().map(|item| format!("{}{deeper}{item}", self.ending)).collect();
        format!("{open}{}{}{indent}{close}", lines.join(","), self.ending)
    }

    fn shifted(&self, splice: Splice) -> Splice {
        Splice { range: splice.range.start + self.mark..splice.range.end + self.mark, text: splice.text }
    }
}

/// The value within objects of these keys.
fn nested(path: &[&str], value: &Value) -> Value {
    path.iter()
        .rev()
        .fold(value.clone(), |inner, key| Value::Object(std::iter::once(((*key).to_owned(), inner)).collect()))
}

/// A value on one line.
fn flat(value: &Value, colon: &str, blank: &str) -> String {
    let joined = |items: Vec<String>| items.join(&format!(",{blank}"));
    match value {
        Value::Array(items) => format!("[{}]", joined(items.iter().map(|item| flat(item, colon, blank)).collect())),
        Value::Object(members) => {
            let print = |(key, value): (&String, &Value)| {
                format!("{}{colon}{}", Value::from(key.as_str()), flat(value, colon, blank))
            };
            format!("{{{}}}", joined(members.iter().map(print).collect()))
        }
        other => other.to_string(),
    }
}

/// The blanks between the begin of the line and an offset, if there is nothing else.
fn line_indent(text: &str, at: usize) -> Option<&str> {
    let start = text[..at].rfind('\n')? + 1;
    let indent = &text[start..at];
    indent.trim().is_empty().then_some(indent)
}

/// Takes one of several parts out, with the comma that it needs no more.
fn cut(parts: &[std::ops::Range<usize>], at: usize, inner: std::ops::Range<usize>) -> Splice {
    let range = if parts.len() == 1 {
        inner
    } else if at == 0 {
        parts[0].start..parts[1].start
    } else {
        parts[at - 1].end..parts[at].end
    };
    Splice { range, text: Vec::new() }
}
