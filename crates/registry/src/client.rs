//! One registry: where it is, under HTTPS or HTTP, and trying again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use image_name::Host;
use serde::Serialize;
use ureq::http::{HeaderMap, Method, StatusCode};

use crate::{
    auth::{Access, Auth},
    challenge,
    error::Cause,
    options::RegistryOptions,
    retry::Pacer,
    url::Url,
    wire::{Answer, Outgoing, Payload, Wire},
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
    /// Whether it has ever answered: before that, a refused connection is no passing trouble.
    pub(crate) answered: AtomicBool,
    /// Whether it has refused a blob in the request that completes its upload.
    pub(crate) no_monolithic: AtomicBool,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("host", &self.0.host.as_str()).finish_non_exhaustive()
    }
}

impl Registry {
    /// A registry that is reached so. Nothing is asked of it yet.
    pub fn new(host: Host, options: RegistryOptions) -> Self {
        let wire = Wire::new(&host, &options);
        let unencrypted = options.insecure || host.is_loopback();
        let auth = Auth::new(host.to_string(), unencrypted, options.credentials.clone());
        Self(Arc::new(Inner {
            host,
            options,
            wire,
            auth,
            pacer: Pacer::new(),
            origin: Mutex::default(),
            answered: AtomicBool::new(false),
            no_monolithic: AtomicBool::new(false),
        }))
    }

    /// A server whose scheme and port are known.
    pub(crate) fn at(origin: Url, host: Host, options: RegistryOptions) -> Self {
        let server = Self::new(host, options);
        *server.0.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin);
        server
    }

    /// The host it was made for.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// Bytes sent to the registry and its helpers so far: bodies, and all else (request lines, header fields).
    pub fn sent(&self) -> Sent {
        let (all, bodies) = self.0.wire.sent();
        Sent { bodies, overhead: all.saturating_sub(bodies) }
    }

    pub(crate) fn options(&self) -> &RegistryOptions {
        &self.0.options
    }

    pub(crate) fn refusal(&self, answer: Answer, object: &str, repository: &str) -> Cause {
        answer.refusal(object, repository, &self.0.auth)
    }

    pub(crate) fn protocol(&self, reason: impl Into<String>) -> Cause {
        Cause::Protocol { host: self.0.host.to_string(), reason: reason.into() }
    }

    /// A path of the registry as a URL.
    pub(crate) fn url(&self, target: String) -> Result<Url, Cause> {
        Ok(self.origin()?.at(target))
    }

    /// HTTPS, unless the registry may do without and does.
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
        if !inner.options.insecure && !inner.host.is_loopback() {
            return Ok(origin.insert(secure).clone());
        }
        let found = match self.knock(&secure) {
            Ok(()) => secure,
            // On loopback a certificate that is wrong is not made good by trying without.
            Err(cause @ (Cause::Untrusted { .. } | Cause::BadCertificate { .. } | Cause::CaFile { .. })) => {
                return Err(cause);
            }
            Err(cause) => {
                let plain = Url::origin(false, authority);
                // Where neither works, what HTTPS said is told, unless it was just that there is none.
                self.knock(&plain)
                    .map_err(|plain| if matches!(cause, Cause::PlainHttp { .. }) { plain } else { cause })?;
                plain
            }
        };
        Ok(origin.insert(found).clone())
    }

    /// Asks for `/v2/` as nobody; any answer will do.
    fn knock(&self, origin: &Url) -> Result<(), Cause> {
        let url = origin.at("/v2/".to_owned());
        let answer = self.0.wire.send(Outgoing {
            method: Method::GET,
            url: &url,
            headers: HeaderMap::new(),
            payload: Payload::None,
        })?;
        self.0.answered.store(true, Ordering::Relaxed);
        if answer.status == StatusCode::UNAUTHORIZED {
            self.0.auth.learn(&challenge::of(&answer.headers), &Access::none(), None)?;
        }
        answer.finish();
        Ok(())
    }

    /// Does something again and again while it fails for a passing reason.
    pub(crate) fn attempts<T>(&self, mut attempt: impl FnMut() -> Result<T, Cause>) -> Result<T, Cause> {
        let retry = &self.0.options.retry;
        let mut made = 1;
        loop {
            let cause = match attempt() {
                Ok(value) => return Ok(value),
                Err(cause) => cause,
            };
            let never_answered = !self.0.answered.load(Ordering::Relaxed);
            let down = never_answered && matches!(cause, Cause::Refused { .. } | Cause::TimedOut { .. });
            if !cause.is_transient() || down || made >= retry.attempts {
                return Err(cause);
            }
            (retry.sleep)(retry.wait(made, self.0.pacer.salt(), &cause));
            made += 1;
        }
    }
}
