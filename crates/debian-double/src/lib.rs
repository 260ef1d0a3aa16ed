//! Debian packages (deb(5)) made for a purpose, for tests: right in all but what a test is about.

use std::io::{self, Write as _};

use lzma_rust2::{XzOptions, XzWriter};
use tar::EntryType;

/// A package whose entries are added one by one.
#[derive(Debug)]
pub struct Deb {
    control: Tar,
    data: Tar,
}

impl Deb {
    /// A package with these lines as its `control`.
    pub fn new(control: &str) -> io::Result<Self> {
        Ok(Self { control: Tar::default().file("./control", 0o644, control.as_bytes())?, data: Tar::default() })
    }

    /// Adds a file beside `control`.
    pub fn tells(self, name: &str, text: &str) -> io::Result<Self> {
        Ok(Self { control: self.control.file(name, 0o644, text.as_bytes())?, ..self })
    }

    /// Adds what the package installs.
    pub fn with(self, add: impl FnOnce(Tar) -> io::Result<Tar>) -> io::Result<Self> {
        Ok(Self { data: add(self.data)?, ..self })
    }

    /// The `.deb`.
    pub fn bytes(self) -> io::Result<Vec<u8>> {
        let (control, data) = (xz(&self.control.bytes()?)?, xz(&self.data.bytes()?)?);
        archive(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &control), ("data.tar.xz", &data)])
    }
}

/// A tar archive; everything in it belongs to root.
pub struct Tar(tar::Builder<Vec<u8>>);

impl std::fmt::Debug for Tar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tar")
    }
}

impl Default for Tar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    /// Adds a file.
    pub fn file(self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<Self> {
        self.entry(EntryType::Regular, path, mode, "", bytes)
    }

    /// Adds a folder.
    pub fn folder(self, path: &str, mode: u32) -> io::Result<Self> {
        self.entry(EntryType::Directory, path, mode, "", &[])
    }

    /// Adds a symbolic link.
    pub fn link(self, path: &str, target: &str) -> io::Result<Self> {
        self.entry(EntryType::Symlink, path, 0o777, target, &[])
    }

    /// Adds another name of a file.
    pub fn hard_link(self, path: &str, target: &str) -> io::Result<Self> {
        self.entry(EntryType::Link, path, 0o755, target, &[])
    }

    /// Adds anything. The path, of at most 100 bytes, is written as it is, also where it leads out.
    pub fn entry(mut self, kind: EntryType, path: &str, mode: u32, target: &str, bytes: &[u8]) -> io::Result<Self> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.set_size(bytes.len() as u64);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, bytes)?;
        Ok(self)
    }

    /// The archive.
    pub fn bytes(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

/// Compressed by xz.
pub fn xz(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(0))?;
    writer.write_all(bytes)?;
    writer.finish()
}

/// An `ar` archive of these members.
pub fn archive(members: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, bytes) in members {
        builder.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), *bytes)?;
    }
    builder.into_inner()
}
