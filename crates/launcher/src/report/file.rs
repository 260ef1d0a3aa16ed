//! Where reports are written to: files, which a new one replaces as a whole, pipes and devices.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::links;

/// Whether a report can be written there, as far as that can be told without writing; makes its folder unless this is a dry run.
pub fn check(path: &Path, is_dry: bool) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if is_special(path)? {
        return Ok(());
    }
    let folder = folder(path)?;
    if !is_dry {
        links::make_folder(&folder, 0o755)?;
    }
    links::may_make_folder(&folder)
}

fn folder(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    Ok(path.parent().unwrap_or(&path).to_owned())
}

/// Writes a text, whole or not at all; to `/dev/stdout`, a pipe or a device it is appended.
pub fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    if is_special(path)? {
        // Not to be waited for: a pipe may have no reader.
        let mut file = OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        return file.write_all(text);
    }
    // Not synced: a disk that takes its time must not hold up the end.
    file_edit::replace(path, 0o666, |file| file.write_all(text))
}

/// Whether a file must not take the place of what is there: root could, and the machine would be without its `/dev/null`.
/// Errors: a link of another user, which would be followed.
fn is_special(path: &Path) -> io::Result<bool> {
    // `/dev/stdout` is a link, by way of /proc, to whatever that is.
    let is_link = path.symlink_metadata().is_ok_and(|it| it.is_symlink());
    let is_of_system = path.starts_with("/dev") || path.starts_with("/proc");
    let is_special = path.metadata().is_ok_and(|it| !it.is_file()) || (is_link && is_of_system);
    let way = if is_special { path.to_owned() } else { folder(path)? };
    links::foreign(&way).map_or(Ok(is_special), |link| Err(io::Error::other(link)))
}
