//! Uploads that are not finished, in files of their own: a push that was killed goes on in the next process.
//!
//! Whoever knows the URL of an upload may write to it, so the folder is 0700 and its files are 0600. A file holds the URL
//! and nothing else: how far the upload got is for the registry to say. It is locked while its upload is on, so that
//! two processes do not send into the same one, and counts for a day. Others may be able to write where the folder is:
//! links are not followed, and what is not ours alone is left as it is. Where a note can't be written, a push merely
//! starts anew: that is no reason for it to fail.

use std::{
    fs::{DirBuilder, File},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use image_name::Digest;
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, open, openat, statat, unlinkat},
    process::geteuid,
};

use crate::url::Url;

/// Registries drop unfinished uploads themselves after some days, SWR's logins end after one.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// 64 KiB: no URL is longer.
const LIMIT: u64 = 64 << 10;

/// The folder of the files. It is kept open: somebody may put another in its place.
pub(crate) struct Folder(File);

/// The file of one upload, locked.
pub(crate) struct Note<'f> {
    folder: &'f Folder,
    name: String,
    file: File,
    url: Option<Url>,
}

/// Whether nobody else could have written it, or linked to it.
fn is_ours(file: &File) -> bool {
    let is_ours = |it: std::fs::Metadata| {
        let is_private = it.uid() == geteuid().as_raw() && it.mode() & 0o022 == 0;
        is_private && (it.is_dir() || (it.is_file() && it.nlink() == 1))
    };
    file.metadata().is_ok_and(is_ours)
}

impl Folder {
    /// Makes the folder ready, and removes what is too old; `None` where it can't be had, or is not ours alone.
    pub(crate) fn prepare(path: &Path) -> Option<Self> {
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = Self(File::from(open(path, flags, Mode::empty()).ok()?));
        if !is_ours(&folder.0) {
            return None;
        }
        fchmod(&folder.0, Mode::RWXU).ok()?;
        let long_ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(KEPT);
        for entry in Dir::read_from(&folder.0).ok()?.flatten() {
            let Ok(found) = statat(&folder.0, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
            if is_file && found.st_mtime < long_ago.as_secs() as i64 {
                let _ = unlinkat(&folder.0, entry.file_name(), AtFlags::empty());
            }
        }
        Some(folder)
    }
}

impl<'f> Note<'f> {
    /// The file for this blob's upload, with or without a URL in it; `None` where another process has it or there can be
    /// none.
    pub(crate) fn open(folder: &'f Folder, host: &str, repository: &str, blob: &Digest) -> Option<Self> {
        let name = Digest::of(format!("{host}/{repository}@{blob}").as_bytes()).hex();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&folder.0, &name, flags, Mode::RUSR | Mode::WUSR).ok()?);
        if !is_ours(&file) {
            return None;
        }
        file.try_lock().ok()?;
        // The one that had it until now may have removed it.
        let there = statat(&folder.0, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if there.st_ino != file.metadata().ok()?.ino() {
            return None;
        }
        let url = read(&mut file);
        Some(Self { folder, name, file, url })
    }

    /// Where the upload goes on.
    pub(crate) fn url(&self) -> Option<&Url> {
        self.url.as_ref()
    }

    /// Has the next process go on there.
    pub(crate) fn write(&mut self, url: &Url) {
        let _ = self.file.set_len(0);
        let written = self.file.rewind().and_then(|()| self.file.write_all(format!("{}\n", url.full()).as_bytes()));
        self.url = written.ok().map(|()| url.clone());
    }

    /// The upload is done, or lost. That counts for this process even where the file can't be changed.
    pub(crate) fn clear(&mut self) {
        let _ = self.file.set_len(0);
        self.url = None;
    }
}

fn read(file: &mut File) -> Option<Url> {
    let mut text = String::new();
    file.take(LIMIT).read_to_string(&mut text).ok()?;
    // Without its end of line it was not written to the end.
    Url::parse(text.strip_suffix('\n')?)
}

impl Drop for Note<'_> {
    /// One without a URL is of no use.
    fn drop(&mut self) {
        if self.url.is_none() {
            let _ = unlinkat(&self.folder.0, &self.name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, FileTimes, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn open(folder: &Folder) -> Option<Note<'_>> {
        Note::open(folder, "h", "o/r", &Digest::of(b"x"))
    }

    fn url() -> Url {
        Url::parse("http://h/v2/o/r/blobs/uploads/id?_state=s3cret").unwrap()
    }

    #[test]
    fn a_note_is_private_belongs_to_one_and_counts_for_a_day() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("uploads");
        let folder = Folder::prepare(&path).unwrap();
        let mut note = open(&folder).unwrap();
        assert!(note.url().is_none());
        note.write(&url().with("long", &"x".repeat(99)));
        note.write(&url());
        assert!(open(&folder).is_none(), "two have it");
        let file = path.join(&note.name);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        drop(note);

        let mut note = open(&folder).unwrap();
        assert_eq!(note.url(), Some(&url()));
        note.clear();
        drop(note);
        assert!(!file.exists());

        open(&folder).unwrap().write(&url());
        let long_ago = SystemTime::now() - KEPT - Duration::from_secs(60);
        File::options().write(true).open(&file).unwrap().set_times(FileTimes::new().set_modified(long_ago)).unwrap();
        Folder::prepare(&path).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_note_that_can_not_be_emptied_counts_no_more_once_it_is_cleared() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(outer.path()).unwrap();
        let mut note = open(&folder).unwrap();
        note.write(&url());
        // Nothing can be changed through a file that is open for reading.
        note.file = File::open(outer.path().join(&note.name)).unwrap();
        note.clear();
        assert_eq!(note.url(), None);
        assert_ne!(note.file.metadata().unwrap().len(), 0);
        note.write(&url());
        assert_eq!(note.url(), None, "nothing was written");
    }

    /// Whoever may write to the store could have had files of ours emptied, removed or opened to nobody else.
    #[test]
    fn what_somebody_else_may_have_put_there_is_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let (theirs, path) = (outer.path().join("theirs"), outer.path().join("uploads"));
        fs::create_dir(&theirs).unwrap();
        fs::set_permissions(&theirs, Permissions::from_mode(0o755)).unwrap();
        let file = theirs.join("file");
        fs::write(&file, "text").unwrap();
        let long_ago = SystemTime::now() - KEPT - Duration::from_secs(60);
        File::options().write(true).open(&file).unwrap().set_times(FileTimes::new().set_modified(long_ago)).unwrap();
        symlink(&theirs, &path).unwrap();
        assert!(Folder::prepare(&path).is_none());
        assert_eq!(fs::metadata(&theirs).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");

        fs::remove_file(&path).unwrap();
        let folder = Folder::prepare(&path).unwrap();
        let note = path.join(open(&folder).unwrap().name.clone());
        let put = |put: &dyn Fn()| {
            put();
            assert!(open(&folder).is_none());
            assert_eq!(fs::read_to_string(&file).unwrap(), "text");
            fs::remove_file(&note).unwrap();
        };
        put(&|| symlink(&file, &note).unwrap());
        put(&|| fs::hard_link(&file, &note).unwrap());
        put(&|| {
            fs::write(&note, "").unwrap();
            fs::set_permissions(&note, Permissions::from_mode(0o666)).unwrap();
        });
        // The folder was moved away while it was in use, and another put in its place.
        fs::rename(&path, outer.path().join("moved")).unwrap();
        symlink(&theirs, &path).unwrap();
        open(&folder).unwrap().write(&url());
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
        assert!(Folder::prepare(&path).is_none());
    }
}
