//! Why a wheel could not be read or made into layers.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

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
    /// It is not a wheel that can be installed, or not beside the others: the whole sentence.
    #[error("{0}")]
    Refused(String),
    /// RECORD has other hashes than these of its files have.
    #[error("wheel `{}` is damaged: its RECORD has other hashes of `{}`", wheel.display(), files.join("`, `"))]
    Record {
        /// The file.
        wheel: PathBuf,
        /// Name of the distribution, normalised.
        name: String,
        /// Where the files are installed.
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
    /// What compiles modules does not work: a module that does not compile is none of this.
    #[error("failed to compile `{path}` of wheel `{wheel}`")]
    Compile {
        /// The file.
        wheel: PathBuf,
        /// Where the module is installed.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WheelError {
    /// The file is not a whole wheel, or holds what no wheel holds.
    pub(crate) fn damaged(wheel: &Path, reason: impl Display) -> Self {
        Self::Refused(format!("wheel `{}` is damaged: {reason}", wheel.display()))
    }

    pub(crate) fn read(wheel: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Read { wheel: wheel.to_owned(), source }
    }
}
