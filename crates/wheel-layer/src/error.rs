//! Why a wheel could not be read or made into layers.

use std::{io, path::PathBuf};

use oci_image::{LayerError, StoreError};

/// Why a wheel could not be read or made into layers.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// The file could not be opened or read.
    #[error("failed to read wheel `{wheel}`")]
    Read {
        /// The file.
        wheel: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file name is not that of a wheel.
    #[error("`{wheel}` is not the name of a wheel: {reason}")]
    FileName {
        /// The file.
        wheel: PathBuf,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The file is no whole zip archive, or holds what no wheel holds.
    #[error("wheel `{wheel}` is damaged: {fault}")]
    Archive {
        /// The file.
        wheel: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// Files do not have the contents that RECORD says.
    #[error("wheel `{wheel}` is damaged: its RECORD has other hashes of `{}`", files.join("`, `"))]
    Record {
        /// The file.
        wheel: PathBuf,
        /// Where the files would have been installed, without the leading slash.
        files: Vec<String>,
    },
    /// A layer could not be written.
    #[error("failed to make a layer of wheel `{wheel}`")]
    Layer {
        /// The file.
        wheel: PathBuf,
        /// Why.
        source: LayerError,
    },
    /// Wheels that were to share a layer can't both be installed.
    #[error("the wheels can't share a layer: {}", conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Conflicts {
        /// Which, and why.
        conflicts: Vec<Conflict>,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no zip archive, or not a whole one.
    #[error("it is not a whole zip archive ({0})")]
    Zip(String),
    /// It holds more than any wheel does.
    #[error("it has too {0}")]
    Large(&'static str),
    /// An entry's name is not one that can be installed.
    #[error("entry `{name}`: {reason}")]
    Name {
        /// The name, made printable.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// An entry is stored in a way that is not supported.
    #[error("entry `{name}` {reason}")]
    Entry {
        /// The name.
        name: String,
        /// What is not supported.
        reason: String,
    },
    /// A file that every wheel has is missing, or there are two.
    #[error("{0}")]
    Missing(String),
    /// A file of the metadata can't be understood.
    #[error("`{file}`: {reason}")]
    Metadata {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// Two wheels that can't both be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Both are wheels of one distribution.
    Distribution {
        /// Its normalised name.
        name: String,
        /// Their versions.
        versions: [String; 2],
    },
    /// Both put a file at one path, with different bytes or modes.
    File {
        /// The absolute path.
        path: String,
        /// Names of the two distributions.
        distributions: [String; 2],
    },
    /// One puts a file where the other has a folder.
    Folder {
        /// The absolute path.
        path: String,
        /// Names of the two distributions, that of the file first.
        distributions: [String; 2],
    },
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Distribution { name, versions: [one, other] } => {
                write!(out, "there are two wheels of `{name}`: {one} and {other}")
            }
            Self::File { path, distributions: [one, other] } => {
                write!(out, "`{one}` and `{other}` put different files at `{path}`")
            }
            Self::Folder { path, distributions: [one, other] } => {
                write!(out, "`{one}` puts a file at `{path}`, where `{other}` has a folder")
            }
        }
    }
}
