//! Small wheels made for a purpose: right in all but what a scenario is about.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// A wheel (PEP 427) with stored entries.
#[derive(Debug, Clone)]
pub struct FakeWheel {
    name: &'static str,
    version: &'static str,
    tag: String,
    requires: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    true_record: bool,
}

impl FakeWheel {
    /// Version 1.0 of a distribution for any Python, with one module of its name.
    pub fn new(name: &'static str) -> Self {
        let files = vec![(format!("{name}.py"), format!("NAME = '{name}'\n").into_bytes())];
        Self { name, version: "1.0", tag: "py3-none-any".to_owned(), requires: Vec::new(), files, true_record: true }
    }

    /// Gives it another version.
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Gives it another tag.
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = tag.to_owned();
        self
    }

    /// Adds a `Requires-Dist`.
    pub fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.to_owned());
        self
    }

    /// Adds a file.
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.files.push((path.to_owned(), bytes.to_owned()));
        self
    }

    /// Has RECORD tell another hash of the module than it has.
    pub fn lying_record(mut self) -> Self {
        self.true_record = false;
        self
    }

    /// Writes it under its proper name.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let Self { name, version, tag, .. } = self;
        let path = folder.join(format!("{name}-{version}-{tag}.whl"));
        fs::write(&path, zip(&self.entries())).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(path)
    }

    fn entries(&self) -> Vec<(String, Vec<u8>)> {
        let Self { name, version, tag, .. } = self;
        let info = format!("{name}-{version}.dist-info");
        let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        for requirement in &self.requires {
            metadata.push_str(&format!("Requires-Dist: {requirement}\n"));
        }
        let pure = if tag.ends_with("-any") { "true" } else { "false" };
        let wheel = format!("Wheel-Version: 1.0\nGenerator: e2e\nRoot-Is-Purelib: {pure}\nTag: {tag}\n");
        let mut entries = self.files.clone();
        entries.push((format!("{info}/METADATA"), metadata.into_bytes()));
        entries.push((format!("{info}/WHEEL"), wheel.into_bytes()));
        let mut record = String::new();
        for (index, (path, bytes)) in entries.iter().enumerate() {
            let told: &[u8] = if index == 0 && !self.true_record { b"something else" } else { bytes };
            record.push_str(&format!(
                "{path},sha256={},{}\n",
                BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(told)),
                bytes.len()
            ));
        }
        record.push_str(&format!("{info}/RECORD,,\n"));
        entries.push((format!("{info}/RECORD"), record.into_bytes()));
        entries
    }
}

/// A zip archive of stored entries (APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16).
fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in entries {
        let size = (bytes.len() as u32).to_le_bytes();
        // Version 2.0, no flags, stored, 1980-01-01 00:00:00, then CRC, both sizes and the lengths of name and extra.
        let mut shared = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        shared.extend(crc32fast::hash(bytes).to_le_bytes());
        shared.extend(size);
        shared.extend(size);
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend([0, 0]);

        let offset = (archive.len() as u32).to_le_bytes();
        archive.extend(b"PK\x03\x04");
        archive.extend(&shared);
        archive.extend(name.as_bytes());
        archive.extend(bytes);

        // Made by Unix; the mode of a plain file in the upper half of the external attributes.
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&shared);
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(offset);
        directory.extend(name.as_bytes());
    }
    let offset = (archive.len() as u32).to_le_bytes();
    let count = (entries.len() as u16).to_le_bytes();
    let length = (directory.len() as u32).to_le_bytes();
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count);
    archive.extend(count);
    archive.extend(length);
    archive.extend(offset);
    archive.extend([0, 0]);
    archive
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_record_tells_every_file_and_lies_where_it_is_told_to() {
        let record = |wheel: &FakeWheel| String::from_utf8(wheel.entries().pop().unwrap().1).unwrap();
        let honest = FakeWheel::new("a").requires("b>=2");
        expect![[r#"
            a.py,sha256=_s5nKewqj3-j0IIb9006C805mXwatmuXIAFSDmzQuek,11
            a-1.0.dist-info/METADATA,sha256=Zid-9KWtWKUqYlyt_CqGGZQvpQGgrWzVp_Wh8zebTJQ,63
            a-1.0.dist-info/WHEEL,sha256=1IgcJQ-qkPxc-fwyydcZLPVJ8SymybvV9LdKe57Y5GM,74
            a-1.0.dist-info/RECORD,,
        "#]]
        .assert_eq(&record(&honest));
        assert_ne!(record(&honest), record(&honest.clone().lying_record()));
    }
}
