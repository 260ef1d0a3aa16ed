//! The v1 file for the ranks.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::table::RankTable;

/// World-readable: the platform may run the ranks under another uid.
const MODE: u32 = 0o644;

/// The file could not be written. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Its folder could not be made.
    #[error("failed to make the folder `{path}`: {error}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It could not be written or renamed.
    #[error("failed to write the rank table `{path}`: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Writes `table` as a v1 file to `path`, whole or not at all, and makes the folders above it.
///
/// Whoever opens the file meanwhile has the old one or the new one. One that holds the same text already is not touched, so
/// all servers of a job may do this on a shared file system. A symbolic link at `path` is replaced, not followed. Returns
/// whether the file has been written.
///
/// # Errors
///
/// [`WriteError`] if the folder can't be made or the file not be written.
pub fn write_v1(table: &RankTable, path: &Path) -> Result<bool, WriteError> {
    let text = table.to_v1();
    if is_there(path, &text) {
        return Ok(false);
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| WriteError::Folder { path: folder.to_owned(), error })?;
    let written = file_edit::replace(path, 0o600, |file| {
        file.write_all(text.as_bytes())?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()
    });
    written.map_err(|error| WriteError::Write { path: path.to_owned(), error })?;
    Ok(true)
}

/// Whether a regular file of exactly this text, readable for all, is there.
fn is_there(path: &Path, text: &str) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    metadata.is_file()
        && metadata.len() == text.len() as u64
        && metadata.permissions().mode() & MODE == MODE
        && fs::read(path).is_ok_and(|old| old == text.as_bytes())
}
