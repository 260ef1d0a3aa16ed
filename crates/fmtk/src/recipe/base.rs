//! `[base]`: the image that ours is put upon.

use std::path::Path;

use image_name::{Digest, ImageRef};
use serde::Serialize;

use super::{fields::Fields, folder_of};
use crate::terminal::shell;

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

    pub(super) fn read(mut fields: Fields<'_>, folder: &Path) -> Option<Self> {
        let text = fields.preset::<String>("reference", DEFAULT)?;
        let digest = fields.placed::<Digest>("digest");
        let overridden = text.is_argument();
        let named: anyhow::Result<ImageRef> = match plain_path(&text.value, folder_of(&text, folder)) {
            Some((wrong, hint)) => {
                fields.fault_with(&text, wrong, hint);
                fields.end();
                return None;
            }
            None => text.value.parse().map_err(anyhow::Error::new),
        };
        let reference = match named {
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

/// Whether the text is a folder or file of this machine that lacks what says so; what is wrong then, and what to write.
fn plain_path(text: &str, folder: &Path) -> Option<(String, String)> {
    let is_known = match text.parse() {
        // Whoever has a folder of that name means the registry all the same.
        Ok(ImageRef::Registry(reference)) => reference.tag.is_some() || reference.digest.is_some(),
        Ok(_) => true,
        Err(_) => false,
    };
    let path = folder.join(text);
    if is_known || text.is_empty() || !path.exists() {
        return None;
    }
    Some(if path.join("oci-layout").is_file() {
        (
            format!("`{text}` is the folder of an OCI image layout"),
            format!("write `{}`", shell::word(format!("oci:{text}"))),
        )
    } else if path.is_dir() {
        let hint = "write `oci:DIR` for a layout, `docker-archive:FILE` for what `docker save` writes".to_owned();
        (format!("`{text}` is a folder, and no OCI image layout"), hint)
    } else {
        let archive = shell::word(format!("docker-archive:{text}"));
        (format!("`{text}` is a file"), format!("write `{archive}`, if `docker save` wrote it"))
    })
}

fn as_text<S: serde::Serializer>(reference: &ImageRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reference)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_plain_path_is_told_what_to_write_before_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("base.d/layout")).unwrap();
        fs::write(folder.path().join("base.d/layout/oci-layout"), "{}").unwrap();
        fs::write(folder.path().join("base.tar"), "").unwrap();
        let hint = |text: &str| plain_path(text, folder.path()).map(|(_, hint)| hint);
        assert_eq!(hint("base.d/layout").as_deref(), Some("write `oci:base.d/layout`"));
        assert_eq!(hint("base.tar").as_deref(), Some("write `docker-archive:base.tar`, if `docker save` wrote it"));
        fs::write(folder.path().join("my base.tar"), "").unwrap();
        assert!(hint("my base.tar").unwrap().contains("`'docker-archive:my base.tar'`"));
        assert!(hint("base.d").unwrap().contains("oci:DIR"));
        let absolute = folder.path().join("base.tar").display().to_string();
        assert_eq!(hint(&absolute), Some(format!("write `docker-archive:{absolute}`, if `docker save` wrote it")));
        for known in
            ["oci:base.d/layout", "docker-archive:base.tar", "base.d/layout:1", "registry.x/a/b:1", "absent", ""]
        {
            assert_eq!(hint(known), None, "{known}");
        }
    }
}
