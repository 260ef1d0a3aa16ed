//! `[base]`: the image that ours is put upon.

use image_name::{Digest, ImageRef, Reference};
use serde::{Deserialize, Deserializer, de::Error};
use serde_spanned::Spanned;

use super::document::Document;

/// The base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// As it was written: `host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, `docker-daemon:NAME` or
    /// `podman:NAME`.
    /// Default: the base of the manual.
    pub reference: ImageRef,
    /// The same, with a relative folder or file made to begin at the recipe.
    pub source: ImageRef,
    /// What its manifest must have; none leaves that to `image.lock`. Default: none.
    pub digest: Option<Digest>,
    /// Whether the command's arguments chose it: then `image.lock` speaks of another one, if at all.
    pub overridden: bool,
}

const DEFAULT: &str = "swr.cn-central-221.ovaijisuan.com/mindxsdk/fmtk-ma_base:2022110901";

impl Base {
    /// Whether it is the manual's base, whatever its tag: what the defaults of `[layout.dirs]` were written for.
    pub fn is_standard(&self) -> bool {
        match (&self.reference, DEFAULT.parse()) {
            (ImageRef::Registry(base), Ok(ImageRef::Registry(standard))) => base.path == standard.path,
            _ => false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(deserialize_with = "from_text")]
    reference: ImageRef,
    digest: Option<Spanned<Digest>>,
}

impl Written {
    pub fn finish(self, document: &mut Document) -> Base {
        let Self { reference, digest } = self;
        let key = ["base", "reference"];
        let folder = document.folder(&key);
        let (source, named) = match &reference {
            ImageRef::Layout { dir, tag } => (ImageRef::Layout { dir: folder.join(dir), tag: tag.clone() }, None),
            ImageRef::Archive(file) => (ImageRef::Archive(folder.join(file)), None),
            ImageRef::Registry(registry) => (reference.clone(), registry.digest),
            ImageRef::Engine { .. } => (reference.clone(), None),
        };
        if let (Some(named), Some(pin)) = (named, &digest)
            && named != *pin.get_ref()
        {
            document.fault(pin.span(), "differs from the digest in `base.reference`");
        }
        let overridden = document.is_argument(&key);
        Base { reference, source, digest: named.or(digest.map(Spanned::into_inner)), overridden }
    }
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ImageRef, D::Error> {
    let text = String::deserialize(deserializer)?;
    let names_one =
        |reference: &ImageRef| !matches!(reference, ImageRef::Registry(Reference { tag: None, digest: None, .. }));
    match text.parse() {
        Ok(reference) if names_one(&reference) => Ok(reference),
        Err(error) if text.contains(':') => Err(D::Error::custom(format!("{:#}", anyhow::Error::new(error)))),
        _ => Err(D::Error::custom(format!(
            "`{text}` has neither a tag nor a digest; a file of this machine is `docker-archive:{text}`, the folder of a \
             layout `oci:{text}`"
        ))),
    }
}
