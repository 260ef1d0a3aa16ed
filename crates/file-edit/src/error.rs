//! Why a file could not be read or not be replaced.

use std::{io, path::PathBuf};

/// A file that could not be read or not be replaced. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A device, a pipe or a folder.
    #[error("`{0}` is not a regular file")]
    NotAFile(PathBuf),
    /// It could not be read.
    #[error("failed to read `{path}`: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It has more bytes than any file of its kind.
    #[error("`{path}` has more than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many bytes are read.
        limit: usize,
    },
    /// The file may not be written.
    #[error("`{path}` is read-only: {error}; nothing was changed")]
    ReadOnlyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Its folder may not be written, so that the file can't be replaced in one step.
    #[error("the folder `{path}` is read-only: {error}; nothing was changed")]
    ReadOnlyFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Someone else changed or made the file meanwhile.
    #[error("`{0}` was changed by another program while it was judged; nothing was written")]
    ChangedMeanwhile(PathBuf),
    /// A backup of another text is in the way.
    #[error("`{0}` is there already and holds another text; move it away or leave out the backup")]
    BackupInTheWay(PathBuf),
    /// The new owner or mode could not be given, or the disk is full.
    #[error("failed to write `{path}`: {error}; nothing was changed")]
    Write {
        /// The file that was being written.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}
