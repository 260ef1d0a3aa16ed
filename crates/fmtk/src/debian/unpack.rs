//! Packages become files of a layer as dpkg unpacks them, with dpkg's own list of them. No script is run, so that any
//! machine can do it, for any architecture.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use debian_package::{Entry, Kind};
use oci_image::{Attr, Content, Layer, LayerWriter, is_within};

use super::dpkg::{self, Database};

/// No file that is read into memory is longer: 1 MiB.
const KEPT_LIMIT: u64 = 1 << 20;

const ROOT: (u64, u64) = (0, 0);

/// What serves readers of manuals and translators, or other programs than those of a job. Debian's own small images
/// leave out the same.
const DOCUMENTS: [&str; 4] = ["usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man"];

/// Whether an entry is left out for what it is. Licences stay, with the links to those of a sister package.
pub fn is_document(path: &str, is_folder_or_link: bool) -> bool {
    let below_doc = path != "usr/share/doc" && is_within(path, "usr/share/doc");
    DOCUMENTS.iter().any(|folder| is_within(path, folder))
        || below_doc && !is_folder_or_link && !path.ends_with("/copyright")
}

/// Where the entries of packages go.
pub trait Places {
    /// The absolute path at which this entry goes into the layer; none where it does not.
    fn place(&self, path: &str, kind: &Kind<'_>) -> Option<String>;
    /// Whether what is in the file is wanted later.
    fn is_kept(&self, path: &str) -> bool;
}

/// A layer that packages are unpacked into.
pub struct Unpacking<'a, P> {
    /// The layer.
    pub writer: LayerWriter<'a>,
    /// Time of everything in it.
    pub mtime: u64,
    /// Where things go.
    pub places: P,
    /// Contents of configuration files, and of those that are wanted later.
    pub kept: BTreeMap<String, Vec<u8>>,
    database: Database,
}

impl<'a, P: Places> Unpacking<'a, P> {
    /// Begins a layer upon what `status`, dpkg's list of a base, says to be there.
    pub fn new(writer: LayerWriter<'a>, mtime: u64, places: P, status: &[u8]) -> Self {
        Self { writer, mtime, places, kept: BTreeMap::new(), database: Database::upon(status) }
    }

    /// Unpacks a package.
    pub fn unpack(&mut self, package: &mut debian_package::Package<'_>) -> anyhow::Result<()> {
        let conffiles: BTreeSet<String> = dpkg::conffiles(&package.control).map(str::to_owned).collect();
        let mut paths = BTreeSet::new();
        package.entries(|entry| {
            paths.insert(entry.path.clone());
            let is_kept = conffiles.contains(&entry.path) || self.places.is_kept(&entry.path);
            self.install(entry, is_kept)
        })?;
        self.database.add(&package.control, &paths, &self.kept)
    }

    /// Puts an entry into the layer, if it belongs there.
    fn install(&mut self, entry: Entry<'_>, is_kept: bool) -> anyhow::Result<()> {
        let Entry { path, mode, uid, gid, kind } = entry;
        let Some(place) = self.places.place(&path, &kind) else { return Ok(()) };
        let attr = Attr { mode, uid, gid, mtime: self.mtime };
        match kind {
            Kind::Folder => self.writer.dir(&place, &attr)?,
            Kind::Link(target) => self.writer.symlink(&place, &attr, &target)?,
            Kind::HardLink(target) => {
                let file = Kind::HardLink(target.clone());
                let target = self.places.place(&target, &file).unwrap_or_else(|| format!("/{target}"));
                self.writer.hard_link(&place, &attr, &target)?;
            }
            Kind::File(size, contents) if is_kept => {
                ensure!(size <= KEPT_LIMIT, "`{place}` has {size} bytes, more than {KEPT_LIMIT}");
                let mut bytes = Vec::new();
                contents.read_to_end(&mut bytes)?;
                self.writer.file(&place, &attr, &bytes)?;
                self.kept.insert(path, bytes);
            }
            Kind::File(size, contents) => {
                let content = Content { size, crc32: None, hash: None };
                self.writer.file_from(&place, &attr, &content, contents)?;
            }
        }
        Ok(())
    }

    /// Writes dpkg's list and ends the layer; `folder` is where the base has `/var/lib/dpkg`.
    pub fn finish(mut self, folder: &str) -> anyhow::Result<Layer> {
        let (uid, gid) = ROOT;
        for (name, mode, text) in self.database.files() {
            let attr = Attr { mode, uid, gid, mtime: self.mtime };
            self.writer.file(&format!("{folder}/{name}"), &attr, text)?;
        }
        Ok(self.writer.finish()?)
    }
}
