//! What runs that were killed leave in the store's `tmp/` and beside what they write, and how it is told from what
//! others are at.
//!
//! Whoever makes such a file or folder takes its lock (flock) at once and holds it as long as the thing is used; the
//! kernel lets go of it when the process ends, however it ends. So what can be locked is unowned. What was written
//! within the last minute stays all the same: between making and locking there is a moment.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use tempfile::{Builder, NamedTempFile, TempDir};

/// What names in the store begin with. Others are not looked at: nothing is known of them.
pub(crate) const BLOB: &str = "blob-";
pub(crate) const RECORD: &str = "record-";
pub(crate) const SCRATCH: &str = "scratch-";
/// Age from which on leftovers are removed.
const AGE: Duration = Duration::from_secs(60);

/// A new file whose name begins with `prefix`, for this user only.
pub(crate) fn file(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    locked(Builder::new().prefix(prefix).tempfile_in(folder)?)
}

/// The same, readable by all as what people make usually is.
pub(crate) fn readable_file(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    locked(Builder::new().prefix(prefix).permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder)?)
}

fn locked(file: NamedTempFile) -> io::Result<NamedTempFile> {
    file.as_file().lock()?;
    Ok(file)
}

/// A folder in the store for what is too large for memory. Dropped, it goes with all that is in it; that of a run that
/// was killed goes when the store is opened again.
#[derive(Debug)]
pub struct Scratch {
    // Fields are dropped in this order: the folder goes before its lock.
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// One whose name begins with `prefix`, beside what it will become by a rename; after that nothing is left to go.
    /// What runs that were killed have left under the same prefix goes first.
    pub fn beside(folder: &Path, prefix: &str) -> io::Result<Self> {
        clear(folder, &[prefix]);
        let folder = Builder::new().prefix(prefix).tempdir_in(folder)?;
        let lock = File::open(folder.path())?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what begins with one of the prefixes and is unowned. What can't be listed or removed stays for the next time.
pub(crate) fn clear(folder: &Path, prefixes: &[&str]) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))) {
            let _ = clear_one(&entry);
        }
    }
}

/// Removes what this process has open in the folder: all that it writes there, whose locks it holds.
pub(crate) fn clear_own(folder: &Path) {
    let Ok(folder) = folder.canonicalize() else { return };
    for open in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let Ok(path) = fs::read_link(open.path()) else { continue };
        if path.parent() == Some(&folder) {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

fn clear_one(entry: &fs::DirEntry) -> io::Result<()> {
    let meta = entry.metadata()?;
    // A time ahead of the clock's is no age.
    let age = SystemTime::now().duration_since(meta.modified()?).unwrap_or_default();
    if age < AGE || !(meta.is_file() || meta.is_dir()) {
        return Ok(());
    }
    let path = entry.path();
    let file = File::open(&path)?;
    file.try_lock()?;
    if meta.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
}
