//! What went wrong with a registry, and what to do about it.

use std::{fmt, io, time::Duration};

use image_name::Digest;

use crate::{credentials::CredentialsError, trust::CaFileError};

/// What was tried and why it did not work. [`Error::hint`] says what to do, where that is known.
#[derive(Debug)]
pub struct Error {
    operation: String,
    cause: Box<Cause>,
}

impl Error {
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
        self.map_err(|cause| Error { operation: operation(), cause: Box::new(cause) })
    }
}

/// Why it did not work. Of the unnamed fields the first is the host or what was asked for, a text after it the reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The name has no address.
    #[error("no such host: `{0}`")]
    NoSuchHost(String),
    /// Nothing listens there.
    #[error("connection refused by `{0}`")]
    Refused(String),
    /// The connection could not be made, or it broke.
    #[error("connection to `{0}` failed")]
    Connection(String, #[source] io::Error),
    /// The host neither took nor sent a byte for this long.
    #[error("`{}` made no progress for {} s", .0, .1.as_secs_f32())]
    TimedOut(String, Duration),
    /// The certificate is not signed by an authority that is trusted here.
    #[error("the certificate of `{0}` is signed by an unknown authority (x509)")]
    Untrusted(String),
    /// The certificate is for another name, too old, or wrong in another way.
    #[error("the certificate of `{0}` is not valid: {1}")]
    BadCertificate(String, String),
    /// The host does not speak TLS.
    #[error("`{0}` answered in plain HTTP where HTTPS was expected")]
    PlainHttp(String),
    /// The two sides can't agree on TLS.
    #[error("TLS with `{0}` failed: {1}")]
    Tls(String, String),
    /// The proxy can't be reached, or refuses to connect to the host.
    #[error("can't reach `{host}` through the proxy `{proxy}`")]
    Proxy {
        /// The proxy, with its port.
        proxy: String,
        /// What is behind it.
        host: String,
        /// What is wrong with the proxy.
        #[source]
        cause: Box<Cause>,
    },
    /// The environment names a proxy for the host that can't be one.
    #[error("the address of the proxy for `{0}` is not valid")]
    ProxyUrl(String),
    /// 401: no login, or one that the registry does not know.
    #[error("`{host}` wants a login ({}){}", if *.had_credentials { "what is stored was refused" } else { "none is stored" }, detail(.message))]
    Unauthorized {
        /// The registry.
        host: String,
        /// Whether there was something to log in with.
        had_credentials: bool,
        /// What the registry said.
        message: String,
    },
    /// 403, or a token that does not cover what was asked: the login is known but may not.
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
    #[error("`{}` is not there{}", .0, detail(.1))]
    NotFound(String, String),
    /// The registry does not accept a manifest of this media type.
    #[error("the registry refused the manifest of type `{}`{}", .0, detail(.1))]
    ManifestRefused(String, String),
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
    #[error("tag `{tag}` reads back as {found}, not {wanted}")]
    TagLost {
        /// The tag.
        tag: String,
        /// What it points at, or `absent`.
        found: String,
        /// What it was to point at.
        wanted: Digest,
    },
    /// The registry's bytes do not have the size or the digest that they should.
    #[error("`{object}` from `{host}` has {found}, not {wanted}")]
    Mismatch {
        /// The registry.
        host: String,
        /// What was read.
        object: String,
        /// What came: `digest sha256:…`, or how many bytes at least.
        found: String,
        /// What was to come.
        wanted: String,
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
    #[error("blob `{0}` could not be read")]
    Source(String, #[source] io::Error),
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
    /// A status that nothing above is about, and what the registry said.
    #[error("`{}` answered with status {}{}", .0, .1, detail(.2))]
    Status(String, u16, String),
    /// A redirect from HTTPS to plain HTTP.
    #[error("`{0}` redirects from HTTPS to plain HTTP, to `{1}`")]
    Downgrade(String, String),
    /// An answer that the protocol does not allow.
    #[error("`{0}` broke the protocol: {1}")]
    Protocol(String, String),
    /// The login that is stored could not be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A file with certificates could not be read.
    #[error(transparent)]
    CaFile(#[from] CaFileError),
    /// 401 to a body that was already under way: the token had run out.
    #[error("the login to `{0}` ran out while a blob was sent")]
    LoginRenewed(String),
    /// The registry does not know an upload any more, or has other bytes of it than it said.
    #[error("`{0}` has lost an upload, or part of it")]
    UploadLost(String),
    /// The connection was cut again and again before a blob was through, and next to nothing of it is kept.
    #[error("the connection is cut sooner than blob `{name}` ({}) takes, and the registry keeps too little of it: at most {} got through between two cuts", megabytes(*.size), megabytes(*.passed))]
    CutShort {
        /// What the blob is called for people.
        name: String,
        /// Its size, bytes.
        size: u64,
        /// The most bytes of it that were sent between two cuts.
        passed: u64,
        /// The last cut.
        #[source]
        cause: Box<Cause>,
    },
    /// Something else failed first.
    #[error("given up because another blob failed")]
    Cancelled,
}

/// Whether a status says no more than that the same may work in a moment.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 421 | 425 | 502..=504)
}

/// The layers, in MiB, that a line carries on which so many bytes were sent between two cuts, if it carries any. Some of
/// the bytes were still on their way, so a quarter is left out; of the rest, the next power of two.
pub(crate) fn mebibytes_that_pass(sent: u64) -> Option<u64> {
    ((sent / 4 * 3) >> 20).checked_ilog2().map(|log| 1 << log)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Cause {
    /// Whether the same may work in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        if let Self::Proxy { cause, .. } = self {
            return cause.is_transient();
        }
        matches!(
            self,
            Self::Refused(_)
                | Self::Connection(..)
                | Self::TimedOut(..)
                | Self::Busy { .. }
                | Self::LoginRenewed(_)
                | Self::UploadLost(_)
                | Self::Status(_, 500, _)
        ) || self.is_passing()
    }

    /// Whether it is a status of a server, or of a proxy before it, that is not ready: the registry itself has not spoken.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Status(_, status, _) if is_passing(*status))
    }

    /// Whether the connection broke, or nothing went over it any more.
    pub(crate) fn is_cut(&self) -> bool {
        match self {
            Self::Connection(..) | Self::TimedOut(..) => true,
            Self::Proxy { cause, .. } => cause.is_cut(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::CutShort { passed, .. } => {
                let fits = mebibytes_that_pass(*passed)?;
                return Some(format!(
                    "layers of {fits} MiB pass: set `max_layer = \"{fits} MiB\"` under `[layout]`, build again and push"
                ));
            }
            Self::Status(_, 400, message) | Self::ManifestRefused(_, message)
                if message.contains("NAME_INVALID") || message.contains("TAG_INVALID") =>
            {
                "SWR takes organisations of 1 to 64 characters, repositories and tags of 1 to 128; check `org` and \
                 `repository` under `[registry]`, and `tag`"
            }
            Self::NoSuchHost(host) => {
                return Some(format!(
                    "if `{host}` is right but not in DNS, give its address: `--resolve IP`, or `ip` under `[registry]`"
                ));
            }
            Self::Untrusted(host) => {
                return Some(format!(
                    "name its CA with `--ca FILE` or put it into `/etc/docker/certs.d/{host}/ca.crt`, or do without \
                     checking: `--insecure`"
                ));
            }
            Self::Proxy { proxy, cause, .. } if matches!(**cause, Self::Status(_, 407, _)) => {
                return Some(format!(
                    "give the proxy's login with its address in `HTTP_PROXY` and `HTTPS_PROXY`: \
                     `http://USER:PASSWORD@{proxy}`"
                ));
            }
            Self::Proxy { host, .. } => {
                return Some(format!(
                    "check `HTTP_PROXY` and `HTTPS_PROXY`; to go past the proxy, add `{host}` to `NO_PROXY`"
                ));
            }
            Self::ProxyUrl(_) => "write it as `http://HOST:PORT` in `HTTP_PROXY` and `HTTPS_PROXY`",
            Self::Unauthorized { host, had_credentials: true, .. } => {
                return Some(format!("SWR's temporary logins end after 24 hours; log in again: `docker login {host}`"));
            }
            Self::Unauthorized { host, .. } => return Some(format!("log in: `docker login {host}`")),
            Self::Credentials(error) => return error.hint(),
            Self::Refused(_) => "check that the registry is up and that this is its port",
            Self::BadCertificate(..) => "do without checking certificates: `--insecure`",
            Self::PlainHttp(_) => "if this registry has no HTTPS: `--insecure`",
            Self::Downgrade(..) => "if the storage of this registry has no HTTPS: `--insecure`",
            Self::Denied { .. } => "check that the organisation exists and that this login may push to it",
            Self::ManifestRefused(media_type, _) if media_type.starts_with("application/vnd.oci.") => {
                "SWR's basic edition takes only Docker v2 manifests: push with `--media-types docker`"
            }
            Self::TagExists { .. } => "give the image another timestamp, or move the tag: `--overwrite`",
            Self::TagLost { .. } => {
                "another client pushed the same tag at the same time; build again for a new timestamp, or push with \
                 `--overwrite`"
            }
            Self::Damaged { .. } => "remove the blob from the store; the next build makes it again",
            Self::Busy { .. } => "SWR takes 20 requests a second from a tenant; try again in a moment",
            Self::Status(_, 413, _) => {
                "the registry or a proxy before it limits the size of a layer (SWR: 10 GB); lower `max_layer`"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
