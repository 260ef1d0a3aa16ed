//! The files of an archive, found without reading their contents.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use crate::{
    BaseError, Compression, regular,
    unpack::{Entry, EntryKind, SkipRead, TarReader},
};

/// Entries at most: an image has a few hundred blobs.
const MAX_MEMBERS: usize = 100_000;
/// Links followed at most from one name to its file.
const MAX_LINKS: usize = 16;

/// Where a file lies in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub offset: u64,
    pub size: u64,
}

enum Place<F> {
    File(F),
    Link(String),
}

/// The files of an archive by path, each with what is known of it.
pub(crate) struct Members<F = Member> {
    path: PathBuf,
    places: BTreeMap<String, Place<F>>,
}

impl Members {
    /// Lists the archive.
    pub fn of(path: &Path) -> Result<Self, BaseError> {
        let io_error = |source| BaseError::Io { path: path.to_owned(), source };
        let mut file = regular::open(path).map_err(io_error)?;
        let mut start = Vec::new();
        file.by_ref().take(6).read_to_end(&mut start).map_err(io_error)?;
        let compression = Compression::of_magic(&start);
        if compression != Compression::None {
            let reason = format!("it is compressed as a whole with {}; decompress it first", compression.name());
            return Err(refused(path, reason));
        }
        file.rewind().map_err(io_error)?;
        Self::list(path, BufReader::new(file), |entry, size, _| Ok(Member { offset: entry.offset, size }))
    }

    /// The file of this name, whole, at most `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, BaseError> {
        let member = *self.need(name)?;
        if member.size > limit {
            let reason = format!("`{name}` has {} bytes; at most {limit} are read", member.size);
            return Err(refused(&self.path, reason));
        }
        let io_error = |source| BaseError::Io { path: self.path.clone(), source };
        let mut bytes = Vec::new();
        open(&self.path, member).map_err(io_error)?.read_to_end(&mut bytes).map_err(io_error)?;
        Ok(bytes)
    }
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
        let mut places = BTreeMap::new();
        while let Some(entry) = tar.next_entry().map_err(|error| refused(path, chain(&error)))? {
            let place = match &entry.kind {
                EntryKind::File(size) => Place::File(take(&entry, *size, &mut tar)?),
                EntryKind::HardLink(target) => Place::Link(target.clone()),
                // Older dockers write a layer that an image has twice as a link to `../<id>/layer.tar`.
                EntryKind::Symlink(target) => match joined(&entry.path, target) {
                    Some(target) => Place::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            places.insert(entry.path, place);
            if places.len() > MAX_MEMBERS {
                return Err(refused(path, format!("it has more than {MAX_MEMBERS} entries")));
            }
        }
        Ok(Self { path: path.to_owned(), places })
    }

    /// The file of this name.
    pub fn find(&self, name: &str) -> Option<&F> {
        let mut name = name.strip_prefix("./").unwrap_or(name);
        for _ in 0..MAX_LINKS {
            match self.places.get(name)? {
                Place::File(file) => return Some(file),
                Place::Link(target) => name = target,
            }
        }
        None
    }

    /// The file of this name, or the error that it is not there.
    pub fn need(&self, name: &str) -> Result<&F, BaseError> {
        self.find(name).ok_or_else(|| refused(&self.path, format!("it has no `{name}`")))
    }

    /// Every path below a folder, with what is left of it.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a F)> {
        let names = self.places.range(folder.to_owned()..).map_while(move |(path, _)| path.strip_prefix(folder));
        names.filter_map(move |rest| Some((rest, self.find(&format!("{folder}{rest}"))?)))
    }
}

/// The bytes of a member.
pub(crate) fn open(archive: &Path, member: Member) -> io::Result<Take<File>> {
    let mut file = regular::open(archive)?;
    file.seek(SeekFrom::Start(member.offset))?;
    Ok(file.take(member.size))
}

/// Where a link at `path` leads, inside the archive.
fn joined(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The archive breaks a rule.
pub(crate) fn refused(path: &Path, reason: String) -> BaseError {
    BaseError::Place { place: path.to_owned(), what: "a docker archive", reason }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
