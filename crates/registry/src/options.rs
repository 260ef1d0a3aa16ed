//! How a registry is reached.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use image_name::Host;

use crate::{logins::CredentialSource, proxy::Proxies, retry::Retry};

/// How a registry is reached. The default is what docker does: HTTPS that is checked, the logins and proxies of the
/// environment.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Takes any certificate, and plain HTTP where there is no HTTPS, like docker's `insecure-registries`. Registries on
    /// loopback may always speak plain HTTP, unless `ip` is that of another machine.
    pub insecure: bool,
    /// The registry's address where its name is not in DNS; TLS and HTTP still use the name. Goes past proxies.
    pub ip: Option<IpAddr>,
    /// PEM files of more certificates to believe, besides the system's and docker's for this registry.
    pub ca_files: Vec<PathBuf>,
    /// Who we are.
    pub credentials: CredentialSource,
    /// The proxies.
    pub proxies: Proxies,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: Retry,
    /// How many bytes of a blob are sent in a request once the line was cut: a registry that keeps only whole requests
    /// then loses one of this size at most.
    pub chunk: u64,
}

/// 8 MiB: seven seconds at 10 Mbit/s, and a request more is nothing beside it.
const CHUNK: u64 = 8 << 20;

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            insecure: false,
            ip: None,
            ca_files: Vec::new(),
            credentials: CredentialSource::default(),
            proxies: Proxies::from_env(),
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            chunk: CHUNK,
        }
    }
}

impl RegistryOptions {
    /// Whether the registry of this name is on this machine, and is not reached at another one's address.
    pub(crate) fn is_loopback(&self, host: &Host) -> bool {
        host.is_loopback() && self.ip.is_none_or(|ip| ip.is_loopback())
    }
}

/// How long to wait. None of them limits how long a transfer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a name's address, and again for a connection with its TLS.
    pub connect: Duration,
    /// For the next byte to go out or come in.
    pub progress: Duration,
    /// For the answer to a body: registries hash or copy a blob before they give it.
    pub commit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), progress: Duration::from_secs(60), commit: Duration::from_secs(900) }
    }
}
