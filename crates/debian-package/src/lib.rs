//! Debian packages are read: what each tells about itself, then what it installs.
//!
//! A package (deb(5)) is an `ar` archive of `debian-binary`, `control.tar` and `data.tar`, the latter two compressed:
//! Debian's by xz, Ubuntu's by zstd, older ones by gzip or not at all. Nothing in it is run, so that any machine reads
//! packages of any architecture.

mod ahead;
mod relation;
mod stanza;
mod version;

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Component, Path},
};

pub use lzma_rust2::XzReader;

use self::ahead::Blocks;
pub use self::{
    relation::{Alternative, Relation, provided, relations},
    stanza::{Stanza, stanzas},
    version::compare,
};

/// 4 MiB: what a package may tell about itself. Lists of digests are what is longest in it, some 100 KiB.
const CONTROL_LIMIT: u64 = 4 << 20;

/// The files of `control.tar` by name: `control`, `md5sums`, `conffiles`, maintainer scripts.
pub type Control = BTreeMap<String, Vec<u8>>;

/// A package that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the package can't be read")]
pub struct Error {
    /// Which of the packages it is, from 0.
    pub package: usize,
    /// Why its bytes can't be read, or which rule of its format, or of ours, it breaks.
    pub source: io::Error,
}

fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// A package that is being read.
pub struct Package<'a> {
    /// Which of the packages it is, from 0.
    pub number: usize,
    /// What it tells about itself; `control` is always there.
    pub control: Control,
    data: &'a mut Blocks,
}

/// One thing that a package installs.
pub struct Entry<'a> {
    /// Path without slashes at either end; empty for the root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What an entry is.
pub enum Kind<'a> {
    /// A folder.
    Folder,
    /// A symbolic link to this.
    Link(String),
    /// Another name of an earlier file of the package, by its path.
    HardLink(String),
    /// A file of so many bytes.
    File(u64, &'a mut dyn Read),
}

/// Reads packages one after the other. They are decompressed on a thread of its own, some MiB ahead of what `each`
/// has read. A package of which `each` reads only a part is skipped to its end.
pub fn read_each<P: Read + Send, E: From<Error>>(
    packages: impl Iterator<Item = io::Result<P>> + Send,
    mut each: impl FnMut(&mut Package<'_>) -> Result<(), E>,
) -> Result<(), E> {
    ahead::decompressed(packages, |blocks| {
        while let Some((number, control)) = blocks.next_package()? {
            each(&mut Package { number, control, data: blocks })?;
        }
        Ok(())
    })
}

impl Package<'_> {
    /// Gives each entry to `install`, in the package's order. Devices and pipes are left out: a running system makes
    /// its own.
    pub fn entries<E: From<Error>>(&mut self, mut install: impl FnMut(Entry<'_>) -> Result<(), E>) -> Result<(), E> {
        let package = self.number;
        let failed = |source| E::from(Error { package, source });
        let mut archive = tar::Archive::new(&mut *self.data);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            if let Some(entry) = parse(&mut entry).map_err(failed)? {
                install(entry)?;
            }
        }
        Ok(())
    }
}

fn parse<'a>(entry: &'a mut tar::Entry<'_, impl Read>) -> io::Result<Option<Entry<'a>>> {
    let path = inside(&entry.path()?)?;
    let header = entry.header();
    let (mode, uid, gid) = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
    let target = |entry: &tar::Entry<'_, _>| {
        let target = entry.link_name()?.ok_or_else(|| refused(format!("`{path}` links to nothing")))?;
        let text = target.to_str().ok_or_else(|| refused(format!("`{path}` links to a name that is not UTF-8")))?;
        Ok::<_, io::Error>(text.to_owned())
    };
    let kind = match header.entry_type() {
        tar::EntryType::Directory => Kind::Folder,
        tar::EntryType::Symlink => Kind::Link(target(entry)?),
        tar::EntryType::Link => Kind::HardLink(inside(Path::new(&target(entry)?))?),
        tar::EntryType::Regular => Kind::File(entry.size(), entry),
        tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => return Ok(None),
        other => return Err(refused(format!("`{path}` is of a kind that packages do not have: {other:?}"))),
    };
    Ok(Some(Entry { path, mode, uid, gid, kind }))
}

/// A path of the package without `./`, empty for the root; refused if it leads out.
fn inside(path: &Path) -> io::Result<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => {
                parts.push(part.to_str().ok_or_else(|| refused(format!("{path:?} is not UTF-8")))?);
            }
            _ => return Err(refused(format!("`{}` leads out of the package", path.display()))),
        }
    }
    Ok(parts.join("/"))
}

/// Reads `control.tar`.
fn control(archive: impl Read) -> io::Result<Control> {
    let mut control = Control::new();
    // What is decompressed is bounded too: it could be small and unpack without end.
    let mut archive = tar::Archive::new(archive.take(2 * CONTROL_LIMIT));
    let mut left = CONTROL_LIMIT;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let too_long = || refused(format!("it tells more than {CONTROL_LIMIT} bytes about itself"));
            left = left.checked_sub(entry.size()).ok_or_else(too_long)?;
            let name = inside(&entry.path()?)?;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            control.insert(name, bytes);
        }
    }
    if !control.contains_key("control") {
        return Err(refused("its `control.tar` has no file `control`"));
    }
    Ok(control)
}
