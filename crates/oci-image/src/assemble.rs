//! Base, layers and edits become an image. Nothing is read or written: the image is a value.

use image_name::Digest;

use crate::{Base, Compression, ConfigEdits, Descriptor, Format, Layer, Manifest, media::MAX_CONFIG};

/// Layers that an image may have: docker's overlay stops near 125, and who builds upon ours wants some too.
pub const MAX_LAYERS: usize = 120;

/// A layer to put upon the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The layer.
    pub layer: Layer,
    /// What it holds, in words, for the image's history.
    pub holds: String,
}

/// An image: what is to be pushed or written beside its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Which format its manifest is written in.
    pub format: Format,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// SHA-256 of the manifest.
    pub digest: Digest,
    /// The config.
    pub config: Vec<u8>,
    /// What points at the config.
    pub config_descriptor: Descriptor,
    /// All layers, bottom first; the base's come before ours.
    pub layers: Vec<Descriptor>,
}

/// Why an image can't be put together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AssembleError {
    /// Too many layers to be stacked.
    #[error("the image would have {found} layers, {base} of them the base's; at most {MAX_LAYERS} can be stacked")]
    TooManyLayers {
        /// In all.
        found: usize,
        /// Of the base.
        base: usize,
    },
    /// A layer of the base that not every registry and engine takes.
    #[error("layer {digest} of the base is `{media_type}`; it has to be recompressed with gzip first")]
    NotGzip {
        /// The layer's blob.
        digest: Digest,
        /// What the manifest says it is.
        media_type: String,
    },
    /// The config has grown beyond what engines read.
    #[error("the image's config would have {found} bytes; engines read at most {MAX_CONFIG}")]
    ConfigTooLarge {
        /// Its length in bytes.
        found: u64,
    },
}

/// Puts `layers` upon `base`, bottom first. The base's layers have to be gzip, see [`crate::normalise`]. The same
/// arguments give the same bytes.
pub fn assemble(base: &Base, layers: &[NewLayer], edits: &ConfigEdits, format: Format) -> Result<Image, AssembleError> {
    let found = base.layers.len() + layers.len();
    if found > MAX_LAYERS {
        return Err(AssembleError::TooManyLayers { found, base: base.layers.len() });
    }
    let blob = |digest, size| Descriptor { media_type: format.layer().to_owned(), digest, size, urls: Vec::new() };
    let mut descriptors = Vec::with_capacity(found);
    for layer in &base.layers {
        if Compression::of_media_type(&layer.media_type) != Some(Compression::Gzip) {
            let media_type = layer.media_type.clone();
            return Err(AssembleError::NotGzip { digest: layer.digest, media_type });
        }
        descriptors.push(blob(layer.digest, layer.size));
    }
    descriptors.extend(layers.iter().map(|new| blob(new.layer.digest, new.layer.size)));

    let told: Vec<(Digest, &str)> = layers.iter().map(|new| (new.layer.diff_id, new.holds.as_str())).collect();
    let config = base.config.edited(edits, &told).to_json();
    if config.len() as u64 > MAX_CONFIG {
        return Err(AssembleError::ConfigTooLarge { found: config.len() as u64 });
    }
    let config_descriptor = Descriptor {
        media_type: format.config().to_owned(),
        digest: Digest::of(&config),
        size: config.len() as u64,
        urls: Vec::new(),
    };
    let manifest = Manifest { format, config: config_descriptor, layers: descriptors };
    let bytes = manifest.to_json();
    let digest = Digest::of(&bytes);
    let Manifest { config: config_descriptor, layers, .. } = manifest;
    Ok(Image { format, manifest: bytes, digest, config, config_descriptor, layers })
}
