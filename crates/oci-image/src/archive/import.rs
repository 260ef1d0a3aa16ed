//! An image that a container engine has, taken from the archive that the engine streams: read once, from begin to end,
//! nothing of it unpacked. Its layers come to lie in the store as they are needed there anyway, in gzip.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    docker,
    members::{Members, refused},
};
use crate::{
    Base, BaseError, BlobSource, CheckedReader, Compression, Descriptor, Digest, Format, ImageConfig, Platform, Store,
    StoreError,
    layout::image_in,
    media::{MAX_CONFIG, MAX_MANIFEST},
    recompress,
    unpack::decoder,
};

/// The kind of its records in the store.
const RECORDS: &str = "engine-image";
/// Files up to this size wait in memory until the end of the archive tells what they are: 256 KiB, so that 120 layers
/// of this kind take 30 MiB.
const SMALL: u64 = 256 << 10;
/// What may wait at most.
const WAITING: u64 = 64 << 20;

/// The layers of images that engines gave, from the store.
#[derive(Debug, Clone)]
pub struct ImportedSource(Store);

impl BlobSource for ImportedSource {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        if blob.compression() != Some(Compression::None) {
            return BlobSource::open(&self.0, blob);
        }
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the store has lost layer {}", blob.digest));
        let packed = recompress::known(&self.0, &blob.digest, &blob.digest).map_err(io::Error::other)?;
        let packed = self.0.open_blob(&packed.ok_or_else(missing)?.digest).map_err(io::Error::other)?;
        let (_, archive) = decoder(packed)?;
        Ok(Box::new(CheckedReader::new(archive, blob)))
    }
}

/// What the store remembers of an engine's image.
#[derive(Serialize, Deserialize)]
struct Remembered {
    #[serde(default)]
    names: Vec<String>,
    manifest_digest: Digest,
    format: Format,
    layers: Vec<Descriptor>,
    config: Digest,
}

/// The image with this id, if the store has taken it from an engine before. An engine's id is the digest of the image's
/// config or manifest, so that it stands for all that the image is.
pub fn imported(
    store: &Store,
    name: &str,
    id: &Digest,
    platform: &Platform,
) -> Result<Option<(Base, ImportedSource)>, BaseError> {
    let Some(found) = store.record::<Remembered>(RECORDS, &id.to_string())? else { return Ok(None) };
    for layer in &found.layers {
        let there = match layer.compression() {
            Some(Compression::None) => recompress::known(store, &layer.digest, &layer.digest)?.is_some(),
            _ => store.has(&layer.digest, layer.size),
        };
        if !there {
            return Ok(None);
        }
    }
    let Ok(config_bytes) = store.read_blob(&found.config, MAX_CONFIG) else { return Ok(None) };
    let Ok(config) = ImageConfig::parse(&config_bytes) else { return Ok(None) };
    let Remembered { names, manifest_digest, format, layers, .. } = found;
    let base = Base { name: name.to_owned(), names, manifest_digest, format, layers, config_bytes, config };
    base.require(platform)?;
    Ok(Some((base, ImportedSource(store.clone()))))
}

/// Takes the one image of an archive, in any form that `docker save` and `podman save` have, and remembers it by its
/// `id`. `name` is what it is called in errors. The image is the one that [`crate::open_archive`] makes of the same
/// archive in a file. Memory does not grow with the size of layers: 64 MiB at most wait for the archive's end.
pub fn import(
    store: &Store,
    name: &str,
    id: &Digest,
    archive: impl Read,
    platform: &Platform,
) -> Result<(Base, ImportedSource), BaseError> {
    let place = Path::new(name);
    let mut archive = BufReader::with_capacity(256 << 10, archive);
    let mut taker = Taker { store, name, waiting: 0 };
    let members =
        Members::list(place, &mut archive as &mut dyn BufRead, |_, size, tar| taker.take(&mut tar.contents(), size))?;
    let base = match members.is_layout() {
        true => laid_out(&taker, &members, place, platform)?,
        false => listed(&taker, &members, place)?,
    };
    base.require(platform)?;
    let remembered = Remembered {
        names: base.names.clone(),
        manifest_digest: base.manifest_digest,
        format: base.format,
        layers: base.layers.clone(),
        config: store.put_blob(&base.config_bytes)?,
    };
    store.put_record(RECORDS, &id.to_string(), &remembered)?;
    Ok((base, ImportedSource(store.clone())))
}

/// A file of the archive.
enum Taken {
    /// A document, or a small layer.
    Waiting(Vec<u8>),
    /// A layer; the store has it as it is, or in gzip where it is not compressed.
    Layer(Descriptor),
}

struct Taker<'a> {
    store: &'a Store,
    name: &'a str,
    waiting: u64,
}

impl Taker<'_> {
    fn take(&mut self, contents: &mut dyn Read, size: u64) -> Result<Taken, BaseError> {
        let mut start = Vec::new();
        contents.take(6).read_to_end(&mut start).map_err(self.unread())?;
        // No tar archive of an image's files begins like JSON; a config may be large.
        let document = matches!(start.first(), Some(b'{' | b'[')) && size <= MAX_CONFIG;
        if !document && size > SMALL {
            return self.layer(&start, contents).map(Taken::Layer);
        }
        self.waiting += size;
        if self.waiting > WAITING {
            let reason = format!("its small files have more than {} MiB", WAITING >> 20);
            return Err(refused(Path::new(self.name), &reason));
        }
        contents.read_to_end(&mut start).map_err(self.unread())?;
        Ok(Taken::Waiting(start))
    }

    /// Puts a layer, whose first bytes were read already, into the store.
    fn layer(&self, start: &[u8], rest: &mut dyn Read) -> Result<Descriptor, BaseError> {
        let compression = Compression::of_magic(start);
        let mut contents = start.chain(rest);
        // An error of the store's is told from one of the engine's.
        let failed = |error| StoreError::of_write(error).map_or_else(self.unread(), BaseError::Store);
        let (digest, size) = if compression == Compression::None {
            let layer = recompress::take(self.store, &mut contents).map_err(failed)?;
            (layer.diff_id, layer.tar_size)
        } else {
            let mut writer = self.store.blob_writer()?;
            io::copy(&mut contents, &mut writer).map_err(failed)?;
            writer.commit()?
        };
        Ok(Descriptor::new(compression.oci_layer(), digest, size))
    }

    /// The layer in this file.
    fn layer_of(&self, file: &Taken) -> Result<Descriptor, BaseError> {
        match file {
            Taken::Waiting(bytes) => self.layer(bytes, &mut io::empty()),
            Taken::Layer(layer) => Ok(layer.clone()),
        }
    }

    fn unread(&self) -> impl Fn(io::Error) -> BaseError {
        BaseError::blob("layers", self.name)
    }
}

/// The image that `manifest.json` lists.
fn listed(taker: &Taker<'_>, members: &Members<Taken>, place: &Path) -> Result<Base, BaseError> {
    let read = |name: &str, _limit| match members.need(name)? {
        Taken::Waiting(bytes) => Ok(bytes.clone()),
        Taken::Layer(_) => Err(refused(place, &format!("`{name}` is not a document"))),
    };
    let layer = |file: &str, found: &Taken, diff_id: Digest| {
        let layer = taker.layer_of(found)?;
        let tar = layer.compression() == Some(Compression::None);
        match tar && layer.digest != diff_id {
            true => Err(refused(place, &format!("layer `{file}` is {}, its config says {diff_id}", layer.digest))),
            false => Ok(layer),
        }
    };
    docker::image(taker.name, place, members, read, layer)
}

/// The image of the layout that the archive holds.
fn laid_out(taker: &Taker<'_>, members: &Members<Taken>, place: &Path, platform: &Platform) -> Result<Base, BaseError> {
    let Taken::Waiting(index) = members.need("index.json")? else {
        return Err(refused(place, &format!("its `index.json` has more than {MAX_MANIFEST} bytes")));
    };
    let mut base = image_in(index, taker.name, place, None, platform, &Documents(members))?;
    let mut found = Vec::new();
    for layer in &base.layers {
        let taken = taker.layer_of(members.need(&blob_name(&layer.digest))?)?;
        if taken.digest != layer.digest {
            return Err(refused(place, &format!("its layer {} is {}", layer.digest, taken.digest)));
        }
        found.extend(taken.compression());
    }
    // The store keeps each by what it is.
    base.correct_labels(&found);
    Ok(base)
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Manifests and configs of a layout in an archive.
struct Documents<'a>(&'a Members<Taken>);

impl BlobSource for Documents<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.0.find(&blob_name(&blob.digest)) {
            Some(Taken::Waiting(bytes)) => Ok(Box::new(CheckedReader::new(bytes.as_slice(), blob))),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("it has no document {}", blob.digest))),
        }
    }
}
