//! Where the layers of an image lie that was built: those which the store need not have are in the base, or in another
//! image of a registry. An image is opened when one of its blobs is asked for and no sooner.

use std::{
    collections::HashMap,
    io::{self, Read},
    sync::OnceLock,
};

use anyhow::ensure;
use image_name::{Digest, ImageRef};
use oci_image::{BlobSource, Descriptor, Store};

use crate::{
    options::RegistryArgs,
    recipe,
    record::{BuildRecord, RecordedBase},
    resolve::base::{self, OpenImage},
    terminal::progress::Progress,
};

/// The images that layers of a built image are taken from.
pub struct Elsewhere<'a> {
    base: LazyImage<'a>,
    caches: Vec<(&'a ImageRef, LazyImage<'a>)>,
    /// Which of the caches has a layer.
    places: HashMap<Digest, usize>,
}

impl<'a> Elsewhere<'a> {
    /// Those of the record; the flags and the recipe say how their registries are reached.
    pub fn new(
        record: &'a BuildRecord,
        args: &'a RegistryArgs,
        registry: &'a recipe::Registry,
        store: &'a Store,
        progress: &'a Progress,
    ) -> Self {
        let RecordedBase { reference, digest } = &record.base;
        let changed = move |found: Digest| {
            ensure!(found == *digest, "the base `{reference}` is {found} now, the image was built on {digest}");
            Ok(())
        };
        let base = LazyImage::new(reference, changed, args, registry, store, progress);
        let mut elsewhere = Self { base, caches: Vec::new(), places: HashMap::new() };
        for layer in &record.layers {
            let Some(cache) = &layer.of_cache else { continue };
            let known = elsewhere.caches.iter().position(|(reference, _)| *reference == cache);
            let number = known.unwrap_or_else(|| {
                // It is named by its digest.
                let image = LazyImage::new(cache, |_| Ok(()), args, registry, store, progress);
                elsewhere.caches.push((cache, image));
                elsewhere.caches.len() - 1
            });
            elsewhere.places.insert(layer.blob.digest, number);
        }
        elsewhere
    }
}

/// A layer that was left in an image of a registry, which does not give it any more.
#[derive(Debug, thiserror::Error)]
#[error("it was left in the image {image}, and can't be read there: {reason}")]
pub struct LeftIn {
    image: String,
    reason: String,
}

impl BlobSource for Elsewhere<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.places.get(&blob.digest) {
            Some(number) => {
                let (image, cache) = &self.caches[*number];
                let left_in = |reason: io::Error| {
                    io::Error::new(reason.kind(), LeftIn { image: image.to_string(), reason: reason.to_string() })
                };
                cache.open(blob).map_err(left_in)
            }
            None => self.base.open(blob),
        }
    }
}

/// What opens an image, and what came of it.
struct LazyImage<'a> {
    open: Box<dyn Fn() -> anyhow::Result<OpenImage> + Send + Sync + 'a>,
    opened: OnceLock<Result<OpenImage, String>>,
}

impl<'a> LazyImage<'a> {
    fn new(
        reference: &'a ImageRef,
        check: impl Fn(Digest) -> anyhow::Result<()> + Send + Sync + 'a,
        args: &'a RegistryArgs,
        registry: &'a recipe::Registry,
        store: &'a Store,
        progress: &'a Progress,
    ) -> Self {
        let open = move || {
            let image = base::open(reference, args, registry, store, progress)?;
            check(image.base.manifest_digest)?;
            Ok(image)
        };
        Self { open: Box::new(open), opened: OnceLock::new() }
    }
}

impl BlobSource for LazyImage<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.opened.get_or_init(|| (self.open)().map_err(|error| format!("{error:#}"))) {
            Ok(image) => image.open(blob),
            Err(reason) => Err(io::Error::other(reason.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use registry_fake::FakeRegistry;

    use super::*;
    use crate::{
        recipe::{Overrides, Recipe},
        record::{RecordedLayer, tests::example},
        terminal::report,
    };

    /// Somebody deletes the image between a build and a push.
    #[test]
    fn a_layer_whose_image_was_deleted_comes_with_a_hint() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), FakeRegistry::start());
        let store = Store::open(folder.path()).unwrap();
        let recipe = Recipe::parse("", "image.toml", Path::new("/"), Overrides::default()).unwrap();
        let mut record = example("a", "20221028181325");
        let image = format!("{}/mine/fmtk-ma@{}", fake.host(), Digest::of("deleted"));
        let blob = Descriptor { media_type: String::new(), digest: Digest::of("x"), size: 1, urls: Vec::new() };
        let of_cache = Some(image.parse().unwrap());
        record.layers = vec![RecordedLayer { blob: blob.clone(), content: "x".to_owned(), of_base: false, of_cache }];
        let progress = Progress::new(true);
        let args = RegistryArgs::default();
        let elsewhere = Elsewhere::new(&record, &args, &recipe.registry, &store, &progress);
        let error = elsewhere.open(&blob).err().unwrap();
        let said = report::render(&record.explained(error.into(), &store));
        assert!(said.contains(&format!("it was left in the image {image}, and can't be read there: ")), "{said}");
        assert!(said.contains("hint: if that image is gone, build the image again: `cargo xtask image "), "{said}");
    }
}
