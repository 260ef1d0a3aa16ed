//! What a registry or layout hands out under a tag: the manifest of an image, or an index of several.

use serde::Deserialize;

use crate::{
    Format, Index, Manifest,
    media::{DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA_1, MAX_MANIFEST, OCI_INDEX, OCI_MANIFEST},
    refused::{ManifestError, refuse},
};

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Of one image.
    Manifest(Manifest),
    /// Of several images.
    Index(Index),
}

/// The keys that tell the kinds apart, whatever they hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Shape {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads and checks. `media_type` is what the place it comes from says it is, where it says anything.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(refuse(format!("it has {} bytes; at most {MAX_MANIFEST} are read", bytes.len())));
        }
        let shape: Shape = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        // `application/json; charset=utf-8` and the like say nothing.
        let declared = media_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        let declared = declared.filter(|text| text.starts_with("application/vnd."));
        let schema_1 = |text: &str| text.starts_with(DOCKER_SCHEMA_1);
        if shape.schema_version == Some(1) || shape.fs_layers.is_some() || declared.is_some_and(schema_1) {
            return Err(refuse("it is of schema 1, which holds no digests of contents; push the image again"));
        }
        if shape.schema_version != Some(2) {
            return Err(refuse("its `schemaVersion` is not 2"));
        }
        if let Some((declared, own)) = declared.zip(shape.media_type.as_deref())
            && declared != own
        {
            return Err(refuse(format!("it is announced as `{declared}` but says of itself that it is `{own}`")));
        }
        // One document that can be read as both is an attack on readers that disagree (OCI image spec, manifest.md).
        if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
            return Err(refuse("it claims to be a manifest and an index at once"));
        }
        let kind = match shape.media_type.as_deref().or(declared) {
            Some(kind) => kind,
            None if shape.manifests.is_some() => OCI_INDEX,
            None => OCI_MANIFEST,
        };
        match kind {
            DOCKER_MANIFEST => Manifest::from_json(bytes, Format::DockerV2).map(Self::Manifest),
            OCI_MANIFEST => Manifest::from_json(bytes, Format::Oci).map(Self::Manifest),
            DOCKER_LIST | OCI_INDEX => Index::from_json(bytes).map(Self::Index),
            other => Err(refuse(format!("its media type `{other}` is not known"))),
        }
    }
}

impl Manifest {
    /// Reads and checks a manifest. `media_type` is what the place it comes from says it is; the manifest's own
    /// `mediaType` has to agree with it. An index is refused, see [`Document`].
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, ManifestError> {
        match Document::parse(bytes, media_type)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(refuse("it is an index of several images, not the manifest of one")),
        }
    }
}

impl Index {
    /// Reads and checks an index.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, ManifestError> {
        match Document::parse(bytes, media_type)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(refuse("it is the manifest of one image, not an index")),
        }
    }
}
