//! Reading a blob and checking on the way that it is the one that was asked for.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::{BlobSource, Descriptor, Digest};

/// A reader of a blob whose last read fails unless the bytes have the descriptor's size and digest. It never gives a
/// byte more than the descriptor says.
pub struct CheckedReader<R> {
    inner: R,
    blob: Descriptor,
    remaining: u64,
    hash: Option<Sha256>,
}

/// What a source gave is not the blob; inside an [`io::Error`] of kind `InvalidData`.
#[derive(Debug, thiserror::Error)]
pub enum WrongBlob {
    /// It ended early.
    #[error("blob {digest} ends after {found} of {size} bytes")]
    Short {
        /// The blob that was asked for.
        digest: Digest,
        /// Bytes that came.
        found: u64,
        /// Bytes that the descriptor says.
        size: u64,
    },
    /// It goes on.
    #[error("blob {digest} has more than {size} bytes")]
    Long {
        /// The blob that was asked for.
        digest: Digest,
        /// Bytes that the descriptor says.
        size: u64,
    },
    /// Its bytes are others.
    #[error("blob {digest} is damaged: its digest is {found}")]
    Digest {
        /// The blob that was asked for.
        digest: Digest,
        /// Digest of the bytes that came.
        found: Digest,
    },
}

fn wrong(error: WrongBlob) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: Read> CheckedReader<R> {
    /// Reads `inner` as this blob.
    pub fn new(inner: R, blob: &Descriptor) -> Self {
        Self { inner, blob: blob.clone(), remaining: blob.size, hash: Some(Sha256::new()) }
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(hash) = self.hash.take() else {
            return Ok(());
        };
        let mut beyond = [0];
        loop {
            match self.inner.read(&mut beyond) {
                Ok(0) => break,
                Ok(_) => return Err(wrong(WrongBlob::Long { digest: self.blob.digest, size: self.blob.size })),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let found = Digest::from_bytes(hash.finalize().into());
        if found != self.blob.digest {
            // Asked again, it fails again.
            self.hash = Some(Sha256::new());
            return Err(wrong(WrongBlob::Digest { digest: self.blob.digest, found }));
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
        let room = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let length = self.inner.read(&mut buffer[..room])?;
        if length == 0 {
            let Descriptor { digest, size, .. } = self.blob;
            return Err(wrong(WrongBlob::Short { digest, found: size - self.remaining, size }));
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
pub fn read_small(source: &dyn BlobSource, blob: &Descriptor, limit: u64) -> io::Result<Vec<u8>> {
    if blob.size > limit {
        let reason = format!("blob {} has {} bytes; at most {limit} are read", blob.digest, blob.size);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    // At most `limit`, which callers choose to be small.
    let mut bytes = Vec::with_capacity(blob.size as usize);
    CheckedReader::new(source.open(blob)?, blob).read_to_end(&mut bytes)?;
    Ok(bytes)
}
