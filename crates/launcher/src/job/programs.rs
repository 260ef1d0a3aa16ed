//! Where a program is.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Lookup;

/// Where a program is: a path from `folder` on, or a name in PATH, where execvp(3) skips what it may not execute. Relative
/// folders in PATH are below `folder`, too; the current one is an empty path.
pub fn find(program: &OsStr, folder: &Path, lookup: Lookup) -> Option<PathBuf> {
    let is_executable = |it: &PathBuf| it.is_file() && access(it, AccessFlags::X_OK).is_ok();
    if program.as_bytes().contains(&b'/') {
        return Some(folder.join(program)).filter(is_executable);
    }
    env::split_paths(&lookup("PATH")?).map(|it| folder.join(it).join(program)).find(is_executable)
}

/// Where a program of this name is on PATH.
pub fn on_path(name: &str, lookup: Lookup) -> Option<PathBuf> {
    find(OsStr::new(name), Path::new(""), lookup)
}
