//! The second thread of a layer: hashes the tar archive and each file in it, hashes and writes the blob.
//!
//! The first thread reads, inflates and takes CRCs. They meet at a bounded channel, and buffers go back to where they
//! came from, so memory is constant: 16 messages of 256 KiB at most. Those of the archive and those of the blob go back
//! by ways of their own: the archive's stay filled, and zeros that are overwritten at once took 6 % of a layer's time.

use std::{
    io::Write,
    sync::mpsc::{self, Receiver, Sender, SyncSender},
    thread::JoinHandle,
};

use image_name::Digest;
use paired_hash::PairedHash;
use sha2::digest::DynDigest;

use super::{ContentHash, Layer, LayerError, content::Hasher};
use crate::{BlobWriter, Store, StoreError};

/// Bytes of a message. Large enough that waking the other thread costs nothing, small enough to stay in its cache.
const CHUNK: usize = 256 * 1024;
/// Messages under way.
const DEPTH: usize = 16;
/// Bytes of the blob that are held back, so that bits of them can still be changed: those that an inflater may have
/// taken but not used, 64 bits at most.
const HELD: usize = 8;

/// Where in a chunk of the tar archive the contents of a hashed file begin, with its path and hash, or end.
type Mark = (usize, Option<(String, ContentHash)>);

enum Message {
    Tar {
        bytes: Vec<u8>,
        filled: usize,
        marks: Vec<Mark>,
    },
    Blob(Vec<u8>),
    /// All has been said; without it the blob is given up.
    End,
}

/// The first thread's side.
pub(crate) struct Digester {
    /// Taken only by `drop`.
    messages: Option<SyncSender<Message>>,
    /// Ways back of buffers: of the archive's and of the blob's.
    used_tar: Receiver<Vec<u8>>,
    used_blobs: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<Layer, LayerError>>>,
    /// Always `CHUNK` long; the first `filled` bytes count.
    tar: Vec<u8>,
    filled: usize,
    marks: Vec<Mark>,
    blob: Vec<u8>,
    blob_size: u64,
}

impl Digester {
    /// Starts the thread; the blob will be in `store`.
    pub fn start(store: &Store) -> Result<Self, LayerError> {
        Self::start_at(store.blob_writer()?)
    }

    fn start_at(blob: BlobWriter) -> Result<Self, LayerError> {
        let (messages, inbox) = mpsc::sync_channel(DEPTH);
        let ((tars, used_tar), (blobs, used_blobs)) = (mpsc::channel(), mpsc::channel());
        let thread = std::thread::Builder::new()
            .name("layer-digest".to_owned())
            .spawn(move || run(&inbox, &tars, &blobs, blob))
            .map_err(LayerError::Write)?;
        Ok(Self {
            messages: Some(messages),
            used_tar,
            used_blobs,
            thread: Some(thread),
            tar: vec![0; CHUNK],
            filled: 0,
            marks: Vec::new(),
            blob: Vec::with_capacity(CHUNK),
            blob_size: 0,
        })
    }

    /// Appends bytes to the tar archive.
    pub fn tar(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let space = self.tar_space()?;
            let length = space.len().min(bytes.len());
            space[..length].copy_from_slice(&bytes[..length]);
            self.tar_filled(length);
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Space at the end of the tar archive, never empty; [`Digester::tar_filled`] says how much of it was used.
    pub fn tar_space(&mut self) -> Result<&mut [u8], LayerError> {
        // 4 KiB: an inflater is slow where it has room for less than one match and a few literals.
        if CHUNK - self.filled < 4096 {
            self.send_tar()?;
        }
        Ok(&mut self.tar[self.filled..])
    }

    /// So many bytes of [`Digester::tar_space`] now belong to the tar archive.
    pub fn tar_filled(&mut self, length: usize) {
        self.filled += length;
    }

    /// The last `length` bytes that were put into the tar archive since the last call that made room.
    pub fn tar_last(&self, length: usize) -> &[u8] {
        &self.tar[self.filled - length..self.filled]
    }

    /// The contents of a file begin here in the tar archive and must have this hash.
    pub fn begin_file(&mut self, path: &str, hash: ContentHash) {
        self.marks.push((self.filled, Some((path.to_owned(), hash))));
    }

    /// The contents of the file that was begun last end here.
    pub fn end_file(&mut self) {
        self.marks.push((self.filled, None));
    }

    /// Bytes of the blob so far.
    pub fn blob_size(&self) -> u64 {
        self.blob_size
    }

    /// Appends bytes to the blob.
    pub fn blob(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.blob_size += bytes.len() as u64;
        if self.blob.len() + bytes.len() > CHUNK && self.blob.len() > HELD {
            let mut fresh = self.used_blobs.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
            fresh.clear();
            let mut full = std::mem::replace(&mut self.blob, fresh);
            let sent = full.len() - HELD;
            self.blob.extend_from_slice(&full[sent..]);
            full.truncate(sent);
            self.send(Message::Blob(full))?;
        }
        self.blob.extend_from_slice(bytes);
        Ok(())
    }

    /// The end of the blob so far, at least the last 8 bytes or all there are: they may still be changed.
    pub fn blob_tail(&mut self) -> &mut [u8] {
        &mut self.blob
    }

    /// Ends the blob and the thread, and gives the finished layer.
    pub fn finish(mut self) -> Result<Layer, LayerError> {
        self.send_tar()?;
        let blob = std::mem::take(&mut self.blob);
        self.send(Message::Blob(blob))?;
        self.send(Message::End)?;
        join(self.thread.take())
    }

    fn send_tar(&mut self) -> Result<(), LayerError> {
        let fresh = self.used_tar.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        let bytes = std::mem::replace(&mut self.tar, fresh);
        let filled = std::mem::take(&mut self.filled);
        let marks = std::mem::take(&mut self.marks);
        self.send(Message::Tar { bytes, filled, marks })
    }

    fn send(&mut self, message: Message) -> Result<(), LayerError> {
        if self.messages.as_ref().is_some_and(|messages| messages.send(message).is_ok()) {
            return Ok(());
        }
        // The thread has ended before its time; it knows why.
        join(self.thread.take()).map(|_| ())
    }
}

impl Drop for Digester {
    fn drop(&mut self) {
        // A layer that is given up takes its temporary file along: the thread sees the channel closed and ends.
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn join(thread: Option<JoinHandle<Result<Layer, LayerError>>>) -> Result<Layer, LayerError> {
    match thread.map(JoinHandle::join) {
        Some(Ok(result)) => result,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => Err(LayerError::Write(std::io::Error::other("an earlier write failed"))),
    }
}

fn run(
    inbox: &Receiver<Message>,
    tars: &Sender<Vec<u8>>,
    blobs: &Sender<Vec<u8>>,
    mut blob: BlobWriter,
) -> Result<Layer, LayerError> {
    let mut hashes = Hashes { archive: PairedHash::new(), file: None, wrong: Vec::new() };
    for message in inbox {
        // Nobody waits for the buffer where the layer was given up.
        let _ = match message {
            Message::Tar { bytes, filled, marks } => {
                let mut from = 0;
                for (at, begun) in marks {
                    hashes.update(&bytes[from..at]);
                    from = at;
                    match begun {
                        Some((path, hash)) => hashes.begin_file(path, hash),
                        None => hashes.end_file(),
                    }
                }
                hashes.update(&bytes[from..filled]);
                tars.send(bytes)
            }
            Message::Blob(bytes) => {
                let failed = |error| StoreError::of_write(error).map_or_else(LayerError::Write, LayerError::Store);
                blob.write_all(&bytes).map_err(failed)?;
                blobs.send(bytes)
            }
            Message::End if !hashes.wrong.is_empty() => return Err(LayerError::Hashes { paths: hashes.wrong }),
            Message::End => {
                let (diff_id, tar_size) = hashes.archive.finish();
                let (digest, size) = blob.commit()?;
                return Ok(Layer { digest, size, diff_id: Digest::from_bytes(diff_id), tar_size });
            }
        };
    }
    Err(LayerError::Write(std::io::Error::other("the layer was given up")))
}

/// The hash of the archive, and that of the file it is in, if that has one to come to.
struct Hashes {
    archive: PairedHash,
    /// Its path, its hash, and a running one unless the archive's takes it along.
    file: Option<(String, ContentHash, Option<Hasher>)>,
    /// Files that did not come to their hashes.
    wrong: Vec<String>,
}

impl Hashes {
    fn begin_file(&mut self, path: String, hash: ContentHash) {
        let hasher = hash.hasher();
        if hasher.is_none() {
            self.archive.begin_file();
        }
        self.file = Some((path, hash, hasher));
    }

    fn end_file(&mut self) {
        let Some((path, expected, hasher)) = self.file.take() else {
            return;
        };
        let found = hasher.map_or_else(|| Box::from(self.archive.end_file()), DynDigest::finalize);
        if !expected.is(&found) {
            self.wrong.push(path);
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.archive.update(bytes);
        if let Some((_, _, Some(hasher))) = &mut self.file {
            hasher.update(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Digester, HELD};
    use crate::{LayerError, Store, store::full};

    #[test]
    fn a_full_disk_is_the_stores_fault_and_not_that_of_the_contents() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut digester = Digester::start_at(full(&store)).unwrap();
        let error = (0..100).find_map(|_| digester.blob(&vec![1; CHUNK]).err()).unwrap();
        assert!(matches!(&error, LayerError::Store(error) if error.is_full()), "{error:?}");
    }

    #[test]
    fn the_end_of_the_blob_can_be_changed_after_a_chunk_has_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut digester = Digester::start(&store).unwrap();
        digester.blob(&vec![1; CHUNK]).unwrap();
        digester.blob(&[1]).unwrap();
        let tail = digester.blob_tail();
        let at = tail.len() - HELD;
        tail[at] = 2;
        let layer = digester.finish().unwrap();
        let blob = std::fs::read(store.blob_path(&layer.digest)).unwrap();
        let mut expected = vec![1; CHUNK + 1];
        expected[CHUNK + 1 - HELD] = 2;
        assert!(blob == expected);
    }
}
