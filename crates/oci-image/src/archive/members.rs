//! The files of an archive, found without reading their contents.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    BaseError,
    paths::{joined, split_name},
    unpack::{Entry, EntryKind, SkipRead, TarReader},
};

/// Entries at most: an image has a few hundred blobs.
const MAX_MEMBERS: usize = 100_000;
/// Links followed at most from one name to its file.
const MAX_LINKS: usize = 16;

enum Member<F> {
    File(F),
    Link(String),
}

/// The files of an archive by path, each with what is known of it.
pub(crate) struct Members<F> {
    archive: PathBuf,
    members: BTreeMap<String, Member<F>>,
}

impl<F> Members<F> {
    /// Goes through an archive, and has `take` make something of each file and its size, reading it or not. `path` is
    /// what the archive is called.
    pub fn list<R: SkipRead>(
        path: &Path,
        archive: R,
        mut take: impl FnMut(&Entry, u64, &mut TarReader<R>) -> Result<F, BaseError>,
    ) -> Result<Self, BaseError> {
        let mut tar = TarReader::new(archive);
        let mut members = BTreeMap::new();
        while let Some(entry) = tar.next_entry().map_err(|error| refused(path, &chain(&error)))? {
            let member = match &entry.kind {
                EntryKind::File(size) => Member::File(take(&entry, *size, &mut tar)?),
                EntryKind::HardLink(target) => Member::Link(target.clone()),
                // Older dockers write a layer that an image has twice as a link to `../<id>/layer.tar`.
                EntryKind::Symlink(target) => Member::Link(joined(&[split_name(&entry.path).0, target])),
                _ => continue,
            };
            members.insert(entry.path, member);
            if members.len() > MAX_MEMBERS {
                return Err(refused(path, &format!("it has more than {MAX_MEMBERS} entries")));
            }
        }
        Ok(Self { archive: path.to_owned(), members })
    }

    /// The file of this name.
    pub fn find(&self, name: &str) -> Option<&F> {
        let mut name = name.strip_prefix("./").unwrap_or(name);
        for _ in 0..MAX_LINKS {
            match self.members.get(name)? {
                Member::File(file) => return Some(file),
                Member::Link(target) => name = target,
            }
        }
        None
    }

    /// The file of this name, or the error that it is not there.
    pub fn need(&self, name: &str) -> Result<&F, BaseError> {
        self.find(name).ok_or_else(|| refused(&self.archive, &format!("it has no `{name}`")))
    }

    /// Every path below a folder, with what is left of it.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a F)> {
        let names = self.members.range(folder.to_owned()..).map_while(move |(path, _)| path.strip_prefix(folder));
        names.filter_map(move |rest| Some((rest, self.find(&format!("{folder}{rest}"))?)))
    }

    /// Whether an OCI layout is in the archive: it knows digests, which `manifest.json` does not.
    pub fn is_layout(&self) -> bool {
        self.find("oci-layout").is_some() && self.find("index.json").is_some()
    }
}

/// The archive breaks a rule.
pub(crate) fn refused(path: &Path, reason: &str) -> BaseError {
    BaseError::is_not(path, "a docker archive", reason)
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
