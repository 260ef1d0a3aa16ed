//! Debian's docker-registry on a free port of loopback.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;

use super::{
    Log,
    certificate::certificate,
    daemon::Daemon,
    files::{bytes, folder, write},
    token_server::TokenServer,
};

pub const USER: &str = "tester";
pub const PASSWORD: &str = "correct horse";

/// What a certificate is for: loopback, and a name that is in no DNS (RFC 2606).
const CERTIFIED: &str = "-addext subjectAltName=IP:127.0.0.1,DNS:registry.example";

/// Who signs a certificate that does not sign itself.
const SIGNED: &str = "-CA authority.pem -CAkey authority-key.pem -addext basicConstraints=CA:FALSE";

const ATTEMPTS: u32 = 3;

/// Who may use a registry, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Anyone,
    /// Plain HTTP, [`USER`] with [`PASSWORD`].
    Password,
    /// HTTPS with a certificate that nobody has signed but itself, anyone.
    SelfSigned,
    /// HTTPS with a certificate that an authority of our own has signed, and tokens of a server beside it for [`USER`]
    /// with [`PASSWORD`].
    Token,
}

#[derive(Debug)]
pub struct RegistryServer {
    log: Log,
    daemon: RefCell<Option<Daemon>>,
    /// The file that it logs to.
    output: RefCell<PathBuf>,
    folder: PathBuf,
    address: SocketAddr,
    access: Access,
    tokens: Option<TokenServer>,
}

impl RegistryServer {
    /// Starts one that keeps everything in `place`.
    pub fn start(log: &Log, place: &Path, access: Access) -> anyhow::Result<Self> {
        folder(place)?;
        let mut attempt = 1;
        loop {
            let (log, folder, address) = (log.clone(), place.to_owned(), free_port()?);
            let (daemon, output) = (RefCell::new(None), RefCell::default());
            let tokens =
                (access == Access::Token).then(|| TokenServer::start(&log, place, USER, PASSWORD)).transpose()?;
            let server = Self { log, daemon, output, folder, address, access, tokens };
            match server.launch() {
                Ok(()) => return Ok(server),
                // Somebody else may have been given the port meanwhile.
                Err(error) if attempt < ATTEMPTS => server.log.say(format!("another port: {error:#}")),
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has logged since it was started: each request with its status and the bytes of the answer.
    pub fn logged(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&bytes(&self.output.borrow())?).into_owned())
    }

    /// What has to be trusted for its HTTPS.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(if self.access == Access::Token { "authority.pem" } else { "server.pem" })
    }

    /// What each token was asked for since the last call: scopes with blanks between them.
    pub fn scopes_asked(&self) -> BTreeSet<String> {
        self.tokens.as_ref().map(TokenServer::scopes_asked).unwrap_or_default()
    }

    /// Stops it, removes all that was pushed, and starts it again at the same address.
    pub fn empty(&self) -> anyhow::Result<()> {
        self.daemon.replace(None);
        let data = self.folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("failed to empty `{}`", data.display()))?;
        }
        self.launch()
    }

    /// A folder for Docker's `config.json` that holds this password for this registry.
    pub fn login(&self, folder: &Path, password: &str) -> anyhow::Result<()> {
        let auth = self.log.command("base64").arg("--wrap=0").input(format!("{USER}:{password}")).run()?;
        let text = serde_json::json!({ "auths": { self.host(): { "auth": auth.text() } } }).to_string();
        write(&folder.join("config.json"), text)
    }

    fn configure(&self) -> anyhow::Result<String> {
        let (folder, address) = (self.folder.display(), self.address);
        let certificate = |name: &str, options: &str| certificate(&self.log, &self.folder, name, options);
        let tls = format!("  tls: {{certificate: {folder}/server.pem, key: {folder}/server-key.pem}}\n");
        let access = match self.access {
            Access::Anyone => String::new(),
            Access::Password => {
                // Its password file takes bcrypt only; 4 rounds of it, for the sake of time.
                let entry = self.log.command("htpasswd").args(["-niBC", "4", USER]).input(PASSWORD).run()?;
                write(&self.folder.join("htpasswd"), entry.text())?;
                format!("auth:\n  htpasswd: {{realm: e2e, path: {folder}/htpasswd}}\n")
            }
            Access::SelfSigned => {
                certificate("server", CERTIFIED)?;
                tls
            }
            Access::Token => {
                certificate("authority", "")?;
                certificate("server", &format!("{CERTIFIED} {SIGNED}"))?;
                tls + &self.tokens.as_ref().map(TokenServer::settings).unwrap_or_default()
            }
        };
        Ok(format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {folder}/data}}\n\
             http:\n  addr: {address}\n{access}"
        ))
    }

    fn launch(&self) -> anyhow::Result<()> {
        let config = self.folder.join("config.yml");
        write(&config, self.configure()?)?;
        let (path, output) = self.log.beside(&format!("docker-registry-{}", self.address.port()))?;
        self.output.replace(path);
        let arguments = ["serve".to_owned(), config.display().to_string()];
        let mut daemon = Daemon::start("docker-registry", &arguments, &[], output)?;
        daemon.wait_until(|| answers(self.address))?;
        self.daemon.replace(Some(daemon));
        Ok(())
    }
}

/// An address that is free when this returns, and that nobody in this program was given before: whoever listens there
/// first would be taken for the other's server.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let address = listener.and_then(|listener| listener.local_addr()).context("no free port on loopback")?;
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(address.port()) {
            return Ok(address);
        }
    }
}

/// Whether something answers, with HTTP or with TLS's alert to what is no handshake.
fn answers(address: SocketAddr) -> bool {
    let wait = Duration::from_secs(2);
    let asked = TcpStream::connect_timeout(&address, wait).and_then(|mut stream| {
        stream.set_read_timeout(Some(wait))?;
        stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n")?;
        stream.read(&mut [0; 1])
    });
    asked.is_ok_and(|count| count > 0)
}
