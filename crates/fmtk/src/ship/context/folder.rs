//! The folder of a context: it appears whole, takes the place of nothing but an earlier one, and has the sums that tell
//! later whether its files are all there and as they were.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use image_name::Digest;
use oci_image::{BlobSource, CheckedReader, Descriptor, Scratch};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest as _, Sha256};

use super::dockerfile::FIRST;
use crate::terminal::report::WithHint;

/// What `sha256sum --check` reads.
const SUMS: &str = "SHA256SUMS";
/// Longer files are layers; of these the name is enough.
const TEXT_LIMIT: u64 = 1 << 20;

/// Whether a context may go there.
pub fn check(dir: &Path) -> anyhow::Result<()> {
    match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => {
            return Err(anyhow!("`{}` exists already and is not a folder", dir.display()))
                .hint("name a new or empty folder");
        }
        // Not there, most often; else creating it says more.
        Err(_) => return Ok(()),
    }
    let Some(reason) = stranger(dir).with_context(|| format!("failed to read `{}`", dir.display()))? else {
        return Ok(());
    };
    Err(anyhow!("`{}` exists already and is not a build context that fmtk wrote: {reason}", dir.display()))
        .hint("name a new or empty folder")
}

/// Why the folder is neither empty nor what an earlier run wrote. Files that someone put there or changed would be lost.
fn stranger(dir: &Path) -> io::Result<Option<String>> {
    let mut files = Vec::new();
    list(dir, "", &mut files)?;
    let Ok(sums) = fs::read_to_string(dir.join(SUMS)) else {
        return Ok(files.first().map(|file| format!("`{file}` is in it")));
    };
    let listed: Vec<(&str, &str)> = sums.lines().filter_map(|line| line.split_once("  ")).collect();
    for file in files.iter().filter(|file| *file != SUMS) {
        let Some((hex, _)) = listed.iter().find(|(_, name)| name == file) else {
            return Ok(Some(format!("`{file}` is in it")));
        };
        let path = dir.join(file);
        if fs::metadata(&path)?.len() > TEXT_LIMIT {
            continue;
        }
        let bytes = fs::read(&path)?;
        if Digest::of(&bytes).hex() != **hex {
            return Ok(Some(format!("`{file}` in it was changed")));
        }
    }
    let ours = fs::read(dir.join("Dockerfile")).is_ok_and(|text| text.starts_with(FIRST.as_bytes()));
    Ok((!ours).then(|| "it has no Dockerfile of fmtk".to_owned()))
}

/// All that is below a folder and is no folder, sorted, and folders with nothing in them but those of `layers`.
fn list(dir: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(dir)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // Not through links: what they lead to is elsewhere.
        if entry.file_type()?.is_dir() && name == "layers" {
            list(&entry.path(), "layers/", files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}

/// A context on its way.
pub struct ContextDir {
    dir: PathBuf,
    scratch: Scratch,
    /// Where it is filled.
    root: PathBuf,
    sums: BTreeMap<String, Digest>,
}

impl ContextDir {
    /// Creates a folder beside, to be filled.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        check(dir)?;
        let failed = || format!("failed to create a folder beside `{}`", dir.display());
        // Through a link, so that this stays one.
        let dir = fs::canonicalize(dir).or_else(|_| std::path::absolute(dir)).with_context(failed)?;
        let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
            return Err(anyhow!("`{}` can't be made a build context", dir.display())).input();
        };
        fs::create_dir_all(parent).with_context(failed)?;
        let scratch = Scratch::beside(parent, &format!(".{}.new-", name.to_string_lossy())).with_context(failed)?;
        let root = scratch.path().join("context");
        fs::create_dir_all(root.join("layers")).with_context(failed)?;
        Ok(Self { dir, scratch, root, sums: BTreeMap::new() })
    }

    pub fn text(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        self.stream(name, |out| Ok(out.write_all(text.as_bytes())?))
    }

    /// Copies a blob, which is checked.
    pub fn blob(&mut self, name: &str, blob: &Descriptor, source: &dyn BlobSource) -> anyhow::Result<()> {
        self.stream(name, |out| {
            let copied = source.open(blob).and_then(|opened| io::copy(&mut CheckedReader::new(opened, blob), out));
            copied.map(drop).with_context(|| format!("failed to copy layer {}", blob.digest))
        })
    }

    pub fn stream(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = self.root.join(name);
        let failed = || format!("failed to write `{}`", path.display());
        let file = File::create_new(&path).with_context(failed)?;
        let mut out = Summed { file, hash: Sha256::new() };
        write(&mut out).with_context(failed)?;
        out.file.sync_all().with_context(failed)?;
        self.sums.insert(name.to_owned(), Digest::from_bytes(out.hash.finalize().into()));
        Ok(())
    }

    /// Writes the sums and puts the folder where it is to be, at once.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let lines = self.sums.iter().map(|(name, digest)| format!("{}  {name}\n", digest.hex()));
        self.text(SUMS, &lines.collect::<String>())?;
        let Self { dir, scratch, root, .. } = &self;
        // The names too, before the folder gets its own.
        for folder in [&root.join("layers"), root] {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.with_context(|| format!("failed to write `{}`", folder.display()))?;
        }
        // Asked again: it may have come meanwhile.
        check(dir)?;
        let failed = || format!("failed to rename a folder to `{}`", dir.display());
        if fs::symlink_metadata(dir).is_err() {
            return fs::rename(root, dir).with_context(failed);
        }
        match renameat_with(CWD, root, CWD, dir, RenameFlags::EXCHANGE).map_err(io::Error::from) {
            // Some file systems can't swap; there is a moment then in which neither is there.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                let old = scratch.path().join("old");
                fs::rename(dir, &old).with_context(failed)?;
                fs::rename(root, dir).or_else(|error| fs::rename(&old, dir).and(Err(error))).with_context(failed)
            }
            swapped => swapped.with_context(failed),
        }
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
