//! Debian's docker-registry on a free port of loopback.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::{Log, daemon::Daemon, files};

/// The one user of a registry with a password.
const USER: &str = "tester";
/// That user's password.
pub const PASSWORD: &str = "correct horse";

/// What a self-signed certificate is for: loopback, and a name that is in no DNS (RFC 2606).
const CERTIFIED: &str = "subjectAltName=IP:127.0.0.1,DNS:registry.example";

/// Ports that are tried.
const ATTEMPTS: u32 = 3;

/// Who may use a registry, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Plain HTTP, anyone.
    Anyone,
    /// Plain HTTP, [`USER`] with [`PASSWORD`].
    Password,
    /// HTTPS with a certificate that nobody has signed but itself, anyone.
    SelfSigned,
}

/// A running registry with a folder of its own.
#[derive(Debug)]
pub struct RegistryServer {
    daemon: Option<Daemon>,
    folder: PathBuf,
    address: SocketAddr,
    access: Access,
}

impl RegistryServer {
    /// Starts one that keeps everything in `folder`.
    pub fn start(log: &Log, folder: &Path, access: Access) -> anyhow::Result<Self> {
        files::folder(folder)?;
        let mut attempt = 1;
        loop {
            let address = free_port()?;
            let mut server = Self { daemon: None, folder: folder.to_owned(), address, access };
            let config = server.configure(log)?;
            match server.launch(log, &config) {
                Ok(()) => return Ok(server),
                // Somebody else may have been given the port meanwhile.
                Err(error) if attempt < ATTEMPTS => log.say(&format!("another port: {error:#}")),
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Its certificate, where it has one.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    /// Stops it, takes away all that was pushed, and starts it again at the same address.
    pub fn empty(&mut self, log: &Log) -> anyhow::Result<()> {
        self.daemon = None;
        let data = self.folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("failed to empty `{}`", data.display()))?;
        }
        let config = self.configure(log)?;
        self.launch(log, &config)
    }

    /// A folder for Docker's `config.json` that holds this password for this registry.
    pub fn login(&self, folder: &Path, password: &str) -> anyhow::Result<()> {
        files::folder(folder)?;
        let path = folder.join("config.json");
        let auth = base64(format!("{USER}:{password}").as_bytes());
        let text = serde_json::json!({ "auths": { self.host(): { "auth": auth } } }).to_string();
        files::write(&path, text)
    }

    fn configure(&self, log: &Log) -> anyhow::Result<PathBuf> {
        let folder = self.folder.display();
        let mut text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {folder}/data}}\n\
             http:\n  addr: {}\n",
            self.address
        );
        match self.access {
            Access::Anyone => {}
            Access::Password => {
                // Its password file takes bcrypt only; 4 rounds of it, for the sake of time.
                let entry = log.command("htpasswd").args(["-niBC", "4", USER]).input(PASSWORD).run()?;
                let path = self.folder.join("htpasswd");
                files::write(&path, entry.text())?;
                text.push_str(&format!("auth:\n  htpasswd: {{realm: e2e, path: {}}}\n", path.display()));
            }
            Access::SelfSigned => {
                let certificate = self.certificate();
                let key = self.folder.join("key.pem");
                if !certificate.exists() {
                    log.command("openssl")
                        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
                        .args(["-subj", "/CN=e2e", "-addext", CERTIFIED])
                        .arg("-out")
                        .arg(&certificate)
                        .arg("-keyout")
                        .arg(&key)
                        .run()?;
                }
                text.push_str(&format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display()));
            }
        }
        let path = self.folder.join("config.yml");
        files::write(&path, text)?;
        Ok(path)
    }

    fn launch(&mut self, log: &Log, config: &Path) -> anyhow::Result<()> {
        let output = log.beside(&format!("docker-registry-{}", self.address.port()))?;
        let arguments = ["serve".to_owned(), config.display().to_string()];
        let mut daemon = Daemon::start("docker-registry", &arguments, &[], output)?;
        daemon.wait_until(|| answers(self.address))?;
        self.daemon = Some(daemon);
        Ok(())
    }
}

/// An address that is free when this returns.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|listener| listener.local_addr()).context("no free port on loopback")
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

/// Base64 (RFC 4648), as Docker's `config.json` has it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (group >> (18 - 6 * digit)) & 63;
            text.push(if digit > chunk.len() { '=' } else { DIGITS[index as usize] as char });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
