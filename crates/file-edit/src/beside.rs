//! A complete file under a passing name, until it takes the place of another.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use crate::{attributes, error::EditError};

/// A complete file in the folder of another; removed when it is dropped without a rename.
pub(crate) struct Beside {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    is_gone: bool,
}

impl Beside {
    /// `bytes`, safely on the disk, with this mode. With `like`, a file, it has that one's owner and attributes, and only
    /// those bits of `mode` that it has too.
    pub(crate) fn write(target: &Path, bytes: &[u8], like: Option<&File>, mode: u32) -> Result<Self, EditError> {
        remove_left(target);
        let mut beside =
            Self::create_locked(target).map_err(|error| EditError::ReadOnlyFolder(folder(target).to_owned(), error))?;
        beside.fill(bytes, like, mode).map_err(|error| failed(target, error))?;
        Ok(beside)
    }

    /// One that [`remove_left`] spares as long as it is open.
    fn create_locked(target: &Path) -> io::Result<Self> {
        loop {
            let mut beside = Self::create(target, 0o600)?;
            // One that is not locked yet may be taken for left over: then it is for the other run to remove.
            let is_taken = matches!(beside.file.try_lock(), Err(TryLockError::WouldBlock));
            beside.is_gone = is_taken || !is_at(&beside.path, &beside.file);
            if !beside.is_gone {
                return Ok(beside);
            }
        }
    }

    fn create(target: &Path, mode: u32) -> io::Result<Self> {
        // Names that are taken are left over from runs that were killed, or belong to one at the same time: servers of a
        // job that share a file system tend to have the same process id, each in its own container.
        let mut attempt = 0;
        loop {
            let mut name = passing_name(target);
            name.push(format!("{}-{attempt}", std::process::id()));
            let path = folder(target).join(name);
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
                Ok(file) => return Ok(Self { path, file, is_gone: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 10_000 => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self, bytes: &[u8], like: Option<&File>, mut mode: u32) -> io::Result<()> {
        if let Some(like) = like {
            let (own, theirs) = (self.file.metadata()?, like.metadata()?);
            if (own.uid(), own.gid()) != (theirs.uid(), theirs.gid()) {
                fchown(&self.file, Some(theirs.uid()), Some(theirs.gid()))?;
            }
            attributes::copy(like, &self.file)?;
            mode &= theirs.mode();
        }
        // An access control list may have let others in, who are not to read a secret.
        self.file.set_permissions(fs::Permissions::from_mode(0o600))?;
        self.file.write_all(bytes)?;
        // Last: another owner takes setuid and setgid away, and the mask of such a list is part of the mode.
        self.file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
        self.file.sync_all()
    }

    /// Takes the place of whatever is at `to`.
    pub(crate) fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_gone = true;
        Ok(())
    }

    /// Goes to `to`, where nothing may be.
    pub(crate) fn link(self, to: &Path) -> Result<(), EditError> {
        fs::hard_link(&self.path, to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => EditError::ChangedMeanwhile(to.to_owned()),
            _ => failed(to, error),
        })?;
        // Its passing name goes when it is dropped.
        drop(self);
        sync_folder(to);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_gone {
            // Nothing more can be done about a file that can't be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Puts a new file at `target`, whole or not at all: whoever opens it meanwhile has the old one or the new one. A symbolic
/// link there is replaced, not followed.
///
/// `fill` writes it; `mode` is before the umask. Whether it is on the disk afterwards is up to `fill`. On an error, of
/// `fill` too, `target` is as it was.
pub fn replace(target: &Path, mode: u32, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut beside = Beside::create(target, mode)?;
    fill(&mut beside.file)?;
    beside.rename(target)
}

/// The start of the names of files beside `target`. A name has at most 255 bytes, so of a long one the first 200 must do.
fn passing_name(target: &Path) -> OsString {
    let name = target.file_name().unwrap_or_default().as_bytes();
    OsString::from_vec([b".", &name[..name.len().min(200)], b".fmtk-"].concat())
}

/// Removes what runs that were killed have left beside `target`: whoever still works has locked theirs. Process ids would
/// not tell, because the folder may be shared by containers.
fn remove_left(target: &Path) {
    let start = passing_name(target);
    let Ok(entries) = fs::read_dir(folder(target)) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let rest = name.as_bytes().strip_prefix(start.as_bytes());
        let is_ours = rest.is_some_and(|rest| rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-')));
        if !is_ours || !entry.file_type().is_ok_and(|it| it.is_file()) {
            continue;
        }
        // One that can't be opened, locked or removed stays: it is not for this run to judge.
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
            && is_at(&entry.path(), &file)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether `path` names this file still, and not a newer one.
fn is_at(path: &Path, file: &File) -> bool {
    let number = |metadata: io::Result<Metadata>| metadata.map(|it| it.ino()).ok();
    number(file.metadata()).is_some_and(|own| number(fs::symlink_metadata(path)) == Some(own))
}

fn folder(of: &Path) -> &Path {
    of.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn failed(path: &Path, error: io::Error) -> EditError {
    EditError::Write(path.to_owned(), error)
}

/// Some file systems can't sync a folder; the rename is done either way, only a power cut could undo it.
pub(crate) fn sync_folder(of: &Path) {
    if let Some(folder) = of.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_has_left_goes_and_what_another_works_on_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        for name in [".a.fmtk-77-0", ".a.fmtk-notes", ".ab.fmtk-77-0"] {
            fs::write(folder.path().join(name), "left").unwrap();
        }
        let at_work = Beside::write(&target, b"one", None, 0o600).unwrap();
        Beside::write(&target, b"two", None, 0o600).unwrap().rename(&target).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        let own = at_work.path.file_name().unwrap().to_owned();
        assert_eq!(names, [own, ".a.fmtk-notes".into(), ".ab.fmtk-77-0".into(), "a".into()]);
    }

    #[test]
    fn a_name_may_be_as_long_as_names_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("n".repeat(255));
        replace(&target, 0o600, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn those_who_work_at_once_remove_nothing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        let write = || Beside::write(&target, b"new", None, 0o600).unwrap().rename(&target).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| write()));
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        // One that was killed has left this.
        let left = folder.path().join(format!(".a.fmtk-{}-0", std::process::id()));
        fs::write(&left, "left").unwrap();

        replace(&path, 0o640, |file| file.write_all(b"one")).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"one".to_vec(), 2));
        assert_eq!(path.metadata().unwrap().mode() & 0o137, 0, "no more than was asked for");

        let fails = |file: &mut File| file.write_all(b"tw").and(Err(io::Error::other("no more")));
        assert_eq!(replace(&path, 0o600, fails).unwrap_err().to_string(), "no more");
        assert_eq!((fs::read(&path).unwrap(), names()), (b"one".to_vec(), 2));

        fs::create_dir(folder.path().join("b")).unwrap();
        replace(&folder.path().join("b"), 0o600, |_| Ok(())).unwrap_err();
        assert_eq!((fs::read(&left).unwrap(), names()), (b"left".to_vec(), 3));
    }
}
