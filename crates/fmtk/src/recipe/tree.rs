//! A TOML document and the `--set` arguments laid over it, as one tree in which every node knows where it is from.

use std::{collections::BTreeMap, fmt};

use toml_edit::{Document, Item, Key, TableLike, Value};

/// Where a node is from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the file, counted from 1.
    Line(usize),
    /// An argument of the command, as it was given: `--set KEY=VALUE`.
    Argument(String),
    /// Nowhere: it is a default.
    Preset,
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    pub origin: Origin,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    /// `[table]` or `{ inline = "table" }`.
    Table(Table),
    /// `[[tables]]` or an array of inline tables.
    Tables(Vec<Node>),
    /// All else. A value of `--set` is the TOML it reads as, if any, and the bare text: which of them is meant is known
    /// only to who reads it (`3.10` is a number or a version).
    Value { value: Option<Value>, text: Option<String> },
}

pub type Table = BTreeMap<String, Node>;

/// A path of keys, printed as TOML would have it: `layout.dirs."/home".mode`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<String>);

impl Path {
    /// The path of a key below this one.
    pub fn join(&self, key: &str) -> Self {
        Self(self.0.iter().cloned().chain([key.to_owned()]).collect())
    }

    /// The last key.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The path of the table that the last key is in.
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.0.iter().map(|key| Key::new(key).display_repr().into_owned()).collect();
        f.write_str(&keys.join("."))
    }
}

/// Reads a document. The error is the parser's: it shows the line and points into it.
pub fn parse(text: &str) -> Result<Table, String> {
    let document = Document::parse(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1)).collect();
    let line = |offset: usize| starts.partition_point(|start| *start <= offset);
    Ok(table(document.as_table(), &line))
}

fn table(from: &dyn TableLike, line: &dyn Fn(usize) -> usize) -> Table {
    let mut table = Table::new();
    for (name, item) in from.iter() {
        let span = from.key(name).and_then(Key::span).or_else(|| item.span());
        let origin = Origin::Line(span.map_or(1, |span| line(span.start)));
        if let Some(content) = content(item, line) {
            table.insert(name.to_owned(), Node { origin, content });
        }
    }
    table
}

fn content(item: &Item, line: &dyn Fn(usize) -> usize) -> Option<Content> {
    let tables = |tables: Vec<(&dyn TableLike, Option<std::ops::Range<usize>>)>| {
        let node = |(one, span): (&dyn TableLike, Option<std::ops::Range<usize>>)| Node {
            origin: Origin::Line(span.map_or(1, |span| line(span.start))),
            content: Content::Table(table(one, line)),
        };
        Content::Tables(tables.into_iter().map(node).collect())
    };
    match item {
        Item::None => None,
        Item::Table(one) => Some(Content::Table(table(one, line))),
        Item::ArrayOfTables(array) => {
            Some(tables(array.iter().map(|one| (one as &dyn TableLike, one.span())).collect()))
        }
        Item::Value(Value::InlineTable(one)) => Some(Content::Table(table(one, line))),
        Item::Value(Value::Array(array)) if !array.is_empty() && array.iter().all(Value::is_inline_table) => {
            let inline = array.iter().filter_map(Value::as_inline_table);
            Some(tables(inline.map(|one| (one as &dyn TableLike, one.span())).collect()))
        }
        Item::Value(value) => Some(Content::Value { value: Some(value.clone()), text: None }),
    }
}

/// Lays a `--set` argument, `KEY=VALUE` with a dotted key, over the tree. The error is a sentence for people.
pub fn set(root: &mut Table, argument: &str) -> Result<(), String> {
    let shape = || format!("`--set {argument}` is not `KEY=VALUE`, as in `versions.mindspore=1.9.0`");
    let (keys, text) = split(argument).ok_or_else(shape)?;
    let keys = Key::parse(keys).map_err(|_| shape())?;
    let origin = Origin::Argument(format!("--set {argument}"));
    let mut content = match text.parse::<Value>() {
        // Spans would be those of the argument, not of the file.
        Ok(value) => match content_of_argument(value, &origin) {
            Content::Value { value, .. } => Content::Value { value, text: Some(text.to_owned()) },
            tables => tables,
        },
        Err(_) => Content::Value { value: None, text: Some(text.to_owned()) },
    };
    let mut table = root;
    let Some((last, folders)) = keys.split_last() else { return Err(shape()) };
    let mut path = Path::default();
    for key in folders {
        path = path.join(key.get());
        let empty = || Node { origin: origin.clone(), content: Content::Table(Table::new()) };
        match &mut table.entry(key.get().to_owned()).or_insert_with(empty).content {
            Content::Table(inner) => table = inner,
            _ => return Err(format!("`--set {argument}`: `{path}` is no table")),
        }
    }
    // A table replaces what it names and leaves the rest, as a dotted key does.
    if let (Content::Table(new), Some(Node { content: Content::Table(old), .. })) =
        (&mut content, table.get(last.get()))
    {
        for (key, node) in old {
            new.entry(key.clone()).or_insert_with(|| node.clone());
        }
    }
    table.insert(last.get().to_owned(), Node { origin, content });
    Ok(())
}

/// Gives a key of a table the text that another argument of the command has for it.
pub fn put(root: &mut Table, [table, key]: [&str; 2], text: &str, argument: &str) {
    let origin = Origin::Argument(argument.to_owned());
    let empty = || Node { origin: origin.clone(), content: Content::Table(Table::new()) };
    // A `table` of the file that is none is left for the reader to complain about.
    if let Content::Table(table) = &mut root.entry(table.to_owned()).or_insert_with(empty).content {
        let content = Content::Value { value: None, text: Some(text.to_owned()) };
        table.insert(key.to_owned(), Node { origin, content });
    }
}

/// Splits at the first `=` that is not within a quoted key.
fn split(argument: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in argument.char_indices() {
        match (quote, c) {
            (None, '=') => return Some((&argument[..at], argument[at + 1..].trim())),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn content_of_argument(value: Value, origin: &Origin) -> Content {
    fn mark(content: &mut Content, origin: &Origin) {
        let nodes: Vec<&mut Node> = match content {
            Content::Table(table) => table.values_mut().collect(),
            Content::Tables(tables) => tables.iter_mut().collect(),
            Content::Value { .. } => Vec::new(),
        };
        for node in nodes {
            node.origin = origin.clone();
            mark(&mut node.content, origin);
        }
    }
    let item = Item::Value(value);
    let mut content = content(&item, &|_| 1).unwrap_or(Content::Table(Table::new()));
    mark(&mut content, origin);
    content
}
