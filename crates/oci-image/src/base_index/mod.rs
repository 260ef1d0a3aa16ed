//! What is inside a base: read from its layers once, streamed, never to disk, applied one after the other, and remembered.

mod budget;
mod capture;
mod distributions;
mod entries;
mod libraries;
mod lines;
mod listing;
mod python;
mod python_version;
mod removal;
mod scan;
mod sites;
mod stream;
mod system;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::{
    Attr, Base, BlobSource, Compression, Digest, ParentDirs, Platform, Store, StoreError, UnpackError, is_within,
};

pub use distributions::Distribution;
pub use python::Interpreter;
pub use system::{Group, User};

use tree::MAX_DEPTH;

/// Raised whenever the index comes to hold something else.
const FORMAT: u32 = 6;
/// The kind of its records in the store.
const RECORDS: &str = "base-index";

/// What is inside a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseIndex {
    /// The base's manifest.
    pub manifest_digest: Digest,
    /// What the config says that it runs on.
    pub platform: Platform,
    /// The keys of `/etc/os-release`.
    pub os_release: BTreeMap<String, String>,
    /// Version of the system's glibc; none of a base with another C library.
    pub glibc: Option<(u32, u32)>,
    /// The names of shared libraries, wherever they lie, with the versions that those of glibc and GCC define.
    pub libraries: BTreeMap<String, BTreeSet<String>>,
    /// The Python interpreters, under every name that they have.
    pub interpreters: Vec<Interpreter>,
    /// The distributions that are installed, sorted by folder and name.
    pub distributions: Vec<Distribution>,
    /// Every folder's owner, mode and time.
    #[serde(with = "lines")]
    pub dirs: ParentDirs,
    /// Every symbolic link that leads to a folder, with where that really is.
    pub links: BTreeMap<String, String>,
    /// The path of everything that is not a folder, each as 12 digits of its SHA-256: written out they would be most of
    /// the index.
    names: String,
    /// The lines of `/etc/passwd`.
    pub users: Vec<User>,
    /// The lines of `/etc/group`.
    pub groups: Vec<Group>,
    /// Files that run with the rights of their owner or group, by path. Older pools of the platform refuse root's.
    pub setid: BTreeMap<String, Attr>,
    /// The files that were asked for; none where there is no such file of at most 4 MiB.
    pub files: BTreeMap<String, Option<IndexedFile>>,
    /// Bytes of all layers' tar archives: what engines call the image's size.
    pub unpacked_size: u64,
    /// How each layer is compressed, whatever its media type says.
    pub compressions: Vec<Compression>,
}

/// A file of the base whose contents are in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedFile {
    /// SHA-256 of the contents.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// Owner, mode, time.
    pub attr: Attr,
}

/// Why a base could not be inspected.
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A layer can't be read.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The base holds more files than any real one.
    #[error("base `{base}` holds more files than can be listed in {mib} MiB of memory")]
    TooManyFiles { base: String, mib: usize },
    /// A layer has folders deeper than any real one.
    #[error("layer {layer} can't be inspected: its folders are more than {MAX_DEPTH} deep")]
    TooDeep { layer: Digest },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What belongs to a distribution is not known, so that it can't be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotRecorded(String);

impl BaseIndex {
    /// The index that the store remembers of this manifest, if it knows of all these files.
    pub fn cached(store: &Store, manifest: &Digest, files: &[String]) -> Result<Option<Self>, StoreError> {
        let index: Option<Self> = store.record(RECORDS, &record_key(manifest))?;
        let there = |file: &IndexedFile| store.has(&file.digest, file.size);
        Ok(index.filter(|index| index.knows(files, there)))
    }

    /// The index behind the store, of which nobody here knows whether it is right.
    pub fn behind(store: &Store, manifest: &Digest, files: &[String]) -> Option<Self> {
        let index: Self = store.record_behind(RECORDS, &record_key(manifest))?;
        let there = |file: &IndexedFile| store.file_behind(&file.digest).is_some();
        (index.manifest_digest == *manifest && index.knows(files, there)).then_some(index)
    }

    fn knows(&self, files: &[String], there: impl Fn(&IndexedFile) -> bool) -> bool {
        files.iter().all(|path| self.files.get(path).is_some_and(|file| file.as_ref().is_none_or(&there)))
    }

    /// What another machine needs of it to plan an image that asks for these files: the index with no others, its kind and
    /// its key.
    pub fn to_carry(&self, files: &[String]) -> (&'static str, String, Self) {
        let asked = |(path, _): &(&String, &Option<IndexedFile>)| files.contains(path);
        let files = self.files.iter().filter(asked).map(|(path, file)| (path.clone(), file.clone())).collect();
        (RECORDS, record_key(&self.manifest_digest), Self { files, ..self.clone() })
    }

    /// Inspects the base, unless the store remembers what is in it. `files` are absolute paths whose contents are
    /// wanted, 4 MiB each at most. Every layer is read once, three at a time, its digest and diff id are checked; memory
    /// grows with the number of files, about 150 bytes each, not with their size, and is bounded.
    pub fn build(
        store: &Store,
        base: &Base,
        source: &(dyn BlobSource + Sync),
        files: &[String],
    ) -> Result<Self, IndexError> {
        let manifest = &base.manifest_digest;
        // Two runs on one base: the second waits and finds it done.
        let _lock = store.lock(&format!("{RECORDS}-{}", manifest.hex()))?;
        if let Some(index) = Self::cached(store, manifest, files)? {
            return Ok(index);
        }
        // What was asked for earlier is asked for again, lest two recipes take it from each other.
        let earlier: Option<Self> = store.record(RECORDS, &record_key(manifest))?;
        let mut asked: Vec<String> = earlier.map(|index| index.files.into_keys().collect()).unwrap_or_default();
        asked.extend(files.iter().cloned());
        asked.sort();
        asked.dedup();
        let index = stream::build(store, base, source, &asked, stream::AT_ONCE)?;
        store.put_record(RECORDS, &record_key(manifest), &index)?;
        Ok(index)
    }

    /// Where an absolute path really is, links to folders followed.
    pub fn real_path(&self, path: &str) -> String {
        let mut real = String::new();
        for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
            real.push('/');
            real.push_str(name);
            if let Some(target) = self.links.get(&real) {
                real.clone_from(target);
                if real == "/" {
                    real.clear();
                }
            }
        }
        if real.is_empty() { "/".to_owned() } else { real }
    }

    /// The same for a file, which may itself be a link: only links above it are followed.
    pub fn real_file(&self, path: &str) -> String {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        format!("{}/{name}", self.real_path(folder).trim_end_matches('/'))
    }

    /// Whether there is a Python of this version under this path.
    pub fn has_python(&self, path: &str, version: (u32, u32)) -> bool {
        self.interpreter(path).is_some_and(|interpreter| interpreter.version == version)
    }

    /// The Python under this path.
    pub fn interpreter(&self, path: &str) -> Option<&Interpreter> {
        let (folder, name) = path.rsplit_once('/')?;
        let real = format!("{}/{name}", self.real_path(folder).trim_end_matches('/'));
        self.interpreters.iter().find(|interpreter| interpreter.path == real)
    }

    /// Each Python once, in words, under its most exact name.
    pub fn pythons(&self) -> Vec<String> {
        let exact = |one: &&Interpreter| one.path.ends_with(&format!("python{}.{}", one.version.0, one.version.1));
        let words = |one: &Interpreter| {
            let micro = one.micro.map_or_else(String::new, |micro| format!(".{micro}"));
            format!("Python {}.{}{micro} at `{}`", one.version.0, one.version.1, one.path)
        };
        self.interpreters.iter().filter(exact).map(words).collect()
    }

    /// Name and version of what is installed in this folder.
    pub fn distributions_of(&self, site_packages: &str) -> Vec<(String, String)> {
        let real = self.real_path(site_packages);
        let there = self.distributions.iter().filter(|one| one.location == real);
        there.map(|one| (one.name.clone(), one.version.clone())).collect()
    }

    /// The absolute paths that have to be whited out for this distribution of the index to be gone: files, and folders
    /// in which nothing else is. No path of it is another distribution's.
    pub fn removal(&self, distribution: &Distribution) -> Result<Vec<String>, NotRecorded> {
        let Distribution { name, version, location, removal, .. } = distribution;
        removal.clone().ok_or_else(|| {
            let why = "has no list of its files (RECORD, installed-files.txt)";
            NotRecorded(format!("{name} {version} in `{location}` {why}"))
        })
    }

    /// The folders that are left when these paths are whited out: one that comes again later is a new one.
    pub fn dirs_without(&self, removed: &[String]) -> ParentDirs {
        let gone = |path: &str| removed.iter().any(|removed| is_within(path, removed));
        self.dirs.iter().filter(|(path, _)| !gone(path)).map(|(path, attr)| (path.clone(), *attr)).collect()
    }

    /// Whether something that is not a folder lies at exactly this absolute path.
    pub fn has_file(&self, path: &str) -> bool {
        let name = Digest::of(path).short();
        memmem::find_iter(self.names.as_bytes(), &name).any(|at| at % name.len() == 0)
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The contents of a file that was asked for; none where the base has no such file.
    pub fn file(&self, store: &Store, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(file) = self.files.get(path).and_then(Option::as_ref) else { return Ok(None) };
        if !store.has(&file.digest, file.size)
            && let Some(bytes) = store.file_behind(&file.digest)
        {
            return Ok(Some(bytes));
        }
        store.read_blob(&file.digest, capture::MAX_WHOLE).map(Some)
    }
}

fn record_key(manifest: &Digest) -> String {
    format!("{FORMAT} {manifest}")
}
