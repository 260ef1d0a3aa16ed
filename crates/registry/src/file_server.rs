//! Files of a web server, fetched like blobs: each is known beforehand by its length and digest.

use std::fmt;

use image_name::Host;
use oci_image::Descriptor;
use percent_encoding::percent_decode_str;
use ureq::http::Method;

use crate::{
    ask::Ask,
    auth::Access,
    client::Registry,
    credentials::{Credentials, Secret},
    error::{Context as _, Error},
    logins::CredentialSource,
    options::RegistryOptions,
    pull::BlobReader,
    retry::Pacer,
    url::Url,
};

/// A folder of a web server. Clones share connections.
#[derive(Debug, Clone)]
pub struct FileServer {
    registry: Registry,
    folder: Url,
}

/// Why an address can't be one of a file server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not the address of a web server: http://HOST/FOLDER or https://HOST/FOLDER")]
pub struct NotAFileServer(String);

impl FileServer {
    /// The folder at this address, `http://` or `https://`. A user and password in it are sent where the server asks
    /// for a login, and are never shown; what `options` says of logins counts only without them.
    pub fn new(address: &str, options: RegistryOptions) -> Result<Self, NotAFileServer> {
        let (shown, login) = split_login(address);
        // What is before an `@` may be a password, also where it is not written as one: `/` in it has to be encoded.
        let not_one = || NotAFileServer(shown.rsplit_once('@').map_or(shown.clone(), |(_, rest)| format!("…@{rest}")));
        let folder = Url::parse(shown.trim_end_matches('/')).filter(|_| !shown.contains('@')).ok_or_else(not_one)?;
        let host: Host = folder.authority.parse().map_err(|_| not_one())?;
        let credentials = match login {
            Some((user, password)) => {
                CredentialSource::Given(Credentials::Basic { user, password: Secret::new(password) })
            }
            None => options.credentials,
        };
        let (origin, options) = (folder.at("/".to_owned()), RegistryOptions { credentials, ..options });
        let registry = Registry::at(Some(origin), host, options, Pacer::default());
        Ok(Self { registry, folder })
    }

    /// Begins to read a file of the folder; the reader checks length and digest, and goes on after a cut. A file that
    /// is not there is [`crate::Cause::NotFound`].
    pub fn file(&self, path: &str, file: &Descriptor) -> Result<BlobReader, Error> {
        let url = self.url(path);
        BlobReader::open(&self.registry, url.target().to_owned(), Access::none(), url.to_string(), file)
            .context(|| format!("download `{url}`"))
    }

    /// A whole file of at most `limit` bytes, of which nothing is known beforehand.
    pub fn unchecked(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let url = self.url(path);
        let read = || {
            let mut answer = self.registry.ask(Ask::new(Method::GET, url.clone(), &Access::none()))?;
            if answer.status != 200 {
                return Err(self.registry.refusal(answer, &url.to_string(), ""));
            }
            answer.read(limit)
        };
        self.registry.attempts(read).context(|| format!("download `{url}`"))
    }

    fn url(&self, path: &str) -> Url {
        self.folder.at(format!("{}/{path}", self.folder.target().trim_end_matches('/')))
    }
}

impl fmt::Display for FileServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder.to_string().trim_end_matches('/'))
    }
}

/// An address without its `USER:PASSWORD@`, and those two (RFC 3986, section 3.2.1).
fn split_login(address: &str) -> (String, Option<(String, String)>) {
    let Some((scheme, rest)) = address.split_once("://") else { return (address.to_owned(), None) };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some((login, host)) = authority.rsplit_once('@') else { return (address.to_owned(), None) };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (format!("{scheme}://{host}{path}"), Some((decode(user), decode(password))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> Result<FileServer, NotAFileServer> {
        FileServer::new(address, RegistryOptions::default())
    }

    #[test]
    fn an_address_is_shown_without_its_login() {
        for (address, shown) in [
            ("http://deb.example/debian/", "http://deb.example/debian"),
            ("https://deb.example:8443", "https://deb.example:8443"),
            ("http://me:s%40cret@deb.example/debian", "http://deb.example/debian"),
        ] {
            let server = server(address).unwrap();
            assert_eq!(server.to_string(), shown);
            assert_eq!(server.url("pool/a.deb").to_string(), format!("{shown}/pool/a.deb"));
            assert!(!format!("{server:?}").contains("cret"));
        }
        assert_eq!(split_login("http://me:s%40cret@h/x").1, Some(("me".to_owned(), "s@cret".to_owned())));
    }

    #[test]
    fn an_address_of_another_kind_is_refused_without_its_password() {
        for address in [
            "deb.example/debian",
            "ftp://me:secret@deb.example",
            "http://",
            "http://me:secret@/x",
            "file:///x",
            "me:secret@deb.example/debian",
            "http:/me:secret@deb.example/debian",
            "http://me:se/cret@deb.example/debian",
            "http://me:12/secret@deb.example/debian",
        ] {
            let error = server(address).unwrap_err().to_string();
            assert!(error.contains("is not the address of a web server") && !error.contains("cret"), "{error}");
        }
    }
}
