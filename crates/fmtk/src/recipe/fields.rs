//! Typed reading of the recipe's tree: every fault is noted with its place, none ends the reading.

use std::{cell::RefCell, collections::BTreeMap, fmt::Display};

use serde::de::{DeserializeOwned, IntoDeserializer};

use super::tree::{Content, Node, Origin, Path, Table};
use crate::terminal::report::Problems;

/// What reading has found wrong, and which keys there are.
#[derive(Debug)]
pub struct Faults {
    /// The recipe's file, as people know it.
    file: String,
    found: RefCell<Vec<(Origin, String, Option<String>)>>,
    unknown: RefCell<Vec<(Path, Origin)>>,
    known: RefCell<Vec<Path>>,
}

impl Faults {
    /// No faults yet, in this file.
    pub fn new(file: &str) -> Self {
        let file = file.to_owned();
        Self { file, found: RefCell::default(), unknown: RefCell::default(), known: RefCell::default() }
    }

    /// Notes a fault that no single place has.
    pub fn note(&self, message: impl Display, hint: Option<String>) {
        self.found.borrow_mut().push((Origin::Preset, message.to_string(), hint));
    }

    fn note_at(&self, origin: &Origin, message: impl Display) {
        let message = format!("{}: {message}", self.place(origin));
        self.found.borrow_mut().push((origin.clone(), message, None));
    }

    fn place(&self, origin: &Origin) -> String {
        match origin {
            Origin::Line(line) => format!("`{}` line {line}", self.file),
            Origin::Argument(argument) => format!("`{argument}`"),
            Origin::Preset => "the default".to_owned(),
        }
    }

    /// All that was noted, as one error.
    pub fn into_result(self) -> anyhow::Result<()> {
        let mut found = self.found.take();
        for (path, origin) in self.unknown.take() {
            let message = format!("{}: unknown key `{path}`", self.place(&origin));
            found.push((origin, message, Some(self.nearest(&path))));
        }
        // As the file has them: by line, arguments next.
        found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let mut problems = Problems::default();
        for (_, message, hint) in found {
            problems.push(message, hint);
        }
        problems.into_result()
    }

    /// The known key that was most likely meant: one of the same name elsewhere, else the most alike beside it.
    fn nearest(&self, path: &Path) -> String {
        let known = self.known.borrow();
        let beside = known.iter().filter(|key| key.parent() == path.parent());
        let likeness = |key: &&Path| strsim::damerau_levenshtein(key.last(), path.last());
        let nearest = beside.clone().min_by_key(likeness);
        // Two slips of the finger in a word; more is another word.
        if let Some(key) = nearest.filter(|key| likeness(key) <= 2) {
            return format!("did you mean `{key}`?");
        }
        if let Some(key) = known.iter().find(|key| key.last() == path.last()) {
            return format!("did you mean `{key}`?");
        }
        let others: Vec<String> = beside.map(|key| format!("`{}`", key.last())).collect();
        match nearest {
            Some(key) => format!("the nearest key is `{key}`; there are {}", others.join(", ")),
            None => "there are no keys here".to_owned(),
        }
    }
}

/// One table of the recipe. What it is not asked for is unknown.
#[derive(Debug)]
pub struct Fields<'a> {
    path: Path,
    origin: Origin,
    table: BTreeMap<String, Node>,
    faults: &'a Faults,
}

impl<'a> Fields<'a> {
    /// The whole document.
    pub fn root(table: Table, faults: &'a Faults) -> Self {
        Self { path: Path::default(), origin: Origin::Line(1), table, faults }
    }

    /// The value of a key; none where it is absent or, noted, at fault.
    pub fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        Some(self.placed(key)?.value)
    }

    /// The value of a key, else the default.
    pub fn value<T: DeserializeOwned>(&mut self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of a key with its place, else what the text reads as.
    pub fn preset<T: DeserializeOwned>(&mut self, key: &str, text: &str) -> Option<Placed<T>> {
        let path = self.path.join(key);
        self.placed(key).or_else(|| match read(None, Some(text.to_owned())) {
            Ok(value) => Some(Placed { value, path, origin: Origin::Preset }),
            Err(message) => {
                self.faults.note_at(&Origin::Preset, format!("`{path}`: {message}"));
                None
            }
        })
    }

    /// The texts of a key, else the default ones.
    pub fn list(&mut self, key: &str, default: &[&str]) -> Placed<Vec<String>> {
        let path = self.path.join(key);
        let default = || default.iter().map(|text| (*text).to_owned()).collect();
        self.placed(key).unwrap_or_else(|| Placed { value: default(), path, origin: Origin::Preset })
    }

    /// The value of a key that has no default.
    pub fn required<T: DeserializeOwned>(&mut self, key: &str) -> Option<Placed<T>> {
        if !self.table.contains_key(key) {
            self.learn(key);
            self.faults.note_at(&self.origin, format!("`{}` is missing", self.path.join(key)));
        }
        self.placed(key)
    }

    /// The value of a key with its place, to note what only a later look finds.
    pub fn placed<T: DeserializeOwned>(&mut self, key: &str) -> Option<Placed<T>> {
        let path = self.learn(key);
        let Node { origin, content } = self.table.remove(key)?;
        let read = match content {
            Content::Value { value, text } => read(value, text),
            Content::Table(_) | Content::Tables(_) => Err("is a table, not a value".to_owned()),
        };
        match read {
            Ok(value) => Some(Placed { value, path, origin }),
            Err(message) => {
                self.faults.note_at(&origin, format!("`{path}`: {message}"));
                None
            }
        }
    }

    /// A table below this one, empty where absent. The caller ends it.
    pub fn table(&mut self, key: &str) -> Self {
        let path = self.learn(key);
        let (origin, table) = match self.table.remove(key) {
            Some(Node { origin, content: Content::Table(table) }) => (origin, table),
            Some(Node { origin, .. }) => {
                self.faults.note_at(&origin, format!("`{path}` must be a table"));
                (origin, Table::new())
            }
            None => (Origin::Preset, Table::new()),
        };
        Self { path, origin, table, faults: self.faults }
    }

    /// The tables of an array of tables.
    pub fn tables(&mut self, key: &str) -> Vec<Self> {
        let path = self.learn(key);
        let nodes = match self.table.remove(key) {
            Some(Node { content: Content::Tables(nodes), .. }) => nodes,
            Some(Node { content: Content::Value { value: Some(value), .. }, .. })
                if value.as_array().is_some_and(toml_edit::Array::is_empty) =>
            {
                Vec::new()
            }
            Some(Node { origin, .. }) => {
                self.faults.note_at(&origin, format!("`{path}` must be `[[{path}]]`, an array of tables"));
                Vec::new()
            }
            None => Vec::new(),
        };
        let fields = |Node { origin, content }| match content {
            Content::Table(table) => Some(Self { path: path.clone(), origin, table, faults: self.faults }),
            _ => None,
        };
        nodes.into_iter().filter_map(fields).collect()
    }

    /// The keys that are left, of a table whose keys are the user's own.
    pub fn keys(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// Notes a fault of the table itself.
    pub fn reject(&self, message: impl Display) {
        self.faults.note_at(&self.origin, format!("`{}`: {message}", self.path));
    }

    /// Notes a fault of a value that was read.
    pub fn fault<T>(&self, placed: &Placed<T>, message: impl Display) {
        self.faults.note_at(&placed.origin, format!("`{}`: {message}", placed.path));
    }

    /// The same, with the way out.
    pub fn fault_with<T>(&self, placed: &Placed<T>, message: impl Display, hint: String) {
        self.fault(placed, message);
        if let Some((.., last)) = self.faults.found.borrow_mut().last_mut() {
            *last = Some(hint);
        }
    }

    /// Ends the table: what nobody asked for is unknown.
    pub fn end(self) {
        let mut unknown = self.faults.unknown.borrow_mut();
        unknown.extend(self.table.into_iter().map(|(key, node)| (self.path.join(&key), node.origin)));
    }

    fn learn(&self, key: &str) -> Path {
        let path = self.path.join(key);
        let mut known = self.faults.known.borrow_mut();
        if !known.contains(&path) {
            known.push(path.clone());
        }
        path
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    pub value: T,
    path: Path,
    origin: Origin,
}

impl<T> Placed<T> {
    /// Whether it is from an argument of the command, not from the file.
    pub fn is_argument(&self) -> bool {
        matches!(self.origin, Origin::Argument(_))
    }
}

/// The value as it is typed in TOML, else the bare text of a `--set` argument: `versions.python=3.10` is no number.
fn read<T: DeserializeOwned>(value: Option<toml_edit::Value>, text: Option<String>) -> Result<T, String> {
    let typed = value.map(|value| T::deserialize(value.into_deserializer()));
    let typed = match typed {
        Some(Ok(value)) => return Ok(value),
        Some(Err(error)) => Some(error.message().to_owned()),
        None => None,
    };
    let bare: Option<Result<T, serde::de::value::Error>> = text.map(|text| T::deserialize(text.into_deserializer()));
    match (bare, typed) {
        (Some(Ok(value)), _) => Ok(value),
        // Where no text is wanted, the fault of the typed value is the telling one.
        (Some(Err(error)), Some(typed)) if error.to_string().starts_with("invalid type: string") => Err(typed),
        (Some(Err(error)), _) => Err(error.to_string()),
        (None, Some(typed)) => Err(typed),
        (None, None) => Err("has no value".to_owned()),
    }
}
