//! The image that ours is put upon.

use std::{io, path::PathBuf};

use crate::{
    BlobSource, ConfigError, Descriptor, Digest, Document, Format, ImageConfig, IndexEntry, Manifest, ManifestError,
    Platform, StoreError, checked::read_small, media::MAX_CONFIG,
};

/// An image as its manifest and config describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// As people named it.
    pub name: String,
    /// SHA-256 of the manifest. Of a docker archive, which has none, of the one that its parts make.
    pub manifest_digest: Digest,
    /// Which format its manifest is written in.
    pub format: Format,
    /// The layers, bottom first; as many as the config has diff ids.
    pub layers: Vec<Descriptor>,
    /// The config's bytes, as its descriptor names them.
    pub config_bytes: Vec<u8>,
    /// The config, parsed.
    pub config: ImageConfig,
}

/// Why a base can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The file system refused.
    #[error("failed to read `{path}`")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A blob could not be read, or is not what its descriptor says.
    #[error("failed to read the {what} of `{name}`")]
    Blob {
        /// `manifest` or `config`.
        what: &'static str,
        /// Of which image.
        name: String,
        /// What the source said.
        source: io::Error,
    },
    /// Its manifest is not taken.
    #[error("`{name}` can't be used as a base")]
    Manifest {
        /// Of which image.
        name: String,
        /// Why not.
        source: ManifestError,
    },
    /// Its config is not taken.
    #[error("`{name}` can't be used as a base")]
    Config {
        /// Of which image.
        name: String,
        /// Why not.
        source: ConfigError,
    },
    /// Manifest and config disagree.
    #[error("`{name}` can't be used as a base: its manifest lists {layers} layers, its config {diff_ids}")]
    Layers {
        /// Of which image.
        name: String,
        /// Layers of the manifest.
        layers: usize,
        /// Diff ids of the config.
        diff_ids: usize,
    },
    /// It runs elsewhere.
    #[error("`{name}` is for {found}, not for {wanted}")]
    Platform {
        /// Which image.
        name: String,
        /// What its config says.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// There is no image of this name.
    #[error("`{place}` has no image `{tag}`; it has {}", listed(.there))]
    NoSuchTag {
        /// The layout.
        place: PathBuf,
        /// What was asked for.
        tag: String,
        /// The names that are there.
        there: Vec<String>,
    },
    /// There are several images and none was named.
    #[error("`{place}` holds several images: {}", listed(.there))]
    Several {
        /// The layout or archive.
        place: PathBuf,
        /// Their names.
        there: Vec<String>,
    },
    /// The file or folder is not what it should be.
    #[error("`{place}` is not {what}: {reason}")]
    Place {
        /// Which file or folder.
        place: PathBuf,
        /// `an OCI image layout`, `a docker archive`.
        what: &'static str,
        /// Which rule it breaks.
        reason: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    }
}

impl Base {
    /// Puts together an image from the bytes of its manifest and config, whatever its platform. `media_type` is what
    /// the place says that the manifest is.
    pub fn new(
        name: &str,
        manifest: &[u8],
        media_type: Option<&str>,
        config_bytes: Vec<u8>,
    ) -> Result<Self, BaseError> {
        let parsed = Manifest::parse(manifest, media_type)
            .map_err(|source| BaseError::Manifest { name: name.to_owned(), source })?;
        let found = Digest::of(&config_bytes);
        if found != parsed.config.digest {
            let source = io::Error::new(io::ErrorKind::InvalidData, format!("its digest is {found}"));
            return Err(BaseError::Blob { what: "config", name: name.to_owned(), source });
        }
        let config =
            ImageConfig::parse(&config_bytes).map_err(|source| BaseError::Config { name: name.to_owned(), source })?;
        let (layers, diff_ids) = (parsed.layers.len(), config.diff_ids().len());
        if layers != diff_ids {
            return Err(BaseError::Layers { name: name.to_owned(), layers, diff_ids });
        }
        Ok(Self {
            name: name.to_owned(),
            manifest_digest: Digest::of(manifest),
            format: parsed.format,
            layers: parsed.layers,
            config_bytes,
            config,
        })
    }

    /// Follows a manifest or an index to the one image for `platform`. `fetch` gives the manifest that a descriptor
    /// of an index names; its size and digest are checked here. The config is read from `source`.
    pub fn resolve(
        name: &str,
        document: &[u8],
        media_type: Option<&str>,
        platform: &Platform,
        fetch: &mut dyn FnMut(&Descriptor) -> io::Result<Vec<u8>>,
        source: &dyn BlobSource,
    ) -> Result<Self, BaseError> {
        let refused = |source| BaseError::Manifest { name: name.to_owned(), source };
        let (manifest, media_type, bytes) = match Document::parse(document, media_type).map_err(refused)? {
            Document::Manifest(manifest) => (manifest, media_type.map(str::to_owned), document.to_vec()),
            Document::Index(index) => {
                let IndexEntry { descriptor, .. } = index.choose(platform).map_err(refused)?;
                let unread = |source| BaseError::Blob { what: "manifest", name: name.to_owned(), source };
                let bytes = fetch(descriptor).map_err(unread)?;
                check(&bytes, descriptor).map_err(unread)?;
                let media_type = Some(descriptor.media_type.clone());
                (Manifest::parse(&bytes, media_type.as_deref()).map_err(refused)?, media_type, bytes)
            }
        };
        let config = read_small(source, &manifest.config, MAX_CONFIG).map_err(|source| BaseError::Blob {
            what: "config",
            name: name.to_owned(),
            source,
        })?;
        let base = Self::new(name, &bytes, media_type.as_deref(), config)?;
        base.require(platform)?;
        Ok(base)
    }

    /// Refuses an image that does not run on this platform.
    pub fn require(&self, platform: &Platform) -> Result<(), BaseError> {
        let found = self.config.platform();
        if found.serves(platform) {
            return Ok(());
        }
        Err(BaseError::Platform { name: self.name.clone(), found: found.to_string(), wanted: platform.to_string() })
    }

    /// Compressed bytes of all layers, as stored.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }
}

fn check(bytes: &[u8], wanted: &Descriptor) -> io::Result<()> {
    use io::Read;
    crate::CheckedReader::new(bytes, wanted).read_to_end(&mut Vec::new()).map(drop)
}
