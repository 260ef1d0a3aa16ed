//! The distribution protocol (OCI distribution spec 1.1, Docker Registry HTTP API v2): pull, mount, push, auth, retries.

mod answer;
mod ask;
mod auth;
mod challenge;
mod client;
mod counting;
mod credentials;
mod docker_config;
mod error;
mod helper;
mod manifests;
mod options;
mod proxy;
mod pull;
mod push;
mod retry;
mod secret;
mod store;
mod tls;
mod trust;
mod upload;
mod url;
mod wire;

pub use client::{Registry, Sent};
pub use credentials::{Credentials, CredentialsError};
pub use docker_config::{CredentialSource, Logins};
pub use error::{Cause, Error};
pub use manifests::{MANIFEST_LIMIT, ManifestRef, RemoteManifest};
pub use options::{RegistryOptions, Timeouts};
pub use proxy::Proxies;
pub use pull::{BlobReader, RegistrySource};
pub use push::{Arrival, IfTagExists, Push, PushBlob, PushEvent, PushReport};
pub use retry::Retry;
pub use secret::Secret;
pub use store::Stored;
pub use trust::{CaFileError, check_ca_file};
