//! What is kept of a file while its layer streams by: next to nothing of most, the contents of a few, a number found in
//! some.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use elf_file::{Elf, Linkage};

use super::{
    listing::{CondaPackage, metadata, record_paths},
    python_version::python_version_of,
    scan::find_after,
};
use crate::{Attr, paths::split_name};

/// Lists of files and conda's records: the largest known ones have 3 MiB.
const MAX_LISTING: u64 = 16 << 20;
/// Where name and version stand in a distribution's metadata: long descriptions come behind them.
const MAX_METADATA: u64 = 256 << 10;
/// A library whose versions are wanted: the largest known ones have 3 MiB.
const MAX_LIBRARY: u64 = 16 << 20;
/// glibc's and GCC's libraries, whose versions others require.
const VERSIONED: [&str; 5] = ["libc", "libm", "libstdc++", "libgcc_s", "libgomp"];
/// Files that are kept whole: the list of installed packages of a large Debian base has 1 MiB.
pub(super) const MAX_WHOLE: u64 = 4 << 20;

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub attr: Attr,
    pub content: Content,
}

/// What was taken from a file's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing; the file is known for its mode.
    None,
    /// All of them.
    Whole(Vec<u8>),
    /// Name and version of a distribution.
    Metadata(Option<(String, String)>),
    /// Paths that a distribution lists as its own, one a line.
    Listed(String),
    /// What conda knows of a package.
    Conda(CondaPackage),
    /// A library: its name, the versions that it defines, and glibc's own if it is that.
    Library { soname: Option<String>, defined: BTreeSet<String>, glibc: Option<(u32, u32)> },
    /// An ELF program or library.
    Python(PythonBinary),
}

/// A Python interpreter or its library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PythonBinary {
    /// ELF's number of the machine.
    pub machine: Option<u16>,
    /// The third number of its version.
    pub micro: Option<u32>,
}

impl Fact {
    /// Whether the file runs with the rights of its owner or group.
    pub fn is_setid(&self) -> bool {
        self.attr.mode & 0o6000 != 0
    }

    /// Bytes of memory beside the node.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.content {
                Content::Whole(bytes) => bytes.len(),
                Content::Listed(lines) => lines.len(),
                Content::Conda(package) => package.name.len() + package.files.len(),
                Content::Metadata(Some((name, version))) => name.len() + version.len(),
                Content::Library { soname, defined, .. } => {
                    let names = soname.iter().chain(defined);
                    names.map(|name| size_of::<String>() + name.len()).sum()
                }
                Content::None | Content::Metadata(None) | Content::Python(_) => 0,
            }
    }
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

    /// What to keep of the file at this path; no more than the bounds above stay in memory.
    pub fn read(&self, path: &str, contents: &mut dyn Read, size: u64) -> io::Result<Content> {
        let (folder, name) = split_name(path);
        let (above, parent) = split_name(folder);
        let in_site = is_site(split_name(above).1);
        let of_distribution = in_site && (parent.ends_with(".dist-info") || parent.ends_with(".egg-info"));
        let mut first = |limit| {
            let mut bytes = Vec::new();
            contents.take(limit).read_to_end(&mut bytes).map(|_| bytes)
        };
        Ok(match name {
            "os-release" | "passwd" | "group" if matches!(folder, "etc" | "usr/lib") && size <= MAX_WHOLE => {
                Content::Whole(first(MAX_WHOLE)?)
            }
            "METADATA" | "PKG-INFO" if of_distribution => Content::Metadata(metadata(&first(MAX_METADATA)?)),
            "PKG-INFO" if parent == "EGG-INFO" && above.ends_with(".egg") => {
                Content::Metadata(metadata(&first(MAX_METADATA)?))
            }
            _ if name.ends_with(".egg-info") && is_site(parent) => Content::Metadata(metadata(&first(MAX_METADATA)?)),
            "RECORD" | "installed-files.txt" if of_distribution && size > MAX_LISTING => Content::None,
            "RECORD" if of_distribution => Content::Listed(record_paths(&first(MAX_LISTING)?)),
            "installed-files.txt" if of_distribution => {
                Content::Listed(String::from_utf8_lossy(&first(MAX_LISTING)?).into_owned())
            }
            _ if name.ends_with(".json") && parent == "conda-meta" && size <= MAX_LISTING => {
                CondaPackage::of(&first(MAX_LISTING)?).map_or(Content::None, Content::Conda)
            }
            _ if is_versioned(name) => {
                let bytes = first(MAX_LIBRARY)?;
                let Linkage { soname, defined, .. } = Linkage::of_bytes(&bytes).unwrap_or_default();
                let glibc = find_after(b"release version ", &mut bytes.chain(contents), libc_version)?;
                Content::Library { soname, defined, glibc }
            }
            _ if self.asked.contains(last_two(path)) && size <= MAX_WHOLE => Content::Whole(first(MAX_WHOLE)?),
            _ => match python_file(parent, name) {
                Some((major, minor)) => {
                    let machine = Elf::parse(&first(64)?).map(|elf| elf.machine);
                    let needle = format!("\0{major}.{minor}.");
                    let micro = match machine {
                        Some(_) => find_after(needle.as_bytes(), contents, whole_number)?,
                        // A script, or what only is called so.
                        None => None,
                    };
                    Content::Python(PythonBinary { machine, micro })
                }
                None => Content::None,
            },
        })
    }
}

/// `libc.so.6`, and the file behind it of an older glibc or a GCC of Red Hat's kind: `libc-2.28.so`,
/// `libgcc_s-10.3.1.so.1`.
fn is_versioned(name: &str) -> bool {
    let rest = VERSIONED.iter().find_map(|stem| name.strip_prefix(stem).filter(|rest| rest.starts_with(['.', '-'])));
    rest.is_some_and(|rest| rest.contains(".so"))
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
    let (library, _) = name.strip_prefix("lib")?.split_once(".so")?;
    python_version_of(library)
}

/// The last two components of a path.
fn last_two(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/').map(|(at, _)| at);
    slashes.next();
    slashes.next().map_or(path.trim_start_matches('/'), |at| &path[at + 1..])
}
