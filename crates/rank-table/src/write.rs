//! The v1 file for the ranks.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Error;
use crate::table::RankTable;

/// World-readable: the platform may run the ranks under another uid.
const MODE: u32 = 0o644;

/// Writes `table` as a v1 file to `path`, whole or not at all.
///
/// Whoever opens the file meanwhile has the old one or the new one. A symbolic link at `path` is replaced, not followed.
///
/// # Errors
///
/// [`Error`] if the file can't be written. What was there before is as it was then.
pub fn write_v1(table: &RankTable, path: &Path) -> Result<(), Error> {
    let written = file_edit::replace(path, 0o600, |file| {
        file.write_all(table.to_v1().as_bytes())?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()
    });
    written.map_err(|error| Error::lasting(format!("failed to write the rank table `{}`: {error}", path.display())))
}
