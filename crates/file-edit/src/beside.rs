//! A complete file under a passing name, until it takes the place of another.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use crate::error::EditError;

/// A complete file in the folder of another; removed when it is dropped without a rename.
pub(crate) struct Beside {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    renamed: bool,
}

impl Beside {
    /// `bytes` with this mode and the owner of another file, safely on the disk.
    pub(crate) fn write(target: &Path, bytes: &[u8], owner: Option<&Metadata>, mode: u32) -> Result<Self, EditError> {
        let mut beside =
            Self::create(target, 0o600).map_err(|error| EditError::ReadOnlyFolder(folder(target).to_owned(), error))?;
        beside.fill(bytes, owner, mode).map_err(|error| failed(target, error))?;
        Ok(beside)
    }

    fn create(target: &Path, mode: u32) -> io::Result<Self> {
        // Names that are taken are left over from runs that were killed, or belong to one at the same time: servers of a
        // job that share a file system tend to have the same process id, each in its own container.
        let mut attempt = 0;
        loop {
            let mut name = OsString::from(".");
            name.push(target.file_name().unwrap_or_default());
            name.push(format!(".fmtk-{}-{attempt}", std::process::id()));
            let path = folder(target).join(name);
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
                Ok(file) => return Ok(Self { path, file, renamed: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 10_000 => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self, bytes: &[u8], owner: Option<&Metadata>, mode: u32) -> io::Result<()> {
        self.file.write_all(bytes)?;
        let own = self.file.metadata()?;
        if let Some(owner) = owner.filter(|owner| (own.uid(), own.gid()) != (owner.uid(), owner.gid())) {
            fchown(&self.file, Some(owner.uid()), Some(owner.gid()))?;
        }
        // After the owner, because changing that takes setuid and setgid away.
        self.file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
        self.file.sync_all()
    }

    /// Takes the place of whatever is at `to`.
    pub(crate) fn rename(self, to: &Path) -> Result<(), EditError> {
        self.take_place(to).map_err(|error| failed(to, error))?;
        sync_folder(to);
        Ok(())
    }

    fn take_place(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.renamed = true;
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
        if !self.renamed {
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
    beside.take_place(target)
}

fn folder(of: &Path) -> &Path {
    of.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn failed(path: &Path, error: io::Error) -> EditError {
    EditError::Write(path.to_owned(), error)
}

/// Some file systems can't sync a folder; the rename is done either way, only a power cut could undo it.
fn sync_folder(of: &Path) {
    if let Some(folder) = of.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
