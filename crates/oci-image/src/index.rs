//! Image indexes (Docker: manifest lists): several images under one name, one a platform.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    Descriptor, Format, Platform,
    media::{DOCKER_LIST, OCI_INDEX},
    refused::{ManifestError, refuse},
};

/// The annotation that holds an image's tag in an OCI layout (OCI image spec, annotations.md).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where containerd, and so docker, keeps the full name.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// How buildkit marks what only speaks about another image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// More is no index that people write.
const MAX_LISTED: usize = 10_000;

/// Several images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// In the order of the document.
    pub manifests: Vec<IndexEntry>,
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IndexEntry {
    /// Its manifest.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// What it runs on, where the index says so.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Notes by key.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Wire {
    manifests: Vec<IndexEntry>,
}

impl IndexEntry {
    /// The names that the entry goes by: a tag, or a whole reference.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [REF_NAME, IMAGE_NAME].into_iter().filter_map(|key| self.annotations.get(key)).map(String::as_str)
    }

    /// Whether it goes by this tag.
    pub fn is_named(&self, tag: &str) -> bool {
        self.names().any(|name| name == tag || name.strip_suffix(tag).is_some_and(|rest| rest.ends_with(':')))
    }

    /// Whether it leads to another index.
    pub fn is_index(&self) -> bool {
        [DOCKER_LIST, OCI_INDEX].contains(&self.descriptor.media_type.as_str())
    }

    /// Whether it is a manifest that speaks about another image (provenance, SBOM) instead of being one.
    pub fn is_attestation(&self) -> bool {
        let nowhere = |platform: &Platform| platform.os == "unknown" && platform.architecture == "unknown";
        self.annotations.contains_key(REFERENCE_TYPE) || self.platform.as_ref().is_some_and(nowhere)
    }
}

impl Index {
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if wire.manifests.len() > MAX_LISTED {
            return Err(refuse(format!("it lists {} images", wire.manifests.len())));
        }
        Ok(Self { manifests: wire.manifests })
    }

    /// The image for this platform, attestations passed over. Refused where there is none, or only another index: an
    /// index of indexes has no meaning that readers agree on. A lone entry without a platform is taken as it is, its
    /// config says the truth.
    pub fn choose(&self, wanted: &Platform) -> Result<&IndexEntry, ManifestError> {
        let images: Vec<&IndexEntry> = self.manifests.iter().filter(|entry| !entry.is_attestation()).collect();
        let serves = |entry: &&&IndexEntry| entry.platform.as_ref().is_some_and(|platform| platform.serves(wanted));
        let chosen = match (images.as_slice(), images.iter().find(serves)) {
            (_, Some(entry)) => entry,
            ([only], None) if only.platform.is_none() => only,
            ([], None) if self.manifests.is_empty() => return Err(refuse("the index is empty")),
            ([], None) => return Err(refuse("the index holds attestations only, no image")),
            (images, None) => {
                let name = |entry: &&IndexEntry| {
                    entry.platform.as_ref().map_or_else(|| "no platform".to_owned(), ToString::to_string)
                };
                let mut there: Vec<String> = images.iter().map(name).collect();
                there.dedup();
                return Err(refuse(format!("the index has nothing for {wanted}, only for {}", there.join(", "))));
            }
        };
        if chosen.is_index() {
            return Err(refuse("the index leads to another index"));
        }
        let media_type = &chosen.descriptor.media_type;
        if ![Format::DockerV2.manifest(), Format::Oci.manifest()].contains(&media_type.as_str()) {
            return Err(refuse(format!("the index leads to a `{media_type}`, which is not known")));
        }
        Ok(chosen)
    }
}
