//! Where the layers of an image lie that was built: those which the store need not have are in the base, or in another
//! image of a registry. An image is opened when one of its blobs is asked for and no sooner.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    io::{self, Read},
    sync::{Arc, OnceLock},
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

/// A layer that the build found in an image of a registry, and left there, can't be read from it.
#[derive(Debug, thiserror::Error)]
#[error("failed to read a layer from the image {image}, where the build found it")]
pub struct LeftIn {
    image: String,
    source: io::Error,
}

impl BlobSource for Elsewhere<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.places.get(&blob.digest) {
            Some(number) => {
                let (image, cache) = &self.caches[*number];
                let left_in =
                    |source: io::Error| io::Error::new(source.kind(), LeftIn { image: image.to_string(), source });
                cache.open(blob).map_err(left_in)
            }
            None => self.base.open(blob),
        }
    }
}

/// What opens an image, and what came of it.
struct LazyImage<'a> {
    open: Box<dyn Fn() -> anyhow::Result<OpenImage> + Send + Sync + 'a>,
    opened: OnceLock<Result<OpenImage, Unopened>>,
}

/// Why an image can't be opened, for each that asks for one of its blobs.
#[derive(Debug, Clone)]
struct Unopened(Arc<anyhow::Error>);

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Unopened {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
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
        let unopened = |error: anyhow::Error| Unopened(Arc::new(error.context("the image can't be opened")));
        match self.opened.get_or_init(|| (self.open)().map_err(unopened)) {
            Ok(image) => image.open(blob),
            Err(error) => Err(io::Error::other(error.clone())),
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
        assert!(
            said.contains(&format!("failed to read a layer from the image {image}, where the build found")),
            "{said}"
        );
        assert!(said.contains("hint: build the image again: `cargo xtask image "), "{said}");
    }
}
