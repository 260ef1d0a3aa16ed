//! From bytes to a table, or to all that is wrong with them.

use std::str::Utf8Error;

use crate::fault::{Faults, Place, quote};
use crate::json::{As, Entry, Kind, List, Scalar};
use crate::limits::MAX_BYTES;
use crate::raw::Top;
use crate::table::RankTable;
use crate::{v0, v1};

/// Why bytes are not a complete table. Displayed without the name of the file, as the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// More than [`MAX_BYTES`].
    #[error("is larger than the {MAX_BYTES} bytes allowed")]
    TooLarge,
    /// No bytes.
    #[error("is empty")]
    Empty,
    /// It ends in the middle: being written, as a rule.
    #[error("breaks off in line {line}, column {column}, as if it were half-written")]
    BreaksOff {
        /// From 1.
        line: usize,
        /// Bytes, from 1.
        column: usize,
    },
    /// Not JSON.
    #[error("is not valid JSON: {message} in line {line}, column {column}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// From 1.
        line: usize,
        /// Bytes, from 1.
        column: usize,
    },
    /// JSON, but no table.
    #[error("is {what}, not a JSON object")]
    NotATable {
        /// `a list`, for example.
        what: String,
    },
    /// A format newer than this library.
    #[error("is {what}, which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are")]
    Unsupported {
        /// Its name and how it was recognised.
        what: String,
    },
    /// `status` is `initializing`: not all devices are known yet.
    #[error("has the status `initializing`")]
    Initializing,
    /// `status` is neither `initializing` nor `completed`.
    #[error("has the status {}, not `completed`", quote(.0))]
    Status(String),
    /// There is no `status`.
    #[error("has no `status`")]
    NoStatus,
    /// Complete, but wrong.
    #[error("has {} fault{}:\n{_0}", .0.count(), if .0.count() == 1 { "" } else { "s" })]
    Faults(Faults),
}

impl TableError {
    /// Whether waiting may help: such a file may be one that is being written, or on the way to `completed`.
    pub fn may_pass(&self) -> bool {
        match self {
            TableError::Empty | TableError::BreaksOff { .. } | TableError::Syntax { .. } => true,
            TableError::Initializing | TableError::Status(_) | TableError::NoStatus => true,
            TableError::TooLarge | TableError::NotATable { .. } => false,
            TableError::Unsupported { .. } | TableError::Faults(_) => false,
        }
    }
}

/// Reads and checks a table of either format, whatever the bytes are.
///
/// Numbers may be strings or integers, keys that are not known are passed over, a table that is `initializing` may hold
/// nothing else. In a v0 table ranks are numbered here: consecutively over groups, instances and devices, the instances of
/// the first group ordered by the integer after the last `-` of `pod_name`, groups whose `device_count` is 0 skipped.
///
/// Checked are: each count against its list; `pod_name`s, devices of a server, addresses of devices, ranks and (v1)
/// servers for duplicates; ranks for gaps; `device_ip` and what looks like an address in `server_id`; the limits of this
/// crate. `device_ip` may be missing or empty where all devices are on one server.
///
/// # Errors
///
/// [`TableError`]; [`TableError::Faults`] holds all that is wrong with a complete table.
pub fn parse(bytes: &[u8]) -> Result<RankTable, TableError> {
    if bytes.len() > MAX_BYTES {
        return Err(TableError::TooLarge);
    }
    if bytes.is_empty() {
        return Err(TableError::Empty);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    let As(top) = serde_json::from_str::<As<Entry<Top<'_>>>>(text).map_err(syntax)?;
    let top = match top {
        Entry::Is(top) => top,
        Entry::Other(kind) => return Err(TableError::NotATable { what: kind.to_string() }),
    };
    refuse_newer(&top)?;
    match &top.status {
        Scalar::Text(status) if status == "completed" => {}
        Scalar::Text(status) if status == "initializing" => return Err(TableError::Initializing),
        Scalar::Text(status) => return Err(TableError::Status(status.clone().into_owned())),
        Scalar::Missing => return Err(TableError::NoStatus),
        Scalar::Number(_) | Scalar::Other(_) => return Err(one_fault(Place::Top("status"), "is not text")),
    }
    match (&top.group_list, &top.server_list) {
        (List::Missing, List::Missing) => {
            Err(one_fault(Place::Whole, "has neither `group_list` (v0) nor `server_list` (v1)"))
        }
        (_, List::Missing) => v0::read(&top).map_err(TableError::Faults),
        (List::Missing, _) => v1::read(&top).map_err(TableError::Faults),
        _ => Err(one_fault(Place::Whole, "has both `group_list` (v0) and `server_list` (v1)")),
    }
}

fn refuse_newer(top: &Top<'_>) -> Result<(), TableError> {
    let version = match &top.version {
        Scalar::Text(version) => Some(version.to_string()),
        Scalar::Number(version) => Some(version.to_string()),
        Scalar::Missing => None,
        // 1.0 as a number can't be told from 1.2 here, and nothing writes it.
        Scalar::Other(kind) => return Err(one_fault(Place::Top("version"), &wrong_version(*kind))),
    };
    let has = |value: &Scalar<'_>| !matches!(value, Scalar::Missing);
    let named = version.as_ref().map_or_else(String::new, |version| format!(" of version {}", quote(version)));
    let what = if has(&top.super_pod_list) {
        format!("a super-pod table{named} (it has `super_pod_list`)")
    } else if has(&top.server_group_list) {
        format!("a global table{named} (it has `server_group_list`)")
    } else if version.as_deref() == Some("1.2") {
        "a super-pod table (its version is `1.2`)".to_owned()
    } else if version.as_deref().is_some_and(|version| version != "1.0") {
        format!("a table{named}")
    } else {
        return Ok(());
    };
    Err(TableError::Unsupported { what })
}

fn wrong_version(kind: Kind) -> String {
    format!("is {kind}, not the text `1.0`")
}

fn one_fault(place: Place, message: &str) -> TableError {
    let mut faults = Faults::default();
    faults.add(place, || message.to_owned());
    TableError::Faults(faults)
}

fn not_utf8(bytes: &[u8], error: Utf8Error) -> TableError {
    let before = &bytes[..error.valid_up_to()];
    let line = before.iter().filter(|it| **it == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|it| **it != b'\n').count() + 1;
    match error.error_len() {
        // In the middle of a character.
        None => TableError::BreaksOff { line, column },
        Some(_) => TableError::Syntax { message: "a byte that is not UTF-8".to_owned(), line, column },
    }
}

fn syntax(error: serde_json::Error) -> TableError {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return TableError::BreaksOff { line, column };
    }
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    TableError::Syntax { message, line, column }
}
