//! Every file of a container or of a layer, with all that can be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    io::Read,
};

use anyhow::Context;
use oci_image::Digest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Folder,
    /// A file: its length in bytes and its digest.
    File(u64, Digest),
    Link(String),
    Special,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub mode: u32,
    pub owner: (u64, u64),
    /// The text of a script, a `RECORD` or an `entry_points.txt`.
    pub text: Option<String>,
}

/// All paths, without slashes at either end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub entries: BTreeMap<String, Entry>,
    /// When each was modified, seconds since 1970.
    pub times: BTreeMap<String, u64>,
}

/// Longer files are compared by digest alone.
const TEXT_LIMIT: usize = 4 * 1024 * 1024;

/// In the words of `ls`.
impl Display for Entry {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Folder => write!(out, "folder"),
            Kind::File(size, digest) => write!(out, "file of {size} bytes {}", &digest.hex()[..12]),
            Kind::Link(target) => write!(out, "link to {target}"),
            Kind::Special => write!(out, "device"),
        }?;
        write!(out, " {:04o} {}:{}", self.mode, self.owner.0, self.owner.1)
    }
}

/// What is at a path here and there, which differ.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'s> {
    pub path: &'s str,
    pub here: Option<&'s Entry>,
    pub there: Option<&'s Entry>,
}

impl Display for Difference<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match (self.here, self.there) {
            (Some(here), Some(there)) => write!(out, "{}: {here} became {there}", self.path),
            (Some(here), None) => write!(out, "{}: {here} is gone", self.path),
            (None, there) => write!(out, "{}: {} is new", self.path, there.map(Entry::to_string).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
impl Entry {
    pub fn folder(mode: u32, owner: (u64, u64)) -> Self {
        Self { kind: Kind::Folder, mode, owner, text: None }
    }
}

impl Snapshot {
    #[cfg(test)]
    pub fn of(entries: &[(&str, Entry)]) -> Self {
        let entries = entries.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone()));
        Self { entries: entries.collect(), ..Self::default() }
    }

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
                    let texts = ["/RECORD", "/entry_points.txt"].iter().any(|name| path.ends_with(name));
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    let kind = Kind::File(bytes.len() as u64, Digest::of(&bytes));
                    let is_kept = (texts || path.contains("/bin/")) && bytes.len() <= TEXT_LIMIT;
                    text = Some(bytes).filter(|_| is_kept).and_then(|bytes| String::from_utf8(bytes).ok());
                    kind
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

    /// The paths that differ, times aside.
    pub fn differences<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = Difference<'s>> {
        let paths: BTreeSet<&String> = self.entries.keys().chain(other.entries.keys()).collect();
        let both = paths.into_iter().map(|path| (path.as_str(), self.entries.get(path), other.entries.get(path)));
        both.filter(|(_, here, there)| here != there).map(|(path, here, there)| Difference { path, here, there })
    }

    /// Removes what container engines put into every container by themselves.
    pub fn without_the_engines_own(mut self) -> Self {
        const OWN: &str = ".dockerenv dev etc/hostname etc/hosts etc/mtab etc/resolv.conf proc run sys var/run";
        self.entries.retain(|path, _| !OWN.split(' ').any(|own| oci_image::is_within(path, own)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_of_a_file_has_its_contents() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(1000);
        header.set_gid(100);
        header.set_size(2);
        builder.append_data(&mut header, "./bin/a", &b"hi"[..]).unwrap();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        builder.append_link(&mut header, "bin/b", "bin/a").unwrap();
        let snapshot = Snapshot::read(&builder.into_inner().unwrap()[..]).unwrap();
        assert_eq!(snapshot.entries["bin/a"].kind, snapshot.entries["bin/b"].kind);
        assert_eq!(snapshot.entries["bin/a"].owner, (1000, 100));
    }

    #[test]
    fn layers_replace_and_remove_and_what_an_engine_adds_is_not_the_images() {
        let folders = |paths: &[&str]| {
            Snapshot::of(&paths.iter().map(|path| (*path, Entry::folder(0o755, (0, 0)))).collect::<Vec<_>>())
        };
        let mut files = folders(&["a", "a/b", "a/c", "ab", "d", "d/e"]);
        files.put_on(folders(&["a", "a/.wh.b", "a/x", ".wh.d"]));
        assert_eq!(files.entries.keys().collect::<Vec<_>>(), ["a", "a/c", "a/x", "ab"]);
        let link = Entry { kind: Kind::Link("ab".to_owned()), ..Entry::folder(0o755, (0, 0)) };
        files.put_on(Snapshot::of(&[("a", link)]));
        assert_eq!(files.entries.keys().collect::<Vec<_>>(), ["a", "ab"]);
        let paths = ["dev", "dev/null", "device", "etc/hosts", "etc/hosts.d", ".dockerenv", "run/x"];
        let left = folders(&paths).without_the_engines_own();
        assert_eq!(left.entries.keys().collect::<Vec<_>>(), ["device", "etc/hosts.d"]);
    }

    #[test]
    fn a_changed_owner_a_changed_mode_a_missing_path_and_a_new_one_differ() {
        let before = Snapshot::of(&["a", "b", "c", "e"].map(|path| (path, Entry::folder(0o755, (0, 0)))));
        let after = [("a", 0o755, 1000), ("b", 0o1777, 0), ("d", 0o700, 0), ("e", 0o755, 0)];
        let after = Snapshot::of(&after.map(|(path, mode, uid)| (path, Entry::folder(mode, (uid, 0)))));
        expect_test::expect![[r#"
            a: folder 0755 0:0 became folder 0755 1000:0
            b: folder 0755 0:0 became folder 1777 0:0
            c: folder 0755 0:0 is gone
            d: folder 0700 0:0 is new"#]]
        .assert_eq(&before.differences(&after).map(|one| one.to_string()).collect::<Vec<_>>().join("\n"));
    }
}
