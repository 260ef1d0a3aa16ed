//! Where an image is read from: a registry, an OCI layout, a docker archive or an engine of this host.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::{NameError, Reference};

/// Where an image is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageRef {
    /// `host/org/repo:tag[@digest]`.
    Registry(Reference),
    /// `oci:DIR[:tag]`, an OCI image layout.
    Layout {
        /// The folder.
        dir: PathBuf,
        /// Which of its images; needed where it holds several.
        tag: Option<String>,
    },
    /// `docker-archive:FILE`, what `docker save` writes.
    Archive(PathBuf),
    /// `docker-daemon:NAME` or `podman:NAME`, what an engine on this host has.
    Engine {
        /// `docker` or `podman`.
        program: &'static str,
        /// Name or id of the image there.
        name: String,
    },
}

/// What begins the references of the engines' images.
const ENGINES: [(&str, &str); 2] = [("docker-daemon:", "docker"), ("podman:", "podman")];

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {why}")]
pub struct ImageRefError {
    text: String,
    why: String,
    /// Why it is no reference to a registry.
    source: Option<NameError>,
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        let refused = |why: String| Err(ImageRefError { text: text.to_owned(), why, source: None });
        if let Some(file) = text.strip_prefix("docker-archive:") {
            return match file {
                "" => refused("names no file after `docker-archive:`".to_owned()),
                file => Ok(Self::Archive(file.into())),
            };
        }
        for (scheme, program) in ENGINES {
            let Some(name) = text.strip_prefix(scheme) else { continue };
            // One that begins with a dash would be an option of the engine.
            return match name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
                true => refused(format!("names no image after `{scheme}`")),
                false => Ok(Self::Engine { program, name: name.to_owned() }),
            };
        }
        if let Some(place) = text.strip_prefix("oci:") {
            // A tag holds no slash, so a colon before one belongs to the folder's name.
            let (dir, tag) = match place.rsplit_once(':') {
                Some((dir, tag)) if !tag.contains('/') => (dir, Some(tag.to_owned())),
                _ => (place, None),
            };
            return match dir.is_empty() || tag.as_deref() == Some("") {
                true => refused("is not `oci:DIR` or `oci:DIR:tag`".to_owned()),
                false => Ok(Self::Layout { dir: dir.into(), tag }),
            };
        }
        text.parse().map(Self::Registry).map_err(|source| {
            // Docker puts its own registry before such a name; here it could be any.
            let on_hub = format!("docker.io/{}{text}", if text.contains('/') { "" } else { "library/" });
            let (why, source) = match on_hub.parse::<Reference>() {
                Ok(_) => {
                    (format!("names no registry: write `HOST/{text}`, or `{on_hub}` for Docker Hub's image"), None)
                }
                Err(_) => {
                    let kinds = "`host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, \
                                 `docker-daemon:NAME` or `podman:NAME`";
                    (format!("is not {kinds}"), Some(source))
                }
            };
            ImageRefError { text: text.to_owned(), why, source }
        })
    }
}

crate::error::serde_as_text!(ImageRef);

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout { dir, tag: Some(tag) } => write!(f, "oci:{}:{tag}", dir.display()),
            Self::Layout { dir, tag: None } => write!(f, "oci:{}", dir.display()),
            Self::Archive(file) => write!(f, "docker-archive:{}", file.display()),
            Self::Engine { program, name } => {
                let scheme = ENGINES.iter().find(|(_, known)| known == program).map_or("", |(scheme, _)| scheme);
                write!(f, "{scheme}{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reference_prints_as_it_was_written() {
        for text in [
            "swr.cn-central-221.ovaijisuan.com/mindxsdk/fmtk-ma_base:2022110901",
            "127.0.0.1:5000/base:1",
            "oci:/tmp/base",
            "oci:base:3.9",
            "oci:/a:b/c",
            "docker-archive:base.tar",
            "docker-daemon:registry.example/a/base:1",
            "docker-daemon:9b2f",
            "podman:localhost/base@sha256:b5bb9d80",
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_reference_without_a_place_is_refused() {
        for (texts, why) in [
            (&["oci:", "oci::tag", "oci:dir:"][..], "is not `oci:DIR` or `oci:DIR:tag`"),
            (&["docker-archive:"], "names no file after `docker-archive:`"),
            (&["docker-daemon:"], "names no image after `docker-daemon:`"),
            (
                &["ubuntu:22.04"],
                "names no registry: write `HOST/ubuntu:22.04`, or `docker.io/library/ubuntu:22.04` for Docker Hub's image",
            ),
            (&["a/b:1"], "names no registry: write `HOST/a/b:1`, or `docker.io/a/b:1` for Docker Hub's image"),
            (&["podman:-a", "podman:a b"], "names no image after `podman:`"),
            (
                &["", "UPPER/x"],
                "is not `host/org/repo:tag[@digest]`, `oci:DIR[:tag]`, `docker-archive:FILE`, `docker-daemon:NAME` or `podman:NAME`",
            ),
        ] {
            for text in texts {
                assert_eq!(text.parse::<ImageRef>().unwrap_err().to_string(), format!("`{text}` {why}"));
            }
        }
    }
}
