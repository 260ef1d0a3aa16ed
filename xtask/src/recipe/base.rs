//! `[base]`: the image that ours is put upon.

use image_name::Digest;
use serde::Serialize;

use super::{fields::Fields, folder_of};
use crate::base::ImageRef;

/// The base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Base {
    /// As it was written: `host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, `docker-daemon:NAME` or
    /// `podman:NAME`.
    /// Default: the base of the manual.
    #[serde(serialize_with = "as_text")]
    pub reference: ImageRef,
    /// The same, with a relative folder or file made to begin at the recipe.
    #[serde(skip)]
    pub source: ImageRef,
    /// What its manifest must have; none leaves that to `image.lock`. Default: none.
    pub digest: Option<Digest>,
    /// Whether the command's arguments chose it: then `image.lock` speaks of another one, if at all.
    #[serde(skip)]
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

    pub(super) fn read(mut fields: Fields<'_>, folder: &std::path::Path) -> Option<Self> {
        let text = fields.preset::<String>("reference", DEFAULT)?;
        let digest = fields.placed::<Digest>("digest");
        let overridden = text.is_argument();
        let reference: ImageRef = match text.value.parse() {
            Ok(reference) => reference,
            Err(error) => {
                fields.fault(&text, format!("{error:#}"));
                fields.end();
                return None;
            }
        };
        let source = match reference.clone() {
            ImageRef::Layout { dir, tag } => ImageRef::Layout { dir: folder_of(&text, folder).join(dir), tag },
            ImageRef::Archive(file) => ImageRef::Archive(folder_of(&text, folder).join(file)),
            registry => registry,
        };
        let named = match &reference {
            ImageRef::Registry(reference) => reference.digest,
            _ => None,
        };
        if let Some(pin) = digest.as_ref()
            && named.is_some_and(|named| named != pin.value)
        {
            fields.fault(pin, "differs from the digest in `base.reference`");
        }
        fields.end();
        Some(Self { reference, source, digest: named.or(digest.map(|pin| pin.value)), overridden })
    }
}

fn as_text<S: serde::Serializer>(reference: &ImageRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reference)
}
