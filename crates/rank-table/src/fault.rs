//! What is wrong with a table, and where in the file.

use std::fmt;

use crate::limits::MAX_FAULTS;

/// One thing that is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSONPath: `$.server_list[0].device[3].rank_id`. Entries count from 0 in the order of the file.
    pub path: String,
    /// What, without the path.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.message)
    }
}

/// All that is wrong with a table, in the order in which it was found; one line each when displayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    kept: Vec<Fault>,
    count: usize,
}

impl Faults {
    /// The first [`MAX_FAULTS`] of them.
    pub fn as_slice(&self) -> &[Fault] {
        &self.kept
    }

    /// How many there are, those that were not kept included.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn add(&mut self, place: Place, message: impl FnOnce() -> String) {
        self.count += 1;
        if self.kept.len() < MAX_FAULTS {
            self.kept.push(Fault { path: place.to_string(), message: message() });
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.kept.iter().enumerate() {
            write!(f, "{}{fault}", if number == 0 { "" } else { "\n" })?;
        }
        match self.count - self.kept.len() {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// A place in a table. Copied about freely; text is made of it only where a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The file itself.
    Whole,
    Top(&'static str),
    Group(usize, &'static str),
    Instance(usize, usize, &'static str),
    DeviceV0(usize, usize, usize, &'static str),
    Server(usize, &'static str),
    DeviceV1(usize, usize, &'static str),
}

impl Place {
    /// The same object, another of its keys.
    pub(crate) fn key(self, key: &'static str) -> Place {
        match self {
            Place::Whole | Place::Top(_) => Place::Top(key),
            Place::Group(g, _) => Place::Group(g, key),
            Place::Instance(g, i, _) => Place::Instance(g, i, key),
            Place::DeviceV0(g, i, d, _) => Place::DeviceV0(g, i, d, key),
            Place::Server(s, _) => Place::Server(s, key),
            Place::DeviceV1(s, d, _) => Place::DeviceV1(s, d, key),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        let key = match *self {
            Place::Whole => "",
            Place::Top(key) => key,
            Place::Group(g, key) => {
                write!(f, ".group_list[{g}]")?;
                key
            }
            Place::Instance(g, i, key) => {
                write!(f, ".group_list[{g}].instance_list[{i}]")?;
                key
            }
            Place::DeviceV0(g, i, d, key) => {
                write!(f, ".group_list[{g}].instance_list[{i}].devices[{d}]")?;
                key
            }
            Place::Server(s, key) => {
                write!(f, ".server_list[{s}]")?;
                key
            }
            Place::DeviceV1(s, d, key) => {
                write!(f, ".server_list[{s}].device[{d}]")?;
                key
            }
        };
        if key.is_empty() { Ok(()) } else { write!(f, ".{key}") }
    }
}

/// Foreign text for a message: in backticks, on one line, control characters escaped, cut at 64 characters.
pub(crate) fn quote(text: &str) -> String {
    const MAX: usize = 64;
    let cut = text.char_indices().nth(MAX).map_or(text, |(end, _)| &text[..end]);
    let dots = if cut.len() < text.len() { "…" } else { "" };
    let escaped: String = cut
        .chars()
        .flat_map(|it| {
            let (escaped, plain) = if it.is_control() { (Some(it.escape_default()), None) } else { (None, Some(it)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    format!("`{escaped}{dots}`")
}
