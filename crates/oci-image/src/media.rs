//! Media types of Docker's image manifest version 2, schema 2, and of the OCI image spec (media-types.md).

use serde::{Deserialize, Serialize};

pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Schema 1, signed or not; refused.
pub(crate) const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// The largest manifest or index that is read: 4 MiB, the bound that the OCI distribution spec names.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// The largest config that is read, in bytes: containerd and docker stop at 8 MiB.
pub const MAX_CONFIG: u64 = 8 << 20;

/// Which of the two manifest formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Docker's image manifest version 2, schema 2: what SWR takes.
    DockerV2,
    /// The OCI image spec's manifest.
    Oci,
}

impl Format {
    /// Media type of the manifest.
    pub const fn manifest(self) -> &'static str {
        if matches!(self, Self::DockerV2) { DOCKER_MANIFEST } else { OCI_MANIFEST }
    }

    /// Media type of the config.
    pub const fn config(self) -> &'static str {
        if matches!(self, Self::DockerV2) { DOCKER_CONFIG } else { OCI_CONFIG }
    }

    /// Media type of a layer that is a tar archive in gzip.
    pub const fn layer(self) -> &'static str {
        if matches!(self, Self::DockerV2) { DOCKER_LAYER } else { OCI_LAYER }
    }
}

/// How a layer's tar archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), of one member or several.
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// Of a layer with this media type; none for what is no layer that can be read.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            DOCKER_LAYER | OCI_LAYER => Some(Self::Gzip),
            "application/vnd.docker.image.rootfs.diff.tar" | OCI_LAYER_TAR => Some(Self::None),
            // The second is what containerd once wrote beside Docker manifests.
            OCI_LAYER_ZSTD | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// OCI's media type of a layer that is compressed so.
    pub(crate) const fn oci_layer(self) -> &'static str {
        match self {
            Self::None => OCI_LAYER_TAR,
            Self::Gzip => OCI_LAYER,
            Self::Zstd => OCI_LAYER_ZSTD,
        }
    }

    /// Of a stream with these first bytes; four are enough.
    pub fn of_magic(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, which zstd streams may begin with.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "an uncompressed tar archive",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}
