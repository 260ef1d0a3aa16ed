//! Whether the store has an image as it was built. Blobs may have gone since then, or be others than their names say;
//! the image then has to be built again, and nothing else may take its place.

use std::error::Error;

use anyhow::{anyhow, ensure};
use image_name::Digest;
use oci_image::{Manifest, Store, WrongBlob};

use crate::{
    record::BuildRecord,
    resolve::base::NoImage,
    ship::lazy::LeftIn,
    terminal::report::{self, WithHint},
};

/// Looks for all that the image needs of the store. Contents of layers are left to whoever reads them: see [`BuildRecord::explained`].
pub fn check(record: &BuildRecord, store: &Store) -> anyhow::Result<()> {
    // Else the build that makes them again would find them there.
    for digest in [&record.digest, &record.config.digest] {
        store.discard_damaged(digest)?;
    }
    let manifest = record.manifest(store)?;
    let mut lost = Vec::new();
    if !store.has(&record.config.digest, record.config.size) {
        lost.push(format!("its config {}", record.config.digest));
    }
    for layer in record.layers.iter().filter(|layer| layer.is_of_store()) {
        if !store.has(&layer.blob.digest, layer.blob.size) {
            lost.push(format!("layer `{}` ({})", layer.content, layer.blob.digest));
        }
    }
    let whole = || {
        let (name, lost) = (record.name(), lost.join(", "));
        ensure!(lost.is_empty(), "`{name}` is not in the store as it was built: it lacks {lost}");
        let said = Manifest::parse(&manifest, Some(&record.media_type))?;
        let layers = record.layers.iter().map(|layer| &layer.blob.digest);
        let is_same = said.config.digest == record.config.digest && said.layers.iter().map(|it| &it.digest).eq(layers);
        ensure!(is_same, "the store's record of `{name}` differs from its manifest");
        Ok(())
    };
    whole().hint(record.again())
}

/// The blob that was not what its descriptor says.
fn wrong(cause: &(dyn Error + 'static)) -> Option<Digest> {
    if let Some(registry::Cause::Damaged { wanted, .. }) = cause.downcast_ref() {
        return Some(*wanted);
    }
    cause.downcast_ref().map(|found: &WrongBlob| found.digest)
}

/// Whether the image that has a layer is gone, or the layer from it.
fn is_gone(error: &anyhow::Error) -> bool {
    let causes = report::causes(error);
    let is_missing = |cause: &&(dyn Error + 'static)| {
        cause.is::<NoImage>() || matches!(cause.downcast_ref(), Some(registry::Cause::NotFound(..)))
    };
    causes.iter().any(|cause| cause.is::<LeftIn>()) && causes.iter().any(is_missing)
}

impl BuildRecord {
    /// The error with the image's layer that it is about, where that is one of the store which is not what its name
    /// says. It is removed from the store, so that the next build makes it anew. Where a layer was left in an image that
    /// is gone, with a hint.
    pub fn explained(&self, error: anyhow::Error, store: &Store) -> anyhow::Error {
        match report::causes(&error).into_iter().find_map(wrong) {
            Some(digest) => self.explained_of(digest, error, store),
            None if is_gone(&error) => report::hinted(error, self.again()),
            None => error,
        }
    }

    /// The same of an error that came up while this blob was read: one that is damaged may not unpack.
    pub fn explained_of(&self, digest: Digest, error: anyhow::Error, store: &Store) -> anyhow::Error {
        if !store.discard_damaged(&digest).unwrap_or(false) {
            return error;
        }
        let layer = self.layers.iter().find(|layer| layer.blob.digest == digest);
        let content = layer.map_or("of the base", |layer| layer.content.as_str());
        let said = report::one_line(error.as_ref());
        let text =
            format!("layer `{content}` of `{}` was damaged in the store and has been removed from it", self.name());
        report::hinted(anyhow!(said).context(text), self.again())
    }
}
