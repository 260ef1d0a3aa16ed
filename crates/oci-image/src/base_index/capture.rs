//! Which files are looked into while a layer streams by, and what is kept of them.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use super::{
    fact::{Content, Fact, PythonBinary},
    listing::{conda_package, metadata, record_paths},
    scan::{Scanner, elf_machine, python_version_of},
};
use crate::Attr;

/// Lists of files and conda's records: the largest known ones have 3 MiB.
const MAX_LISTING: u64 = 16 << 20;
/// Where name and version stand in a distribution's metadata: long descriptions come behind them.
const MAX_METADATA: u64 = 256 << 10;
/// Files that are kept whole.
pub(super) const MAX_WHOLE: u64 = 1 << 20;

/// What to look for in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Whole,
    Metadata,
    Record,
    Installed,
    Conda,
    Libc,
    Python(u32, u32),
}

/// Files of which more than the name is wanted.
pub(super) struct Capture {
    /// The last two components of the paths that were asked for; what comes before may lead through links.
    asked: BTreeSet<String>,
}

impl Capture {
    pub fn new(asked: &[String]) -> Self {
        Self { asked: asked.iter().map(|path| last_two(path).to_owned()).collect() }
    }

    /// What to look for in the file at this path.
    pub fn look(&self, path: &str) -> Option<Look> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (above, parent) = folder.rsplit_once('/').unwrap_or(("", folder));
        let site = |folder: &str| is_site(folder.rsplit('/').next().unwrap_or(folder));
        match name {
            "os-release" | "passwd" | "group" if matches!(folder, "etc" | "usr/lib") => Some(Look::Whole),
            "METADATA" if parent.ends_with(".dist-info") && site(above) => Some(Look::Metadata),
            "RECORD" if parent.ends_with(".dist-info") && site(above) => Some(Look::Record),
            "PKG-INFO" if parent.ends_with(".egg-info") && site(above) => Some(Look::Metadata),
            "PKG-INFO" if parent == "EGG-INFO" && above.ends_with(".egg") => Some(Look::Metadata),
            "installed-files.txt" if parent.ends_with(".egg-info") && site(above) => Some(Look::Installed),
            _ if name.ends_with(".egg-info") && is_site(parent) => Some(Look::Metadata),
            _ if name.ends_with(".json") && parent == "conda-meta" => Some(Look::Conda),
            "libc.so.6" => Some(Look::Libc),
            _ if name.starts_with("libc-") && name.ends_with(".so") => Some(Look::Libc),
            _ if self.asked.contains(last_two(path)) => Some(Look::Whole),
            _ => python_file(parent, name).map(|(major, minor)| Look::Python(major, minor)),
        }
    }
}

/// Reads what is wanted of a file's contents; no more than the bounds above stay in memory.
pub(super) fn read(look: Look, attr: Attr, contents: &mut dyn Read, size: u64) -> io::Result<Fact> {
    let whole = |contents: &mut dyn Read, limit: u64| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        contents.take(limit).read_to_end(&mut bytes).map(|_| bytes)
    };
    let content = match look {
        Look::Whole if size > MAX_WHOLE => Content::None,
        Look::Record | Look::Installed | Look::Conda if size > MAX_LISTING => Content::None,
        Look::Whole => Content::Whole(whole(contents, MAX_WHOLE)?),
        Look::Metadata => Content::Metadata(metadata(&whole(contents, MAX_METADATA)?)),
        Look::Record => Content::Listed(record_paths(&whole(contents, MAX_LISTING)?)),
        Look::Installed => Content::Listed(String::from_utf8_lossy(&whole(contents, MAX_LISTING)?).into_owned()),
        Look::Conda => conda_package(&whole(contents, MAX_LISTING)?).map_or(Content::None, Content::Conda),
        Look::Libc => match Scanner::new(b"release version ").find(contents, libc_version)? {
            Some(version) => Content::Libc(version),
            None => Content::None,
        },
        Look::Python(major, minor) => {
            let mut start = Vec::new();
            contents.take(64).read_to_end(&mut start)?;
            let machine = elf_machine(&start);
            let needle = format!("\0{major}.{minor}.");
            let micro = match machine {
                Some(_) => Scanner::new(needle.as_bytes()).find(contents, whole_number)?,
                // A script, or what only is called so.
                None => None,
            };
            Content::Python(PythonBinary { machine, micro })
        }
    };
    Ok(Fact { attr, content })
}

/// `2.31.` as it stands behind the words in the library.
fn libc_version(text: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(text.split(|&byte| !(byte == b'.' || byte.is_ascii_digit())).next()?).ok()?;
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Digits that end with the text, or with the mark of a build that is between two releases.
fn whole_number(text: &[u8]) -> Option<u32> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    if !matches!(text[end], 0 | b'+') {
        return None;
    }
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}

/// Whether distributions are installed in folders of this name.
pub(super) fn is_site(name: &str) -> bool {
    matches!(name, "site-packages" | "dist-packages")
}

fn python_file(folder: &str, name: &str) -> Option<(u32, u32)> {
    if folder == "bin" {
        return python_version_of(name);
    }
    let library = name.strip_prefix("lib")?.split(".so").next()?;
    name.contains(".so").then(|| python_version_of(library)).flatten()
}

/// The last two components of a path.
fn last_two(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/').map(|(at, _)| at);
    slashes.next();
    slashes.next().map_or(path.trim_start_matches('/'), |at| &path[at + 1..])
}
