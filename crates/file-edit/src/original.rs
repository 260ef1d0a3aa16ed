//! A file as it was read, and replacing it by another text.

use std::{
    fs::{self, File, FileTimes, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    beside::{Beside, failed},
    error::EditError,
};

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The file itself, symbolic links followed.
    pub target: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    limit: usize,
}

impl Original {
    /// Reads the file at `path` of at most `limit` bytes.
    pub fn read(path: &Path, limit: usize) -> Result<Self, EditError> {
        let failed = |error| EditError::Read(path.to_owned(), error);
        let target = fs::canonicalize(path).map_err(failed)?;
        // Asked before it is opened: opening a pipe waits for its other end.
        if !fs::metadata(&target).map_err(failed)?.is_file() {
            return Err(EditError::NotAFile(target));
        }
        let (bytes, _) = read(&target, limit).map_err(failed)?;
        if bytes.len() > limit {
            return Err(EditError::TooLarge(target, limit));
        }
        Ok(Self { target, bytes, limit })
    }

    /// Like [`Original::read`]; `None` where nothing is at `path`, a link to nothing being something.
    pub fn find(path: &Path, limit: usize) -> Result<Option<Self>, EditError> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Self::read(path, limit).map(Some),
        }
    }

    /// Whether [`Original::replace`] may do its work, as far as that can be known before.
    pub fn check_writable(&self) -> Result<(), EditError> {
        self.open_for_writing()?;
        Beside::write(&self.target, b"", None, 0o600).map(drop)
    }

    fn open_for_writing(&self) -> Result<File, EditError> {
        let target = &self.target;
        let opened = OpenOptions::new().write(true).open(target);
        opened.map_err(|error| EditError::ReadOnlyFile(target.clone(), error))
    }

    /// Puts `new` in place of the file, and the old text to `backup` where one is named.
    ///
    /// The new text comes with the mode and the owner of the old one, by a rename, so that whoever opens the file has one
    /// or the other. A symbolic link stays and its target is replaced; of several hard links only the one named gets the
    /// new text. Access control lists and other extended attributes do not come along. The backup has mode, owner and
    /// times of the file; one that is there already must be the same text.
    ///
    /// On an error the file is as it was, also where it has changed since it was read.
    pub fn replace(&self, new: &[u8], backup: Option<&Path>) -> Result<(), EditError> {
        self.put(new, backup, 0o7777)
    }

    /// Like [`Original::replace`] without a backup; nobody but its owner may read or write the file afterwards.
    pub fn replace_private(&self, new: &[u8]) -> Result<(), EditError> {
        self.put(new, None, 0o700)
    }

    fn put(&self, new: &[u8], backup: Option<&Path>, modes: u32) -> Result<(), EditError> {
        let target = &self.target;
        // A rename would succeed on a file that may not be written; whoever made it so did not expect that.
        self.open_for_writing()?;
        // Only now is it known which file it is: opened for writing, one of a lower layer of an overlay file system, as
        // in every container, is copied to the upper one and has another device, number and time of change from then on.
        let (bytes, metadata) = read(target, self.limit).map_err(|error| EditError::Read(target.clone(), error))?;
        if bytes != self.bytes {
            return Err(EditError::ChangedMeanwhile(target.clone()));
        }
        let new = Beside::write(target, new, Some(&metadata), metadata.mode() & modes)?;
        let copy = backup.map(|backup| self.copy(backup, &metadata)).transpose()?.flatten();
        if !fs::metadata(target).is_ok_and(|now| is_same(&now, &metadata)) {
            return Err(EditError::ChangedMeanwhile(target.clone()));
        }
        if let (Some(copy), Some(backup)) = (copy, backup) {
            copy.rename(backup)?;
        }
        new.rename(target)
    }

    /// The copy that is to become the backup, unless that is there.
    fn copy(&self, backup: &Path, metadata: &Metadata) -> Result<Option<Beside>, EditError> {
        if fs::symlink_metadata(backup).is_ok() {
            let is_file = fs::metadata(backup).is_ok_and(|it| it.is_file());
            let same = is_file && read(backup, self.limit).is_ok_and(|(old, _)| old == self.bytes);
            return if same { Ok(None) } else { Err(EditError::BackupInTheWay(backup.to_owned())) };
        }
        let copy = Beside::write(&self.target, &self.bytes, Some(metadata), metadata.mode())?;
        let times = metadata.modified().map(|time| FileTimes::new().set_modified(time));
        times.and_then(|times| copy.file.set_times(times)).map_err(|error| failed(&copy.path, error))?;
        Ok(Some(copy))
    }
}

/// Makes the file `path` with these bytes and this mode, where nothing is yet.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), EditError> {
    Beside::write(path, bytes, None, mode)?.link(path)
}

/// The bytes of a file, one more than `limit` at most, and what it was when they were read.
fn read(path: &Path, limit: usize) -> io::Result<(Vec<u8>, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

/// Whether both are of the same file with the same content.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    let key = |it: &Metadata| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec());
    key(one) == key(other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with `file` in it, which holds `old` and was read.
    fn original() -> (tempfile::TempDir, PathBuf, Original) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let original = Original::read(&path, 100).unwrap();
        (folder, path, original)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_change_by_someone_else_is_not_lost() {
        let (folder, path, original) = original();
        fs::write(&path, "theirs").unwrap();
        let error = original.replace(b"new", Some(&folder.path().join("backup"))).unwrap_err();
        assert!(matches!(error, EditError::ChangedMeanwhile(_)), "{error}");
        fs::remove_file(&path).unwrap();
        let error = original.replace(b"new", None).unwrap_err();
        assert!(matches!(error, EditError::ReadOnlyFile(..)), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_an_overlay_copied_up_is_replaced() {
        let (folder, path, original) = original();
        // What is to be seen of the copying: the same text in another file.
        fs::write(folder.path().join("copied"), "old").unwrap();
        fs::rename(folder.path().join("copied"), &path).unwrap();
        original.replace(b"new", None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_link_stays_a_link_and_the_mode_stays() {
        let (folder, path, _) = original();
        let link = folder.path().join("link");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        Original::read(&link, 100).unwrap().replace(b"new", Some(&folder.path().join("backup"))).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("file"));
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o640));
        assert_eq!(fs::read(folder.path().join("backup")).unwrap(), b"old");
        Original::read(&link, 100).unwrap().replace_private(b"secret").unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn nothing_is_made_over_a_file_that_is_there_and_no_large_file_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(Original::find(&path, 100).unwrap(), None);
        create(&path, b"made", 0o600).unwrap();
        let error = create(&path, b"again", 0o600).unwrap_err();
        assert!(matches!(error, EditError::ChangedMeanwhile(_)), "{error}");
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"made".to_vec(), 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(Original::read(&path, 3), Err(EditError::TooLarge(_, 3))));
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink("nothing", &dangling).unwrap();
        assert!(matches!(Original::find(&dangling, 100), Err(EditError::Read(..))));
    }
}
