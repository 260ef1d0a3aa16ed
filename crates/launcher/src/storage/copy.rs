//! Something to copy.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// How something is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A file from object storage.
    GetFile,
    /// A folder from object storage.
    GetFolder,
    /// A whole folder to object storage.
    Put,
    /// Files of a folder that begin with the prefix and have changed since they were copied last.
    Sync,
}

impl Verb {
    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Verb::GetFile => "get-file",
            Verb::GetFolder => "get-folder",
            Verb::Put => "put",
            Verb::Sync => "sync",
        }
    }
}

/// Something to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The parameter that asks for it.
    pub what: &'static str,
    /// How.
    pub verb: Verb,
    /// A path, or a URL of object storage.
    pub from: OsString,
    /// The same.
    pub to: OsString,
    /// Only what begins with it; may be empty.
    pub prefix: OsString,
}

impl Copy {
    /// A copy of everything.
    pub fn new(what: &'static str, verb: Verb, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Copy {
        Copy { what, verb, from: from.as_ref().into(), to: to.as_ref().into(), prefix: OsString::new() }
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "copying `{}` (`{}`) to `{}`", self.from.display(), self.what, self.to.display())
    }
}
