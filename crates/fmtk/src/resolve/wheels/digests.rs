//! Digests of package files, remembered between runs: a warm build does not read 176 MB to learn what it knows.

use std::{
    fs::{self, File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow, ensure};
use image_name::Digest;
use oci_image::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::terminal::report::WithHint;

/// A file changed within this time of being read may change again without its times showing it: the coarsest file
/// systems in use count two seconds.
const RACY: Duration = Duration::from_secs(2);

const KIND: &str = "file-digest";

/// What a file is known by without being read: length, `mtime`, `ctime`, each time in seconds and nanoseconds. A change
/// of its content changes `ctime`, which no program can set.
type Stat = (u64, (i64, i64), (i64, i64));

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    stat: Stat,
    sha256: Digest,
}

fn stat(meta: &Metadata) -> Stat {
    (meta.len(), (meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()))
}

/// Whether the file was settled when this was seen.
fn is_settled((.., ctime): Stat, seen: SystemTime) -> bool {
    let seen = seen.duration_since(UNIX_EPOCH).unwrap_or_default();
    let changed = Duration::new(ctime.0.try_into().unwrap_or(0), ctime.1.try_into().unwrap_or(0));
    seen.checked_sub(changed).is_some_and(|age| age > RACY)
}

/// Length in bytes and SHA-256 of a file, from the store's records where the file is what it was.
pub fn digest(store: &Store, path: &Path) -> anyhow::Result<(u64, Digest)> {
    digest_at(store, path, SystemTime::now())
}

fn digest_at(store: &Store, path: &Path, now: SystemTime) -> anyhow::Result<(u64, Digest)> {
    let reading = || format!("failed to read `{}`", path.display());
    let meta = fs::metadata(path).with_context(reading)?;
    ensure!(meta.is_file(), "`{}` is not a regular file", path.display());
    let before = stat(&meta);
    let key = format!("{}:{}", meta.dev(), meta.ino());
    if let Some(known) = store.record::<Known>(KIND, &key)?.filter(|known| known.stat == before) {
        return Ok((before.0, known.sha256));
    }
    let mut file = File::open(path).with_context(reading)?;
    let mut hash = Sha256::new();
    // 256 KiB: larger reads are no faster, and two threads read at once.
    let mut buffer = vec![0; 256 << 10];
    let mut read = 0;
    loop {
        match file.read(&mut buffer).with_context(reading)? {
            0 => break,
            length => {
                hash.update(&buffer[..length]);
                read += length as u64;
            }
        }
    }
    ensure!(stat(&file.metadata().with_context(reading)?) == before, "`{}` changed while it was read", path.display());
    if read != before.0 {
        // As in /proc, whose files are written while they are read.
        return Err(anyhow!("`{}` should have {} bytes, and {read} were read", path.display(), before.0))
            .hint("copy what is in it to an ordinary file, and name that")
            .input();
    }
    let sha256 = Digest::from_bytes(hash.finalize().into());
    if is_settled(before, now) {
        store.put_record(KIND, &key, &Known { stat: before, sha256 })?;
    }
    Ok((before.0, sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(3600);

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_known_file_is_not_read_again() {
        let (folder, store) = store();
        let path = folder.path().join("x.whl");
        fs::write(&path, "one").unwrap();
        let (size, sha256) = digest_at(&store, &path, SystemTime::now() + LATER).unwrap();
        assert_eq!(size, 3);
        assert_eq!(sha256.hex(), "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
        // A record that lies shows that it is believed.
        let meta = fs::metadata(&path).unwrap();
        let lie = Known { stat: stat(&meta), sha256: Digest::from_bytes([7; 32]) };
        store.put_record(KIND, &format!("{}:{}", meta.dev(), meta.ino()), &lie).unwrap();
        assert_eq!(digest(&store, &path).unwrap().1, lie.sha256);
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let (folder, store) = store();
        let path = folder.path().join("x.whl");
        fs::write(&path, "one").unwrap();
        let before = digest_at(&store, &path, SystemTime::now() + LATER).unwrap();
        let times = fs::FileTimes::new().set_modified(fs::metadata(&path).unwrap().modified().unwrap());
        fs::write(&path, "two").unwrap();
        // The old time of modification, as `cp -p` and `rsync` leave it: the time of change still tells.
        File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
        assert_ne!(digest(&store, &path).unwrap().1, before.1);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_remembered() {
        let (folder, store) = store();
        let path = folder.path().join("x.whl");
        fs::write(&path, "one").unwrap();
        digest(&store, &path).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert!(store.record::<Known>(KIND, &format!("{}:{}", meta.dev(), meta.ino())).unwrap().is_none());
        let refused = |path: &Path| digest(&store, path).unwrap_err().to_string();
        assert!(refused(folder.path()).ends_with("is not a regular file"));
        assert!(refused(&folder.path().join("none")).starts_with("failed to read"));
    }

    /// The build failed at its end, and blamed a change.
    #[test]
    fn a_file_that_does_not_know_its_length_is_refused() {
        let (_folder, store) = store();
        let error = digest(&store, Path::new("/proc/self/status")).unwrap_err().to_string();
        assert!(error.starts_with("`/proc/self/status` should have 0 bytes, and "), "{error}");
    }
}
