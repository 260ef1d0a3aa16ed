//! Images in memory, and registries that do not wait.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use image_name::{RepoPath, Tag};
use oci_image::{BlobSource, Descriptor};
use registry::{
    CredentialSource, Credentials, Error, Proxies, Push, PushBlob, PushReport, Registry, RegistryOptions, Retry,
    Secret, Timeouts,
};
use registry_fake::FakeRegistry;

/// Docker's manifest, version 2, schema 2.
pub const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// OCI's.
pub const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// Nobody, no proxies, short time-outs, and retries that only note how long they would have waited.
pub fn options() -> RegistryOptions {
    RegistryOptions {
        credentials: CredentialSource::Anonymous,
        proxies: Proxies::default(),
        timeouts: Timeouts { progress: Duration::from_secs(20), ..Timeouts::default() },
        retry: Retry { sleep: Arc::new(|_| {}), ..Retry::default() },
        ..RegistryOptions::default()
    }
}

pub fn client(fake: &FakeRegistry) -> Registry {
    client_with(fake, options())
}

pub fn client_with(fake: &FakeRegistry, options: RegistryOptions) -> Registry {
    Registry::new(fake.host().parse().unwrap(), options)
}

/// Retries that note their waits.
pub fn noting() -> (RegistryOptions, Arc<Mutex<Vec<Duration>>>) {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let noted = waits.clone();
    let sleep = Arc::new(move |wait| noted.lock().unwrap().push(wait));
    (RegistryOptions { retry: Retry { sleep, ..Retry::default() }, ..options() }, waits)
}

pub fn repo(text: &str) -> RepoPath {
    text.parse().unwrap()
}

pub fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Bytes that differ by seed and do not repeat in short.
pub fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(size + 8);
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(size);
    out
}

pub fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: "application/octet-stream".to_owned(),
        digest: registry_fake::digest(bytes).parse().unwrap(),
        size: bytes.len() as u64,
        urls: Vec::new(),
    }
}

/// Blobs by digest, as `sha256:…`.
#[derive(Default)]
pub struct Memory(pub BTreeMap<String, Vec<u8>>);

impl BlobSource for Memory {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.0.get(&blob.digest.to_string()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes)))
    }
}

/// An image whose blobs are in memory.
pub struct Image {
    pub memory: Memory,
    pub layers: Vec<Descriptor>,
    pub config: Descriptor,
    pub manifest: Vec<u8>,
}

impl Image {
    pub fn new(layers: &[Vec<u8>]) -> Self {
        let mut memory = Memory::default();
        let mut keep = |bytes: &[u8]| {
            let blob = descriptor(bytes);
            memory.0.insert(blob.digest.to_string(), bytes.to_vec());
            blob
        };
        let layers: Vec<_> = layers.iter().map(|layer| keep(layer)).collect();
        let named: Vec<_> = layers.iter().map(|layer| format!("\"{}\"", layer.digest)).collect();
        let config = keep(format!("{{\"layers\":{}}}", layers.len()).as_bytes());
        let manifest = format!("{{\"config\":\"{}\",\"layers\":[{}]}}", config.digest, named.join(","));
        Self { memory, layers, config, manifest: manifest.into_bytes() }
    }

    pub fn blob<'a>(&'a self, descriptor: &Descriptor, name: &str) -> PushBlob<'a> {
        PushBlob { descriptor: descriptor.clone(), name: name.to_owned(), mount_from: None, source: &self.memory }
    }

    pub fn digest(&self) -> String {
        registry_fake::digest(&self.manifest)
    }

    /// A push to `o/r:t`.
    pub fn to_push(&self) -> Push<'_> {
        static TARGET: LazyLock<(RepoPath, Tag)> = LazyLock::new(|| (repo("o/r"), tag("t")));
        Push {
            repository: &TARGET.0,
            tag: &TARGET.1,
            manifest: &self.manifest,
            media_type: DOCKER,
            config: self.blob(&self.config, "config"),
            layers: self.layers.iter().enumerate().map(|(at, blob)| self.blob(blob, &format!("layer {at}"))).collect(),
            overwrite: false,
            parallel: 0,
            unfinished: None,
        }
    }

    /// Pushes to `o/r:t`.
    pub fn push(&self, registry: &Registry) -> Result<PushReport, Error> {
        registry.push_image(&self.to_push(), &|_| {})
    }
}

/// Message, causes and hint, as people see them, without what differs from run to run.
pub fn shown(error: &Error, fake: &FakeRegistry) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!("\ncaused by: {cause}"));
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text.replace(&fake.host(), "HOST").replace(&fake.port().to_string(), "PORT")
}

/// The log as `METHOD path status` lines, without what the search for the scheme asks.
pub fn asked(fake: &FakeRegistry) -> Vec<String> {
    let log = fake.log();
    log.iter().filter(|entry| entry.path != "/v2/").map(ToString::to_string).collect()
}

/// With a name and a password.
pub fn with_login(options: RegistryOptions, user: &str, password: &str) -> RegistryOptions {
    let credentials = Credentials::Basic { user: user.to_owned(), password: Secret::new(password) };
    RegistryOptions { credentials: CredentialSource::Given(credentials), ..options }
}
