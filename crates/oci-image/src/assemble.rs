//! Base, layers and edits become an image. Nothing is read or written: the image is a value.

use image_name::Digest;

use crate::{
    Base, Compression, ConfigEdits, Descriptor, DocumentError, Format, ImageConfig, Layer, Manifest, media::MAX_CONFIG,
};

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

impl Image {
    fn gzip(format: Format, config: Vec<u8>, layers: impl Iterator<Item = (Digest, u64)>) -> Self {
        Self::new(format, config, layers.map(|(digest, size)| Descriptor::new(format.layer(), digest, size)).collect())
    }

    fn new(format: Format, config: Vec<u8>, layers: Vec<Descriptor>) -> Self {
        let manifest = Manifest { format, config: Descriptor::of(format.config(), &config), layers };
        let bytes = manifest.to_json();
        let digest = Digest::of(&bytes);
        let Manifest { config: config_descriptor, layers, .. } = manifest;
        Self { format, manifest: bytes, digest, config, config_descriptor, layers }
    }

    /// The same config and layers with the manifest in this format, which gives it another digest. Its layers are gzip.
    pub fn in_format(&self, format: Format) -> Self {
        Self::gzip(format, self.config.clone(), self.layers.iter().map(|layer| (layer.digest, layer.size)))
    }

    /// The same image in OCI's format with other blobs of its layers. `blob` gives each, from the layer's number from the
    /// bottom, its blob now and its diff id, which stays. Docker's format has no media type for other compressions than
    /// gzip.
    ///
    /// # Errors
    ///
    /// Those of `blob`, and if the config can't be read.
    pub fn with_blobs<E: From<DocumentError>>(
        &self,
        mut blob: impl FnMut(usize, &Descriptor, &Digest) -> Result<Descriptor, E>,
    ) -> Result<Self, E> {
        let config = ImageConfig::parse(&self.config)?;
        let layers = self.layers.iter().zip(config.diff_ids()).enumerate();
        let layers = layers.map(|(number, (layer, diff_id))| blob(number, layer, diff_id));
        Ok(Self::new(Format::Oci, self.config.clone(), layers.collect::<Result<_, E>>()?))
    }
}

impl Base {
    /// The digest that its manifest has in this format. None where a layer is not gzip: it is recompressed before.
    pub fn digest_in(&self, format: Format) -> Option<Digest> {
        let is_gzip = |layer: &Descriptor| layer.compression() == Some(Compression::Gzip);
        let layers = self.layers.iter().map(|layer| (layer.digest, layer.size));
        self.layers.iter().all(is_gzip).then(|| Image::gzip(format, self.config_bytes.clone(), layers).digest)
    }
}

/// Why an image can't be put together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct AssembleError(String);

/// Puts `layers` upon `base`, bottom first. The base's layers have to be gzip, see [`crate::recompress`]. The same
/// arguments give the same bytes.
pub fn assemble(base: &Base, layers: &[NewLayer], edits: &ConfigEdits, format: Format) -> Result<Image, AssembleError> {
    let (of_base, found) = (base.layers.len(), base.layers.len() + layers.len());
    if found > MAX_LAYERS {
        return Err(AssembleError(format!(
            "the image would have {found} layers, {of_base} of them the base's; at most {MAX_LAYERS} can be stacked"
        )));
    }
    for layer in &base.layers {
        if layer.compression() != Some(Compression::Gzip) {
            let Descriptor { digest, media_type, .. } = layer;
            return Err(AssembleError(format!(
                "layer {digest} of the base is `{media_type}`; it has to be recompressed with gzip first"
            )));
        }
    }
    let told: Vec<(Digest, &str)> = layers.iter().map(|new| (new.layer.diff_id, new.holds.as_str())).collect();
    let config = base.config.edited(edits, &told).to_json();
    let length = config.len() as u64;
    if length > MAX_CONFIG {
        return Err(AssembleError(format!(
            "the image's config would have {length} bytes; engines read at most {MAX_CONFIG}"
        )));
    }
    let of_base = base.layers.iter().map(|layer| (layer.digest, layer.size));
    let ours = layers.iter().map(|new| (new.layer.digest, new.layer.size));
    Ok(Image::gzip(format, config, of_base.chain(ours)))
}
