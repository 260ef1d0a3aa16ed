//! The image that ours is put upon.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    BlobSource, CheckedReader, Compression, Descriptor, Digest, Document, DocumentError, Format, ImageConfig, Manifest,
    Platform, StoreError,
    checked::{read_full, read_small},
    media::MAX_CONFIG,
};

/// An image as its manifest and config describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// As people named it.
    pub name: String,
    /// The names that it has in its layout or archive.
    pub names: Vec<String>,
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
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The file system refused.
    #[error("failed to read `{path}`")]
    Io { path: PathBuf, source: io::Error },
    /// A blob could not be read, or is not what its descriptor says.
    #[error("failed to read the {what} of `{name}`")]
    Blob { what: &'static str, name: String, source: io::Error },
    /// A compressed archive is not whole.
    #[error("`{path}` ends too early")]
    CutOff { path: PathBuf },
    /// There are several images and none was named.
    #[error("`{place}` holds several images: {}", listed(.there))]
    Several { place: PathBuf, there: Vec<String> },
    /// It is another image than the one wanted, or none that can be built upon.
    #[error("{message}")]
    Refused { message: String, source: Option<DocumentError> },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Names in words.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    }
}

impl BaseError {
    pub(crate) fn refused(message: String) -> Self {
        Self::Refused { message, source: None }
    }

    /// The file or folder at `place` is not `what`: `an OCI image layout`, `a docker archive`.
    pub(crate) fn is_not(place: &Path, what: &str, reason: &str) -> Self {
        Self::refused(format!("`{}` is not {what}: {reason}", place.display()))
    }

    /// The manifest or config of the image `name` is not taken.
    pub(crate) fn document(name: &str) -> impl Fn(DocumentError) -> Self {
        let message = format!("`{name}` can't be used as a base");
        move |error| Self::Refused { message: message.clone(), source: Some(error) }
    }

    /// A blob of the image `name` can't be read.
    pub(crate) fn blob(what: &'static str, name: &str) -> impl Fn(io::Error) -> Self {
        let name = name.to_owned();
        move |source| Self::Blob { what, name: name.clone(), source }
    }

    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

impl Base {
    /// Nothing, with this config: an image of its own begins with it.
    pub fn scratch(config_bytes: &[u8]) -> Result<Self, DocumentError> {
        Ok(Self {
            name: "scratch".to_owned(),
            names: Vec::new(),
            manifest_digest: Digest::of([]),
            format: Format::Oci,
            layers: Vec::new(),
            config_bytes: config_bytes.to_vec(),
            config: ImageConfig::parse(config_bytes)?,
        })
    }

    /// Puts together an image from the bytes of its manifest and config, whatever its platform. `media_type` is what
    /// the place says that the manifest is.
    pub fn new(
        name: &str,
        manifest: &[u8],
        media_type: Option<&str>,
        config_bytes: Vec<u8>,
    ) -> Result<Self, BaseError> {
        let refused = BaseError::document(name);
        let Manifest { format, config: wanted, layers } = Manifest::parse(manifest, media_type).map_err(&refused)?;
        let found = Digest::of(&config_bytes);
        if found != wanted.digest {
            let source = io::Error::new(io::ErrorKind::InvalidData, format!("its digest is {found}"));
            return Err(BaseError::blob("config", name)(source));
        }
        let config = ImageConfig::parse(&config_bytes).map_err(refused)?;
        check_lengths(name, layers.len(), &config)?;
        let manifest_digest = Digest::of(manifest);
        let (name, names) = (name.to_owned(), Vec::new());
        Ok(Self { name, names, manifest_digest, format, layers, config_bytes, config })
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
        let refused = BaseError::document(name);
        let fetched;
        let (manifest, media_type, bytes) = match Document::parse(document, media_type).map_err(&refused)? {
            Document::Manifest(manifest) => (manifest, media_type.map(str::to_owned), document),
            Document::Index(index) => {
                let descriptor = &index.choose(platform).map_err(&refused)?.descriptor;
                let checked = |bytes: Vec<u8>| {
                    let length = bytes.len() + 1;
                    read_full(&mut CheckedReader::new(&*bytes, descriptor), &mut vec![0; length]).map(|_| bytes)
                };
                fetched = fetch(descriptor).and_then(checked).map_err(BaseError::blob("manifest", name))?;
                let media_type = Some(descriptor.media_type.clone());
                (Manifest::parse(&fetched, media_type.as_deref()).map_err(&refused)?, media_type, &*fetched)
            }
        };
        let config = read_small(source, &manifest.config, MAX_CONFIG).map_err(BaseError::blob("config", name))?;
        let base = Self::new(name, bytes, media_type.as_deref(), config)?;
        base.require(platform)?;
        Ok(base)
    }

    /// Gives each layer the media type that its contents turned out to have, where its own says something else; then
    /// a note about it. Some tools change the one without the other.
    pub fn correct_labels(&mut self, found: &[Compression]) -> Option<String> {
        let mut corrected = Vec::new();
        for (layer, found) in self.layers.iter_mut().zip(found) {
            if layer.compression() != Some(*found) {
                corrected.push(format!("{} is `{}` and holds {}", layer.digest, layer.media_type, found.name()));
                layer.media_type = found.oci_layer().to_owned();
            }
        }
        let (count, first) = (corrected.len(), corrected.first()?);
        Some(format!("{count} of the base's layers are taken by their contents, not by their media type: {first}"))
    }

    /// Refuses an image that does not run on this platform.
    pub fn require(&self, platform: &Platform) -> Result<(), BaseError> {
        let found = self.config.platform();
        match found.serves(platform) {
            true => Ok(()),
            false => Err(BaseError::refused(format!("`{}` is for {found}, not for {platform}", self.name))),
        }
    }

    /// Compressed bytes of all layers, as stored.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }
}

/// Refuses a config that has not as many diff ids as there are layers.
pub(crate) fn check_lengths(name: &str, layers: usize, config: &ImageConfig) -> Result<(), BaseError> {
    let diff_ids = config.diff_ids().len();
    match layers == diff_ids {
        true => Ok(()),
        false => Err(BaseError::refused(format!(
            "`{name}` can't be used as a base: its manifest lists {layers} layers, its config {diff_ids}"
        ))),
    }
}
