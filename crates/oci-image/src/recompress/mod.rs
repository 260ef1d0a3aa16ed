//! Layers compressed in another way: those of a base become gzip, which every registry and engine takes, and those of an
//! image zstd on request.

mod gzip;
mod zstd;

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::{
    Base, BlobSource, Compression, Descriptor, Digest, Layer, Store, StoreError, UnpackError,
    media::{DOCKER_LAYER, OCI_LAYER_ZSTD},
    read_layer,
    unpack::each_layer,
};

/// Layers that are recompressed at once: each uses all processors, so this is for the line that they come over. Two hold
/// 80 MiB, and up to 128 MiB more for each that comes in zstd, whose window may be as large.
const AT_ONCE: usize = 2;

/// What layers are recompressed with.
struct Packer {
    /// The kind of its records in the store.
    records: &'static str,
    /// Raised whenever the same archive comes to give other bytes.
    format: u32,
    compress: fn(&mut dyn Read, &mut dyn Write) -> io::Result<()>,
}

const GZIP: Packer = Packer { records: "gzip-layer", format: 2, compress: gzip::compress };
const ZSTD: Packer = Packer { records: "zstd-layer", format: 1, compress: zstd::compress };

/// Why a layer could not be recompressed.
#[derive(Debug, thiserror::Error)]
pub enum RecompressError {
    /// A layer can't be read.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The base with layers in gzip, labelled as Docker does. Those that are gzip stay the blobs that they are; others
/// (zstd, uncompressed) are recompressed into the store, once: it remembers them by their digest. The result is the
/// same on every machine.
pub fn recompress(store: &Store, base: &Base, source: &(dyn BlobSource + Sync)) -> Result<Base, RecompressError> {
    let gzipped = |layer: &Descriptor, diff_id: &Digest, source: &dyn BlobSource| {
        let (digest, size) = match layer.compression() {
            Some(Compression::Gzip) => (layer.digest, layer.size),
            _ => {
                let layer = recompressed(&GZIP, store, layer, diff_id, source)?;
                (layer.digest, layer.size)
            }
        };
        Ok::<_, RecompressError>(Descriptor::new(DOCKER_LAYER, digest, size))
    };
    let layers = each_layer(&base.layers, base.config.diff_ids(), AT_ONCE, source, gzipped)?;
    Ok(Base { layers, ..base.clone() })
}

/// The layer in zstd, as OCI's manifests have it; its archive, and so its diff id, stays the same. It is recompressed into
/// the store once, which remembers it by the digest of `blob`. The result is the same on every machine.
pub fn zstd_layer(
    store: &Store,
    blob: &Descriptor,
    diff_id: &Digest,
    source: &dyn BlobSource,
) -> Result<Descriptor, RecompressError> {
    let layer = recompressed(&ZSTD, store, blob, diff_id, source)?;
    Ok(Descriptor::new(OCI_LAYER_ZSTD, layer.digest, layer.size))
}

fn recompressed(
    packer: &Packer,
    store: &Store,
    blob: &Descriptor,
    diff_id: &Digest,
    source: &dyn BlobSource,
) -> Result<Layer, RecompressError> {
    let digest = blob.digest;
    let known = || packer.known(store, &digest, diff_id);
    if let Some(layer) = known()? {
        return Ok(layer);
    }
    // Two runs on one layer: the second waits and finds it done.
    let _lock = store.lock(&format!("{}-{}", packer.records, digest.hex()))?;
    if let Some(layer) = known()? {
        return Ok(layer);
    }
    let mut writer = store.blob_writer()?;
    // Read to the end and found to be what the config says, before the blob gets its name.
    let ((), unpacked) = read_layer(source, blob, Some(*diff_id), |stream| {
        (packer.compress)(stream, &mut writer).map_err(|error| match StoreError::of_write(error) {
            Ok(error) => RecompressError::Store(error),
            Err(source) => UnpackError::Read { digest, source }.into(),
        })
    })?;
    let (digest, size) = writer.commit()?;
    let layer = Layer { digest, size, diff_id: unpacked.diff_id, tar_size: unpacked.tar_size };
    store.put_record(packer.records, &packer.key(&blob.digest, diff_id), &layer)?;
    Ok(layer)
}

/// The gzip that the store has of the layer with this digest.
pub(crate) fn known(store: &Store, digest: &Digest, diff_id: &Digest) -> Result<Option<Layer>, StoreError> {
    GZIP.known(store, digest, diff_id)
}

impl Packer {
    /// What the store has of the layer with this digest.
    fn known(&self, store: &Store, digest: &Digest, diff_id: &Digest) -> Result<Option<Layer>, StoreError> {
        let layer: Option<Layer> = store.record(self.records, &self.key(digest, diff_id))?;
        Ok(layer.filter(|layer| layer.is_in(store)))
    }

    fn key(&self, digest: &Digest, diff_id: &Digest) -> String {
        format!("{} {digest} {diff_id}", self.format)
    }
}

/// Puts a tar archive of which nothing is known yet into the store, in gzip, and remembers it as [`recompress`] does.
/// Errors of the store hold a [`StoreError`].
pub(crate) fn take(store: &Store, archive: &mut dyn Read) -> io::Result<Layer> {
    struct Hashing<'a>(&'a mut dyn Read, Sha256, u64);
    impl Read for Hashing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.0.read(buffer)?;
            self.1.update(&buffer[..length]);
            self.2 += length as u64;
            Ok(length)
        }
    }
    let mut archive = Hashing(archive, Sha256::new(), 0);
    let mut writer = store.blob_writer()?;
    gzip::compress(&mut archive, &mut writer)?;
    let Hashing(_, hash, tar_size) = archive;
    let diff_id = Digest::from_bytes(hash.finalize().into());
    let (digest, size) = writer.commit()?;
    let layer = Layer { digest, size, diff_id, tar_size };
    store.put_record(GZIP.records, &GZIP.key(&diff_id, &diff_id), &layer)?;
    Ok(layer)
}
