//! A registry in memory that misbehaves on request, for tests.
//!
//! It serves the distribution protocol on a loopback port of its own until dropped: blobs, uploads, mounts, manifests,
//! tags, basic and bearer auth. [`Fault`]s make it cut, stall, refuse or lie, each of the [`QUIRKS`] answer as some registry
//! does; [`FakeRegistry::log`] tells what was asked.

mod auth;
mod fault;
mod http;
mod quirk;
mod routes;
mod serve;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use sha2::{Digest as _, Sha256};

pub use auth::SERVICE;
pub use fault::{Fault, What};
pub use http::Stream;
pub use quirk::{QUIRKS, Quirk};

/// Makes TLS, or whatever else is wanted, of an accepted connection.
pub type Wrap = Arc<dyn Fn(TcpStream) -> io::Result<Box<dyn Stream>> + Send + Sync>;

/// Makes the text of a token that allows these, each as `repository:NAME:ACTION`.
pub type Sign = Arc<dyn Fn(&BTreeSet<String>) -> String + Send + Sync>;

/// Who may talk to the fake.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Everyone.
    #[default]
    None,
    /// Who sends this with every request.
    Basic {
        /// The user's name.
        user: String,
        /// The user's password.
        password: String,
    },
    /// Who fetches tokens from `/token`; without a name one gets leave to pull only.
    Bearer {
        /// The user's name.
        user: String,
        /// The user's password.
        password: String,
        /// What a `POST` may bring instead of name and password.
        identity_token: String,
    },
}

/// What becomes of an upload when a connection breaks in the middle of a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Partial {
    /// It keeps what came in whole requests.
    #[default]
    Chunks,
    /// It keeps every byte that came.
    Bytes,
    /// It keeps the first so many of the bytes that came.
    First(usize),
    /// It is forgotten, as docker-registry 2.8 does.
    Forgets,
}

/// How the fake behaves throughout.
#[derive(Clone, Default)]
pub struct Options {
    /// Who may talk to it.
    pub auth: Auth,
    /// The realm of bearer challenges, where it is not the fake's own `/token`.
    pub realm: Option<String>,
    /// Makes the tokens that another registry, with this one's `/token` for its realm, trusts.
    pub sign: Option<Sign>,
    /// Prefixes of repositories that nobody may push to: 403.
    pub denied: Vec<String>,
    /// Answers 202 to mounts, as if the other repository did not have the blob.
    pub refuse_mounts: bool,
    /// Refuses manifests of OCI's media type in SWR's words.
    pub refuse_oci: bool,
    /// Answers `GET`s of blobs with a redirect to the same path below this URL.
    pub redirect_blobs: Option<String>,
    /// Answers requests for the rest of a blob with all of it.
    pub ignore_ranges: bool,
    /// Knows no blobs in the request that completes an upload.
    pub refuse_monolithic: bool,
    /// What becomes of an upload whose bytes are cut off.
    pub partial: Partial,
    /// Most bytes that it takes of a `PATCH`; 0 is all.
    pub takes: usize,
    /// All connections break whenever this many bytes of bodies came over them together; 0 is never.
    pub cut_every: u64,
    /// `OCI-Chunk-Min-Length` of uploads, which every chunk but the last must have; 0 is none.
    pub chunk_min: u64,
    /// Answers 405 to whoever asks how far an upload got.
    pub refuse_asking: bool,
    /// `Location` of uploads is an absolute URL.
    pub absolute_locations: bool,
    /// Which of its answers are odd.
    pub quirk: Option<&'static Quirk>,
    /// Most tags on a page; 0 is all.
    pub page: usize,
    /// Makes TLS of connections.
    pub tls: Option<Wrap>,
}

/// A request that was answered or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The method.
    pub method: String,
    /// The host that it was meant for.
    pub host: String,
    /// The path without the query.
    pub path: String,
    /// The query's pairs as `key=value`, decoded, joined with `&`.
    pub query: String,
    /// The status of the answer; 0 where the connection was cut or stalled before one.
    pub status: u16,
    /// Bytes of the request's body that were read.
    pub body_bytes: u64,
    /// Bytes of the request's line and header fields.
    pub head_bytes: u64,
    /// The scheme of the `Authorization` field, if there was one.
    pub authorization: Option<String>,
    /// Number of the connection, from 0.
    pub connection: u64,
    /// How many bodies of uploads were on their way when this one began, itself among them.
    pub side_by_side: usize,
    /// `Content-Range`, if there was one.
    pub content_range: Option<String>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.status)
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// By repository and digest.
    blobs: BTreeMap<(String, String), Arc<Vec<u8>>>,
    /// By repository and digest: media type and bytes.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// By repository and tag: digest.
    tags: BTreeMap<(String, String), String>,
    /// By id.
    uploads: BTreeMap<String, Vec<u8>>,
    tokens: Vec<auth::Token>,
    plan: Vec<Fault>,
    log: Vec<Entry>,
    /// Connections by number, to close them all.
    open: BTreeMap<u64, TcpStream>,
    /// Bytes of bodies since all connections broke the last time, and how often that was.
    passed: u64,
    cuts: u64,
    /// Paths of the uploads whose bodies are being read.
    under_way: Vec<String>,
}

pub(crate) struct Shared {
    options: Options,
    state: Mutex<State>,
    /// Told whenever a body is no longer being read.
    arrived: Condvar,
    serial: AtomicU64,
    stopped: AtomicBool,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// The fake as the request has called it.
    pub(crate) fn origin(&self, request: &http::Request) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", request.header("host").unwrap_or_default())
    }
}

/// A running fake.
pub struct FakeRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl FakeRegistry {
    /// Starts one that lets everyone do everything.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts one that behaves so. Panics where loopback has no free port.
    #[expect(clippy::expect_used, reason = "a test can't go on without its registry")]
    pub fn with(options: Options) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
        let address = listener.local_addr().expect("the address of a bound socket");
        let shared = Arc::new(Shared {
            options,
            state: Mutex::default(),
            arrived: Condvar::new(),
            serial: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let acceptor = std::thread::spawn({
            let shared = shared.clone();
            move || serve::accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds to what goes wrong.
    pub fn plan(&self, fault: Fault) {
        self.shared.state().plan.push(fault);
    }

    /// What was asked so far, in order of the answers.
    pub fn log(&self) -> Vec<Entry> {
        self.shared.state().log.clone()
    }

    /// Forgets what was asked.
    pub fn clear_log(&self) {
        self.shared.state().log.clear();
    }

    /// Makes every token handed out so far worthless.
    pub fn expire_tokens(&self) {
        self.shared.state().tokens.clear();
    }

    /// Puts a blob into a repository; returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.shared.state().blobs.insert(key(repository, &digest), Arc::new(bytes.to_vec()));
        digest
    }

    /// Puts a manifest under a tag; returns its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let mut state = self.shared.state();
        state.manifests.insert(key(repository, &digest), (media_type.to_owned(), bytes.to_vec()));
        state.tags.insert(key(repository, tag), digest.clone());
        digest
    }

    /// The bytes of a blob that a repository has.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.shared.state().blobs.get(&key(repository, digest)).map(|bytes| bytes.to_vec())
    }

    /// How many blobs a repository has.
    pub fn blob_count(&self, repository: &str) -> usize {
        self.shared.state().blobs.keys().filter(|(name, _)| name == repository).count()
    }

    /// The digest that a tag points at.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        self.shared.state().tags.get(&key(repository, tag)).cloned()
    }

    /// How often all connections broke.
    pub fn cuts(&self) -> u64 {
        self.shared.state().cuts
    }

    /// How many uploads were begun and neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.shared.state().uploads.len()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it is to stop.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in std::mem::take(&mut self.shared.state().open).into_values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl fmt::Debug for FakeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeRegistry").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A repository and what is asked of it.
pub(crate) fn key(repository: &str, name: &str) -> (String, String) {
    (repository.to_owned(), name.to_owned())
}

/// `sha256:` and 64 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
