//! One request and its answer: names, proxies, time-outs, and what went wrong in our words.

use std::{
    collections::HashMap,
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use image_name::Host;
use ureq::{
    Agent, AsSendBody, Body, Proxy, SendBody, Timeout,
    config::Config,
    http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header, request::Builder},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{ConnectProxyConnector, Connector as _, NextTimeout, SocksConnector, TcpConnector},
    },
};

use crate::{
    answer::{Answer, io_cause, tls_cause},
    error::Cause,
    forward::{Forwarder, forwards},
    options::{RegistryOptions, Timeouts},
    proxy::Proxies,
    tls::Tls,
    trust::CaFileError,
    url::Url,
};

/// 512 KiB: a write of a blob costs a system call, and three connections of this keep a push below 8 MiB.
const BUFFER: usize = 512 << 10;

/// Bodies from here on are announced before they are sent: a refusal (login, size, rate) then costs nothing. The wait
/// for a registry that does not know `Expect` is a second.
const ANNOUNCE: u64 = 1 << 20;

/// A request about to be sent.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    /// A reader and how many bytes it has.
    pub(crate) body: Option<(&'a mut dyn Read, u64)>,
    /// Whether a large body is announced by `Expect: 100-continue`.
    pub(crate) announce: bool,
    /// How long to wait for the answer.
    pub(crate) patience: Duration,
}

impl<'a> Outgoing<'a> {
    /// Without header fields and body.
    pub(crate) fn new(method: Method, url: &'a Url, patience: Duration) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None, announce: false, patience }
    }
}

/// Connections to hosts, kept and used again.
pub(crate) struct Wire {
    agent: Agent,
    timeouts: Timeouts,
    proxies: Proxies,
    fixed: Option<(String, IpAddr)>,
    /// Bytes of requests so far, before TLS.
    pub(crate) sent: Arc<AtomicU64>,
}

impl Wire {
    pub(crate) fn new(host: &Host, options: &RegistryOptions) -> Self {
        let (timeouts, sent) = (options.timeouts, Arc::<AtomicU64>::default());
        let fixed = options.ip.map(|ip| (host.name().to_owned(), ip));
        let config = Agent::config_builder()
            // That of the environment otherwise. Each request names its own, and the one to a proxy has none.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("fmtk/", env!("CARGO_PKG_VERSION")))
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .max_idle_connections(32)
            .max_idle_connections_per_host(16)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_per_write(Some(timeouts.progress))
            .build();
        let tls = Tls {
            host: host.to_string(),
            ca_files: options.ca_files.clone(),
            any_certificate: options.insecure,
            config: Mutex::new(None),
            sent: sent.clone(),
        };
        let forwarder = Forwarder { config: config.clone() };
        let chain = ().chain(SocksConnector::default()).chain(forwarder).chain(ConnectProxyConnector::default());
        let chain = chain.chain(TcpConnector::default()).chain(tls);
        let names = Names { fixed: fixed.clone(), system: DefaultResolver::default(), known: Mutex::default() };
        let agent = Agent::with_parts(config, chain, names);
        Self { agent, timeouts, proxies: options.proxies.clone(), fixed, sent }
    }

    /// Sends a request and reads the head of its answer, whatever its status. Redirects are not followed.
    pub(crate) fn send(&self, outgoing: Outgoing<'_>) -> Result<Answer, Cause> {
        let Outgoing { method, url, mut headers, body, announce, patience } = outgoing;
        if let Some((_, size)) = body {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
            if size >= ANNOUNCE && announce {
                headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
            }
        }
        let has_words = method != Method::HEAD;
        let mut head = Request::builder().method(method).uri(url.full());
        if let Some(all) = head.headers_mut() {
            *all = headers;
        }
        let proxy = self.proxy(url)?;
        let answer = match body {
            None => self.run(head, (), proxy.clone(), patience),
            Some((reader, _)) => self.run(head, SendBody::from_reader(reader), proxy.clone(), patience),
        };
        let answer = answer.map_err(|error| self.cause(url, proxy.as_ref(), patience, error))?;
        let answer = Answer::new(answer, url.clone(), patience);
        match proxy {
            Some(proxy) if forwards(&proxy, url.https) && has_words && answer.is_from_proxy() => {
                let status = |proxy| Cause::Status(proxy, answer.status, answer.message());
                Err(of_proxy(&proxy, url, status))
            }
            _ => Ok(answer),
        }
    }

    fn run(
        &self,
        head: Builder,
        body: impl AsSendBody,
        proxy: Option<Proxy>,
        patience: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self.agent.configure_request(head.body(body)?);
        self.agent.run(request.proxy(proxy).timeout_per_read(Some(patience)).build())
    }

    /// The proxy that leads to a URL.
    fn proxy(&self, url: &Url) -> Result<Option<Proxy>, Cause> {
        let fixed = self.fixed.as_ref().is_some_and(|(name, _)| name.eq_ignore_ascii_case(url.name()));
        // Who gives an address wants it used, and the proxy would look the name up.
        if fixed || self.proxies.is_direct(url.name(), url.port()) {
            return Ok(None);
        }
        let proxy = self.proxies.of_scheme(url.https).map(|proxy| Proxy::new(proxy.reveal())).transpose();
        proxy.map_err(|_| Cause::ProxyUrl(url.authority.clone()))
    }

    fn cause(&self, url: &Url, proxy: Option<&Proxy>, patience: Duration, error: ureq::Error) -> Cause {
        let proxy = proxy.filter(|proxy| is_about(proxy, url, &error));
        let cause = |host: String| match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => Cause::TimedOut(host, self.timeouts.connect),
            ureq::Error::Timeout(Timeout::PerRead) => Cause::TimedOut(host, patience),
            ureq::Error::Timeout(_) => Cause::TimedOut(host, self.timeouts.progress),
            ureq::Error::ConnectProxyFailed(reason) => refusal(host, reason),
            ureq::Error::Io(error) => io_cause(host, patience, error),
            ureq::Error::Other(error) => match error.downcast::<Cause>() {
                Ok(cause) => *cause,
                Err(error) => match error.downcast::<CaFileError>() {
                    Ok(error) => Cause::CaFile(*error),
                    Err(error) => tls_cause(host, &*error),
                },
            },
            // How much was read by then differs from run to run.
            ureq::Error::LargeResponseHeader(_, most) => {
                Cause::Protocol(host, format!("the header fields of its answer have more than {most} bytes"))
            }
            error => Cause::Protocol(host, error.to_string()),
        };
        match proxy {
            Some(proxy) => of_proxy(proxy, url, cause),
            None => cause(url.authority.clone()),
        }
    }
}

/// Whether an error is about the proxy, and not about the host behind it: nothing but the proxy is looked up and connected
/// to, and it forwards plain HTTP on a connection of its own.
fn is_about(proxy: &Proxy, url: &Url, error: &ureq::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) | ureq::Error::ConnectProxyFailed(_) => true,
        ureq::Error::Io(error) => {
            let is_connecting = matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable);
            is_connecting || forwards(proxy, url.https)
        }
        ureq::Error::Other(error) => {
            matches!(error.downcast_ref(), Some(Cause::NoSuchHost(name)) if name == proxy.host())
        }
        _ => false,
    }
}

/// A cause, told its host, as one of the proxy.
fn of_proxy(proxy: &Proxy, url: &Url, cause: impl FnOnce(String) -> Cause) -> Cause {
    let named = format!("{}:{}", proxy.host(), proxy.port());
    Cause::Proxy { proxy: named.clone(), host: url.authority.clone(), cause: Box::new(cause(named)) }
}

/// What a proxy has said to a tunnel. The HTTP client tells the status as words: `proxy server responded 403/403`.
fn refusal(proxy: String, reason: String) -> Cause {
    let status = reason.rsplit(['/', ' ']).next().and_then(|status| status.parse().ok());
    status.map_or(Cause::Protocol(proxy.clone(), reason), |status| Cause::Status(proxy, status, String::new()))
}

/// How long an address is used again without being looked up: the HTTP client asks for it before every request, and name
/// servers drop some of a hundred questions a second.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Finds addresses in DNS, save for one name whose address is given.
#[derive(Debug)]
struct Names {
    fixed: Option<(String, IpAddr)>,
    system: DefaultResolver,
    /// Addresses by `HOST:PORT`, each with when it was looked up.
    known: Mutex<HashMap<String, (Instant, Vec<SocketAddr>)>>,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut addresses = self.empty();
        if let Some((_, address)) = self.fixed.as_ref().filter(|(fixed, _)| fixed.eq_ignore_ascii_case(name)) {
            addresses.push(SocketAddr::new(*address, port));
            return Ok(addresses);
        }
        // Held while a name is looked up: other threads want the same one.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{name}:{port}");
        if let Some((_, found)) = known.get(&key).filter(|(at, _)| at.elapsed() < REMEMBERED) {
            found.iter().for_each(|address| addresses.push(*address));
            return Ok(addresses);
        }
        // A look-up fails with errors that look like those of a connection.
        let found = self.system.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(_) | ureq::Error::HostNotFound => {
                ureq::Error::Other(Box::new(Cause::NoSuchHost(name.to_owned())))
            }
            error => error,
        })?;
        known.insert(key, (Instant::now(), found.to_vec()));
        Ok(found)
    }
}

/// A body on its way out, of which every byte is counted.
pub(crate) struct Counted<'a> {
    pub(crate) reader: &'a mut dyn Read,
    pub(crate) count: &'a AtomicU64,
    /// Whether any of it has been read.
    pub(crate) begun: bool,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.reader.read(buffer)?;
        self.begun |= amount > 0;
        self.count.fetch_add(amount as u64, Ordering::Relaxed);
        Ok(amount)
    }
}
