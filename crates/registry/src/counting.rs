//! The wire as the HTTP client sees it: names to addresses, and bytes counted on their way out.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport},
    },
};

/// Bytes of requests since the registry was made.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// All that was written, before TLS.
    pub(crate) sent: AtomicU64,
    /// The bodies among it.
    pub(crate) bodies: AtomicU64,
}

/// The last connector of the chain: it wraps what the others have made.
#[derive(Debug)]
pub(crate) struct Counting(pub(crate) Arc<Counters>);

impl<In: Transport> Connector<In> for Counting {
    type Out = Counted<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Counted { inner, counters: self.0.clone() }))
    }
}

/// A transport whose output is counted.
#[derive(Debug)]
pub(crate) struct Counted<T> {
    inner: T,
    counters: Arc<Counters>,
}

impl<T: Transport> Transport for Counted<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)?;
        self.counters.sent.fetch_add(amount as u64, Ordering::Relaxed);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// How long an address is used again without being looked up: the HTTP client asks for it before every request, and name
/// servers drop some of a hundred questions a second.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Addresses by host and port, each with when it was looked up.
type Known = HashMap<(String, u16), (Instant, Vec<SocketAddr>)>;

/// Finds addresses in DNS, save for one name whose address is given.
#[derive(Debug)]
pub(crate) struct Names {
    fixed: Option<(String, IpAddr)>,
    system: DefaultResolver,
    known: Mutex<Known>,
}

impl Names {
    pub(crate) fn new(fixed: Option<(String, IpAddr)>) -> Self {
        Self { fixed, system: DefaultResolver::default(), known: Mutex::default() }
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let name = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut addresses = self.empty();
        if let Some((_, address)) = self.fixed.as_ref().filter(|(fixed, _)| fixed.eq_ignore_ascii_case(name)) {
            addresses.push(SocketAddr::new(*address, port));
            return Ok(addresses);
        }
        // Held while a name is looked up: other threads want the same one.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), port);
        if let Some((_, found)) = known.get(&key).filter(|(at, _)| at.elapsed() < REMEMBERED) {
            found.iter().for_each(|address| addresses.push(*address));
            return Ok(addresses);
        }
        // A look-up fails with errors that look like those of a connection.
        let found = self.system.resolve(uri, config, timeout).map_err(|error| match error {
            Error::Io(_) | Error::HostNotFound => Error::Other(Box::new(UnknownName(name.to_owned()))),
            error => error,
        })?;
        known.insert(key, (Instant::now(), found.to_vec()));
        Ok(found)
    }
}

/// A name that DNS does not know.
#[derive(Debug)]
pub(crate) struct UnknownName(pub(crate) String);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such host: `{}`", self.0)
    }
}

impl std::error::Error for UnknownName {}
