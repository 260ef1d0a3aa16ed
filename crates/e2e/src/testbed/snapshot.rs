//! Every file of a container or of a layer, with all that can be compared.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

use anyhow::Context;
use oci_image::Digest;
use sha2::{Digest as _, Sha256};

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file: its length in bytes and its digest.
    File(u64, Digest),
    /// A symbolic link to this.
    Link(String),
    /// A device or a pipe.
    Special,
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner and group.
    pub owner: (u64, u64),
    /// The text of a script, a `RECORD` or an `entry_points.txt`.
    pub text: Option<String>,
}

/// All paths, without slashes at either end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The entries by path.
    pub entries: BTreeMap<String, Entry>,
    /// When each was modified, seconds since 1970.
    pub times: BTreeMap<String, u64>,
}

/// Longer files are compared by digest alone.
const TEXT_LIMIT: u64 = 4 * 1024 * 1024;

impl Snapshot {
    /// Reads a tar archive to its end.
    pub fn read(archive: impl Read) -> anyhow::Result<Self> {
        let mut snapshot = Self::default();
        let mut reader = tar::Archive::new(archive);
        for entry in reader.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().trim_start_matches("./").trim_matches('/').to_owned();
            if path.is_empty() {
                continue;
            }
            let link = entry.link_name()?.map(|name| name.to_string_lossy().into_owned());
            let header = entry.header();
            let mode = header.mode()? & 0o7777;
            let owner = (header.uid()?, header.gid()?);
            let mut text = None;
            let kind = match header.entry_type() {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Symlink => Kind::Link(link.context("a link to nothing")?),
                // A second name of a file that came before.
                tar::EntryType::Link => {
                    let target = link.context("a link to nothing")?;
                    let first = snapshot.entries.get(target.trim_start_matches("./").trim_matches('/'));
                    first.with_context(|| format!("`{path}` links to `{target}`, which is not there"))?.kind.clone()
                }
                tar::EntryType::Regular => {
                    let size = entry.size();
                    let texts = ["/RECORD", "/entry_points.txt"].iter().any(|name| path.ends_with(name));
                    let wanted = (texts || path.contains("/bin/")) && size <= TEXT_LIMIT;
                    let mut hashing = Hashing { hash: Sha256::new(), kept: wanted.then(Vec::new) };
                    std::io::copy(&mut entry, &mut hashing)?;
                    text = hashing.kept.and_then(|bytes| String::from_utf8(bytes).ok());
                    Kind::File(size, Digest::from_bytes(hashing.hash.finalize().into()))
                }
                _ => Kind::Special,
            };
            snapshot.times.insert(path.clone(), entry.header().mtime()?);
            snapshot.entries.insert(path, Entry { kind, mode, owner, text });
        }
        // Who writes bytes behind the archive's end would else die of a closed pipe.
        std::io::copy(&mut reader.into_inner(), &mut std::io::sink())?;
        Ok(snapshot)
    }

    /// Takes away what container engines put into every container by themselves.
    pub fn without_the_engines_own(mut self) -> Self {
        const OWN: [&str; 10] = [
            ".dockerenv",
            "dev",
            "etc/hostname",
            "etc/hosts",
            "etc/mtab",
            "etc/resolv.conf",
            "proc",
            "run",
            "sys",
            "var/run",
        ];
        self.entries.retain(|path, _| {
            !OWN.iter().any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        });
        self
    }

    /// Puts a layer upon what is there (OCI image spec, layer.md, "Applying Changesets").
    pub fn put_on(&mut self, layer: Self) {
        const WHITEOUT: &str = ".wh.";
        let is_whiteout = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT));
        for path in layer.entries.keys().filter(|path| is_whiteout(path)) {
            self.remove(&path.replacen(WHITEOUT, "", 1), true);
        }
        for (path, entry) in layer.entries.into_iter().filter(|(path, _)| !is_whiteout(path)) {
            self.remove(&path, entry.kind != Kind::Folder);
            self.times.extend(layer.times.get(&path).map(|time| (path.clone(), *time)));
            self.entries.insert(path, entry);
        }
    }

    /// Takes a path away, and what is in it.
    fn remove(&mut self, path: &str, with_contents: bool) {
        let old = self.entries.remove(path);
        if with_contents && old.is_some_and(|old| old.kind == Kind::Folder) {
            let below = format!("{path}/");
            self.entries.retain(|other, _| !other.starts_with(&below));
        }
    }
}

struct Hashing {
    hash: Sha256,
    kept: Option<Vec<u8>>,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hash.update(bytes);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_of_a_file_has_its_contents() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(2);
        header.set_uid(1000);
        header.set_gid(100);
        builder.append_data(&mut header, "./bin/a", &b"hi"[..]).unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Link);
        link.set_mode(0o644);
        link.set_uid(1000);
        link.set_gid(100);
        link.set_size(0);
        builder.append_link(&mut link, "bin/b", "bin/a").unwrap();
        let snapshot = Snapshot::read(&builder.into_inner().unwrap()[..]).unwrap();
        assert_eq!(snapshot.entries["bin/a"].kind, snapshot.entries["bin/b"].kind);
        assert_eq!(snapshot.entries["bin/a"].owner, (1000, 100));
    }

    #[test]
    fn a_layer_replaces_and_takes_away() {
        let of = |paths: &[&str], kind: Kind| {
            let entry = |path: &&str| {
                ((*path).to_owned(), Entry { kind: kind.clone(), mode: 0o755, owner: (0, 0), text: None })
            };
            Snapshot { entries: paths.iter().map(entry).collect(), ..Snapshot::default() }
        };
        let mut files = of(&["a", "a/b", "a/c", "ab", "d", "d/e"], Kind::Folder);
        files.put_on(of(&["a", "a/.wh.b", "a/x", ".wh.d"], Kind::Folder));
        assert_eq!(files.entries.keys().collect::<Vec<_>>(), ["a", "a/c", "a/x", "ab"]);
        files.put_on(of(&["a"], Kind::Link("ab".to_owned())));
        assert_eq!(files.entries.keys().collect::<Vec<_>>(), ["a", "ab"]);
    }

    #[test]
    fn what_an_engine_adds_is_not_the_images() {
        let entry = Entry { kind: Kind::Folder, mode: 0o755, owner: (0, 0), text: None };
        let paths = ["dev", "dev/null", "device", "etc/hosts", "etc/hosts.d", ".dockerenv", "run/x"];
        let entries = paths.map(|path| (path.to_owned(), entry.clone())).into();
        let left = Snapshot { entries, ..Snapshot::default() }.without_the_engines_own();
        assert_eq!(left.entries.keys().collect::<Vec<_>>(), ["device", "etc/hosts.d"]);
    }
}
