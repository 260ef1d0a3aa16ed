//! What runs that were killed leave in the store's `tmp/` and beside what they write, and how it is told from what
//! others are at.
//!
//! Whoever makes such a file or folder takes its lock (flock) at once and holds it as long as the thing is used; the
//! kernel lets go of it when the process ends, however it ends. So what can be locked is nobody's. What was written
//! within the last minute stays all the same: between making and locking there is a moment.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use tempfile::{Builder, NamedTempFile, TempDir};

/// What names of locked things begin with. Others are not looked at: nothing is known of them.
const PREFIXES: [&str; 3] = ["blob-", "record-", "scratch-"];
/// Age from which on leftovers are taken away.
const AGE: Duration = Duration::from_secs(60);

/// A new file for a blob.
pub(crate) fn blob_file(tmp: &Path) -> io::Result<NamedTempFile> {
    locked_file(tmp, PREFIXES[0])
}

/// A new file for a record.
pub(crate) fn record_file(tmp: &Path) -> io::Result<NamedTempFile> {
    locked_file(tmp, PREFIXES[1])
}

/// A new file whose name begins with `prefix`, readable by all as what people make usually is.
pub(crate) fn beside(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let readable = fs::Permissions::from_mode(0o644);
    let file = Builder::new().prefix(prefix).permissions(readable).tempfile_in(folder)?;
    file.as_file().lock()?;
    Ok(file)
}

fn locked_file(tmp: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let file = Builder::new().prefix(prefix).tempfile_in(tmp)?;
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
    pub(crate) fn new(tmp: &Path) -> io::Result<Self> {
        Self::named(tmp, PREFIXES[2])
    }

    /// One whose name begins with `prefix`, beside what it will become by a rename; after that nothing is left to go.
    /// What runs that were killed have left under the same prefix goes first.
    pub fn beside(folder: &Path, prefix: &str) -> io::Result<Self> {
        clear_named(folder, &[prefix]);
        Self::named(folder, prefix)
    }

    fn named(folder: &Path, prefix: &str) -> io::Result<Self> {
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

/// Takes away what is nobody's. What can't be listed or removed stays for the next time: it is in nobody's way.
pub(crate) fn clear(tmp: &Path) {
    clear_named(tmp, &PREFIXES);
}

/// The same for names that begin otherwise.
pub(crate) fn clear_named(folder: &Path, prefixes: &[&str]) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let ours =
            entry.file_name().to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        if ours {
            let _ = clear_one(&entry);
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
