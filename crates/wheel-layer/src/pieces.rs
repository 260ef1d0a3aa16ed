//! One layer after the other, each of about the size that is allowed at most.

use oci_image::{Attr, Layer, LayerError, LayerOptions, LayerWriter, Store};

use crate::Layout;

/// Tar header and padding of a file, about.
const OVERHEAD: u64 = 1024;

/// Layers on their way into the store.
pub(crate) struct Pieces<'a> {
    store: &'a Store,
    layout: &'a Layout,
    limit: u64,
    writer: Option<LayerWriter<'a>>,
    size: u64,
    done: Vec<Layer>,
}

impl<'a> Pieces<'a> {
    /// Of at most `limit` compressed bytes each, except that a larger file has a layer to itself.
    pub fn new(store: &'a Store, layout: &'a Layout, limit: u64) -> Self {
        Self { store, layout, limit, writer: None, size: 0, done: Vec::new() }
    }

    /// A file of this mode.
    pub fn attr(&self, mode: u32) -> Attr {
        Attr { mode, uid: self.layout.uid, gid: self.layout.gid, mtime: self.layout.mtime }
    }

    /// The layer that so many more bytes go into.
    pub fn with(&mut self, bytes: u64) -> Result<&mut LayerWriter<'a>, LayerError> {
        let bytes = bytes.saturating_add(OVERHEAD);
        if self.size > 0 && self.size.saturating_add(bytes) > self.limit {
            self.end_piece()?;
        }
        self.size = self.size.saturating_add(bytes);
        let Layout { mtime, uid, gid, parents, .. } = self.layout;
        let options = LayerOptions { mtime: *mtime, uid: *uid, gid: *gid, parents };
        Ok(match &mut self.writer {
            Some(writer) => writer,
            empty => empty.insert(LayerWriter::new(self.store, options)?),
        })
    }

    fn end_piece(&mut self) -> Result<(), LayerError> {
        if let Some(writer) = self.writer.take() {
            self.done.push(writer.finish()?);
        }
        self.size = 0;
        Ok(())
    }

    /// Ends the last one.
    pub fn finish(mut self) -> Result<Vec<Layer>, LayerError> {
        self.end_piece()?;
        Ok(self.done)
    }
}
