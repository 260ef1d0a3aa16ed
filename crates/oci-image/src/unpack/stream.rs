//! A layer's tar archive as a stream: one thread reads, checks and decompresses the blob, the other hashes the archive
//! and looks at its entries.

use std::{
    io::{self, BufRead, Read},
    sync::mpsc::{self, Receiver, Sender, SyncSender},
    thread,
};

use sha2::{Digest as _, Sha256};

use super::{SkipRead, TarReader, UnpackError, decoder};
use crate::{BlobSource, CheckedReader, Compression, Descriptor, Digest, checked::read_full};

/// Bytes that go from one thread to the other at a time: large enough that waking up costs nothing, small enough to
/// stay in the processor's cache.
const CHUNK: usize = 256 * 1024;
/// Chunks under way at most: 2 MiB.
const DEPTH: usize = 8;
/// The largest archive that is read: 256 GiB, eight times what the platform takes as a whole image. It ends the work
/// that a blob of compressed zeros makes.
const MAX_TAR: u64 = 256 << 30;

/// What a layer turned out to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// SHA-256 of the tar archive.
    pub diff_id: Digest,
    /// Length of the tar archive in bytes.
    pub tar_size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
}

/// Streams a layer through `consume`, decompressed as its first bytes want it, whatever its media type is. The blob's
/// digest and size are checked, and that the archive has this diff id where one is given; what `consume` returned
/// counts only then.
/// Constant memory: about 4 MiB, for zstd up to 128 MiB more where the blob asks for such a window.
pub fn read_layer<T, E: From<UnpackError>>(
    source: &dyn BlobSource,
    blob: &Descriptor,
    diff_id: Option<Digest>,
    consume: impl FnOnce(&mut LayerStream) -> Result<T, E>,
) -> Result<(T, Unpacked), E> {
    let digest = blob.digest;
    let read_error = move |source| UnpackError::Read { digest, source };
    let opened = source.open(blob).map_err(read_error)?;
    let (compression, archive) = decoder(CheckedReader::new(opened, blob)).map_err(read_error)?;
    thread::scope(|scope| {
        let (chunks, inbox) = mpsc::sync_channel(DEPTH);
        let (outbox, used) = mpsc::channel();
        // Dropping the stream ends the thread: its next chunk finds nobody.
        let mut stream = LayerStream {
            chunks: inbox,
            used: outbox,
            chunk: Vec::new(),
            position: 0,
            ended: false,
            hash: Sha256::new(),
            size: 0,
        };
        thread::Builder::new()
            .name("layer-unpack".to_owned())
            .spawn_scoped(scope, move || decode(&mut { archive }, &chunks, &used))
            .map_err(read_error)?;
        let value = consume(&mut stream)?;
        stream.skip(u64::MAX).map_err(read_error)?;
        let LayerStream { hash, size, .. } = stream;
        let found = Digest::from_bytes(hash.finalize().into());
        match diff_id {
            Some(wanted) if wanted != found => {
                let reason = format!("unpacked it is {found}, the image's config says {wanted}");
                Err(UnpackError::Refused { digest, reason }.into())
            }
            _ => Ok((value, Unpacked { diff_id: found, tar_size: size, compression })),
        }
    })
}

fn decode(archive: &mut dyn Read, chunks: &SyncSender<io::Result<Vec<u8>>>, used: &Receiver<Vec<u8>>) {
    loop {
        let mut chunk = used.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let filled = read_full(archive, &mut chunk);
        let chunk = filled.map(|filled| {
            chunk.truncate(filled);
            chunk
        });
        // An empty chunk is the end.
        let last = chunk.as_ref().map_or(true, Vec::is_empty);
        // Where the other side is gone, it has found something wrong itself.
        if chunks.send(chunk).is_err() || last {
            return;
        }
    }
}

/// The bytes of a layer's tar archive, decompressed.
pub struct LayerStream {
    chunks: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    position: usize,
    ended: bool,
    hash: Sha256,
    size: u64,
}

impl LayerStream {
    /// The entries of the archive.
    pub fn entries(&mut self) -> TarReader<&mut Self> {
        TarReader::new(self)
    }

    fn receive(&mut self) -> io::Result<()> {
        let chunk = match self.chunks.recv() {
            Ok(chunk) => chunk?,
            // It panicked, or it failed before and was asked again.
            Err(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the decoder gave up")),
        };
        self.ended = chunk.is_empty();
        self.size += chunk.len() as u64;
        if self.size > MAX_TAR {
            let reason = format!("it unpacks to more than {} GiB", MAX_TAR >> 30);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.hash.update(&chunk);
        // Nobody waits for the buffer once the thread has ended.
        let _ = self.used.send(std::mem::replace(&mut self.chunk, chunk));
        self.position = 0;
        Ok(())
    }
}

impl Read for LayerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for LayerStream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.chunk.len() && !self.ended {
            self.receive()?;
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, length: usize) {
        self.position += length;
    }
}

impl SkipRead for LayerStream {}
impl SkipRead for &mut LayerStream {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_without_an_end_is_refused() {
        let (chunks, inbox) = mpsc::sync_channel(2);
        let (outbox, _used) = mpsc::channel();
        let size = MAX_TAR - 1;
        let (chunk, hash) = (Vec::new(), Sha256::new());
        let mut stream = LayerStream { chunks: inbox, used: outbox, chunk, position: 0, ended: false, hash, size };
        (0..2).for_each(|_| chunks.send(Ok(vec![0])).unwrap());
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);
        assert_eq!(stream.read(&mut [0]).unwrap_err().to_string(), "it unpacks to more than 256 GiB");
    }
}
