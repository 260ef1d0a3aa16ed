//! Reading blobs, and checking on the way that they are the ones that were asked for.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use crate::{Descriptor, Digest};

/// A place that blobs are read from: a store, an OCI layout, a docker archive, a registry.
pub trait BlobSource {
    /// Opens the blob as it is stored, still compressed. The reader ends with an error where the bytes do not have
    /// the descriptor's size and digest.
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>>;
}

/// A reader of a blob whose last read fails unless the bytes have the descriptor's size and digest. It never gives a
/// byte more than the descriptor says.
pub struct CheckedReader<R> {
    inner: R,
    digest: Digest,
    size: u64,
    remaining: u64,
    hash: Option<Sha256>,
}

/// What a source gave is not the blob: too short, too long or damaged. Inside an [`io::Error`] of kind `InvalidData`.
#[derive(Debug, thiserror::Error)]
#[error("blob {digest} {reason}")]
pub struct WrongBlob {
    /// The blob that was asked for.
    pub digest: Digest,
    /// How what came differs.
    pub reason: String,
}

impl<R: Read> CheckedReader<R> {
    /// Reads `inner` as this blob.
    pub fn new(inner: R, blob: &Descriptor) -> Self {
        let Descriptor { digest, size, .. } = *blob;
        Self { inner, digest, size, remaining: size, hash: Some(Sha256::new()) }
    }

    fn wrong(&self, reason: String) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, WrongBlob { digest: self.digest, reason })
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(hash) = self.hash.take() else {
            return Ok(());
        };
        if read_full(&mut self.inner, &mut [0])? > 0 {
            return Err(self.wrong(format!("has more than {} bytes", self.size)));
        }
        let found = Digest::from_bytes(hash.finalize().into());
        if found != self.digest {
            // Asked again, it fails again.
            self.hash = Some(Sha256::new());
            return Err(self.wrong(format!("is damaged: its digest is {found}")));
        }
        Ok(())
    }
}

impl<R: Read> Read for CheckedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.remaining == 0 {
            self.end()?;
            return Ok(0);
        }
        let space = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if space == 0 {
            return Ok(0);
        }
        let length = self.inner.read(&mut buffer[..space])?;
        if length == 0 {
            return Err(self.wrong(format!("ends after {} of {} bytes", self.size - self.remaining, self.size)));
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..length]);
        }
        self.remaining -= length as u64;
        // Before the last bytes are handed out, not after: who reads exactly as many as it wants never asks again.
        if self.remaining == 0 {
            self.end()?;
        }
        Ok(length)
    }
}

/// Reads a small blob whole, at most `limit` bytes, checked whatever the source does.
pub(crate) fn read_small(source: &dyn BlobSource, blob: &Descriptor, limit: u64) -> io::Result<Vec<u8>> {
    if blob.size > limit {
        let reason = format!("blob {} has {} bytes; at most {limit} are read", blob.digest, blob.size);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    // At most `limit`, which callers choose to be small.
    let mut bytes = Vec::with_capacity(blob.size as usize);
    CheckedReader::new(source.open(blob)?, blob).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads until the buffer is full or nothing is left; how many bytes there were.
pub(crate) fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// SHA-256 of all that is left of a file.
pub(crate) fn digest_of(source: &mut dyn Read) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match read_full(source, &mut buffer)? {
            0 => return Ok(Digest::from_bytes(hash.finalize().into())),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// Opens a file that has to be a regular one: a pipe in a layout of others would have us wait for its other end for ever.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let meta = fs::metadata(path)?;
    if meta.is_file() {
        return File::open(path);
    }
    Err(match meta.is_dir() {
        true => io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"),
        false => io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"),
    })
}
