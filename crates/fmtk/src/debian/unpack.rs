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

/// The absolute path at which an entry goes into the layer; none where it does not.
pub type Place<'a> = &'a dyn Fn(&str, &Kind<'_>) -> Option<String>;

/// A layer that packages are unpacked into.
pub struct Unpacking<'a> {
    /// The layer.
    pub writer: LayerWriter<'a>,
    /// Time of everything in it.
    pub mtime: u64,
    /// Contents of configuration files, and of those that are wanted later.
    pub kept: BTreeMap<String, Vec<u8>>,
    database: Database,
}

impl<'a> Unpacking<'a> {
    /// Begins a layer upon what `status`, dpkg's list of a base, says to be there.
    pub fn new(writer: LayerWriter<'a>, mtime: u64, status: &[u8]) -> Self {
        Self { writer, mtime, kept: BTreeMap::new(), database: Database::upon(status) }
    }

    /// Unpacks a package. What is in the files for which `is_wanted` holds is kept.
    pub fn unpack(
        &mut self,
        package: &mut debian_package::Package<'_>,
        place: Place<'_>,
        is_wanted: fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let conffiles: BTreeSet<String> = dpkg::conffiles(&package.control).map(str::to_owned).collect();
        let mut paths = BTreeSet::new();
        package.entries(|entry| {
            paths.insert(entry.path.clone());
            let is_kept = conffiles.contains(&entry.path) || is_wanted(&entry.path);
            self.install(entry, place, is_kept)
        })?;
        self.database.add(&package.control, &paths, &self.kept)
    }

    /// Puts an entry into the layer, if it belongs there.
    fn install(&mut self, entry: Entry<'_>, place: Place<'_>, is_kept: bool) -> anyhow::Result<()> {
        let Entry { path, mode, uid, gid, kind } = entry;
        let Some(to) = place(&path, &kind) else { return Ok(()) };
        let attr = Attr { mode, uid, gid, mtime: self.mtime };
        match kind {
            Kind::Folder => self.writer.dir(&to, &attr)?,
            Kind::Link(target) => self.writer.symlink(&to, &attr, &target)?,
            Kind::HardLink(target) => {
                let file = Kind::HardLink(target.clone());
                let target = place(&target, &file).unwrap_or_else(|| format!("/{target}"));
                self.writer.hard_link(&to, &attr, &target)?;
            }
            Kind::File(size, contents) if is_kept => {
                ensure!(size <= KEPT_LIMIT, "`{to}` has {size} bytes, more than {KEPT_LIMIT}");
                let mut bytes = Vec::new();
                contents.read_to_end(&mut bytes)?;
                self.writer.file(&to, &attr, &bytes)?;
                self.kept.insert(path, bytes);
            }
            Kind::File(size, contents) => {
                let content = Content { size, crc32: None, hash: None };
                self.writer.file_from(&to, &attr, &content, contents)?;
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
