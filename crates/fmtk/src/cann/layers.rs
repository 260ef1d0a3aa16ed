//! The layers of what an installer wrote: another pass over the export, now that it is known what is kept.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
};

use anyhow::{Context, bail};
use oci_image::{
    Attr, Content, ContentHash, EntryKind, Layer, LayerOptions, LayerWriter, MTIME, Store, TarReader, TreeEntry,
    TreeKind, tree_layer,
};

use super::{
    CannWheel,
    changes::{Changes, Kind, Ordered},
};
use crate::recipe::Matcher;

/// Writes the layers, bottom to top, and copies the wheels among the files into the store.
pub fn write(
    store: &Store,
    changes: &Changes,
    export: impl Read,
    wheels: &Matcher,
    max_layer: u64,
) -> anyhow::Result<(Vec<Layer>, Vec<CannWheel>)> {
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &changes.parents };
    let mut layers = Layers { store, options, max_layer, finished: Vec::new(), writer: None };
    // Whiteouts have a layer of their own: beside a new file of the same name they would remove that again.
    if !changes.removed.is_empty() {
        let attr = Attr { mode: 0, uid: 0, gid: 0, mtime: MTIME };
        let whiteout = |path: &String| TreeEntry { path: path.clone(), attr, kind: TreeKind::Whiteout };
        layers.finished.push(tree_layer(store, changes.removed.iter().map(whiteout).collect(), options)?);
    }
    let mut found = Vec::new();
    let mut export = BufReader::with_capacity(256 << 10, export);
    let mut tar = TarReader::new(&mut export as &mut dyn BufRead);
    let mut last = None;
    while let Some(entry) = tar.next_entry()? {
        let path = Ordered::new(&entry.path);
        let Some(item) = changes.kept.get(&path) else { continue };
        let [name, others @ ..] = &item.names[..] else { continue };
        // Layers are to be the same from every engine; all of them walk a folder by name.
        if last.as_ref().is_some_and(|last| *last >= path) {
            bail!("the engine's export is not sorted: `{}`", path.path());
        }
        match (&item.kind, entry.kind) {
            (Kind::Dir, _) => layers.writer(0)?.dir(name, &item.attr)?,
            (Kind::Symlink(to), _) => layers.writer(0)?.symlink(name, &item.attr, to)?,
            (Kind::File { size, sha256 }, EntryKind::File(_)) => {
                let hash = Some(ContentHash::Sha256(*sha256.as_bytes()));
                let content = Content { size: *size, crc32: None, hash };
                let writer = layers.writer(*size)?;
                if wheels.matches(name.rsplit('/').next().unwrap_or_default()) {
                    let mut copy = store.blob_writer()?;
                    io::copy(&mut tar.contents(), &mut copy)?;
                    let (sha256, size) = copy.commit()?;
                    writer.file_from(name, &item.attr, &content, &mut File::open(store.blob_path(&sha256))?)?;
                    found.push(CannWheel { path: name.clone(), sha256, size });
                } else {
                    writer.file_from(name, &item.attr, &content, &mut tar.contents())?;
                }
                for other in others {
                    writer.hard_link(other, &item.attr, name)?;
                }
            }
            (Kind::File { .. } | Kind::Special, _) => bail!("`{}` changed while it was read", path.path()),
        }
        last = Some(path);
    }
    Ok((layers.finish().context("failed to write CANN's layers")?, found))
}

/// The layers so far.
struct Layers<'a> {
    store: &'a Store,
    options: LayerOptions<'a>,
    max_layer: u64,
    finished: Vec<Layer>,
    writer: Option<LayerWriter<'a>>,
}

impl<'a> Layers<'a> {
    /// The layer that the next file of this size goes into. How small it will be is not known before it is written, so
    /// it has to fit as it is; deflate makes nothing longer by more than a thousandth.
    fn writer(&mut self, size: u64) -> anyhow::Result<&mut LayerWriter<'a>> {
        let most = size.saturating_add(size / 1000).saturating_add(4096);
        if let Some(mut writer) = self.writer.take() {
            let so_far = writer.size();
            match so_far > 4096 && so_far.saturating_add(most) > self.max_layer {
                true => self.finished.push(writer.finish()?),
                false => self.writer = Some(writer),
            }
        }
        if self.writer.is_none() {
            self.writer = Some(LayerWriter::new(self.store, self.options)?);
        }
        self.writer.as_mut().context("no layer was begun")
    }

    fn finish(mut self) -> anyhow::Result<Vec<Layer>> {
        if let Some(writer) = self.writer.take() {
            self.finished.push(writer.finish()?);
        }
        Ok(self.finished)
    }
}
