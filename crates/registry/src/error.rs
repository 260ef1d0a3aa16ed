//! What went wrong with a registry, and what to do about it.

use std::{fmt, io, time::Duration};

use image_name::Digest;

use crate::credentials::CredentialsError;

/// What was tried and why it did not work. [`Error::hint`] says what to do, where that is known.
#[derive(Debug)]
pub struct Error {
    operation: String,
    cause: Box<Cause>,
}

impl Error {
    pub(crate) fn new(operation: impl Into<String>, cause: Cause) -> Self {
        Self { operation: operation.into(), cause: Box::new(cause) }
    }

    /// Why it did not work.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What to do about it, as one line without a full stop.
    pub fn hint(&self) -> Option<String> {
        self.cause.hint()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}", self.operation)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

/// Says for which operation a cause is.
pub(crate) trait Context<T> {
    fn context(self, operation: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, Cause> {
    fn context(self, operation: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|cause| Error::new(operation(), cause))
    }
}

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The name has no address.
    #[error("no such host: `{host}`")]
    NoSuchHost {
        /// The name that was looked up.
        host: String,
    },
    /// Nothing listens there.
    #[error("connection refused by `{host}`")]
    Refused {
        /// The host and port that refused.
        host: String,
    },
    /// The connection could not be made, or it broke.
    #[error("connection to `{host}` failed")]
    Connection {
        /// The host.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The host neither took nor sent a byte for this long.
    #[error("`{host}` made no progress for {} s", .after.as_secs_f32())]
    TimedOut {
        /// The host.
        host: String,
        /// How long.
        after: Duration,
    },
    /// The certificate is signed by nobody that is trusted here.
    #[error("the certificate of `{host}` is signed by an unknown authority (x509)")]
    Untrusted {
        /// The host.
        host: String,
    },
    /// The certificate is for another name, too old, or wrong in another way.
    #[error("the certificate of `{host}` is not valid: {reason}")]
    BadCertificate {
        /// The host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host does not speak TLS.
    #[error("`{host}` answered in plain HTTP where HTTPS was expected")]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// The two sides can't agree on TLS.
    #[error("TLS with `{host}` failed: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// What TLS said.
        reason: String,
    },
    /// The proxy did not let us through.
    #[error("the proxy did not connect to `{host}`: {reason}")]
    Proxy {
        /// The host behind the proxy.
        host: String,
        /// What the proxy said.
        reason: String,
    },
    /// 401: nobody, or somebody unknown.
    #[error("`{host}` wants a login ({}){}", if *.had_credentials { "what is stored was refused" } else { "none is stored" }, detail(.message))]
    Unauthorized {
        /// The registry.
        host: String,
        /// Whether there was something to log in with.
        had_credentials: bool,
        /// What the registry said.
        message: String,
    },
    /// 403, or a token that does not cover what was asked: somebody known who may not.
    #[error("access to `{repository}` on `{host}` was denied{}", detail(.message))]
    Denied {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// What the registry said.
        message: String,
    },
    /// 404: no such repository, manifest or blob.
    #[error("`{object}` is not there{}", detail(.message))]
    NotFound {
        /// What was asked for.
        object: String,
        /// What the registry said.
        message: String,
    },
    /// The registry does not accept the manifest.
    #[error("the registry refused the manifest of type `{media_type}`{}", detail(.message))]
    ManifestRefused {
        /// The manifest's media type.
        media_type: String,
        /// What the registry said.
        message: String,
    },
    /// The tag points at something else and was not to be moved.
    #[error("tag `{tag}` exists with digest {found}, not {wanted}")]
    TagExists {
        /// The tag.
        tag: String,
        /// What it points at.
        found: Digest,
        /// What it was to point at.
        wanted: Digest,
    },
    /// The tag was put, but does not point there afterwards.
    #[error("tag `{tag}` reads back as {}, not {wanted}", .found.map_or_else(|| "absent".to_owned(), |found| found.to_string()))]
    TagLost {
        /// The tag.
        tag: String,
        /// What it points at.
        found: Option<Digest>,
        /// What it was to point at.
        wanted: Digest,
    },
    /// The registry's bytes are not what their digest says.
    #[error("`{object}` from `{host}` has digest {found}, not {wanted}")]
    WrongDigest {
        /// The registry.
        host: String,
        /// What was read.
        object: String,
        /// The digest of what came.
        found: String,
        /// The digest it was to have.
        wanted: Digest,
    },
    /// The registry's bytes are more or fewer than the descriptor says.
    #[error("`{object}` from `{host}` has {found} bytes, not {wanted}")]
    WrongSize {
        /// The registry.
        host: String,
        /// What was read.
        object: String,
        /// How many bytes it has, at least.
        found: u64,
        /// How many it was to have.
        wanted: u64,
    },
    /// A blob to upload is not what its digest says: its file was damaged.
    #[error("blob `{name}` ({wanted}) is damaged: {reason}")]
    Damaged {
        /// What the blob is called for people.
        name: String,
        /// The digest it was to have.
        wanted: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// A blob to upload could not be read.
    #[error("blob `{name}` could not be read")]
    Source {
        /// What the blob is called for people.
        name: String,
        /// What its source said.
        source: io::Error,
    },
    /// 429 or 503: too many requests, or down for a moment.
    #[error("`{host}` is busy (status {status}){}", detail(.message))]
    Busy {
        /// The registry.
        host: String,
        /// The status.
        status: u16,
        /// How long the registry asks us to wait.
        retry_after: Option<Duration>,
        /// What the registry said.
        message: String,
    },
    /// A status that nothing above is about.
    #[error("`{host}` answered with status {status}{}", detail(.message))]
    Status {
        /// The registry.
        host: String,
        /// The status.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// An answer that the protocol does not allow.
    #[error("`{host}` broke the protocol: {reason}")]
    Protocol {
        /// The registry.
        host: String,
        /// What was wrong.
        reason: String,
    },
    /// The login that is stored could not be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A file with certificates could not be read.
    #[error("failed to read certificates from `{path}`: {reason}")]
    CaFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// 401 to a body that was already under way: the token had run out.
    #[error("the login to `{host}` ran out while a blob was sent")]
    LoginRenewed {
        /// The registry.
        host: String,
    },
    /// Something else failed first.
    #[error("given up because another blob failed")]
    Cancelled,
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Cause {
    /// Whether the same may work in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Connection { .. }
            | Self::TimedOut { .. }
            | Self::Busy { .. }
            | Self::LoginRenewed { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 500 | 502 | 504),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchHost { host } => {
                format!(
                    "if `{host}` is right but not in DNS, give its address: `--resolve IP`, or `ip` under `[registry]`"
                )
            }
            Self::Refused { .. } => "check that the registry is up and that this is its port".to_owned(),
            Self::Untrusted { host } => {
                format!(
                    "name its CA with `--ca FILE` or put it into `/etc/docker/certs.d/{host}/ca.crt`, or do without \
                     checking: `--insecure`"
                )
            }
            Self::BadCertificate { .. } => "do without checking certificates: `--insecure`".to_owned(),
            Self::PlainHttp { .. } => "if this registry has no HTTPS: `--insecure`".to_owned(),
            Self::Proxy { host, .. } => format!("to go past the proxy, add `{host}` to NO_PROXY"),
            Self::Unauthorized { host, had_credentials: true, .. } => {
                format!("SWR's temporary logins end after 24 hours; log in again: `docker login {host}`")
            }
            Self::Unauthorized { host, .. } => format!("log in: `docker login {host}`"),
            Self::Denied { .. } => "check that the organisation exists and that this login may push to it".to_owned(),
            Self::ManifestRefused { media_type, .. } if media_type.starts_with("application/vnd.oci.") => {
                "SWR reads only Docker v2 manifests; build the image without asking for OCI".to_owned()
            }
            Self::TagExists { .. } => "give the image another timestamp, or move the tag: `--overwrite`".to_owned(),
            Self::TagLost { .. } => "somebody else pushed the same tag at the same time".to_owned(),
            Self::Damaged { .. } => "remove the blob from the store; the next build makes it again".to_owned(),
            Self::Busy { .. } => "SWR takes 20 requests a second from a tenant; try again in a moment".to_owned(),
            Self::Status { status: 413, .. } => {
                "the registry or a proxy before it limits the size of a layer; lower `max_layer`".to_owned()
            }
            Self::Credentials(error) => return error.hint(),
            _ => return None,
        })
    }
}
