//! The files of an archive, found without reading their contents.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use crate::{
    BaseError, Compression, regular,
    unpack::{EntryKind, TarReader},
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

enum Place {
    File(Member),
    Link(String),
}

/// The files of an archive by path.
pub(crate) struct Members {
    path: PathBuf,
    places: BTreeMap<String, Place>,
}

impl Members {
    /// Lists the archive.
    pub fn of(path: &Path) -> Result<Self, BaseError> {
        let io_error = |source| BaseError::Io { path: path.to_owned(), source };
        let not_archive =
            |reason: String| BaseError::Place { place: path.to_owned(), what: "a docker archive", reason };
        let mut file = regular::open(path).map_err(io_error)?;
        let mut start = Vec::new();
        file.by_ref().take(6).read_to_end(&mut start).map_err(io_error)?;
        let compression = Compression::of_magic(&start);
        if compression != Compression::None {
            let reason = format!("it is compressed as a whole with {}; decompress it first", compression.name());
            return Err(not_archive(reason));
        }
        file.rewind().map_err(io_error)?;
        let mut tar = TarReader::new(BufReader::new(file));
        let mut places = BTreeMap::new();
        while let Some(entry) = tar.next_entry().map_err(|error| not_archive(chain(&error)))? {
            let place = match entry.kind {
                EntryKind::File(size) => Place::File(Member { offset: entry.offset, size }),
                EntryKind::HardLink(target) => Place::Link(target),
                // Older dockers write a layer that an image has twice as a link to `../<id>/layer.tar`.
                EntryKind::Symlink(target) => match joined(&entry.path, &target) {
                    Some(target) => Place::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            places.insert(entry.path, place);
            if places.len() > MAX_MEMBERS {
                return Err(not_archive(format!("it has more than {MAX_MEMBERS} entries")));
            }
        }
        Ok(Self { path: path.to_owned(), places })
    }

    /// Where the file of this name lies.
    pub fn find(&self, name: &str) -> Option<Member> {
        let mut name = name.strip_prefix("./").unwrap_or(name);
        for _ in 0..MAX_LINKS {
            match self.places.get(name)? {
                Place::File(member) => return Some(*member),
                Place::Link(target) => name = target,
            }
        }
        None
    }

    /// Every path below a folder, with what is left of it.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, Member)> {
        let names = self.places.range(folder.to_owned()..).map_while(move |(path, _)| path.strip_prefix(folder));
        names.filter_map(move |rest| Some((rest, self.find(&format!("{folder}{rest}"))?)))
    }

    /// The file of this name, whole, at most `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, BaseError> {
        let reason = |reason: String| BaseError::Place { place: self.path.clone(), what: "a docker archive", reason };
        let member = self.find(name).ok_or_else(|| reason(format!("it has no `{name}`")))?;
        if member.size > limit {
            return Err(reason(format!("`{name}` has {} bytes; at most {limit} are read", member.size)));
        }
        let io_error = |source| BaseError::Io { path: self.path.clone(), source };
        let mut bytes = Vec::new();
        open(&self.path, member).map_err(io_error)?.read_to_end(&mut bytes).map_err(io_error)?;
        Ok(bytes)
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

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
