//! One value of a JSON file is set, added or taken out; every other byte stays.

use std::{fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

use crate::splice::Splice;

/// Why a JSON text is not changed. What it holds instead is not said: it may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// A JSON text and how it is laid out. Each method fails if a key of its path is there twice, so that programs may
/// disagree on which counts, or is of another type.
#[derive(Debug)]
pub struct Json<'t> {
    text: &'t str,
    /// Bytes of a byte order mark before the text.
    mark: usize,
    /// The whole value; nothing for a text of blanks.
    root: Option<Range<usize>>,
    /// What one level is indented by; nothing where all is on one line.
    unit: Option<String>,
    ending: &'static str,
    /// What stands between a key and its value, as the first member has it.
    colon: &'t str,
}

/// A member of an object, from its key on, or an item of an array.
struct Part {
    key: String,
    start: usize,
    value: Range<usize>,
}

/// The members of an object in their order, each value as the text has it.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'t> Visitor<'t> for Collect {
            type Value = Members<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'t>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

impl<'t> Json<'t> {
    /// Reads a text; blanks alone are an object without members. `unit` indents what is added where the text does not
    /// show how it is done.
    pub fn parse(bytes: &'t [u8], unit: &str) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError("it is not UTF-8".to_owned()))?;
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let text = &text[mark..];
        let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let unit = Some(unit.to_owned());
        let mut json = Self { text, mark, root: None, unit, ending, colon: ": " };
        if text.trim().is_empty() {
            return Ok(json);
        }
        let root: &RawValue = serde_json::from_str(text).map_err(|error| {
            JsonError(format!("it is not valid JSON at line {}, column {}", error.line(), error.column()))
        })?;
        let root = json.range(root);
        if let Some(first) = json.members(&root).or_else(|| json.items(&root)).unwrap_or_default().first() {
            json.unit = json.line_indent(first.start).map(str::to_owned);
            if first.start < first.value.start {
                let key = text[first.start..first.value.start].trim_end().trim_end_matches(':').trim_end();
                json.colon = &text[first.start + key.len()..first.value.start];
            }
        }
        json.root = Some(root);
        Ok(json)
    }

    /// The strings of the array at `path`; none where it is not there.
    pub fn strings(&self, path: &[&str]) -> Result<Option<Vec<String>>, JsonError> {
        let Some(found) = self.find(path)? else { return Ok(None) };
        let items = self.items(&found).ok_or_else(|| self.shape(path, "a list", &found))?;
        Ok(Some(items.iter().filter_map(|item| serde_json::from_str(&self.text[item.value.clone()]).ok()).collect()))
    }

    /// The value at `path`, if it is there.
    pub fn value(&self, path: &[&str]) -> Result<Option<Value>, JsonError> {
        Ok(self.find(path)?.and_then(|found| serde_json::from_str(&self.text[found]).ok()))
    }

    /// Whether it is an object without members.
    pub fn is_empty(&self) -> bool {
        self.root.as_ref().is_none_or(|root| self.members(root).is_some_and(|members| members.is_empty()))
    }

    /// The change that makes the value at `path` this one.
    pub fn set(&self, path: &[&str], value: &Value) -> Result<Splice, JsonError> {
        let Some(mut at) = self.root.clone() else {
            let text = self.print(&nested(path, value), Some(""));
            return Ok(self.splice(0..self.text.len(), format!("{text}{}", self.ending)));
        };
        for (depth, key) in path.iter().enumerate() {
            match self.member(&at, &path[..depth], key)? {
                Some(next) => at = next,
                None => return Ok(self.added(at, key, &nested(&path[depth + 1..], value))),
            }
        }
        let text = self.print(value, Some(self.indent_at(at.start)));
        Ok(self.splice(at, text))
    }

    /// The change that puts a string at the end of the array at `path`, which is made where it is not there.
    pub fn push(&self, path: &[&str], item: &str) -> Result<Splice, JsonError> {
        let item = Value::from(item);
        let items = match self.find(path)? {
            Some(found) => self.items(&found).ok_or_else(|| self.shape(path, "a list", &found))?,
            None => Vec::new(),
        };
        let between = match items.as_slice() {
            [] => return self.set(path, &Value::from(vec![item])),
            // The blanks before the first one are those that the next ones have, but for a list on one line.
            [only] if self.blanks_before(only.start).contains('\n') => self.blanks_before(only.start),
            [_] if self.unit.is_some() => " ",
            [_] => self.blank(),
            [.., last] => self.blanks_before(last.start),
        };
        let end = items[items.len() - 1].value.end;
        Ok(self.splice(end..end, format!(",{between}{item}")))
    }

    /// The change that takes a string out of the array at `path`, with the array where it is then empty and `or_key`.
    pub fn remove(&self, path: &[&str], item: &str, or_key: bool) -> Result<Option<Splice>, JsonError> {
        let Some(found) = self.find(path)? else { return Ok(None) };
        let items = self.items(&found).ok_or_else(|| self.shape(path, "a list", &found))?;
        let is_it =
            |part: &Part| serde_json::from_str(&self.text[part.value.clone()]).is_ok_and(|found: Value| found == *item);
        let Some(at) = items.iter().position(is_it) else { return Ok(None) };
        let [outer @ .., key] = path else { return Ok(None) };
        if items.len() > 1 || !or_key {
            return Ok(Some(self.cut(&found, &items, at)));
        }
        let Some(object) = self.find(outer)? else { return Ok(None) };
        let members = self.members(&object).unwrap_or_default();
        let at = members.iter().position(|member| member.key == *key);
        Ok(at.map(|at| self.cut(&object, &members, at)))
    }

    fn find(&self, path: &[&str]) -> Result<Option<Range<usize>>, JsonError> {
        let mut at = self.root.clone();
        for (depth, key) in path.iter().enumerate() {
            let Some(object) = at else { return Ok(None) };
            at = self.member(&object, &path[..depth], key)?;
        }
        Ok(at)
    }

    fn member(&self, object: &Range<usize>, path: &[&str], key: &str) -> Result<Option<Range<usize>>, JsonError> {
        let members = self.members(object).ok_or_else(|| self.shape(path, "an object", object))?;
        let mut found = members.into_iter().filter(|member| member.key == key);
        let first = found.next();
        match found.next() {
            Some(second) => Err(JsonError(format!("line {}: `{key}` is there a second time", self.line(second.start)))),
            None => Ok(first.map(|member| member.value)),
        }
    }

    fn shape(&self, path: &[&str], wanted: &str, at: &Range<usize>) -> JsonError {
        JsonError(format!("line {}: `{}` is not {wanted}", self.line(at.start), path.last().unwrap_or(&"")))
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// The members of the value at `at`, if that is an object.
    fn members(&self, at: &Range<usize>) -> Option<Vec<Part>> {
        let Members(members) = serde_json::from_str(&self.text[at.clone()]).ok()?;
        let mut end = at.start;
        let parts = members.into_iter().map(|(key, value)| {
            let value = self.range(value);
            // Behind the bracket or the last member's comma.
            let start = end + self.text[end..].find('"').unwrap_or_default();
            end = value.end;
            Part { key, start, value }
        });
        Some(parts.collect())
    }

    /// The items of the value at `at`, if that is an array.
    fn items(&self, at: &Range<usize>) -> Option<Vec<Part>> {
        let items: Vec<&RawValue> = serde_json::from_str(&self.text[at.clone()]).ok()?;
        let items = items.into_iter().map(|item| self.range(item));
        Some(items.map(|value| Part { key: String::new(), start: value.start, value }).collect())
    }

    /// Where a part of the text is in it.
    fn range(&self, part: &RawValue) -> Range<usize> {
        let start = part.get().as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + part.get().len()
    }

    /// A member at the end of an object.
    fn added(&self, object: Range<usize>, key: &str, value: &Value) -> Splice {
        let members = self.members(&object).unwrap_or_default();
        let Some(last) = members.last() else {
            let text = self.print(&nested(&[key], value), Some(self.indent_at(object.start)));
            return self.splice(object, text);
        };
        let indent = self.line_indent(last.start);
        let between = match indent {
            Some(indent) => format!("{}{indent}", self.ending),
            None if members.len() > 1 => self.blanks_before(last.start).to_owned(),
            None => self.blank().to_owned(),
        };
        let text = format!(",{between}{}{}{}", Value::from(key), self.colon, self.print(value, indent));
        self.splice(last.value.end..last.value.end, text)
    }

    /// Takes one of several parts out, with the comma that it needs no more.
    fn cut(&self, outer: &Range<usize>, parts: &[Part], at: usize) -> Splice {
        let range = match (at, parts) {
            (_, [_]) => outer.start + 1..outer.end - 1,
            (0, _) => parts[0].start..parts[1].start,
            _ => parts[at - 1].value.end..parts[at].value.end,
        };
        self.splice(range, String::new())
    }

    /// The blanks that stand before an offset.
    fn blanks_before(&self, at: usize) -> &'t str {
        let before = &self.text[..at];
        &before[before.trim_end().len()..]
    }

    /// What follows a comma.
    fn blank(&self) -> &'static str {
        if self.colon.ends_with(' ') { " " } else { "" }
    }

    /// The start of the line that an offset is on, up to there.
    fn line_start(&self, at: usize) -> &'t str {
        self.text[..at].rsplit('\n').next().unwrap_or_default()
    }

    /// The blanks at the begin of the line that an offset is on.
    fn indent_at(&self, at: usize) -> &'t str {
        let line = self.line_start(at);
        &line[..line.len() - line.trim_start().len()]
    }

    /// The same, if there is nothing else between and another line before.
    fn line_indent(&self, at: usize) -> Option<&'t str> {
        let line = self.line_start(at);
        (line.trim().is_empty() && line.len() < at).then_some(line)
    }

    /// A value in the text's own style, for a line indented so; without an indent on one line.
    fn print(&self, value: &Value, indent: Option<&str>) -> String {
        let deeper = indent.zip(self.unit.as_ref()).map(|(indent, unit)| format!("{indent}{unit}"));
        let inner = |value| self.print(value, deeper.as_deref());
        let (open, close, items): (_, _, Vec<String>) = match value {
            Value::Array(items) => ('[', ']', items.iter().map(inner).collect()),
            Value::Object(members) => {
                let member =
                    |(key, value)| format!("{}{}{}", Value::from(String::clone(key)), self.colon, inner(value));
                ('{', '}', members.iter().map(member).collect())
            }
            other => return other.to_string(),
        };
        match (indent, &deeper, self.ending) {
            (Some(indent), Some(deeper), ending) if !items.is_empty() => {
                let items = items.join(&format!(",{ending}{deeper}"));
                format!("{open}{ending}{deeper}{items}{ending}{indent}{close}")
            }
            _ => format!("{open}{}{close}", items.join(&format!(",{}", self.blank()))),
        }
    }

    fn splice(&self, range: Range<usize>, text: String) -> Splice {
        Splice { range: range.start + self.mark..range.end + self.mark, text: text.into_bytes() }
    }
}

/// The value within objects of these keys.
fn nested(path: &[&str], value: &Value) -> Value {
    let within = |inner, key: &&str| Value::Object([((*key).to_owned(), inner)].into_iter().collect());
    path.iter().rev().fold(value.clone(), within)
}
