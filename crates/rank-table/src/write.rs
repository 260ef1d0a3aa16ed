//! The v1 file for the ranks.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Error;
use crate::table::RankTable;

/// World-readable: the platform may run the ranks under another uid.
const MODE: u32 = 0o644;

/// Writes `table` as a v1 file to `path`, whole or not at all, and makes the folders above it.
///
/// Whoever opens the file meanwhile has the old one or the new one. One that holds the same text already is not touched, so
/// all servers of a job may do this on a shared file system. A symbolic link at `path` is replaced, not followed. Returns
/// whether the file has been written.
///
/// # Errors
///
/// [`Error`] if the folder can't be made or the file not be written. What was there before is as it was then.
pub fn write_v1(table: &RankTable, path: &Path) -> Result<bool, Error> {
    let text = table.to_v1();
    if is_there(path, &text) {
        return Ok(false);
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed =
        |what: &str, path: &Path, error| Error::lasting(format!("failed to {what} `{}`: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failed("make the folder", folder, error))?;
    let written = file_edit::replace(path, 0o600, |file| {
        file.write_all(text.as_bytes())?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()
    });
    written.map_err(|error| failed("write the rank table", path, error))?;
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
