//! The base image: how it is named, and what opens it.

pub mod engine_image;

use std::{
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, anyhow};
use image_name::{ImageRef, Reference};
use oci_image::{
    Base, BaseError, BlobSource, ConfigEdits, Descriptor, Format, Image, Layer, NewLayer, Platform, Store,
};
use registry::{ManifestRef, RegistrySource};

use crate::{
    options::RegistryArgs,
    recipe,
    resolve::connect,
    terminal::{
        progress::Progress,
        report::{self, WithHint},
    },
};

/// An image that is open for reading: what it says of itself, and its blobs.
pub struct OpenImage {
    pub base: Base,
    source: Box<dyn BlobSource + Send + Sync>,
}

impl BlobSource for OpenImage {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        self.source.open(blob)
    }
}

/// Opens the image for linux/arm64; the flags and the recipe say how its registry is reached.
pub fn open(
    reference: &ImageRef,
    args: &RegistryArgs,
    registry: &recipe::Registry,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<OpenImage> {
    let platform = Platform::linux_arm64();
    match reference {
        ImageRef::Layout { dir, tag } => {
            let (base, source) = oci_image::open_layout(dir, tag.as_deref(), &platform).map_err(|error| {
                let archive = || format!("if it is an archive, write `docker-archive:{}`", dir.display());
                report::hinted_if(refused(error), dir.is_file().then(archive))
            })?;
            Ok(OpenImage { base, source: Box::new(source) })
        }
        ImageRef::Archive(file) => {
            let (base, source) = oci_image::open_archive(store, file, &platform).map_err(|error| {
                let layout = || format!("if it is an OCI image layout, write `oci:{}`", file.display());
                report::hinted_if(refused(error), file.is_dir().then(layout))
            })?;
            Ok(OpenImage { base, source })
        }
        ImageRef::Registry(reference) => pulled(reference, args, registry, &platform),
        ImageRef::Engine { program, name } => {
            engine_image::open(program, name, &reference.to_string(), store, progress)
        }
    }
}

/// There is no such image in its registry.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` has no image `{0}`", host = .0.host)]
pub struct NoImage(Reference);

fn pulled(
    reference: &Reference,
    args: &RegistryArgs,
    recipe: &recipe::Registry,
    platform: &Platform,
) -> anyhow::Result<OpenImage> {
    let registry = connect::registry(&reference.host, args, recipe);
    let wanted = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => ManifestRef::Digest(digest),
        (None, Some(tag)) => ManifestRef::Tag(tag),
        (None, None) => return Err(anyhow!("`{reference}` has neither a tag nor a digest")).input(),
    };
    let manifest = registry
        .manifest(&reference.path, wanted)?
        .ok_or_else(|| NoImage(reference.clone()))
        .hint("check the name, or list what is there with `cargo xtask images`")?;
    let source = RegistrySource { registry: registry.clone(), repository: reference.path.clone() };
    let mut fetch = |descriptor: &Descriptor| {
        let found = registry.manifest(&reference.path, ManifestRef::Digest(&descriptor.digest));
        match found.map_err(io::Error::other)? {
            Some(manifest) => Ok(manifest.bytes),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("`{}` is not there", descriptor.digest))),
        }
    };
    let name = reference.to_string();
    let media_type = Some(manifest.media_type.as_str());
    let base = Base::resolve(&name, &manifest.bytes, media_type, platform, &mut fetch, &source).map_err(refused)?;
    Ok(OpenImage { base, source: Box::new(source) })
}

/// An image that can't be read may be readable the next time; one that is not what is wanted has to be another.
fn refused(error: BaseError) -> anyhow::Error {
    match error {
        BaseError::Io { ref source, .. } if is_elsewhere(source.kind()) => report::input(error.into()),
        BaseError::Several { .. } => {
            report::hinted(report::input(error.into()), "name one of them after a colon, as in `oci:DIR:TAG`")
        }
        BaseError::Io { .. } | BaseError::Blob { .. } | BaseError::Store(_) => error.into(),
        error => report::input(error.into()),
    }
}

/// Whether another path has to be named, as against a file that can't be read now.
fn is_elsewhere(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | NotADirectory | IsADirectory | InvalidInput)
}

/// The base with nothing but these layers upon it, as an image that every engine loads.
pub fn as_image(store: &Store, opened: &OpenImage, layers: &[Layer]) -> anyhow::Result<Image> {
    let base = oci_image::recompress(store, &opened.base, opened).context("failed to read the base's layers")?;
    let edits = ConfigEdits { created: "1980-01-02T00:00:00Z".to_owned(), ..ConfigEdits::default() };
    let new: Vec<NewLayer> =
        layers.iter().map(|layer| NewLayer { layer: layer.clone(), holds: String::new() }).collect();
    Ok(oci_image::assemble(&base, &new, &edits, Format::DockerV2)?)
}

/// The same place, named so that it means the same from any folder.
pub fn absolute(reference: &ImageRef) -> anyhow::Result<ImageRef> {
    let path = |path: &Path| std::path::absolute(path).with_context(|| format!("bad path `{}`", path.display()));
    Ok(match reference {
        ImageRef::Registry(_) | ImageRef::Engine { .. } => reference.clone(),
        ImageRef::Layout { dir, tag } => ImageRef::Layout { dir: path(dir)?, tag: tag.clone() },
        ImageRef::Archive(file) => ImageRef::Archive(path(file)?),
    })
}

/// Blobs from the store where it has them, else from another place.
pub struct Fallback<'a> {
    pub store: &'a Store,
    pub other: &'a (dyn BlobSource + Sync),
}

impl BlobSource for Fallback<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.store.has(&blob.digest, blob.size) {
            true => BlobSource::open(self.store, blob),
            false => self.other.open(blob),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_for_a_folder_and_a_folder_for_a_file_are_wrong_input() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (dir, file) = (folder.path().join("layout"), folder.path().join("base.tar"));
        fs::create_dir(&dir).unwrap();
        fs::write(&file, "").unwrap();
        let refused = |text: String| {
            let recipe = recipe::Recipe::parse("", "image.toml", Path::new("/"), recipe::Overrides::default()).unwrap();
            let args = RegistryArgs::default();
            let opened = open(&text.parse().unwrap(), &args, &recipe.registry, &store, &Progress::new(true));
            let error = opened.err().unwrap();
            (report::exit(&error), report::render(&error))
        };
        for (text, other) in [
            (format!("oci:{}", file.display()), format!("`docker-archive:{}`", file.display())),
            (format!("docker-archive:{}", dir.display()), format!("`oci:{}`", dir.display())),
        ] {
            let (exit, said) = refused(text);
            assert!(exit == report::Exit::Input && said.contains(&other), "{said}");
        }
        assert_eq!(refused(format!("docker-archive:{}", folder.path().join("none").display())).0, report::Exit::Input);
    }
}
