//! The file for the ranks: converted, or copied.

use std::fmt::Display;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Error;
use crate::parse::{MAX_BYTES, parse};
use crate::table::RankTable;

/// World-readable: the platform may run the ranks under another uid.
const MODE: u32 = 0o644;

/// Writes `table` as a v1 file to `path`, whole or not at all.
///
/// Whoever opens the file meanwhile has the old one or the new one. A symbolic link at `path` is replaced, not followed.
///
/// # Errors
///
/// [`Error`] if the file can't be written, or [`RankTable::to_v1`] refuses. What was there before is as it was then.
pub fn write_v1(table: &RankTable, path: &Path) -> Result<(), Error> {
    let text = table.to_v1().map_err(|error| failed(path, &format!("it {error}")))?;
    write(text.as_bytes(), path)
}

/// Copies the file of `table` at `from`, byte for byte, to the regular file `to`, whole or not at all: some readers refuse
/// a path that is a link, as those in a config map are. A symbolic link at `to` is replaced, not followed.
///
/// # Errors
///
/// [`Error`] if either file can't be read or written, or `from` is another table meanwhile. What was at `to` before is as it
/// was then.
pub fn write_copy(table: &RankTable, from: &Path, to: &Path) -> Result<(), Error> {
    let mut bytes = Vec::new();
    // One byte more than is allowed at most, which does not parse.
    let read = File::open(from).and_then(|it| it.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| Error::passing(format!("failed to read the rank table `{}`: {error}", from.display())))?;
    match parse(&bytes) {
        Ok(again) if again == *table => write(&bytes, to),
        _ => Err(Error::passing(format!("the rank table `{}` is another one than at the start", from.display()))),
    }
}

fn write(bytes: &[u8], path: &Path) -> Result<(), Error> {
    let written = file_edit::replace(path, 0o600, |file| {
        file.write_all(bytes)?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()
    });
    written.map_err(|error| failed(path, &error))
}

fn failed(path: &Path, why: &dyn Display) -> Error {
    Error::lasting(format!("failed to write the rank table `{}`: {why}", path.display()))
}
