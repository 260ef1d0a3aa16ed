//! The distribution protocol (OCI distribution spec 1.1, Docker Registry HTTP API v2): pull, mount, push, auth, retries.

mod answer;
mod ask;
mod auth;
mod challenge;
mod client;
mod credentials;
mod error;
mod file_server;
mod forward;
mod helper;
mod logins;
mod manifests;
mod options;
mod proxy;
mod pull;
mod push;
mod retry;
mod tls;
mod trust;
mod upload;
mod url;
mod wire;

pub use client::{Registry, Sent};
pub use credentials::{Credentials, CredentialsError, Secret};
pub use error::{Cause, Error};
pub use file_server::{FileServer, NotAFileServer};
pub use logins::{CredentialSource, Logins, Stored};
pub use manifests::{MANIFEST_LIMIT, ManifestRef, RemoteManifest};
pub use options::{RegistryOptions, Timeouts};
pub use proxy::Proxies;
pub use pull::{BlobReader, RegistrySource};
pub use push::{Push, PushReport};
pub use retry::Retry;
pub use trust::{CaFileError, check_ca_file};
pub use upload::{Arrival, PushBlob, PushEvent};
