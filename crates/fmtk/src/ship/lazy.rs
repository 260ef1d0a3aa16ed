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
    resolve::base::{self, OpenImage},
    terminal::progress::Progress,
};

/// What opens the base, and what came of it.
pub struct LazyBase<'a> {
    open: Box<dyn Fn() -> anyhow::Result<OpenImage> + Send + Sync + 'a>,
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
        let open = move || {
            let RecordedBase { reference, digest: built_on } = &record.base;
            let image = base::open(reference, args, registry, store, progress)?;
            let found = image.base.manifest_digest;
            ensure!(found == *built_on, "the base `{reference}` is {found} now, the image was built on {built_on}");
            Ok(image)
        };
        Self { open: Box::new(open), opened: OnceLock::new() }
    }
}

impl BlobSource for LazyBase<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.opened.get_or_init(|| (self.open)().map_err(|error| format!("{error:#}"))) {
            Ok(image) => image.open(blob),
            Err(reason) => Err(io::Error::other(reason.as_str())),
        }
    }
}
