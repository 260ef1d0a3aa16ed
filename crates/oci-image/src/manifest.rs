//! Image manifests: Docker's schema 2 and OCI, parsed, checked, printed.

use serde::{Deserialize, Serialize};

use crate::{
    Compression, Descriptor, Format,
    media::{MAX_CONFIG, is_foreign},
    refused::{ManifestError, refuse},
};

/// More than any overlay can stack; a manifest with more is not meant for running.
const MAX_LISTED: usize = 1000;

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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Manifest {
    pub(crate) fn from_json(bytes: &[u8], format: Format) -> Result<Self, ManifestError> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if wire.layers.len() > MAX_LISTED {
            return Err(refuse(format!("it lists {} layers", wire.layers.len())));
        }
        // An artifact (a signature, an SBOM) has the shape of an image but another config.
        if ![Format::DockerV2.config(), Format::Oci.config()].contains(&wire.config.media_type.as_str()) {
            return Err(refuse(format!("it is not an image: its config is `{}`", wire.config.media_type)));
        }
        if wire.config.size > MAX_CONFIG {
            return Err(refuse(format!("its config has {} bytes; at most {MAX_CONFIG} are read", wire.config.size)));
        }
        for layer in &wire.layers {
            if is_foreign(&layer.media_type) || !layer.urls.is_empty() {
                return Err(refuse(format!(
                    "layer {} is foreign (`{}`): its contents lie elsewhere and can't be pushed",
                    layer.digest, layer.media_type
                )));
            }
            if Compression::of_media_type(&layer.media_type).is_none() {
                return Err(refuse(format!("layer {} is a `{}`, which is not known", layer.digest, layer.media_type)));
            }
        }
        Ok(Self { format, config: wire.config, layers: wire.layers })
    }

    /// The manifest as JSON, the same bytes for the same value.
    pub fn to_json(&self) -> Vec<u8> {
        let wire = Wire {
            schema_version: 2,
            media_type: self.format.manifest().to_owned(),
            config: self.config.clone(),
            layers: self.layers.clone(),
        };
        // Strings, numbers and lists: nothing in it can fail to be JSON.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}
