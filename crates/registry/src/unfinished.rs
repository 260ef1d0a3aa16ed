//! Uploads that are not finished, in files of their own: a push that was killed goes on in the next process.
//!
//! Whoever knows the URL of an upload may write to it, so the folder is 0700 and its files are 0600. A file holds the URL
//! and nothing else: how far the upload got is for the registry to say. It is locked while its upload is on, so that
//! two processes do not send into the same one, and counts for a day. Where one can't be written, a push merely starts
//! anew: that is no reason for it to fail.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use image_name::Digest;

use crate::url::Url;

/// Registries drop unfinished uploads themselves after some days, SWR's logins end after one.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// 64 KiB: no URL is longer.
const LIMIT: u64 = 64 << 10;

/// The file of one upload, locked.
pub(crate) struct Note {
    path: PathBuf,
    file: File,
}

/// Makes the folder ready, and removes what is too old.
pub(crate) fn prepare(folder: &Path) {
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > KEPT) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Note {
    /// The file for this blob's upload, with or without a URL in it; `None` where another process has it or there can be
    /// none.
    pub(crate) fn open(folder: &Path, host: &str, repository: &str, blob: &Digest) -> Option<Self> {
        let path = folder.join(Digest::of(format!("{host}/{repository}@{blob}").as_bytes()).hex());
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).ok()?;
        file.try_lock().ok()?;
        // The one that had it until now may have removed it.
        let is_same = fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|it| it.ino() == there.ino()));
        is_same.then_some(Self { path, file })
    }

    /// Where the upload goes on.
    pub(crate) fn url(&mut self) -> Option<Url> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        (&self.file).take(LIMIT).read_to_string(&mut text).ok()?;
        // Without its end of line it was not written to the end.
        Url::parse(text.strip_suffix('\n')?)
    }

    /// Has the next process go on there.
    pub(crate) fn write(&mut self, url: &Url) {
        let _ = self.file.set_len(0);
        let _ = self.file.rewind().and_then(|()| self.file.write_all(format!("{}\n", url.full()).as_bytes()));
    }

    /// The upload is done, or lost.
    pub(crate) fn clear(&self) {
        let _ = self.file.set_len(0);
    }
}

impl Drop for Note {
    /// One without a URL is of no use.
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|it| it.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::FileTimes, time::SystemTime};

    use super::*;

    #[test]
    fn a_note_is_private_belongs_to_one_and_counts_for_a_day() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("uploads");
        let open = || {
            prepare(&folder);
            Note::open(&folder, "h", "o/r", &Digest::of(b"x"))
        };
        let url = Url::parse("http://h/v2/o/r/blobs/uploads/id?_state=s3cret").unwrap();
        let mut note = open().unwrap();
        assert!(note.url().is_none());
        note.write(&url.clone().with("long", &"x".repeat(99)));
        note.write(&url);
        assert!(open().is_none(), "two have it");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&folder), mode(&note.path)), (0o700, 0o600));
        let path = note.path.clone();
        drop(note);

        let mut note = open().unwrap();
        assert_eq!(note.url(), Some(url.clone()));
        note.clear();
        drop(note);
        assert!(!path.exists());

        open().unwrap().write(&url);
        let long_ago = SystemTime::now() - KEPT - Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_times(FileTimes::new().set_modified(long_ago)).unwrap();
        assert_eq!(open().unwrap().url(), None);
    }
}
