//! What is in a package: read once, and remembered by its digest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::Context;
use debian_package::{Kind, Stanza, stanzas};
use elf_file::Linkage;
use oci_image::{CheckedReader, Digest, Store};
use serde::{Deserialize, Serialize};

use super::{package::blob, scripts};

/// Where the loader of Debian and Ubuntu looks without its cache.
const LIBRARIES: [&str; 4] = ["lib", "usr/lib", "lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"];

/// A library whose versions are wanted: that of C++ has 3 MiB.
const LIBRARY_LIMIT: u64 = 16 << 20;

/// The kind of the records of facts, and the number that is raised when they come to hold something else.
const RECORDS: &str = "debian-packages";
const FORMAT: u32 = 1;

/// What a package says of itself and brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebFacts {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it installs, in its order.
    pub entries: Vec<Packed>,
    /// The libraries that the loader finds, with the versions that they define.
    pub libraries: BTreeMap<String, BTreeSet<String>>,
    /// The scripts that would have changed more than is unpacked, with their commands.
    pub skipped: Vec<(String, Vec<String>)>,
}

/// Something that a package installs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// Path without slashes at either end; empty for the root.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Permission bits, owner and group.
    pub attr: (u32, u64, u64),
}

/// Opens a package, which has to be the one of this digest.
pub fn open(path: &Path, size: u64, digest: Digest) -> io::Result<impl Read + Send + use<>> {
    Ok(CheckedReader::new(File::open(path)?, &blob(size, digest)))
}

impl DebFacts {
    /// Reads the package, or takes from the store what was found when that was done.
    pub fn cached(store: &Store, path: &Path, size: u64, digest: Digest) -> anyhow::Result<Self> {
        let key = format!("{FORMAT} {digest}");
        if let Some(known) = store.record(RECORDS, &key)? {
            return Ok(known);
        }
        let facts = Self::read(path, size, digest).with_context(|| format!("failed to read `{}`", path.display()))?;
        store.put_record(RECORDS, &key, &facts)?;
        Ok(facts)
    }

    fn read(path: &Path, size: u64, digest: Digest) -> anyhow::Result<Self> {
        let mut facts = None;
        debian_package::read_each([open(path, size, digest)].into_iter(), |package| {
            facts = Some(Self::of(package)?);
            anyhow::Ok(())
        })?;
        facts.context("it holds no package")
    }

    fn of(package: &mut debian_package::Package<'_>) -> anyhow::Result<Self> {
        let text = package.control.get("control").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let text = text.unwrap_or_default();
        let stanza: Stanza<'_> = stanzas(&text).next().context("its `control` is empty")?;
        let field = |name: &str| stanza.field(name).with_context(|| format!("its `control` has no `{name}`"));
        let mut facts = Self {
            name: field("Package")?.to_owned(),
            version: field("Version")?.to_owned(),
            entries: Vec::new(),
            libraries: BTreeMap::new(),
            skipped: scripts::skipped(&package.control),
        };
        package.entries(|mut entry| {
            let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            if LIBRARIES.contains(&folder) && name.contains(".so") && !matches!(entry.kind, Kind::Folder) {
                let (soname, defined) = library(&mut entry.kind)?;
                facts.libraries.entry(name.to_owned()).or_default();
                if let Some(soname) = soname {
                    facts.libraries.entry(soname).or_default().extend(defined);
                }
            }
            facts.entries.push(Packed {
                is_folder: matches!(entry.kind, Kind::Folder),
                is_link: matches!(entry.kind, Kind::Link(_)),
                attr: (entry.mode, entry.uid, entry.gid),
                path: entry.path,
            });
            anyhow::Ok(())
        })?;
        Ok(facts)
    }
}

/// The name in a library and the versions that it defines.
fn library(kind: &mut Kind<'_>) -> io::Result<(Option<String>, BTreeSet<String>)> {
    let Kind::File(_, contents) = kind else { return Ok((None, BTreeSet::new())) };
    let mut bytes = Vec::new();
    contents.take(LIBRARY_LIMIT).read_to_end(&mut bytes)?;
    let Linkage { soname, defined, .. } = Linkage::of_bytes(&bytes).unwrap_or_default();
    Ok((soname, defined))
}
