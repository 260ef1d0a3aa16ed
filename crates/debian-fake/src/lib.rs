//! Debian packages (deb(5)) made for a purpose, for tests: right in all but what a test is about.

#![allow(clippy::unwrap_used, reason = "writing to memory does not fail, and a test that can not go on fails")]

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use lzma_rust2::{XzOptions, XzWriter};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::EntryType;

/// A package of what it tells about itself and what it installs.
#[derive(Debug)]
pub struct Deb {
    control: Tar,
    data: Tar,
}

impl Deb {
    /// A package with these lines as its `control`.
    pub fn new(control: &str, data: Tar) -> Self {
        Self { control: Tar::default().file("./control", 0o644, control.as_bytes()), data }
    }

    /// Adds a file beside `control`.
    pub fn tells(self, name: &str, text: &str) -> Self {
        Self { control: self.control.file(name, 0o644, text.as_bytes()), ..self }
    }

    /// The `.deb` as Ubuntu makes them, compressed by zstd.
    pub fn zstd(self) -> Vec<u8> {
        self.packed(".zst", |tar| compress_to_vec(tar, CompressionLevel::Fastest))
    }

    /// The `.deb`.
    pub fn bytes(self) -> Vec<u8> {
        self.packed(".xz", xz)
    }

    /// The `.deb` with both archives compressed by `pack`, whose names end so.
    pub fn packed(self, suffix: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let [control, data] = [self.control, self.data].map(|tar| pack(&tar.bytes()));
        let [control_name, data_name] = ["control.tar", "data.tar"].map(|name| format!("{name}{suffix}"));
        archive(&[("debian-binary", b"2.0\n"), (&control_name, &control), (&data_name, &data)])
    }
}

/// A tar archive whose entries are added one by one; everything in it belongs to root.
#[derive(Debug, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// Adds a file.
    pub fn file(self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, mode, "", bytes)
    }

    /// Adds a folder.
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, path, mode, "", &[])
    }

    /// Adds a symbolic link.
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, 0o777, target, &[])
    }

    /// Adds another name of a file.
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, 0o755, target, &[])
    }

    /// Adds anything. The path, of at most 100 bytes, is written as it is, also where it leads out.
    pub fn entry(mut self, kind: EntryType, path: &str, mode: u32, target: &str, bytes: &[u8]) -> Self {
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
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The archive.
    pub fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// Compressed by xz.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// Compressed by gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// An `ar` archive of these members.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, bytes) in members {
        builder.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}
