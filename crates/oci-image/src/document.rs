//! What a registry or layout has under a tag: the manifest of an image (Docker's schema 2 or OCI), or an index of
//! several (Docker: manifest list). Parsed, checked, printed.

use std::collections::BTreeMap;

use image_name::Digest;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    Compression, Format, Platform,
    media::{DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA_1, MAX_CONFIG, MAX_MANIFEST, OCI_INDEX, OCI_MANIFEST},
};

/// The annotation that holds an image's tag in an OCI layout (OCI image spec, annotations.md).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where containerd, and so docker, keeps the full name.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// How buildkit marks what only speaks about another image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// More layers than any overlay can stack; a manifest with more is not meant for running.
const MAX_LAYERS: usize = 1000;
/// More values than any manifest, index or config that people write. Each takes some hundred bytes once it is read: 8 MiB
/// of `[0,0,0…]` would take 450 MiB.
const MAX_VALUES: usize = 200_000;
/// More images than any index that people write.
const MAX_IMAGES: usize = 10_000;

/// Why a manifest, an index or a config is not taken.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DocumentError {
    message: String,
    source: Option<serde_json::Error>,
}

impl DocumentError {
    /// It is not JSON, or not of the right shape.
    pub(crate) fn json(what: &str) -> impl FnOnce(serde_json::Error) -> Self {
        let message = format!("the {what} can't be read");
        move |error| Self { message, source: Some(error) }
    }

    /// It is readable but breaks a rule.
    pub(crate) fn refused(what: &str, reason: &str) -> Self {
        Self { message: format!("refused the {what}: {reason}"), source: None }
    }
}

/// Refuses JSON of more values than any real document has. A comma inside of a text counts as one as well.
pub(crate) fn check_values(what: &str, bytes: &[u8]) -> Result<(), DocumentError> {
    match memchr::memchr3_iter(b',', b'[', b'{', bytes).count() > MAX_VALUES {
        true => Err(DocumentError::refused(what, &format!("it has more values than the {MAX_VALUES} that are read"))),
        false => Ok(()),
    }
}

fn refuse<T>(reason: impl AsRef<str>) -> Result<T, DocumentError> {
    Err(DocumentError::refused("manifest", reason.as_ref()))
}

/// A descriptor of a blob (OCI image spec, descriptor.md; Docker's schema 2 has the same three fields).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the blob.
    pub media_type: String,
    /// SHA-256 of the blob's bytes.
    pub digest: Digest,
    /// Length of the blob in bytes.
    pub size: u64,
    /// Where a foreign layer lies; an image that has one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, urls: Vec::new() }
    }

    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// How a layer is compressed, by its media type; `None` of what is no layer.
    pub fn compression(&self) -> Option<Compression> {
        Compression::of_media_type(&self.media_type)
    }
}

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Of one image.
    Manifest(Manifest),
    /// Of several images.
    Index(Index),
}

/// What an image consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Which format it is written in.
    pub format: Format,
    /// The config.
    pub config: Descriptor,
    /// The layers, bottom first. Every one can be read: see [`Compression::of_media_type`].
    pub layers: Vec<Descriptor>,
}

/// Several images under one name, one a platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

/// The keys that tell the kinds apart, whatever they hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Shape {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Document {
    /// Reads and checks. `media_type` is what the place it comes from says it is, where it says anything.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, DocumentError> {
        if bytes.len() as u64 > MAX_MANIFEST {
            return refuse(format!("it has {} bytes; at most {MAX_MANIFEST} are read", bytes.len()));
        }
        check_values("manifest", bytes)?;
        let shape: Shape = serde_json::from_slice(bytes).map_err(DocumentError::json("manifest"))?;
        // `application/json; charset=utf-8` and the like say nothing.
        let declared = media_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        let declared = declared.filter(|text| text.starts_with("application/vnd."));
        let schema_1 = |text: &str| text.starts_with(DOCKER_SCHEMA_1);
        if shape.schema_version == Some(1) || shape.fs_layers.is_some() || declared.is_some_and(schema_1) {
            return refuse("it is of schema 1, which holds no digests of contents; push the image again");
        }
        if shape.schema_version != Some(2) {
            return refuse("its `schemaVersion` is not 2");
        }
        if let Some((declared, own)) = declared.zip(shape.media_type.as_deref())
            && declared != own
        {
            return refuse(format!("it is announced as `{declared}` but says of itself that it is `{own}`"));
        }
        // One document that can be read as both is an attack on readers that disagree (OCI image spec, manifest.md).
        if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
            return refuse("it claims to be a manifest and an index at once");
        }
        let kind = match shape.media_type.as_deref().or(declared) {
            Some(kind) => kind,
            None if shape.manifests.is_some() => OCI_INDEX,
            None => OCI_MANIFEST,
        };
        match kind {
            DOCKER_MANIFEST => Manifest::from_json(bytes, Format::DockerV2).map(Self::Manifest),
            OCI_MANIFEST => Manifest::from_json(bytes, Format::Oci).map(Self::Manifest),
            DOCKER_LIST | OCI_INDEX => {
                let index: Index = serde_json::from_slice(bytes).map_err(DocumentError::json("manifest"))?;
                if index.manifests.len() > MAX_IMAGES {
                    return refuse(format!("it lists {} images; at most {MAX_IMAGES} are read", index.manifests.len()));
                }
                Ok(Self::Index(index))
            }
            other => refuse(format!("its media type `{other}` is not known")),
        }
    }
}

impl Manifest {
    /// Reads and checks a manifest. `media_type` is what the place it comes from says it is; the manifest's own
    /// `mediaType` has to agree with it. An index is refused, see [`Document`].
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, DocumentError> {
        match Document::parse(bytes, media_type)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => refuse("it is an index of several images, not the manifest of one"),
        }
    }

    fn from_json(bytes: &[u8], format: Format) -> Result<Self, DocumentError> {
        let Wire { config, layers, .. } = serde_json::from_slice(bytes).map_err(DocumentError::json("manifest"))?;
        if layers.len() > MAX_LAYERS {
            return refuse(format!("it lists {} layers; at most {MAX_LAYERS} are read", layers.len()));
        }
        // An artifact (a signature, an SBOM) has the shape of an image but another config.
        if ![Format::DockerV2.config(), Format::Oci.config()].contains(&config.media_type.as_str()) {
            return refuse(format!("it is not an image: its config is `{}`", config.media_type));
        }
        if config.size > MAX_CONFIG {
            return refuse(format!("its config has {} bytes; at most {MAX_CONFIG} are read", config.size));
        }
        for Descriptor { media_type, digest, urls, .. } in &layers {
            // "foreign" is Docker's word, "nondistributable" was OCI's.
            if media_type.contains(".foreign.") || media_type.contains(".nondistributable.") || !urls.is_empty() {
                let reason = "its contents lie elsewhere and can't be pushed";
                return refuse(format!("layer {digest} is foreign (`{media_type}`): {reason}"));
            }
            if Compression::of_media_type(media_type).is_none() {
                return refuse(format!("layer {digest} is a `{media_type}`, which is not known"));
            }
        }
        Ok(Self { format, config, layers })
    }

    /// The manifest as JSON, the same bytes for the same value.
    pub fn to_json(&self) -> Vec<u8> {
        let media_type = self.format.manifest().to_owned();
        let wire = Wire { schema_version: 2, media_type, config: self.config.clone(), layers: self.layers.clone() };
        // Strings, numbers and lists: nothing in it can fail to be JSON.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
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

    /// Whether it is a manifest that speaks about another image (provenance, SBOM) instead of being one.
    pub fn is_attestation(&self) -> bool {
        let nowhere = |platform: &Platform| platform.os == "unknown" && platform.architecture == "unknown";
        self.annotations.contains_key(REFERENCE_TYPE) || self.platform.as_ref().is_some_and(nowhere)
    }
}

impl Index {
    /// Reads and checks an index.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, DocumentError> {
        match Document::parse(bytes, media_type)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => refuse("it is the manifest of one image, not an index"),
        }
    }

    /// The image for this platform, attestations passed over. Refused where there is none, or only another index: an
    /// index of indexes has no meaning that readers agree on. A lone entry without a platform is taken as it is, its
    /// config says the truth.
    pub fn choose(&self, wanted: &Platform) -> Result<&IndexEntry, DocumentError> {
        let images: Vec<&IndexEntry> = self.manifests.iter().filter(|entry| !entry.is_attestation()).collect();
        let serves = |entry: &&&IndexEntry| entry.platform.as_ref().is_some_and(|platform| platform.serves(wanted));
        let chosen = match (images.as_slice(), images.iter().find(serves)) {
            (_, Some(entry)) => entry,
            ([only], None) if only.platform.is_none() => only,
            ([], None) if self.manifests.is_empty() => return refuse("the index is empty"),
            ([], None) => return refuse("the index holds attestations only, no image"),
            (images, None) => {
                let name = |entry: &&IndexEntry| {
                    entry.platform.as_ref().map_or_else(|| "no platform".to_owned(), ToString::to_string)
                };
                let mut there: Vec<String> = images.iter().map(name).collect();
                there.dedup();
                return refuse(format!("the index has nothing for {wanted}, only for {}", there.join(", ")));
            }
        };
        match chosen.descriptor.media_type.as_str() {
            DOCKER_MANIFEST | OCI_MANIFEST => Ok(chosen),
            DOCKER_LIST | OCI_INDEX => refuse("the index leads to another index"),
            other => refuse(format!("the index leads to a `{other}`, which is not known")),
        }
    }
}
