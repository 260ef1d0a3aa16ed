//! What one source says of the nodes of a job: each statement with the variable or flag that makes it.

use super::super::Lookup;
use super::Master;

/// What is said, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    pub value: T,
    /// The variables or flags, to follow "by".
    pub by: String,
    /// The statement, to be set against another: ``VC_WORKER_NUM is `2` ``.
    pub words: String,
}

/// What a source says; one that is silent says nothing.
#[derive(Debug, Default)]
pub struct Claim {
    /// How many nodes the job has.
    pub counts: Vec<Said<u32>>,
    /// Which of them this one is, from 0.
    pub indexes: Vec<Said<u32>>,
    /// Where node 0 is.
    pub master: Option<Said<Master>>,
    /// Why what it says can't be used, with a hint on a line of its own.
    pub problems: Vec<String>,
    /// Why this launcher has others beside it though no count says so, with a hint on a line of its own. Of no account where
    /// several nodes are known or `--nnodes` says how many there are.
    pub doubts: Vec<String>,
    /// What says that there are several, should it turn out to be said to a rank and not to a node.
    pub unheard: Option<String>,
    /// What to do where it says how many nodes there are, but not which of them this one is.
    pub hint: &'static str,
    /// The rank table has rules of its own for it.
    pub is_judged_by_table: bool,
}

impl Claim {
    /// A variable that says how many nodes there are; 0 where one is meant on platforms that write it so.
    pub fn count(&mut self, lookup: Lookup, name: &str) -> Option<u32> {
        let (text, value) = self.number(lookup, name)?;
        let count = Said { value: value.max(1), by: name.to_owned(), words: is(name, &text) };
        self.counts.push(count);
        Some(value.max(1))
    }

    /// A variable that says which node this is; it is named before a list of hosts that says so, too.
    pub fn index(&mut self, lookup: Lookup, name: &str) -> Option<u32> {
        let (text, value) = self.number(lookup, name)?;
        self.indexes.insert(0, Said { value, by: name.to_owned(), words: is(name, &text) });
        Some(value)
    }

    /// The number in a variable, if that is set; what is not a number is a problem.
    pub fn number(&mut self, lookup: Lookup, name: &str) -> Option<(String, u32)> {
        let text = set(lookup, name)?;
        match text.parse() {
            Ok(value) => Some((text, value)),
            Err(_) => {
                self.problems.push(format!("{}, which is not a number\nhint: correct it or unset it", is(name, &text)));
                None
            }
        }
    }

    /// The nodes by their names, in order: their count, and the first as the master.
    pub fn hosts(&mut self, name: &str, count: u32, first: Option<String>) {
        let nodes = if count == 1 { "node" } else { "nodes" };
        self.counts.push(Said { value: count, by: name.to_owned(), words: format!("{name} lists {count} {nodes}") });
        if let Some(host) = first {
            let words = format!("{name} begins with `{host}`");
            self.master = Some(Said { value: Master { host, port: None }, by: name.to_owned(), words });
        }
    }

    /// A variable with the master's name or address, and one with its port. A port that is none is left to whoever uses it.
    pub fn master(&mut self, lookup: Lookup, host: &str, port: &str) {
        let Some(text) = set(lookup, host) else { return };
        let port = set(lookup, port).and_then(|it| it.parse().ok()).filter(|it| *it > 0);
        let words = is(host, &text);
        self.master = Some(Said { value: Master { host: text, port }, by: host.to_owned(), words });
    }
}

/// ``NAME is `value` ``.
pub fn is(name: &str, text: &str) -> String {
    const MAX: usize = 60;
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{name} is `{}…`", &text[..end]),
        None => format!("{name} is `{text}`"),
    }
}

/// A variable without the spaces around it; one of spaces alone counts as not set.
pub fn set(lookup: Lookup, name: &str) -> Option<String> {
    lookup(name).map(|it| it.to_string_lossy().trim().to_owned()).filter(|it| !it.is_empty())
}
