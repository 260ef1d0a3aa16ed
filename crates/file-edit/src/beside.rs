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
    /// `bytes`, with the owner of `like` and of its mode what is in `modes`, safely on the disk.
    pub(crate) fn write(target: &Path, bytes: &[u8], like: &Metadata, modes: u32) -> Result<Self, EditError> {
        let mut beside = Self::create(target)?;
        beside.fill(bytes, Some(like), like.mode() & modes).map_err(|error| failed(target, error))?;
        Ok(beside)
    }

    /// `bytes` with this mode, safely on the disk, for a place where nothing is yet.
    pub(crate) fn new(target: &Path, bytes: &[u8], mode: u32) -> Result<Self, EditError> {
        let mut beside = Self::create(target)?;
        beside.fill(bytes, None, mode).map_err(|error| failed(target, error))?;
        Ok(beside)
    }

    fn create(target: &Path) -> Result<Self, EditError> {
        let folder = target.parent().unwrap_or(Path::new("/"));
        // Names that are taken are left over from runs that were killed, or belong to one at the same time.
        let mut attempt = 0;
        loop {
            let mut name = OsString::from(".");
            name.push(target.file_name().unwrap_or_default());
            name.push(format!(".fmtk-{}-{attempt}", std::process::id()));
            let path = folder.join(name);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { path, file, renamed: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
                Err(error) => return Err(EditError::ReadOnlyFolder { path: folder.to_owned(), error }),
            }
        }
    }

    fn fill(&mut self, bytes: &[u8], like: Option<&Metadata>, mode: u32) -> io::Result<()> {
        self.file.write_all(bytes)?;
        let own = self.file.metadata()?;
        if let Some(like) = like.filter(|like| (own.uid(), own.gid()) != (like.uid(), like.gid())) {
            fchown(&self.file, Some(like.uid()), Some(like.gid()))?;
        }
        // After the owner, because changing that takes setuid and setgid away.
        self.file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
        self.file.sync_all()
    }

    /// Takes the place of whatever is at `to`.
    pub(crate) fn rename(mut self, to: &Path) -> Result<(), EditError> {
        fs::rename(&self.path, to).map_err(|error| failed(to, error))?;
        self.renamed = true;
        sync_folder(to);
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

pub(crate) fn failed(path: &Path, error: io::Error) -> EditError {
    EditError::Write { path: path.to_owned(), error }
}

/// Some file systems can't sync a folder; the rename is done either way, only a power cut could undo it.
fn sync_folder(of: &Path) {
    if let Some(folder) = of.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}
