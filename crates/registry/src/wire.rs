//! One request and its answer: proxies, time-outs, and what went wrong in our words.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use ureq::{
    Agent, Body, Proxy, SendBody, Timeout,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
    unversioned::transport::{ConnectProxyConnector, Connector as _, SocksConnector, TcpConnector},
};

use crate::{
    counting::{Counters, Counting, Names, UnknownName},
    error::Cause,
    options::RegistryOptions,
    secret::Secret,
    tls::Tls,
    trust::CaFileError,
    url::Url,
};

/// 512 KiB: a write of a blob costs a system call, and three connections of this keep a push below 8 MiB.
const BUFFER: usize = 512 << 10;

/// Bodies from here on are announced before they are sent: a refusal (login, size, rate) then costs nothing. The wait
/// for a registry that does not know `Expect` is a second.
const ANNOUNCE: u64 = 1 << 20;

/// What a request carries.
pub(crate) enum Payload<'a> {
    /// No body.
    None,
    /// A body of these bytes.
    Bytes(&'a [u8]),
    /// A form, which counts as overhead.
    Form(String),
    /// A body of this many bytes.
    Stream(&'a mut dyn Read, u64),
}

/// A request about to be sent.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload<'a>,
}

/// An answer whose body has not been read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Where it came from.
    pub(crate) url: Url,
}

impl Answer {
    /// A field as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length of the body, where it is told.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// `Retry-After` in seconds; its other form, a date, is left to our own waits.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Connections to hosts, kept and used again.
pub(crate) struct Wire {
    options: RegistryOptions,
    host: String,
    fixed: Option<(String, IpAddr)>,
    counters: Arc<Counters>,
    /// By proxy URL; none for direct connections.
    agents: Mutex<BTreeMap<Option<String>, Agent>>,
}

impl Wire {
    pub(crate) fn new(host: &image_name::Host, options: &RegistryOptions) -> Self {
        Self {
            host: host.to_string(),
            fixed: options.ip.map(|ip| (host.name().to_owned(), ip)),
            options: options.clone(),
            counters: Arc::default(),
            agents: Mutex::default(),
        }
    }

    /// Bytes sent so far: all, and those of bodies among them.
    pub(crate) fn sent(&self) -> (u64, u64) {
        (self.counters.sent.load(Ordering::Relaxed), self.counters.bodies.load(Ordering::Relaxed))
    }

    /// Sends a request and reads the head of its answer, whatever its status. Redirects are not followed.
    pub(crate) fn send(&self, outgoing: Outgoing<'_>) -> Result<Answer, Cause> {
        let Outgoing { method, url, headers, payload } = outgoing;
        let agent = self.agent(url)?;
        let protocol = |error: &dyn std::fmt::Display| Cause::Protocol {
            host: url.authority().to_owned(),
            reason: format!("`{url}` can't be asked: {error}"),
        };
        let mut request = Request::builder().method(method).uri(url.full());
        if let Some(all) = request.headers_mut() {
            *all = headers;
        }
        let timeouts = &self.options.timeouts;
        let body = matches!(payload, Payload::Bytes(_) | Payload::Stream(..));
        let patience = if body { timeouts.commit } else { timeouts.progress };
        let result = match payload {
            Payload::None => agent.run(request.body(()).map_err(|error| protocol(&error))?),
            Payload::Form(form) => agent.run(request.body(form).map_err(|error| protocol(&error))?),
            Payload::Bytes(bytes) => {
                let request = request.body(bytes).map_err(|error| protocol(&error))?;
                let request = agent.configure_request(request).timeout_per_read(Some(patience)).build();
                let result = agent.run(request);
                if result.is_ok() {
                    self.counters.bodies.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
                result
            }
            Payload::Stream(stream, size) => {
                if let Some(all) = request.headers_mut() {
                    all.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
                    if size >= ANNOUNCE {
                        all.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
                    }
                }
                let mut counted = Counted { stream, counters: &self.counters };
                let body = SendBody::from_reader(&mut counted);
                let request = request.body(body).map_err(|error| protocol(&error))?;
                let request = agent.configure_request(request).timeout_per_read(Some(patience)).build();
                agent.run(request)
            }
        };
        let (parts, body) = result.map_err(|error| self.cause(url, patience, error))?.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body, url: url.clone() })
    }

    /// The proxy that leads to a URL.
    fn proxy(&self, url: &Url) -> Option<&Secret> {
        let fixed = self.fixed.as_ref().is_some_and(|(name, _)| name.eq_ignore_ascii_case(url.name()));
        // Who gives an address wants it used, and the proxy would look the name up.
        let direct = fixed || self.options.proxies.is_direct(url.name(), url.port());
        if direct { None } else { self.options.proxies.of_scheme(url.is_https()) }
    }

    /// The client for a URL: one for direct connections, one for each proxy.
    fn agent(&self, url: &Url) -> Result<Agent, Cause> {
        let key = self.proxy(url).map(|proxy| proxy.reveal().to_owned());
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let proxy = match &key {
            Some(text) => Some(Proxy::new(text).map_err(|_| Cause::Proxy {
                host: url.authority().to_owned(),
                reason: "its URL in the environment is no URL".to_owned(),
            })?),
            None => None,
        };
        let agent = self.make(proxy);
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn make(&self, proxy: Option<Proxy>) -> Agent {
        let timeouts = &self.options.timeouts;
        let config = Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("fmtk/", env!("CARGO_PKG_VERSION")))
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .max_idle_connections(32)
            .max_idle_connections_per_host(16)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_per_read(Some(timeouts.progress))
            .timeout_per_write(Some(timeouts.progress))
            .build();
        let tls = Tls {
            host: self.host.clone(),
            ca_files: self.options.ca_files.clone(),
            any_certificate: self.options.insecure,
            config: Mutex::new(None),
        };
        let chain =
            ().chain(SocksConnector::default())
                .chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(tls)
                .chain(Counting(self.counters.clone()));
        Agent::with_parts(config, chain, Names::new(self.fixed.clone()))
    }

    fn cause(&self, url: &Url, patience: Duration, error: ureq::Error) -> Cause {
        let host = || url.authority().to_owned();
        let timeouts = &self.options.timeouts;
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Cause::TimedOut { host: host(), after: timeouts.connect }
            }
            ureq::Error::Timeout(Timeout::PerRead) => Cause::TimedOut { host: host(), after: patience },
            ureq::Error::Timeout(_) => Cause::TimedOut { host: host(), after: timeouts.progress },
            ureq::Error::ConnectProxyFailed(reason) => Cause::Proxy { host: host(), reason },
            // Nothing but the proxy was asked for a connection.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused && self.proxy(url).is_some() => {
                Cause::Proxy { host: host(), reason: "nothing listens at the proxy's address".to_owned() }
            }
            ureq::Error::Io(error) => io_cause(host(), patience, error),
            ureq::Error::Other(error) => match error.downcast::<UnknownName>() {
                Ok(name) => Cause::NoSuchHost { host: name.0 },
                Err(error) => match error.downcast::<rustls::Error>() {
                    Ok(error) => tls_cause(host(), &error),
                    Err(error) => match error.downcast::<CaFileError>() {
                        Ok(error) => Cause::CaFile { path: error.path.display().to_string(), reason: error.reason },
                        Err(error) => Cause::Tls { host: host(), reason: error.to_string() },
                    },
                },
            },
            error => Cause::Protocol { host: host(), reason: error.to_string() },
        }
    }
}

/// What an I/O error on a connection means.
pub(crate) fn io_cause(host: String, patience: Duration, error: io::Error) -> Cause {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls_cause(host, tls);
    }
    if let Some(ureq::Error::Timeout(_)) = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return Cause::TimedOut { host, after: patience };
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Cause::Refused { host },
        _ => Cause::Connection { host, source: error },
    }
}

fn tls_cause(host: String, error: &rustls::Error) -> Cause {
    use rustls::{CertificateError as Certificate, Error};
    match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::Other(_)) => Cause::Untrusted { host },
        Error::InvalidCertificate(reason) => Cause::BadCertificate { host, reason: reason.to_string() },
        // The first byte of a TLS record is its type; that of an HTTP answer is an H.
        Error::InvalidMessage(_) => Cause::PlainHttp { host },
        error => Cause::Tls { host, reason: error.to_string() },
    }
}

/// A body on its way out.
struct Counted<'a> {
    stream: &'a mut dyn Read,
    counters: &'a Counters,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.stream.read(buffer)?;
        self.counters.bodies.fetch_add(amount as u64, Ordering::Relaxed);
        Ok(amount)
    }
}
