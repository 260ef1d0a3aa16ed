//! The recipe as one TOML text: the defaults, the file, then the command's arguments. What comes later overrides; where
//! something stands in the text tells which of them it is from.

use std::{
    fmt::Display,
    marker::PhantomData,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use toml_edit::{DocumentMut, Item, Key, Table, TableLike, Value, de::from_document};

use super::stacks::{self, MANUAL, Stack};
use crate::terminal::{hints::is_typo, report::Problems, secrets::masked, shell};

/// Every key that has the same default in all stacks.
const DEFAULTS: &str = include_str!("defaults.toml");

/// How messages name the stack that a key is from.
const OF_STACK: &str = "stack ";

/// What is written, and every problem found in it so far.
#[derive(Debug, Clone)]
pub struct Document {
    /// The recipe's file, as messages name it.
    file: String,
    /// Where relative paths of the file begin.
    folder: PathBuf,
    stack: &'static Stack,
    text: String,
    /// Where each argument begins in the text, and the argument as messages name it.
    arguments: Vec<(usize, String)>,
    /// Whether the base may yet change the defaults.
    is_draft: bool,
    defaults: Table,
    /// The arguments over the file.
    written: Item,
    /// Offset in the text, message, hint.
    problems: Vec<(usize, String, Option<String>)>,
}

impl Document {
    /// Parses the file. The error is the parser's, which shows the line.
    pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Self, toml_edit::TomlError> {
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        toml_edit::Document::parse(text)?;
        let mut document = Self {
            file: file.to_owned(),
            folder: folder.to_owned(),
            stack: MANUAL,
            text: String::new(),
            arguments: Vec::new(),
            is_draft: true,
            defaults: Table::new(),
            written: Item::Table(Table::new()),
            problems: Vec::new(),
        };
        document.defaults = document.append(DEFAULTS)?;
        let file = document.append(text)?;
        document.written = Item::Table(file);
        Ok(document)
    }

    /// Puts a `--set` argument, `KEY=VALUE` with a dotted key, over the file. Numbers and dates are text, as `3.10` may be
    /// a version, and so is whatever is not TOML.
    pub fn set(&mut self, argument: &str) {
        // At the first `=` that is not within a quoted key.
        let parts = argument.match_indices('=').map(|(at, _)| (&argument[..at], argument[at + 1..].trim()));
        let toml = { parts }.find(|(keys, _)| Key::parse(keys).is_ok()).map(|(keys, text)| match text.parse() {
            Ok(Value::String(_) | Value::Boolean(_) | Value::Array(_) | Value::InlineTable(_)) => {
                format!("{keys} = {text}")
            }
            _ => format!("{keys} = {}", Value::from(text)),
        });
        let shown = masked(argument);
        if !toml.is_some_and(|toml| self.put(format!("--set {shown}"), &toml)) {
            let example = "`KEY=VALUE`, as in `versions.mindspore=1.9.0`";
            self.problem(format!("`--set {shown}` is not {example}"), None);
        }
    }

    /// Puts `--base` in place of the whole `[base]`: a pinned digest is that of the other base.
    pub fn set_base(&mut self, base: &str) {
        if let Some(table) = self.written.as_table_mut() {
            table.remove("base");
        }
        self.put(format!("--base {base}"), &format!("base.reference = {}", Value::from(base)));
    }

    /// Puts `--stack` over the file's `stack`.
    pub fn set_stack(&mut self, name: &str) {
        self.put(format!("--stack {name}"), &format!("stack = {}", Value::from(name)));
    }

    /// Lays the stack that is named, else the manual's, over the other defaults.
    pub fn lay_stack(&mut self) {
        if let Some(named) = self.written.get("stack") {
            let span = named.span().unwrap_or_default();
            match named.as_str().map(|name| (name.to_owned(), stacks::find(name))) {
                Some((_, Ok(stack))) => self.stack = stack,
                Some((name, Err(hint))) => self.fault_with(span, format!("no stack `{name}`"), Some(hint)),
                None => self.fault_with(span, "must be the name of a stack", None),
            }
            self.written.as_table_mut().map(|table| table.remove("stack"));
        }
        self.arguments.push((self.text.len(), format!("{OF_STACK}{}", self.stack.name)));
        // A file of this crate, as the tests show.
        if let Ok(keys) = self.append(self.stack.toml) {
            merge(&mut self.defaults, &keys);
        }
    }

    /// The stack that lies under what is written.
    pub fn stack(&self) -> &'static Stack {
        self.stack
    }

    /// Puts TOML over the defaults, and below all that is written.
    pub fn put_below(&mut self, toml: &str) {
        if let Ok(table) = self.append(toml) {
            merge(&mut self.defaults, &table);
        }
    }

    /// From here on the defaults are what they are.
    pub fn complete(&mut self) {
        self.is_draft = false;
    }

    /// Whether the base may yet change the defaults.
    pub fn is_draft(&self) -> bool {
        self.is_draft
    }

    /// Whether the key is written, in the file or as an argument.
    pub fn is_given(&self, keys: &[&str]) -> bool {
        keys.iter().try_fold(&self.written, |item, key| item.get(key)).is_some()
    }

    /// Puts the TOML of an argument over the file; false where it is not TOML.
    fn put(&mut self, argument: String, toml: &str) -> bool {
        self.arguments.push((self.text.len(), argument));
        let parsed = self.append(toml);
        if let (Ok(above), Some(below)) = (&parsed, self.written.as_table_mut()) {
            merge(below, above);
        }
        parsed.is_ok()
    }

    /// Parses what becomes the end of the text.
    fn append(&mut self, toml: &str) -> Result<Table, toml_edit::TomlError> {
        // Spaces in place of the text before it make its spans those of the whole text.
        let parsed = toml_edit::Document::parse(" ".repeat(self.text.len()) + toml)?;
        self.text.push_str(toml);
        Ok(parsed.as_table().clone())
    }

    /// Reads what is written over the defaults. What can't be read is noted and taken out, until the rest can be.
    pub fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut removed: Vec<Vec<Step>> = Vec::new();
        loop {
            let mut merged = self.defaults.clone();
            merge(&mut merged, self.written.as_table()?);
            let error = match from_document::<T>(DocumentMut::from(merged)) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let message = in_toml_words(error.message());
            let span = error.span().unwrap_or_default();
            let Some(path) = path_of(&self.written, &span) else {
                self.problem(message, None);
                return None;
            };
            // A key that was there and could not be read is not missing.
            let is_known = |one: &Vec<Step>| one.len() > path.len() && one.starts_with(&path);
            if let Some(names) = unknown_field(&message) {
                let hint = self.nearest::<T>(&path, &names);
                self.note(span.start, format!("unknown key `{}`", keys(&path)), Some(hint));
            } else if !message.starts_with("missing key") || !removed.iter().any(is_known) {
                let hint = self.as_array(span.start, &path, &message).or_else(|| self.misspelt(&path));
                self.note(span.start, format!("`{}`: {message}", keys(&path)), hint);
            }
            remove(&mut self.written, &path);
            // The next element of an array is now where this one was.
            removed.retain(|one| !one.starts_with(&path));
            removed.extend(Some(path).filter(|path| matches!(path.last(), Some(Step::Key(_)))));
        }
    }

    /// How an argument gives a list; shells take the quotes of one that is not quoted as a whole.
    fn as_array(&self, at: usize, path: &[Step], message: &str) -> Option<String> {
        let (_, text) = self.argument(at)?.split_once('=').filter(|_| message.ends_with("expected an array"))?;
        let text = text.trim().trim_start_matches('[').trim_end_matches(']');
        let mut items: Vec<String> = Vec::new();
        for part in text.split(',').map(|part| part.trim().trim_matches(['"', '\''])) {
            match items.last_mut() {
                // One more condition of a requirement, as in `numpy>=1.20,<1.24`.
                Some(item) if part.starts_with(['<', '>', '=', '!', '~']) => item.push_str(&format!(",{part}")),
                _ => items.push(part.to_owned()),
            }
        }
        let items: Vec<String> = items.into_iter().map(|item| Value::from(item).to_string()).collect();
        let set = shell::word(format!("{}=[{}]", keys(path), items.join(", ")));
        Some(format!("write a list: `--set {set}`"))
    }

    /// Whether an argument has the key.
    pub fn is_argument(&self, keys: &[&str]) -> bool {
        self.offset(keys).is_some_and(|at| self.argument(at).is_some())
    }

    /// Where a relative path that this key has begins.
    pub fn folder(&self, keys: &[&str]) -> &Path {
        self.folder_at(self.offset(keys).unwrap_or_default())
    }

    /// Where a relative path begins: at the file, or, in an argument, where the command was run.
    pub fn folder_at(&self, at: usize) -> &Path {
        if self.argument(at).is_some() { Path::new("") } else { &self.folder }
    }

    /// Whether the stack says this, and neither the file nor an argument.
    pub fn is_of_stack(&self, at: usize) -> bool {
        self.argument(at).is_some_and(|argument| argument.starts_with(OF_STACK))
    }

    fn offset(&self, keys: &[&str]) -> Option<usize> {
        let item = keys.iter().try_fold(&self.written, |item, key| item.get(key))?;
        item.span().map(|span| span.start)
    }

    fn argument(&self, at: usize) -> Option<&str> {
        self.arguments.iter().rfind(|(start, _)| *start <= at).map(|(_, argument)| argument.as_str())
    }

    /// Whether any of the text holds this.
    pub fn mentions(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// Notes what is wrong with what has this span.
    pub fn fault(&mut self, span: Range<usize>, message: impl Display) {
        let hint = path_of(&self.written, &span).and_then(|path| self.misspelt(&path));
        self.fault_with(span, message, hint);
    }

    /// Whether what has this span seems to be meant as one of the defaults.
    pub fn is_misspelt(&self, span: &Range<usize>) -> bool {
        path_of(&self.written, span).is_some_and(|path| self.misspelt(&path).is_some())
    }

    /// The same with a hint of its own.
    pub fn fault_with(&mut self, span: Range<usize>, message: impl Display, hint: Option<String>) {
        let keys = path_of(&self.written, &span).map(|path| format!("`{}`: ", keys(&path)));
        self.note(span.start, format!("{}{message}", keys.unwrap_or_default()), hint);
    }

    /// Notes a problem that no single line has.
    pub fn problem(&mut self, message: impl Display, hint: Option<String>) {
        self.problems.push((usize::MAX, message.to_string(), hint));
    }

    fn note(&mut self, at: usize, message: String, hint: Option<String>) {
        let place = match (self.argument(at), self.text.get(DEFAULTS.len()..at)) {
            (Some(argument), _) => format!("`{argument}`"),
            (None, Some(before)) => format!("`{}` line {}", self.file, before.matches('\n').count() + 1),
            (None, None) => "the default".to_owned(),
        };
        self.problems.push((at, masked(&format!("{place}: {message}")), hint));
    }

    /// All problems as one error, in the order of the text.
    pub fn into_result(mut self) -> anyhow::Result<()> {
        self.problems.sort_by_key(|(at, ..)| *at);
        self.problems.dedup();
        let mut problems = Problems::default();
        for (_, message, hint) in self.problems {
            problems.push(message, hint);
        }
        problems.into_result()
    }

    /// The default that was most likely meant by a name in a table that takes any, as `[packages]` does.
    fn misspelt(&self, path: &[Step]) -> Option<String> {
        let (Step::Key(name), parents) = path.split_last()? else { return None };
        let table = parents.iter().try_fold(&self.defaults, |table, step| match step {
            Step::Key(key) => table.get(key)?.as_table(),
            Step::Index(_) => None,
        })?;
        let names = table.iter().map(|(known, _)| known).filter(|_| !table.contains_key(name));
        let (_, known) = names.map(|known| (strsim::damerau_levenshtein(known, name), known)).min()?;
        let full = keys(&[parents, &[Step::Key(known.to_owned())]].concat());
        is_typo(known, name).then(|| format!("did you mean `{full}`?"))
    }

    /// The key that was most likely meant by an unknown one: the most alike of the names beside it, else one of the same
    /// name in another section.
    fn nearest<T: DeserializeOwned>(&self, path: &[Step], beside: &[String]) -> String {
        let Some((Step::Key(name), parents)) = path.split_last() else { return String::new() };
        let distance = |known: &&String| strsim::damerau_levenshtein(known, name);
        let nearest = beside.iter().min_by_key(distance);
        let full = |known: &String| keys(&[parents, &[Step::Key(known.clone())]].concat());
        if let Some(known) = nearest.filter(|known| is_typo(known, name)) {
            return format!("did you mean `{}`?", full(known));
        }
        // Serde tells the names of a section to who asks for one that there is not, unless it takes any.
        let has_name = |section: &&str| {
            if self.defaults.get(section).and_then(Item::as_table).is_some_and(|table| table.contains_key(name)) {
                return true;
            }
            let mut asking = DocumentMut::from(self.defaults.clone());
            asking[section]["?"] = true.into();
            let told = from_document::<T>(asking).err().and_then(|error| unknown_field(error.message()));
            told.is_some_and(|names| names.contains(name))
        };
        let sections = self.defaults.iter().filter(|(_, item)| item.is_table()).map(|(section, _)| section);
        match (sections.into_iter().find(has_name), nearest) {
            (Some(section), _) => format!("did you mean `{section}.{name}`?"),
            (None, Some(known)) => {
                format!("the nearest key is `{}`; there are `{}`", full(known), beside.join("`, `"))
            }
            (None, None) => "there are no keys here".to_owned(),
        }
    }
}

/// The names there are, where the message is serde's of an unknown one.
fn unknown_field(message: &str) -> Option<Vec<String>> {
    let expected = message.strip_prefix("unknown field `")?.split('`').skip(2);
    Some(expected.step_by(2).map(str::to_owned).collect())
}

/// The words of TOML for those of serde.
fn in_toml_words(message: &str) -> String {
    let words = [
        ("type: map", "type: table"),
        ("type: sequence", "type: array"),
        ("expected a map", "expected a table"),
        ("expected a sequence", "expected an array"),
        ("missing field", "missing key"),
    ];
    words.into_iter().fold(message.to_owned(), |message, (of_serde, of_toml)| message.replace(of_serde, of_toml))
}

/// Puts one table over another: tables are merged, and anything else is replaced.
fn merge(below: &mut Table, above: &dyn TableLike) {
    for (name, item) in above.iter() {
        let Some(key) = above.key(name) else { continue };
        let old = below.remove(name);
        let merged = match item.as_table_like() {
            Some(above) => {
                let mut table = Table::new();
                if let Some(old) = old.as_ref().and_then(Item::as_table_like) {
                    merge(&mut table, old);
                }
                merge(&mut table, above);
                Item::Table(table)
            }
            None => item.clone(),
        };
        below.insert_formatted(key, merged);
    }
}

/// From a table or an array to what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The path as messages show it, `layout.dirs."/home".mode`: the line tells which element of an array it is.
fn keys(path: &[Step]) -> String {
    let key = |step: &Step| match step {
        Step::Key(key) => Some(Key::new(key).display_repr().into_owned()),
        Step::Index(_) => None,
    };
    path.iter().filter_map(key).collect::<Vec<_>>().join(".")
}

/// The path of what has this span itself or in its key.
fn path_of(item: &Item, span: &Range<usize>) -> Option<Vec<Step>> {
    let children: Vec<(Step, Option<Range<usize>>, &Item)> = match item.as_table_like() {
        Some(table) => {
            let key = |name| table.key(name).and_then(Key::span);
            table.iter().map(|(name, item)| (Step::Key(name.to_owned()), key(name), item)).collect()
        }
        None => (0..).map_while(|index| Some((Step::Index(index), None, item.get(index)?))).collect(),
    };
    children.into_iter().find_map(|(step, key, item)| {
        let is_meant = [item.span(), key].iter().flatten().any(|found| found == span);
        let rest = path_of(item, span).or(is_meant.then(Vec::new))?;
        Some([vec![step], rest].concat())
    })
}

fn remove(root: &mut Item, path: &[Step]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(root, |item, step| match step {
        Step::Key(key) => item.get_mut(key),
        Step::Index(index) => item.get_mut(*index),
    });
    match (last, parent) {
        (Step::Key(key), Some(parent)) => drop(parent.as_table_like_mut().map(|table| table.remove(key))),
        (Step::Index(index), Some(Item::ArrayOfTables(tables))) => drop(tables.remove(*index)),
        (Step::Index(index), Some(parent)) => drop(parent.as_array_mut().map(|array| array.remove(*index))),
        (_, None) => {}
    }
}

/// Text, or `false` for a default that is not wanted.
#[derive(Deserialize)]
#[serde(try_from = "TextOrBool")]
pub struct OrFalse(pub Option<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be text, or `false` to leave it out")]
enum TextOrBool {
    LeftOut(bool),
    Text(String),
}

impl TryFrom<TextOrBool> for OrFalse {
    type Error = &'static str;

    fn try_from(written: TextOrBool) -> Result<Self, Self::Error> {
        match written {
            TextOrBool::LeftOut(false) => Ok(Self(None)),
            TextOrBool::LeftOut(true) => Err("must be text, or `false` to leave it out"),
            TextOrBool::Text(text) => Ok(Self(Some(text))),
        }
    }
}

/// A table with fields. Of an array serde would take the elements for the fields.
pub struct Section<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfTable(PhantomData))
    }
}

struct OfTable<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfTable<T> {
    type Value = Section<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Section<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Section)
    }
}

/// Implements serde's traits by `FromStr` and `Display`.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

/// Implements `Deserialize` by `FromStr`, for what TOML may have as a number too: `--set` makes text of numbers.
macro_rules! from_number_or_text {
    ($name:ident, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(untagged, expecting = $expected)]
                enum Written {
                    Number(i64),
                    Text(String),
                }
                let text = match Written::deserialize(deserializer)? {
                    Written::Number(number) => number.to_string(),
                    Written::Text(text) => text,
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use {as_text, from_number_or_text};
