//! What differs between two exports of a container: two tar streams become two maps of paths, which are compared. Memory
//! grows with the number of files, about 250 bytes each, and not with their size.
//!
//! Owner, mode, kind, target and contents count; times do not, since engines and clocks make them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, BufReader, Read},
};

use image_name::Digest;
use oci_image::{Attr, EntryKind, MTIME, ParentDirs, TarError, TarReader, is_within};
use sha2::{Digest as _, Sha256};

use super::script::MOUNT;
use crate::{recipe::Matcher, terminal::report::Problems};

/// What is at every path. What is in a folder follows it in the order of the keys.
pub type Snapshot = BTreeMap<Ordered, Item>;

/// An absolute path that sorts by its components: a folder, what is in it, what is beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ordered(String);

impl Ordered {
    /// Of a path, with or without its leading slash.
    pub fn new(path: &str) -> Self {
        // NUL is in no name and comes before every other character, which `/` does not.
        Self(path.trim_start_matches('/').replace('/', "\0"))
    }

    pub fn path(&self) -> String {
        format!("/{}", self.0.replace('\0', "/"))
    }

    /// The folders that it is in, the nearest last.
    fn above(&self) -> impl Iterator<Item = Self> + '_ {
        self.0.match_indices('\0').map(|(at, _)| Self(self.0[..at].to_owned()))
    }
}

/// What a container has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Owner and mode; the time is the layers'.
    pub attr: Attr,
    pub kind: Kind,
    /// Where the export has the contents of a file, if under another name.
    first: Option<Ordered>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Dir,
    Symlink(String),
    File {
        size: u64,
        sha256: Digest,
    },
    /// A device, a pipe, a socket.
    Special,
}

/// What an installer changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is new or another than before, by where the export has it: a file of several names has its contents there.
    pub kept: BTreeMap<Ordered, KeptItem>,
    /// Topmost paths that are gone.
    pub removed: Vec<String>,
    /// The folders above what is kept.
    pub parents: ParentDirs,
}

/// Something that is in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptItem {
    /// Owner and mode; the time is the layers'.
    pub attr: Attr,
    pub kind: Kind,
    /// Its absolute paths in the layer. Only a file has several.
    pub names: Vec<String>,
}

/// Reads the state of a container.
pub fn snapshot(export: impl Read) -> Result<Snapshot, TarError> {
    let mut export = BufReader::with_capacity(256 << 10, export);
    let mut tar = TarReader::new(&mut export as &mut dyn BufRead);
    let mut snapshot = Snapshot::new();
    while let Some(entry) = tar.next_entry()? {
        // The root is no change of the installer's.
        if entry.path.is_empty() {
            continue;
        }
        let mut first = None;
        let kind = match entry.kind {
            EntryKind::Dir => Kind::Dir,
            EntryKind::Symlink(target) => Kind::Symlink(target),
            EntryKind::File(size) => {
                let sha256 = hash(&mut tar.contents());
                Kind::File { size, sha256: sha256.map_err(|source| TarError::Read { offset: entry.offset, source })? }
            }
            EntryKind::HardLink(target) => {
                let path = Ordered::new(&target);
                let Some(item) = snapshot.get(&path) else {
                    let reason =
                        format!("`{}` is another name of `{target}`, which does not come before it", entry.path);
                    return Err(TarError::Malformed { offset: entry.offset, reason });
                };
                first = item.first.clone().or(Some(path));
                item.kind.clone()
            }
            EntryKind::Sparse | EntryKind::Other => Kind::Special,
        };
        let attr = Attr { mtime: MTIME, ..entry.attr };
        snapshot.insert(Ordered::new(&entry.path), Item { attr, kind, first });
    }
    Ok(snapshot)
}

fn hash(contents: &mut impl Read) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 64 << 10];
    loop {
        match contents.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(hash.finalize().into())),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// Compares two states. What can't be in a layer is told by name. Times of folders are taken from `dirs`, those of the
/// base where it was inspected: those of an export are the engine's.
pub fn compare(
    before: &Snapshot,
    after: &Snapshot,
    drop: &Matcher,
    dirs: Option<&ParentDirs>,
) -> anyhow::Result<Changes> {
    let is_dropped = |path: &str| is_within(path, MOUNT) || drop.matches(path);
    let is_folder = |path: &Ordered| after.get(path).is_some_and(|item| item.kind == Kind::Dir);
    let mut changes = Changes::default();
    let mut problems = Problems::default();
    for (path, Item { attr, kind, first }) in after {
        if before.get(path).is_some_and(|item| item.attr == *attr && item.kind == *kind) {
            continue;
        }
        let name = path.path();
        if is_dropped(&name) {
            continue;
        }
        if name.contains(char::REPLACEMENT_CHARACTER) {
            problems.push(format_args!("CANN's installer wrote `{name}`, whose name is not UTF-8"), None);
        } else if *kind == Kind::Special {
            let hint = format!("if the image can do without it, add \"{name}\" to `cann.drop`");
            problems.push(
                format_args!("CANN's installer made `{name}`, a device, pipe or socket, which no layer can hold"),
                Some(hint),
            );
        } else {
            let first = first.as_ref().filter(|_| matches!(kind, Kind::File { .. }));
            let new = || KeptItem { attr: *attr, kind: kind.clone(), names: Vec::new() };
            changes.kept.entry(first.unwrap_or(path).clone()).or_insert_with(new).names.push(name);
        }
    }
    problems.into_result()?;
    // What is below a folder that is gone or has become something else goes with that.
    let is_removed = |path: &&Ordered| {
        !after.contains_key(path) && !is_dropped(&path.path()) && path.above().all(|folder| is_folder(&folder))
    };
    changes.removed.extend(before.keys().filter(is_removed).map(Ordered::path));
    let names = changes.kept.values().flat_map(|item| &item.names).chain(&changes.removed);
    let above: BTreeSet<Ordered> = names.flat_map(|name| Ordered::new(name).above().collect::<Vec<_>>()).collect();
    let attr = |folder: Ordered| {
        let (path, attr) = (folder.path(), after.get(&folder)?.attr);
        let known = dirs.and_then(|dirs| dirs.get(&path)).filter(|_| !changes.kept.contains_key(&folder));
        Some((path, Attr { mtime: known.map_or(MTIME, |attr| attr.mtime), ..attr }))
    };
    let parents = above.into_iter().filter(is_folder).filter_map(attr).collect();
    Ok(Changes { parents, ..changes })
}

#[cfg(test)]
pub mod tests;
