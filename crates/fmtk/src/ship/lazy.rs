//! The base of an image that was built, opened when one of its blobs is asked for and no sooner.

use std::{
    io::{self, Read},
    sync::OnceLock,
};

use anyhow::ensure;
use oci_image::{BlobSource, Descriptor, Store};

use crate::{
    options::RegistryArgs,
    recipe,
    record::{BuildRecord, RecordedBase},
    resolve::base::{OpenImage, open},
    terminal::progress::Progress,
};

/// The base's place, and what it has to be.
pub struct LazyBase<'a> {
    record: &'a BuildRecord,
    args: &'a RegistryArgs,
    registry: &'a recipe::Registry,
    store: &'a Store,
    progress: &'a Progress,
    opened: OnceLock<Result<OpenImage, String>>,
}

impl<'a> LazyBase<'a> {
    /// The base of the record; the flags and the recipe say how its registry is reached.
    pub fn new(
        record: &'a BuildRecord,
        args: &'a RegistryArgs,
        registry: &'a recipe::Registry,
        store: &'a Store,
        progress: &'a Progress,
    ) -> Self {
        Self { record, args, registry, store, progress, opened: OnceLock::new() }
    }

    fn image(&self) -> anyhow::Result<OpenImage> {
        let image = open(&self.record.base.reference, self.args, self.registry, self.store, self.progress)?;
        let RecordedBase { reference, digest: built_on } = &self.record.base;
        let found = image.base.manifest_digest;
        ensure!(found == *built_on, "the base `{reference}` is {found} now, the image was built on {built_on}");
        Ok(image)
    }
}

impl BlobSource for LazyBase<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.opened.get_or_init(|| self.image().map_err(|error| format!("{error:#}"))) {
            Ok(image) => image.open(blob),
            Err(reason) => Err(io::Error::other(reason.as_str())),
        }
    }
}
