//! Plain HTTP through a proxy: it is asked for whole URLs (RFC 9112, 3.2.2). Many proxies make tunnels to port 443 alone.

use std::{io, mem};

use ureq::{
    Error, Proxy, ProxyProtocol,
    config::Config,
    unversioned::transport::{Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport},
};

use crate::credentials::Secret;

/// Connects to the proxy where there is one for a URL without TLS.
#[derive(Debug)]
pub(crate) struct Forwarder {
    /// How the proxy itself is reached: without another.
    pub(crate) config: Config,
}

/// Whether a proxy is asked for the URL itself, and not for a tunnel to its host.
pub(crate) fn forwards(proxy: &Proxy, https: bool) -> bool {
    !https && is_http(proxy)
}

/// Whether a proxy speaks HTTP; the others are SOCKS.
pub(crate) fn is_http(proxy: &Proxy) -> bool {
    matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

impl<In: Transport> Connector<In> for Forwarder {
    type Out = Either<In, Forwarded>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(chained) = chained {
            return Ok(Some(Either::A(chained)));
        }
        let proxy = details.config.proxy().filter(|proxy| forwards(proxy, details.needs_tls()));
        let Some(proxy) = proxy else { return Ok(None) };
        let proxied = ConnectionDetails {
            uri: proxy.uri(),
            addrs: details.resolver.resolve(proxy.uri(), &self.config, details.timeout)?,
            config: &self.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let to_proxy = (details.run_connector)(&proxied)?;
        let origin =
            format!("http://{}", details.uri.authority().map(|authority| authority.as_str()).unwrap_or_default());
        let password = Secret::new(proxy.password().unwrap_or_default());
        let login = proxy.username().map(|user| password.encoded(user));
        Ok(Some(Either::B(Forwarded { to_proxy, origin, login, at_head: true })))
    }
}

/// A connection to a proxy that leads to one host.
#[derive(Debug)]
pub(crate) struct Forwarded {
    to_proxy: Box<dyn Transport>,
    /// The host's scheme and authority.
    origin: String,
    /// The proxy's.
    login: Option<Secret>,
    /// What is sent next is the head of a request. It is sent at once: the buffer for it is larger than a head may be.
    at_head: bool,
}

/// The head of a request to a host as one to the proxy.
fn whole(head: &[u8], origin: &str, login: Option<&Secret>) -> Option<Vec<u8>> {
    let method = head.iter().position(|byte| *byte == b' ')? + 1;
    let line = head.windows(2).position(|bytes| bytes == b"\r\n")? + 2;
    let mut new = [&head[..method], origin.as_bytes(), &head[method..line]].concat();
    if let Some(login) = login {
        new.extend(format!("Proxy-Authorization: Basic {}\r\n", login.reveal()).bytes());
    }
    new.extend(&head[line..]);
    Some(new)
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.to_proxy.buffers()
    }

    fn transmit_output(&mut self, mut amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if mem::take(&mut self.at_head) {
            let output = self.to_proxy.buffers().output();
            let head = whole(&output[..amount], &self.origin, self.login.as_ref());
            let too_long = || Error::Io(io::Error::other("the head of a request is too long for a proxy"));
            let head = head.filter(|head| head.len() <= output.len()).ok_or_else(too_long)?;
            amount = head.len();
            output[..amount].copy_from_slice(&head);
        }
        self.to_proxy.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.to_proxy.await_input(timeout)
    }

    /// Asked between two requests.
    fn is_open(&mut self) -> bool {
        self.at_head = true;
        self.to_proxy.is_open()
    }
}
