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
    #[error("failed to read `{0}`: {1}")]
    Read(PathBuf, io::Error),
    /// It has more than so many bytes, which no file of its kind has.
    #[error("`{0}` has more than {1} bytes")]
    TooLarge(PathBuf, usize),
    /// The file may not be written.
    #[error("`{0}` is read-only: {1}; nothing was changed")]
    ReadOnlyFile(PathBuf, io::Error),
    /// Its folder may not be written, so that the file can't be replaced in one step.
    #[error("the folder `{0}` is read-only: {1}; nothing was changed")]
    ReadOnlyFolder(PathBuf, io::Error),
    /// Someone else changed or made the file meanwhile.
    #[error("`{0}` was changed by another program while it was judged; nothing was written")]
    ChangedMeanwhile(PathBuf),
    /// A backup of another text is in the way.
    #[error("`{0}` is there already and holds another text; move it away or leave out the backup")]
    BackupInTheWay(PathBuf),
    /// The new owner or mode could not be given, or the disk is full.
    #[error("failed to write `{0}`: {1}; nothing was changed")]
    Write(PathBuf, io::Error),
}
