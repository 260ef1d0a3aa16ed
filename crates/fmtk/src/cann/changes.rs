//! What differs between two exports of a container: a pure comparison of two tar streams, in memory that grows with the
//! number of files, about 150 bytes each, and not with their size.
//!
//! Owner, mode, kind, target and contents count; times do not, since engines and clocks make them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, BufRead, BufReader, Read},
};

use image_name::Digest;
use oci_image::{Attr, Contents, Entry, EntryKind, MTIME, ParentDirs, SkipRead, TarError, TarReader, is_within};
use sha2::{Digest as _, Sha256};

use super::script::MOUNT;
use crate::{recipe::Matcher, terminal::report::Problems};

/// A stream that can't be wound: skipping is reading.
pub struct Pipe<R>(BufReader<R>);

impl<R: Read> Pipe<R> {
    /// Reads from an engine.
    pub fn new(inner: R) -> Self {
        Self(BufReader::with_capacity(256 << 10, inner))
    }
}

impl<R: Read> Read for Pipe<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> BufRead for Pipe<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.0.consume(length);
    }
}

impl<R: Read> SkipRead for Pipe<R> {}

/// The state of every path, as a digest of all that counts. What is in a folder follows it in the order of the keys.
pub type Snapshot = BTreeMap<Ordered, Digest>;

/// An absolute path that sorts by its components: a folder, what is in it, what is beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordered(String);

impl Ordered {
    /// Of a path without a leading slash.
    pub fn new(path: &str) -> Self {
        // NUL is in no name and comes before every other character, which `/` does not.
        Self(path.replace('/', "\0"))
    }

    /// As people write it.
    pub fn path(&self) -> String {
        format!("/{}", self.0.replace('\0', "/"))
    }

    /// The folders that it is in, the nearest last.
    fn above(&self) -> impl Iterator<Item = Self> + '_ {
        self.0.match_indices('\0').map(|(at, _)| Self(self.0[..at].to_owned()))
    }
}

/// Something that is in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Owner and mode; the time is the layers'.
    pub attr: Attr,
    /// What it is.
    pub kind: Kind,
}

/// What something in a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink(String),
    /// A file.
    File {
        /// Length in bytes.
        size: u64,
        /// SHA-256 of the contents.
        sha256: Digest,
        /// Its other names that are kept.
        others: Vec<Ordered>,
    },
}

/// What an installer changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is new or another than before. Files of several names stand here under the first that is kept.
    pub kept: BTreeMap<Ordered, Kept>,
    /// Where the contents of a kept file come in the export, if under another name.
    pub sources: HashMap<Ordered, Ordered>,
    /// Topmost paths that are gone.
    pub removed: Vec<String>,
    /// Changes that are not kept.
    pub dropped: u64,
    /// The folders above what is kept.
    pub parents: ParentDirs,
}

/// Reads the state of a container.
pub fn snapshot(export: impl Read) -> Result<Snapshot, TarError> {
    let mut tar = TarReader::new(Pipe::new(export));
    let mut snapshot = Snapshot::new();
    while let Some(entry) = tar.next_entry()? {
        if let Some((path, state, _)) = look(&mut tar, &entry, |first| snapshot.get(first).copied())? {
            snapshot.insert(path, state);
        }
    }
    Ok(snapshot)
}

/// An entry of the later export.
struct Seen {
    entry: Entry,
    sha256: Option<Digest>,
}

/// Compares the later export with the state before. What can't be in a layer is told by name.
pub fn compare(
    before: &Snapshot,
    export: impl Read,
    drop: &Matcher,
    dirs: Option<&ParentDirs>,
) -> anyhow::Result<Changes> {
    let mut tar = TarReader::new(Pipe::new(export));
    let mut after = Snapshot::new();
    let mut changed: BTreeMap<Ordered, Seen> = BTreeMap::new();
    let mut contents: HashMap<Ordered, (u64, Digest)> = HashMap::new();
    let mut folders: BTreeMap<Ordered, Attr> = BTreeMap::new();
    let mut changes = Changes::default();
    while let Some(entry) = tar.next_entry()? {
        let Some((path, state, sha256)) = look(&mut tar, &entry, |first| after.get(first).copied())? else { continue };
        if entry.kind == EntryKind::Dir {
            folders.insert(path.clone(), entry.attr);
        }
        if let (EntryKind::File(size), Some(sha256)) = (&entry.kind, sha256) {
            // All of them, as an unchanged file may have got a new name, which follows.
            contents.insert(path.clone(), (*size, sha256));
        }
        if before.get(&path) != Some(&state) {
            match is_dropped(&path, drop) {
                true => changes.dropped += 1,
                false => drop_in(&mut changed, path.clone(), entry, sha256),
            }
        }
        after.insert(path, state);
    }
    removed(before, &after, &folders, drop, &mut changes);
    let mut problems = Problems::default();
    for (path, seen) in changed {
        keep(path, seen, &contents, &mut changes, &mut problems);
    }
    problems.into_result()?;
    changes.parents = parents(&changes, &folders, dirs);
    Ok(changes)
}

fn drop_in(changed: &mut BTreeMap<Ordered, Seen>, path: Ordered, entry: Entry, sha256: Option<Digest>) {
    changed.insert(path, Seen { entry, sha256 });
}

fn is_dropped(path: &Ordered, drop: &Matcher) -> bool {
    let path = path.path();
    is_within(&path, MOUNT) || drop.matches(&path)
}

/// Path, state and digest of the contents of an entry; none of the root, which is no change of the installer's.
fn look<R: Read>(
    tar: &mut TarReader<Pipe<R>>,
    entry: &Entry,
    state_of: impl Fn(&Ordered) -> Option<Digest>,
) -> Result<Option<(Ordered, Digest, Option<Digest>)>, TarError> {
    if entry.path.is_empty() {
        return Ok(None);
    }
    let path = Ordered::new(&entry.path);
    let Attr { mode, uid, gid, .. } = entry.attr;
    let read = |source| TarError::Read { offset: entry.offset, source };
    let mut of_contents = None;
    let what = match &entry.kind {
        EntryKind::File(_) => {
            let digest = hash(&mut tar.contents()).map_err(read)?;
            of_contents = Some(digest);
            format!("file {digest}")
        }
        // The same file under another name has the same state.
        EntryKind::HardLink(first) => match state_of(&Ordered::new(first)) {
            Some(state) => return Ok(Some((path, state, None))),
            None => {
                let reason = format!("`{}` is another name of `{first}`, which does not come before it", entry.path);
                return Err(TarError::Malformed { offset: entry.offset, reason });
            }
        },
        EntryKind::Symlink(target) => format!("link {target}"),
        EntryKind::Dir => "folder".to_owned(),
        EntryKind::Sparse => "sparse".to_owned(),
        EntryKind::Other => "other".to_owned(),
    };
    let state = Sha256::digest(format!("{mode:o} {uid} {gid} {what}").as_bytes());
    Ok(Some((path, Digest::from_bytes(state.into()), of_contents)))
}

fn hash<R: SkipRead>(contents: &mut Contents<'_, R>) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 64 << 10];
    loop {
        match contents.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(hash.finalize().into())),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// What is gone, less what goes with a folder that is gone or has become something else.
fn removed(
    before: &Snapshot,
    after: &Snapshot,
    folders: &BTreeMap<Ordered, Attr>,
    drop: &Matcher,
    changes: &mut Changes,
) {
    for path in before.keys().filter(|path| !after.contains_key(path)) {
        if is_dropped(path, drop) {
            changes.dropped += 1;
        } else if path.above().all(|folder| folders.contains_key(&folder)) {
            changes.removed.push(path.path());
        }
    }
}

fn keep(
    path: Ordered,
    Seen { entry, sha256 }: Seen,
    contents: &HashMap<Ordered, (u64, Digest)>,
    changes: &mut Changes,
    problems: &mut Problems,
) {
    let name = path.path();
    if name.contains(char::REPLACEMENT_CHARACTER) {
        problems.push(format_args!("CANN's installer wrote `{name}`, whose name is not UTF-8"), None);
        return;
    }
    let attr = Attr { mtime: MTIME, ..entry.attr };
    let kind = match entry.kind {
        EntryKind::Dir => Kind::Dir,
        EntryKind::Symlink(target) => Kind::Symlink(target),
        EntryKind::File(size) => {
            let Some(sha256) = sha256 else { return }; // every file has one
            changes.sources.insert(path.clone(), path.clone());
            Kind::File { size, sha256, others: Vec::new() }
        }
        EntryKind::HardLink(first) => {
            let first = Ordered::new(&first);
            // The first name that is kept has the contents, wherever these come in the export.
            if let Some(holder) = changes.sources.get(&first)
                && let Some(Kept { kind: Kind::File { others, .. }, .. }) = changes.kept.get_mut(holder)
            {
                others.push(path);
                return;
            }
            let Some(&(size, sha256)) = contents.get(&first) else {
                problems.push(format_args!("CANN's installer made `{name}` another name of what is no file"), None);
                return;
            };
            changes.sources.insert(first, path.clone());
            Kind::File { size, sha256, others: Vec::new() }
        }
        EntryKind::Sparse | EntryKind::Other => {
            let hint = format!("if the image can do without it, add \"{name}\" to `cann.drop`");
            problems.push(
                format_args!("CANN's installer made `{name}`, a device, pipe or socket, which no layer can hold"),
                Some(hint),
            );
            return;
        }
    };
    changes.kept.insert(path, Kept { attr, kind });
}

/// The folders above what is in the layers. Times are those of the base where it was looked into: those of an export
/// are the engine's.
fn parents(changes: &Changes, folders: &BTreeMap<Ordered, Attr>, dirs: Option<&ParentDirs>) -> ParentDirs {
    let others = changes.kept.values().flat_map(|kept| match &kept.kind {
        Kind::File { others, .. } => others.as_slice(),
        _ => &[],
    });
    let removed = changes.removed.iter().map(|path| Ordered::new(path.trim_start_matches('/')));
    let all = changes.kept.keys().chain(others).cloned().chain(removed);
    let above: BTreeSet<Ordered> = all.flat_map(|path| path.above().collect::<Vec<_>>()).collect();
    let attr = |folder: Ordered| {
        let path = folder.path();
        let found = folders.get(&folder)?;
        let known = dirs.and_then(|dirs| dirs.get(&path)).map_or(MTIME, |attr| attr.mtime);
        let mtime = if changes.kept.contains_key(&folder) { MTIME } else { known };
        Some((path, Attr { mtime, ..*found }))
    };
    above.into_iter().filter_map(attr).collect()
}

#[cfg(test)]
mod tests;
