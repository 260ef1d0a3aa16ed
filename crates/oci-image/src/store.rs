//! The store: blobs by digest and small records by key, shared by every clone of a user under locks.
//!
//! Nothing is half-written: a blob or record is written to a file in `tmp/` of the same file system, synced, then
//! renamed to its name.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use image_name::Digest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    BlobSource, Descriptor, Scratch,
    checked::digest_of,
    leftover::{self, BLOB, RECORD, SCRATCH},
};

/// What Linux says of a bad sector (errno(3)).
const EIO: i32 = 5;

/// A folder of blobs and records.
#[derive(Clone)]
pub struct Store {
    root: PathBuf,
    waiting: Option<Arc<Tell>>,
    behind: Option<Arc<dyn Behind>>,
    noted: Option<Arc<Mutex<Noted>>>,
}

/// Another store behind one, which is only read. Nothing of it is ever written to the store before it: what it says may be
/// wrong, and must not outlive the run.
pub trait Behind: Send + Sync {
    /// The record of this kind, by the SHA-256 of its key.
    fn record(&self, kind: &str, key: &Digest) -> Option<Value>;
    /// Whether it has the layer with this digest, this many bytes and this diff id.
    fn has_layer(&self, digest: &Digest, size: u64, diff_id: &Digest) -> bool;
    /// The contents of a small file.
    fn file(&self, digest: &Digest) -> Option<Vec<u8>>;
}

/// Records by kind and by the SHA-256 of their keys.
pub type Noted = BTreeMap<(String, Digest), Value>;

/// The kinds of records that a store behind another one is asked for: what layers were built from, and what was learned
/// by running CANN.
const OF_LAYERS: [&str; 6] = ["wheel-layers", "tree-layers", "system-layers", "cann", "cann-environment", "gzip-layer"];

type Tell = dyn Fn(Option<u32>) -> Box<dyn Any> + Send + Sync;

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.root).finish()
    }
}

/// Why the store could not do it.
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("failed to {action} `{path}`")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A blob or record is not what its name says.
    #[error("`{path}` is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

impl StoreError {
    /// The store's own error in one of a [`BlobWriter`], or the error as it was.
    pub fn of_write(error: io::Error) -> Result<Self, io::Error> {
        error.downcast()
    }

    /// Whether there is no disk space for what was to be written, or none that this user may have.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// Whether an error says that there is no disk space, or none that this user may have.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Io { source, .. } => source.kind(),
            StoreError::Damaged { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl Store {
    /// Opens the store at `root`, making its folders where they are missing. What runs that were killed have left
    /// half-written is removed.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        for folder in ["blobs/sha256", "records", "locks", "tmp"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(io_error("create folder", &path))?;
        }
        leftover::clear(&root.join("tmp"), &[BLOB, RECORD, SCRATCH]);
        Ok(Self { root: root.to_owned(), waiting: None, behind: None, noted: None })
    }

    /// The same store with another one behind it, which is asked for what is missing.
    pub fn before(self, behind: Arc<dyn Behind>) -> Self {
        Self { behind: Some(behind), ..self }
    }

    /// The same store with nothing behind it.
    pub fn alone(&self) -> Self {
        Self { behind: None, ..self.clone() }
    }

    /// The same store, which notes the records of layers that are read or written through it, and where it notes them.
    pub fn noting(&self) -> (Self, Arc<Mutex<Noted>>) {
        let noted = Arc::new(Mutex::new(Noted::new()));
        (Self { noted: Some(noted.clone()), ..self.clone() }, noted)
    }

    /// The store, which calls `tell` when it begins to wait for a lock, with the process that holds it, if known. What that
    /// gives is kept until the wait ends.
    pub fn telling(self, tell: impl Fn(Option<u32>) -> Box<dyn Any> + Send + Sync + 'static) -> Self {
        Self { waiting: Some(Arc::new(tell)), ..self }
    }

    /// Removes what this process is writing half-way, for one that is about to be ended.
    pub fn abandon(&self) {
        leftover::clear_own(&self.root.join("tmp"));
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob lies, or would.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether the blob is there with exactly this many bytes.
    pub fn has(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.blob_path(digest)).is_ok_and(|meta| meta.is_file() && meta.len() == size)
    }

    /// Whether the layer with this digest, this many bytes and this diff id is there, or behind the store.
    pub fn offers(&self, digest: &Digest, size: u64, diff_id: &Digest) -> bool {
        let behind = || self.behind.as_ref().is_some_and(|behind| behind.has_layer(digest, size, diff_id));
        self.has(digest, size) || behind()
    }

    /// The contents of a small file behind the store, whose digest is checked.
    pub fn file_behind(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.behind.as_ref()?.file(digest).filter(|bytes| Digest::of(bytes) == *digest)
    }

    /// Opens the blob for reading; its bytes are not checked here.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(io_error("open", &path))
    }

    /// Reads a blob of at most `limit` bytes and checks its digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let damaged = |reason: String| StoreError::Damaged { path: path.clone(), reason };
        let mut bytes = Vec::new();
        self.open_blob(digest)?.take(limit + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(damaged(format!("longer than {limit} bytes")));
        }
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(damaged(format!("its digest is {found}")));
        }
        Ok(bytes)
    }

    /// Removes the blob if it is not what its name says, so that whoever needs it makes it anew; whether it was so.
    pub fn discard_damaged(&self, digest: &Digest) -> Result<bool, StoreError> {
        let path = self.blob_path(digest);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.map_err(io_error("open", &path))?,
        };
        match digest_of(&mut file) {
            Ok(found) if found == *digest => return Ok(false),
            Ok(_) => {}
            // A bad sector: what was written can't be read any more.
            Err(error) if error.raw_os_error() == Some(EIO) => {}
            Err(error) => return Err(io_error("read", &path)(error)),
        }
        // Another run may have put a good one in its place meanwhile.
        let read = file.metadata().map_err(io_error("read", &path))?;
        match fs::metadata(&path) {
            Ok(now) if (now.dev(), now.ino()) == (read.dev(), read.ino()) => {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Starts a new blob.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        let tmp = self.root.join("tmp");
        let file = leftover::file(&tmp, BLOB).map_err(io_error("create a temporary file in", &tmp))?;
        Ok(BlobWriter { store: self.clone(), file, hash: Sha256::new(), size: 0, unsynced: 0, early: None })
    }

    /// Stores these bytes as a blob.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let mut writer = self.blob_writer()?;
        let failed = |error| StoreError::of_write(error).unwrap_or_else(io_error("write to", &self.root));
        writer.write_all(bytes).map_err(failed)?;
        Ok(writer.commit()?.0)
    }

    /// The record of this kind under this key, if there is one that can be read. `key` may be any text; the file is
    /// named by its SHA-256. A record that no longer parses counts as absent: it is only ever a cache or is rebuilt. What
    /// layers were built from is looked for behind the store too.
    pub fn record<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Result<Option<T>, StoreError> {
        let path = self.record_path(kind, key);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        if !OF_LAYERS.contains(&kind) || self.noted.is_none() && self.behind.is_none() {
            return Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()));
        }
        let read = |value: Value| Some((serde_json::from_value(value.clone()).ok()?, value));
        let here = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).and_then(read);
        let Some((record, value)) = here.or_else(|| read(self.behind(kind, key)?)) else { return Ok(None) };
        self.note(kind, key, value);
        Ok(Some(record))
    }

    /// The record of this kind under this key behind the store, of whatever kind.
    pub fn record_behind<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Option<T> {
        serde_json::from_value(self.behind(kind, key)?).ok()
    }

    fn behind(&self, kind: &str, key: &str) -> Option<Value> {
        self.behind.as_ref()?.record(kind, &Digest::of(key.as_bytes()))
    }

    fn note(&self, kind: &str, key: &str, value: Value) {
        if let Some(noted) = &self.noted {
            let key = (kind.to_owned(), Digest::of(key.as_bytes()));
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        }
    }

    /// Writes the record of this kind under this key, replacing an older one as a whole.
    pub fn put_record<T: Serialize>(&self, kind: &str, key: &str, value: &T) -> Result<(), StoreError> {
        let path = self.record_path(kind, key);
        let folder = self.root.join("records").join(kind);
        fs::create_dir_all(&folder).map_err(io_error("create folder", &folder))?;
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?;
        let mut file = leftover::file(&self.root.join("tmp"), RECORD).map_err(io_error("create", &path))?;
        file.write_all(&bytes).map_err(io_error("write", &path))?;
        file.as_file().sync_data().map_err(io_error("sync", &path))?;
        file.persist(&path).map_err(|error| io_error("rename to", &path)(error.error))?;
        if OF_LAYERS.contains(&kind) && self.noted.is_some() {
            self.note(kind, key, serde_json::from_slice(&bytes).unwrap_or_default());
        }
        Ok(())
    }

    /// Every record of this kind that can be read, in no order.
    pub fn records<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, StoreError> {
        let folder = self.root.join("records").join(kind);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("list", &folder)(error)),
        };
        let read = |entry: fs::DirEntry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok();
        Ok(entries.filter_map(|entry| read(entry.ok()?)).collect())
    }

    fn record_path(&self, kind: &str, key: &str) -> PathBuf {
        let name = Digest::of(key.as_bytes()).hex();
        self.root.join("records").join(kind).join(format!("{name}.json"))
    }

    /// A new folder of one's own, on the store's file system.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let tmp = self.root.join("tmp");
        Scratch::beside(&tmp, SCRATCH).map_err(io_error("create a temporary folder in", &tmp))
    }

    /// Waits for and takes the lock of this name; two processes that make the same thing take turns.
    pub fn lock(&self, name: &str) -> Result<Lock, StoreError> {
        let path = self.root.join("locks").join(name);
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(io_error("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
                let _told = self.waiting.as_ref().map(|tell| tell(holder));
                file.lock().map_err(io_error("lock", &path))?;
            }
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
        }
        // Only for who waits to say it; a full disk is no reason not to work.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", process::id()));
        Ok(Lock { _file: file })
    }
}

impl BlobSource for Store {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.open_blob(&blob.digest)?))
    }
}

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A blob on its way into the store; dropped without [`BlobWriter::commit`] it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    file: tempfile::NamedTempFile,
    hash: Sha256,
    size: u64,
    /// Bytes written since a sync was begun.
    unsynced: u64,
    early: Option<JoinHandle<io::Result<()>>>,
}

/// Bytes after which the disk is set to work while more are being written, so that the sync at the end is short.
const EARLY: u64 = 16 << 20;

/// Its errors hold a [`StoreError`], so that a full disk is told from what goes wrong where the bytes come from.
impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(|error| io_error("write to", &self.store.root)(error).into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.as_file_mut().write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        self.unsynced += written as u64;
        if self.unsynced >= EARLY && self.early.as_ref().is_none_or(JoinHandle::is_finished) {
            self.end_early_sync()?;
            let file = self.file.as_file().try_clone()?;
            self.early =
                Some(std::thread::Builder::new().name("blob-sync".to_owned()).spawn(move || file.sync_data())?);
            self.unsynced = 0;
        }
        Ok(written)
    }

    /// Waits for the sync under way. The kernel reports a failed write once, so its answer counts.
    fn end_early_sync(&mut self) -> io::Result<()> {
        match self.early.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }

    /// Syncs the blob and gives it its name. Returns its digest and its length in bytes.
    pub fn commit(mut self) -> Result<(Digest, u64), StoreError> {
        let early = self.end_early_sync();
        let digest = Digest::from_bytes(self.hash.finalize().into());
        let path = self.store.blob_path(&digest);
        early.map_err(io_error("sync", &path))?;
        if self.store.has(&digest, self.size) {
            return Ok((digest, self.size));
        }
        self.file.as_file().sync_data().map_err(io_error("sync", &path))?;
        self.file.persist(&path).map_err(|error| io_error("rename to", &path)(error.error))?;
        Ok((digest, self.size))
    }
}

/// A new blob on a disk that is full.
#[cfg(test)]
pub(crate) fn full(store: &Store) -> BlobWriter {
    let mut writer = store.blob_writer().unwrap();
    *writer.file.as_file_mut() = File::options().write(true).open("/dev/full").unwrap();
    writer
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    /// One record and one layer.
    struct Other(Digest);

    impl Behind for Other {
        fn record(&self, kind: &str, key: &Digest) -> Option<Value> {
            let is_it = kind != "image" && *key == Digest::of("key");
            is_it.then(|| serde_json::to_value([&self.0]).unwrap())
        }
        fn has_layer(&self, digest: &Digest, size: u64, diff_id: &Digest) -> bool {
            (*digest, size, *diff_id) == (self.0, 5, self.0)
        }
        fn file(&self, _: &Digest) -> Option<Vec<u8>> {
            Some(b"x".to_vec())
        }
    }

    #[test]
    fn what_is_missing_is_looked_for_behind_the_store_and_never_written_to_it() {
        let (folder, store) = store();
        let (layer, other) = (Digest::of("layer"), Digest::of("other"));
        let (store, noted) = store.before(Arc::new(Other(layer))).noting();
        let found: Option<Vec<Digest>> = store.record("wheel-layers", "key").unwrap();
        assert_eq!(found, Some(vec![layer]));
        assert!(store.offers(&layer, 5, &layer) && !store.offers(&layer, 5, &other) && !store.has(&layer, 5));
        // Only what the file's own name says is taken.
        assert_eq!(store.file_behind(&Digest::of("x")), Some(b"x".to_vec()));
        assert_eq!(store.file_behind(&layer), None);
        for (kind, key) in [("wheel-layers", "other"), ("image", "key"), ("wheel-facts", "key")] {
            assert_eq!(store.record::<Vec<Digest>>(kind, key).unwrap(), None, "{kind} {key}");
        }
        assert_eq!(store.alone().record::<Vec<Digest>>("wheel-layers", "key").unwrap(), None);
        store.put_record("tree-layers", "key", &other).unwrap();
        assert_eq!(store.record::<Digest>("tree-layers", "key").unwrap(), Some(other), "the store's own first");
        let kinds: Vec<String> = noted.lock().unwrap().keys().map(|(kind, _)| kind.clone()).collect();
        assert_eq!(kinds, ["tree-layers", "wheel-layers"]);
        assert!(!folder.path().join("records/wheel-layers").exists());
    }

    #[test]
    fn a_full_disk_is_the_stores_error_wherever_the_bytes_come_from() {
        let (folder, store) = store();
        let error = io::copy(&mut [1; 9].as_slice(), &mut full(&store)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let error = StoreError::of_write(error).unwrap();
        assert_eq!(error.to_string(), format!("failed to write to `{}`", folder.path().display()));
        assert!(error.is_full());
        assert!(StoreError::of_write(io::ErrorKind::StorageFull.into()).is_err());
    }

    #[test]
    fn a_blob_goes_only_where_it_is_damaged() {
        let (_folder, store) = store();
        let digest = store.put_blob(b"whole").unwrap();
        assert!(!store.discard_damaged(&digest).unwrap());
        fs::write(store.blob_path(&digest), "whale").unwrap();
        assert!(store.has(&digest, 5));
        assert!(store.discard_damaged(&digest).unwrap());
        assert!(!store.has(&digest, 5) && !store.discard_damaged(&digest).unwrap());
    }

    #[test]
    fn who_waits_for_a_lock_knows_for_whom() {
        let (_folder, store) = store();
        let held = Mutex::new(Some(store.lock("a").unwrap()));
        let (sender, told) = mpsc::channel();
        let store = store.telling(move |holder| {
            sender.send(holder).unwrap();
            drop(held.lock().unwrap().take());
            Box::new(())
        });
        let _other = store.lock("b").unwrap();
        let _lock = store.lock("a").unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Some(process::id())]);
    }

    #[test]
    fn what_this_process_writes_goes_with_it_and_what_others_write_stays() {
        let (_folder, store) = store();
        let tmp = store.root().join("tmp");
        fs::write(tmp.join("blob-of-another"), "").unwrap();
        let (scratch, mut blob) = (store.scratch().unwrap(), store.blob_writer().unwrap());
        fs::write(scratch.path().join("x"), "x").unwrap();
        blob.write_all(b"x").unwrap();
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 3);
        store.abandon();
        let left: Vec<_> = fs::read_dir(&tmp).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["blob-of-another"]);
    }
}
