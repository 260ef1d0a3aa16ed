//! The files of a context, with the sums that tell later whether they are all there and as they were.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use image_name::Digest;
use oci_image::{BlobSource, Descriptor};
use sha2::{Digest as _, Sha256};

/// What `sha256sum --check` reads.
pub const SUMS: &str = "SHA256SUMS";

/// A folder that is being filled.
pub struct Folder {
    root: PathBuf,
    sums: BTreeMap<String, Digest>,
}

impl Folder {
    /// An empty one, which is there already.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), sums: BTreeMap::new() }
    }

    /// A small file.
    pub fn text(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        self.stream(name, |out| Ok(out.write_all(text.as_bytes())?))
    }

    /// A blob; the source checks that it is the one.
    pub fn blob(&mut self, name: &str, blob: &Descriptor, source: &dyn BlobSource) -> anyhow::Result<()> {
        let digest = blob.digest;
        self.stream(name, |out| {
            let opened = source.open(blob).with_context(|| format!("failed to read layer {digest}"))?;
            io::copy(&mut oci_image::CheckedReader::new(opened, blob), out)
                .with_context(|| format!("failed to copy layer {digest}"))?;
            Ok(())
        })
    }

    /// A file that `write` writes.
    pub fn stream(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = self.root.join(name);
        let failed = || format!("failed to write `{}`", path.display());
        fs::create_dir_all(path.parent().unwrap_or(&self.root)).with_context(failed)?;
        let file = File::create_new(&path).with_context(failed)?;
        let mut out = Summed { file, hash: Sha256::new() };
        write(&mut out).with_context(failed)?;
        out.file.sync_all().with_context(failed)?;
        self.sums.insert(name.to_owned(), Digest::from_bytes(out.hash.finalize().into()));
        Ok(())
    }

    /// Writes the sums of all that is there.
    pub fn finish(self) -> anyhow::Result<()> {
        let path = self.root.join(SUMS);
        let failed = || format!("failed to write `{}`", path.display());
        let lines = self.sums.iter().map(|(name, digest)| format!("{}  {name}\n", digest.hex()));
        let mut file = File::create_new(&path).with_context(failed)?;
        file.write_all(lines.collect::<String>().as_bytes()).with_context(failed)?;
        file.sync_all().with_context(failed)?;
        // The names too, before the folder gets its own.
        for folder in [self.root.join("layers"), self.root] {
            if let Ok(folder) = File::open(&folder) {
                folder.sync_all().with_context(failed)?;
            }
        }
        Ok(())
    }
}

/// Writes and hashes.
struct Summed {
    file: File,
    hash: Sha256,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
