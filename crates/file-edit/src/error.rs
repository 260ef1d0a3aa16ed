//! Why a file could not be read or not be replaced.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::printable::printable;

/// A file that could not be read or not be replaced. It is as it was, but for [`EditError::HalfWritten`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A device, a pipe or a folder.
    #[error("`{name}` is not a regular file", name = shown(.0))]
    NotAFile(PathBuf),
    /// It could not be read.
    #[error("failed to read `{name}`: {1}", name = shown(.0))]
    Read(PathBuf, io::Error),
    /// It has more than so many bytes, which no file of its kind has.
    #[error("`{name}` has more than {1} bytes", name = shown(.0))]
    TooLarge(PathBuf, usize),
    /// The file may not be written.
    #[error("`{name}` is read-only: {1}; nothing was changed", name = shown(.0))]
    ReadOnlyFile(PathBuf, io::Error),
    /// Its folder may not be written, so that the file can't be replaced in one step.
    #[error("the folder `{name}` is read-only: {1}; nothing was changed", name = shown(.0))]
    ReadOnlyFolder(PathBuf, io::Error),
    /// Someone else changed or made the file meanwhile.
    #[error("`{name}` was changed by another program while it was judged; nothing was written", name = shown(.0))]
    ChangedMeanwhile(PathBuf),
    /// A backup of another text is in the way.
    #[error("`{name}` is there already and holds another text; move it away or leave out the backup", name = shown(.0))]
    BackupInTheWay(PathBuf),
    /// The new owner, an attribute or the mode could not be given, or the disk is full.
    #[error("failed to write `{name}`: {1}; nothing was changed", name = shown(.0))]
    Write(PathBuf, io::Error),
    /// The text was written into the file itself, and that did not come to its end. The old text is in the second file.
    #[error("`{name}` may be half-written; its old text is `{old}`: move that back", name = shown(.0), old = shown(.1))]
    HalfWritten(PathBuf, PathBuf),
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
