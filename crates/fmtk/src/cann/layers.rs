//! The layers of what an installer wrote: a second pass over the export, now that it is known what is kept.

use std::io::{self, Read, Write};

use anyhow::{Context, bail};
use oci_image::{
    Attr, BlobWriter, Content, ContentHash, EntryKind, Layer, LayerOptions, LayerWriter, MTIME, ParentDirs, Store,
    TarReader, TreeEntry, TreeKind, tree_layer,
};

use super::{
    FoundWheel,
    changes::{Changes, Kept, Kind, Ordered, Pipe},
};
use crate::recipe::Matcher;

/// Writes the layers, bottom to top, and copies the wheels among the files into the store.
pub fn write(
    store: &Store,
    changes: &Changes,
    export: impl Read,
    wheels: &Matcher,
    max_layer: u64,
) -> anyhow::Result<(Vec<Layer>, Vec<FoundWheel>)> {
    let mut made = Made { store, parents: &changes.parents, max_layer, layers: Vec::new(), writer: None };
    // Whiteouts have a layer of their own: beside a new file of the same name they would take that away again.
    if !changes.removed.is_empty() {
        let attr = Attr { mode: 0, uid: 0, gid: 0, mtime: MTIME };
        let whiteout = |path: &String| TreeEntry { path: path.clone(), attr, kind: TreeKind::Whiteout };
        made.layers.push(tree_layer(store, changes.removed.iter().map(whiteout).collect(), made.options())?);
    }
    let mut found = Vec::new();
    let mut tar = TarReader::new(Pipe::new(export));
    let mut last = None;
    while let Some(entry) = tar.next_entry()? {
        let path = Ordered::new(&entry.path);
        let target = match entry.kind {
            EntryKind::File(_) => changes.sources.get(&path),
            EntryKind::Dir | EntryKind::Symlink(_) => Some(&path),
            // Other names are written with the contents.
            EntryKind::HardLink(_) | EntryKind::Sparse | EntryKind::Other => None,
        };
        let Some(target) = target else { continue };
        let Some(Kept { attr, kind }) = changes.kept.get(target) else { continue };
        // Layers are to be the same from every engine; all of them walk a folder by name.
        if last.as_ref().is_some_and(|last| *last >= path) {
            bail!("the engine's export is not sorted: `{}`", path.path());
        }
        let name = target.path();
        match kind {
            Kind::Dir => made.writer(0)?.dir(&name, attr)?,
            Kind::Symlink(to) => made.writer(0)?.symlink(&name, attr, to)?,
            Kind::File { size, sha256, others } => {
                let hash = Some(ContentHash::Sha256(*sha256.as_bytes()));
                let content = Content { size: *size, crc32: None, hash };
                let writer = made.writer(*size)?;
                if wheels.matches(name.rsplit('/').next().unwrap_or_default()) {
                    let mut tee = Tee { source: tar.contents(), copy: store.blob_writer()? };
                    writer.file_from(&name, attr, &content, &mut tee)?;
                    let (sha256, size) = tee.copy.commit()?;
                    found.push(FoundWheel { path: name.clone(), sha256, size });
                } else {
                    writer.file_from(&name, attr, &content, &mut tar.contents())?;
                }
                for other in others {
                    writer.hard_link(&other.path(), attr, &name)?;
                }
            }
        }
        last = Some(path);
    }
    let layers = made.finish().context("failed to write CANN's layers")?;
    Ok((layers, found))
}

/// The layers so far.
struct Made<'a> {
    store: &'a Store,
    parents: &'a ParentDirs,
    max_layer: u64,
    layers: Vec<Layer>,
    writer: Option<LayerWriter<'a>>,
}

impl<'a> Made<'a> {
    fn options(&self) -> LayerOptions<'a> {
        LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: self.parents }
    }

    /// The layer that the next file of this size goes into. How small it will be is not known before it is written, so
    /// it has to fit as it is; deflate makes nothing longer by more than a thousandth.
    fn writer(&mut self, size: u64) -> anyhow::Result<&mut LayerWriter<'a>> {
        let most = size.saturating_add(size / 1000).saturating_add(4096);
        let full = self.writer.as_mut().is_some_and(|writer| {
            let so_far = writer.size();
            so_far > 4096 && so_far.saturating_add(most) > self.max_layer
        });
        if full && let Some(writer) = self.writer.take() {
            self.layers.push(writer.finish()?);
        }
        if self.writer.is_none() {
            self.writer = Some(LayerWriter::new(self.store, self.options())?);
        }
        self.writer.as_mut().context("no layer was begun")
    }

    fn finish(mut self) -> anyhow::Result<Vec<Layer>> {
        if let Some(writer) = self.writer.take() {
            self.layers.push(writer.finish()?);
        }
        Ok(self.layers)
    }
}

/// Copies what is read.
struct Tee<R> {
    source: R,
    copy: BlobWriter,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.copy.write_all(&buffer[..length])?;
        Ok(length)
    }
}
