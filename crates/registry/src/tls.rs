//! TLS for the HTTP client, and what it sends is counted.
//!
//! ureq has a TLS of its own, but that believes in authorities only: see [`Verifier`].

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, crypto::ring, pki_types::ServerName};
use ureq::{
    Error,
    unversioned::transport::{
        Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
    },
};

use crate::{forward::is_http, trust::Verifier};

/// The last connector of the chain: it wraps a connection in TLS where the URL asks for it.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The registry, for what docker has for it.
    pub(crate) host: String,
    /// Files of certificates to believe.
    pub(crate) ca_files: Vec<PathBuf>,
    /// Believe every certificate.
    pub(crate) any_certificate: bool,
    /// Made at the first connection: plain HTTP needs no certificates.
    pub(crate) config: Mutex<Option<Arc<ClientConfig>>>,
    /// Bytes sent, before TLS.
    pub(crate) sent: Arc<AtomicU64>,
}

impl Tls {
    fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*config {
            return Ok(config.clone());
        }
        let verifier = if self.any_certificate {
            Verifier::of_anything()
        } else {
            Verifier::find(&self.host, &self.ca_files).map_err(Error::Other)?
        };
        let made = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(config.insert(Arc::new(made)).clone())
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Connection>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        // The connection to a proxy came through here already and is counted there.
        let has_own = details.config.proxy().is_some_and(is_http);
        let sent = if has_own { Arc::default() } else { self.sent.clone() };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Connection { stream: Stream::Plain(transport.boxed()), sent }));
        }
        let name = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned()).map_err(other)?;
        let mut connection = ClientConnection::new(self.config()?, name).map_err(other)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let stream = Stream::Tls(buffers, Box::new(StreamOwned::new(connection, socket)));
        Ok(Some(Connection { stream, sent }))
    }
}

/// A connection whose output is counted.
pub(crate) struct Connection {
    stream: Stream,
    sent: Arc<AtomicU64>,
}

enum Stream {
    Plain(Box<dyn Transport>),
    Tls(LazyBuffers, Box<StreamOwned<ClientConnection, TransportAdapter>>),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        match &mut self.stream {
            Stream::Plain(plain) => plain.buffers(),
            Stream::Tls(buffers, _) => buffers,
        }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        match &mut self.stream {
            Stream::Plain(plain) => plain.transmit_output(amount, timeout)?,
            Stream::Tls(buffers, tls) => {
                tls.sock.set_timeout(timeout);
                tls.write_all(&buffers.output()[..amount])?;
            }
        }
        self.sent.fetch_add(amount as u64, Ordering::Relaxed);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let (buffers, tls) = match &mut self.stream {
            Stream::Plain(plain) => return plain.await_input(timeout),
            Stream::Tls(buffers, tls) => (buffers, tls),
        };
        tls.sock.set_timeout(timeout);
        let amount = match tls.read(buffers.input_append_buf()) {
            Ok(amount) => amount,
            // No close_notify: whether the answer is whole is known from its length.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error.into()),
        };
        buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        match &mut self.stream {
            Stream::Plain(plain) => plain.is_open(),
            Stream::Tls(_, tls) => tls.sock.get_mut().is_open(),
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(..))
    }
}
