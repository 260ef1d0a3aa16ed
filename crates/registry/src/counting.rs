//! The wire as the HTTP client sees it: names to addresses, and bytes counted on their way out.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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

/// Finds addresses in DNS, save for one name whose address is given.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) fixed: Option<(String, IpAddr)>,
    pub(crate) system: DefaultResolver,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let name = uri.host().unwrap_or_default();
        match &self.fixed {
            Some((fixed, address)) if fixed.eq_ignore_ascii_case(name) => {
                let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
                let mut addresses = self.empty();
                addresses.push(SocketAddr::new(*address, uri.port_u16().unwrap_or(default)));
                Ok(addresses)
            }
            // A look-up fails with errors that look like those of a connection.
            _ => self.system.resolve(uri, config, timeout).map_err(|error| match error {
                Error::Io(_) | Error::HostNotFound => Error::Other(Box::new(UnknownName(name.to_owned()))),
                error => error,
            }),
        }
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
