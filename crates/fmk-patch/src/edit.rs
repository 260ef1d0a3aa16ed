//! What is to be done to a script, and how each part of it ended.

use std::fmt;
use std::str::FromStr;

use file_edit::Splice;
use serde::Serialize;

/// One of the two edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
    /// `FMK.gen_env_for_fmk` sets `ASCEND_PROCESS_LOG_PATH` and creates that folder.
    LogPath,
    /// `FMK.run` starts its processes in the folder that `MODEL_TASK_CWD` names.
    CodeCwd,
}

impl Edit {
    /// Both, in the order in which they are judged and reported.
    pub const ALL: [Edit; 2] = [Edit::LogPath, Edit::CodeCwd];
}

/// The name on command lines and in reports.
impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Edit::LogPath => "log-path",
            Edit::CodeCwd => "code-cwd",
        })
    }
}

/// A choice of edits; parsed from `log-path`, `code-cwd` or both joined by a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edits {
    /// Whether [`Edit::LogPath`] is among them.
    pub log_path: bool,
    /// Whether [`Edit::CodeCwd`] is among them.
    pub code_cwd: bool,
}

impl Edits {
    /// Both edits.
    pub const ALL: Edits = Edits { log_path: true, code_cwd: true };

    /// Whether `edit` is among them.
    pub fn contains(self, edit: Edit) -> bool {
        match edit {
            Edit::LogPath => self.log_path,
            Edit::CodeCwd => self.code_cwd,
        }
    }
}

/// A list of edits that names something else, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown edit `{0}`: the edits are `log-path` and `code-cwd`")]
pub struct UnknownEdit(String);

impl FromStr for Edits {
    type Err = UnknownEdit;

    fn from_str(list: &str) -> Result<Edits, UnknownEdit> {
        let mut edits = Edits { log_path: false, code_cwd: false };
        for name in list.split(',') {
            match name.trim() {
                "log-path" => edits.log_path = true,
                "code-cwd" => edits.code_cwd = true,
                other => return Err(UnknownEdit(other.to_owned())),
            }
        }
        Ok(edits)
    }
}

/// How one edit ended. Lines count from 1 in the text before the edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// The output text has it and the input had not.
    Applied {
        /// Where, one line for each place that changed.
        lines: Vec<usize>,
    },
    /// The input already means what the edit would make it mean.
    AlreadyApplied {
        /// Where that meaning was found.
        lines: Vec<usize>,
    },
    /// The script is of a shape in which there is nothing for the edit to do.
    NotApplicable {
        /// Which shape that is.
        reason: String,
    },
    /// A class, method or statement that the edit belongs to is missing.
    NotFound {
        /// Which one.
        reason: String,
    },
    /// There are several places and nothing tells which is meant.
    Ambiguous {
        /// Which places.
        reason: String,
    },
    /// The place is there, but the edit would not mean there what it should.
    Conflict {
        /// What is in the way.
        reason: String,
    },
}

/// How one edit ended well, and what makes it.
pub(crate) struct Verdict {
    pub status: Status,
    /// In the order of the text; none unless the status is `applied`.
    pub splices: Vec<Splice>,
}

impl From<Status> for Verdict {
    fn from(status: Status) -> Verdict {
        Verdict { status, splices: Vec::new() }
    }
}

impl Status {
    /// Whether the script needs no further hand: applied, already applied, or nothing to apply.
    pub fn is_good(&self) -> bool {
        matches!(self, Status::Applied { .. } | Status::AlreadyApplied { .. } | Status::NotApplicable { .. })
    }

    /// The word of reports: `applied`, `already-applied`, `not-applicable`, `not-found`, `ambiguous` or `conflict`.
    pub fn word(&self) -> &'static str {
        match self {
            Status::Applied { .. } => "applied",
            Status::AlreadyApplied { .. } => "already-applied",
            Status::NotApplicable { .. } => "not-applicable",
            Status::NotFound { .. } => "not-found",
            Status::Ambiguous { .. } => "ambiguous",
            Status::Conflict { .. } => "conflict",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Status::Applied { lines } | Status::AlreadyApplied { lines } => match lines.as_slice() {
                [] => Ok(()),
                [line] => write!(f, " (line {line})"),
                lines => write!(f, " (lines {})", lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
            },
            Status::NotApplicable { reason }
            | Status::NotFound { reason }
            | Status::Ambiguous { reason }
            | Status::Conflict { reason } => write!(f, ": {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_edits() {
        assert_eq!("log-path,code-cwd".parse(), Ok(Edits::ALL));
        assert_eq!("code-cwd".parse(), Ok(Edits { log_path: false, code_cwd: true }));
        for (list, odd) in [("", ""), ("log-path,", ""), ("log_path", "log_path"), ("all", "all")] {
            assert_eq!(list.parse::<Edits>(), Err(UnknownEdit(odd.to_owned())), "{list}");
        }
    }
}
