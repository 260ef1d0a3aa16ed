//! One registry: where it is, and whether it speaks HTTPS or HTTP.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use image_name::Host;
use serde::Serialize;
use ureq::http::Method;

use crate::{
    answer::{Answer, WARNINGS},
    auth::{Access, Auth},
    challenge,
    error::Cause,
    options::RegistryOptions,
    retry::Pacer,
    url::Url,
    wire::{Outgoing, Wire},
};

/// A registry. Clones share connections, logins and counters.
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Inner>);

/// Bytes that were sent to a registry, before TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// In the bodies of requests: blobs and manifests.
    pub bodies: u64,
    /// In request lines, header fields and requests for tokens.
    pub overhead: u64,
}

pub(crate) struct Inner {
    pub(crate) host: Host,
    pub(crate) options: RegistryOptions,
    pub(crate) wire: Wire,
    pub(crate) auth: Auth,
    pub(crate) pacer: Pacer,
    /// Scheme and address of the API, once known.
    origin: Mutex<Option<Url>>,
    /// What it has had to say, each once.
    warnings: Mutex<Vec<String>>,
    /// Bytes of bodies sent.
    pub(crate) bodies: AtomicU64,
    /// Whether it has ever answered: before that, a refused connection is no passing trouble.
    pub(crate) answered: AtomicBool,
    /// Whether it has refused a blob in the request that completes its upload.
    pub(crate) no_monolithic: AtomicBool,
    /// Whether it, or a proxy before it, has refused `Expect: 100-continue`.
    pub(crate) no_announcing: AtomicBool,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("host", &self.0.host.as_str()).finish_non_exhaustive()
    }
}

impl Registry {
    /// A registry that is reached so. Nothing is asked of it yet.
    pub fn new(host: Host, options: RegistryOptions) -> Self {
        let pacer = if options.is_loopback(&host) { Pacer::default() } else { Pacer::of_registry() };
        Self::at(None, host, options, pacer)
    }

    /// A server whose scheme and port may be known, and that is asked at this pace.
    pub(crate) fn at(origin: Option<Url>, host: Host, options: RegistryOptions, pacer: Pacer) -> Self {
        Self(Arc::new(Inner {
            wire: Wire::new(&host, &options),
            auth: Auth::new(&host, &options),
            host,
            options,
            pacer,
            origin: Mutex::new(origin),
            warnings: Mutex::default(),
            bodies: AtomicU64::default(),
            answered: AtomicBool::default(),
            no_monolithic: AtomicBool::default(),
            no_announcing: AtomicBool::default(),
        }))
    }

    /// The host it was made for.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// Bytes sent to the registry and its helpers so far.
    pub fn sent(&self) -> Sent {
        let bodies = self.0.bodies.load(Ordering::Relaxed);
        Sent { bodies, overhead: self.0.wire.sent.load(Ordering::Relaxed).saturating_sub(bodies) }
    }

    /// What the registry wants its users to know (distribution spec, "Warnings"), in the order in which it came, each
    /// once, without secrets and control characters. Nothing may depend on it but what is shown.
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note_warnings(&self, answer: &Answer) {
        for warning in answer.warnings() {
            let warning = self.0.auth.scrub(warning);
            let mut known = self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() < WARNINGS && !known.contains(&warning) {
                known.push(warning);
            }
        }
    }

    pub(crate) fn protocol(&self, reason: impl Into<String>) -> Cause {
        Cause::Protocol(self.0.host.to_string(), reason.into())
    }

    /// What an answer that was not hoped for means. `object` is what was asked for, `repository` where it is.
    pub(crate) fn refusal(&self, answer: Answer, object: &str, repository: &str) -> Cause {
        let auth = &self.0.auth;
        let (host, had_credentials) = (answer.url.authority.clone(), auth.has_credentials(repository));
        let message = answer.url.scrub(auth.scrub(answer.message()));
        match answer.status {
            401 => Cause::Unauthorized { host, had_credentials, message },
            403 => Cause::Denied { host, repository: repository.to_owned(), message },
            404 => Cause::NotFound(object.to_owned(), message),
            status @ (429 | 503) => Cause::Busy { host, status, retry_after: answer.retry_after(), message },
            status => Cause::Status(host, status, message),
        }
    }

    /// A path of the registry as a URL.
    pub(crate) fn url(&self, target: String) -> Result<Url, Cause> {
        Ok(self.origin()?.at(target))
    }

    /// HTTPS, unless the registry may do without and does. What login it wants is found out as well, as docker does it:
    /// some registries tell that only here, and answer 403 or 404 to whoever asks for more without one.
    pub(crate) fn origin(&self) -> Result<Url, Cause> {
        let inner = &*self.0;
        // Held while the registry is tried: other threads want to know the same.
        let mut origin = inner.origin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = &*origin {
            return Ok(origin.clone());
        }
        // Docker Hub's API is not where its name is.
        let authority = if inner.host.as_str() == "docker.io" { "registry-1.docker.io" } else { inner.host.as_str() };
        let secure = Url::origin(true, authority);
        let found = match self.probe(&secure) {
            Ok(()) => secure,
            Err(cause) if !inner.options.insecure && !inner.options.is_loopback(&inner.host) => return Err(cause),
            // On loopback a certificate that is wrong is not made good by trying without.
            Err(cause @ (Cause::Untrusted(_) | Cause::BadCertificate(..) | Cause::CaFile(_))) => return Err(cause),
            Err(cause) => {
                let plain = Url::origin(false, authority);
                // Where neither works, what HTTPS said is told, unless it was just that there is none, or it is a proxy that
                // keeps plain HTTP from working.
                self.probe(&plain).map_err(|of_plain| match (&cause, &of_plain) {
                    (Cause::PlainHttp(_), _) | (_, Cause::Proxy { .. } | Cause::ProxyUrl(_)) => of_plain,
                    _ => cause,
                })?;
                plain
            }
        };
        Ok(origin.insert(found).clone())
    }

    /// Asks for `/v2/` as nobody; any answer will do.
    fn probe(&self, origin: &Url) -> Result<(), Cause> {
        let inner = &*self.0;
        let url = origin.at("/v2/".to_owned());
        let answer = inner.wire.send(Outgoing::new(Method::GET, &url, inner.options.timeouts.progress))?;
        inner.answered.store(true, Ordering::Relaxed);
        if answer.status == 401 {
            inner.auth.learn(&challenge::of(&answer), &Access::none(), None);
        }
        answer.finish();
        Ok(())
    }
}
