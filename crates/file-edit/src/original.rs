//! A file as it was read, and replacing it by another text.

use std::{
    fs::{self, File, FileTimes, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    beside::{Beside, failed, sync_folder},
    error::EditError,
    signals::Held,
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
        let old_text = old_text(&target);
        if fs::symlink_metadata(&old_text).is_ok() {
            return Err(EditError::HalfWritten(target, old_text));
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
        let _held = Held::back();
        let file = self.open_for_writing()?;
        Beside::write(&self.target, b"", Some(&file), 0o600).map(drop)
    }

    fn open_for_writing(&self) -> Result<File, EditError> {
        let target = &self.target;
        let opened = OpenOptions::new().write(true).open(target);
        opened.map_err(|error| EditError::ReadOnlyFile(target.clone(), error))
    }

    /// Puts `new` in place of the file, and the old text to `backup` where one is named.
    ///
    /// The new text comes with mode, owner and extended attributes of the old one, by a rename, so that whoever opens the
    /// file has one or the other. Capabilities and signatures are not kept: the kernel removes them from any file that is
    /// written. A symbolic link stays and its target is replaced; of several hard links only the one
    /// named gets the new text. A file that is a mount point can't be replaced: it is overwritten, and while that lasts the
    /// old text is beside it as `NAME.fmtk-old`. The backup has mode, owner, attributes and times of the file; one that is
    /// there already must be the same text.
    ///
    /// SIGHUP, SIGINT and SIGTERM wait until it is done. On an error the file is as it was, also where it has changed since
    /// it was read.
    pub fn replace(&self, new: &[u8], backup: Option<&Path>) -> Result<(), EditError> {
        self.put(new, backup, 0o7777)
    }

    /// Like [`Original::replace`] without a backup; nobody but its owner may read or write the file afterwards.
    pub fn replace_private(&self, new: &[u8]) -> Result<(), EditError> {
        self.put(new, None, 0o700)
    }

    fn put(&self, new: &[u8], backup: Option<&Path>, modes: u32) -> Result<(), EditError> {
        let _held = Held::back();
        let target = &self.target;
        // A rename would succeed on a file that may not be written; whoever made it so did not expect that.
        let file = self.open_for_writing()?;
        // Only now is it known which file it is: opened for writing, one of a lower layer of an overlay file system, as
        // in every container, is copied to the upper one and has another device, number and time of change from then on.
        let (bytes, metadata) = read(target, self.limit).map_err(|error| EditError::Read(target.clone(), error))?;
        if bytes != self.bytes {
            return Err(EditError::ChangedMeanwhile(target.clone()));
        }
        let beside = Beside::write(target, new, Some(&file), modes)?;
        let copy = backup.map(|backup| self.copy(backup, &file)).transpose()?.flatten();
        if !fs::metadata(target).is_ok_and(|now| is_same(&now, &metadata)) {
            return Err(EditError::ChangedMeanwhile(target.clone()));
        }
        if let (Some(copy), Some(backup)) = (copy, backup) {
            copy.rename(backup).map_err(|error| failed(backup, error))?;
        }
        match beside.rename(target) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => self.overwrite(&file, new, modes),
            renamed => renamed.map_err(|error| failed(target, error)),
        }?;
        sync_folder(target);
        Ok(())
    }

    /// Writes `new` into the file itself.
    fn overwrite(&self, file: &File, new: &[u8], modes: u32) -> Result<(), EditError> {
        let old_text = old_text(&self.target);
        Beside::write(&self.target, &self.bytes, Some(file), modes)?.link(&old_text)?;
        let write = |bytes: &[u8]| {
            file.write_all_at(bytes, 0)?;
            file.set_len(bytes.len() as u64)?;
            file.sync_all()
        };
        let allow = || file.set_permissions(fs::Permissions::from_mode(file.metadata()?.mode() & modes));
        if let Err(error) = allow().and_then(|()| write(new)) {
            write(&self.bytes).map_err(|_| EditError::HalfWritten(self.target.clone(), old_text.clone()))?;
            // Whole again; the copy is not needed.
            let _ = fs::remove_file(&old_text);
            return Err(failed(&self.target, error));
        }
        fs::remove_file(&old_text).map_err(|_| EditError::HalfWritten(self.target.clone(), old_text))
    }

    /// The copy that is to become the backup, unless that is there.
    fn copy(&self, backup: &Path, file: &File) -> Result<Option<Beside>, EditError> {
        if fs::symlink_metadata(backup).is_ok() {
            let is_file = fs::metadata(backup).is_ok_and(|it| it.is_file());
            let same = is_file && read(backup, self.limit).is_ok_and(|(old, _)| old == self.bytes);
            return if same { Ok(None) } else { Err(EditError::BackupInTheWay(backup.to_owned())) };
        }
        let copy = Beside::write(&self.target, &self.bytes, Some(file), 0o7777)?;
        let times = file.metadata().and_then(|it| it.modified()).map(|time| FileTimes::new().set_modified(time));
        times.and_then(|times| copy.file.set_times(times)).map_err(|error| failed(&copy.path, error))?;
        Ok(Some(copy))
    }
}

/// Makes the file `path` with these bytes and this mode, where nothing is yet.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), EditError> {
    let _held = Held::back();
    Beside::write(path, bytes, None, mode)?.link(path)
}

/// Where the old text of the file is while the file is overwritten.
fn old_text(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".fmtk-old");
    name.into()
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
    use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};

    use super::*;

    /// A folder with `file` in it, which holds `old` and was read.
    fn original() -> (tempfile::TempDir, PathBuf, Original) {
        original_in(tempfile::tempdir().unwrap())
    }

    fn original_in(folder: tempfile::TempDir) -> (tempfile::TempDir, PathBuf, Original) {
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

    /// An access control list as the kernel has it: what owner, user 1000, group, mask and others may do.
    fn access_list(mask: u8) -> Vec<u8> {
        let entry = |tag: u8, may: u8, id: u32| [&[tag, 0, may, 0][..], &id.to_le_bytes()].concat();
        let of_nobody = u32::MAX;
        let entries = [
            entry(0x01, 6, of_nobody),
            entry(0x02, 6, 1000),
            entry(0x04, 4, of_nobody),
            entry(0x10, mask, of_nobody),
            entry(0x20, 0, of_nobody),
        ];
        [&2u32.to_le_bytes()[..], &entries.concat()].concat()
    }

    #[test]
    fn attributes_and_access_control_lists_stay_and_no_list_comes_from_the_folder() {
        const ACCESS: &str = "system.posix_acl_access";
        let set = |path: &Path, name: &str, value: &[u8]| setxattr(path, name, value, XattrFlags::empty());
        let value = |path: &Path, name: &str| {
            let mut value = [0; 100];
            getxattr(path, name, &mut value[..]).ok().map(|length| value[..length].to_vec())
        };
        // Not every file system of a temporary folder has attributes, but ext4, XFS and Linux 6.6's tmpfs have.
        let has_attributes = |folder: &tempfile::TempDir| {
            set(folder.path(), "user.note", b"").and_then(|()| set(folder.path(), ACCESS, &access_list(6))).is_ok()
        };
        let folders = [&*std::env::temp_dir(), Path::new("/var/tmp"), Path::new("/dev/shm"), Path::new(".")];
        let mut folders = folders.into_iter().filter_map(|folder| tempfile::tempdir_in(folder).ok());
        let folder = folders.find(has_attributes).expect("set TMPDIR to a folder whose file system has attributes");
        let (folder, path, original) = original_in(folder);
        let backup = folder.path().join("backup");
        set(&path, "user.note", b"kept").unwrap();
        set(&path, ACCESS, &access_list(6)).unwrap();
        set(folder.path(), "system.posix_acl_default", &access_list(6)).unwrap();
        original.replace(b"new", Some(&backup)).unwrap();
        for file in [&path, &backup] {
            assert_eq!(value(file, "user.note"), Some(b"kept".to_vec()));
            assert_eq!((value(file, ACCESS), mode(file)), (Some(access_list(6)), 0o660));
        }
        Original::read(&path, 100).unwrap().replace_private(b"secret").unwrap();
        assert_eq!((value(&path, ACCESS), mode(&path)), (Some(access_list(0)), 0o600));

        let plain = folder.path().join("plain");
        fs::write(&plain, "old").unwrap();
        removexattr(&plain, ACCESS).unwrap();
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
        Original::read(&plain, 100).unwrap().replace(b"new", None).unwrap();
        assert_eq!((value(&plain, ACCESS), mode(&plain)), (None, 0o640));
    }

    #[test]
    fn a_mount_point_is_overwritten_and_one_that_was_left_half_written_is_named() {
        let (folder, path, original) = original();
        let (inode, old_text) = (fs::metadata(&path).unwrap().ino(), folder.path().join("file.fmtk-old"));
        let file = original.open_for_writing().unwrap();
        for new in [&b"a longer text"[..], b"ab"] {
            original.overwrite(&file, new, 0o7777).unwrap();
            assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino()), (new.to_vec(), inode));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        original.overwrite(&file, b"secret", 0o700).unwrap();
        assert_eq!(mode(&path), 0o600);
        // Neither text can be written: what was read is kept, and no run takes the rest for the file.
        let error = original.overwrite(&File::open(&path).unwrap(), b"new", 0o7777).unwrap_err();
        assert_eq!(
            error.to_string().replace(folder.path().to_str().unwrap(), ""),
            "`/file` may be half-written; its old text is `/file.fmtk-old`: move that back"
        );
        assert_eq!(fs::read(&old_text).unwrap(), b"old");
        assert!(matches!(Original::read(&path, 100), Err(EditError::HalfWritten(..))));
        assert!(matches!(original.overwrite(&file, b"new", 0o7777), Err(EditError::ChangedMeanwhile(_))));
        assert_eq!(fs::read(&path).unwrap(), b"secret");
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
