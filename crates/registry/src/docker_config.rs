//! Logins from the files and helpers that docker and podman keep them in.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;

use crate::{
    credentials::{Credentials, CredentialsError},
    helper,
    secret::Secret,
};

/// Where [`Credentials`] come from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// Nowhere: anonymous.
    Anonymous,
    /// These.
    Given(Credentials),
    /// The logins of docker and podman.
    Logins(Logins),
}

impl Default for CredentialSource {
    fn default() -> Self {
        Self::Logins(Logins::from_env())
    }
}

/// Files of docker's `config.json` shape and where their helpers are.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    /// The files, best first; those that are not there are passed over.
    pub files: Vec<PathBuf>,
    /// Folders to look for `docker-credential-*` in, as in `PATH`.
    pub path: Option<OsString>,
    /// How long a helper may take: some ask on a terminal.
    pub helper_timeout: Duration,
}

impl Logins {
    /// Docker's file (`$DOCKER_CONFIG`, else `~/.docker`), then podman's (`$REGISTRY_AUTH_FILE`, else that below
    /// `$XDG_RUNTIME_DIR`, else that of the user).
    pub fn from_env() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("HOME");
        let below_home = |path| home.as_ref().map(|home| home.join(path));
        let docker = set("DOCKER_CONFIG").or_else(|| below_home(".docker")).map(|folder| folder.join("config.json"));
        let runtime = set("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json"));
        let user = set("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let podman = match set("REGISTRY_AUTH_FILE") {
            Some(file) => vec![file],
            None => runtime.into_iter().chain(user.map(|folder| folder.join("containers/auth.json"))).collect(),
        };
        Self {
            files: docker.into_iter().chain(podman).collect(),
            path: env::var_os("PATH"),
            helper_timeout: Duration::from_secs(60),
        }
    }

    /// The login for this registry host (with its port), if there is one.
    pub fn find(&self, host: &str) -> Result<Option<Credentials>, CredentialsError> {
        for file in &self.files {
            if let Some(found) = self.find_in(file, host)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in(&self, path: &Path, host: &str) -> Result<Option<Credentials>, CredentialsError> {
        let Some(config) = read(path)? else { return Ok(None) };
        let helper = config.helper(host);
        let auths = config.auths.unwrap_or_default();
        let entry = lookup(&auths, host);
        if let Some(name) = helper
            && let Some(found) = helper::get(&name, server(host), self.path.as_deref(), self.helper_timeout)?
        {
            return Ok(Some(found));
        }
        match entry {
            Some((key, entry)) => entry.credentials().map_err(|reason| CredentialsError::Entry {
                path: path.to_owned(),
                host: key.to_owned(),
                reason,
            }),
            None => Ok(None),
        }
    }
}

/// The parts of docker's `config.json` that hold logins; podman's `auth.json` has the same.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigFile {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

impl ConfigFile {
    /// The helper that keeps the login for a host.
    pub(crate) fn helper(&self, host: &str) -> Option<String> {
        let own = self.cred_helpers.as_ref().and_then(|helpers| lookup(helpers, host));
        let name = own.map(|(_, name)| name).or(self.creds_store.as_ref());
        name.filter(|name| !name.is_empty()).cloned()
    }
}

/// What a host's logins are kept under: those of Docker Hub under the address of its first API.
pub(crate) fn server(host: &str) -> &str {
    if is_hub(host) { "https://index.docker.io/v1/" } else { host }
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(token) = set(&self.registrytoken) {
            return Ok(Some(Credentials::RegistryToken(Secret::new(token))));
        }
        if let Some(token) = set(&self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(Secret::new(token))));
        }
        let Some(auth) = set(&self.auth) else {
            return Ok(set(&self.username)
                .zip(set(&self.password))
                .map(|(user, password)| Credentials::Basic { user, password: Secret::new(password) }));
        };
        let bytes = BASE64_STANDARD.decode(auth.trim()).map_err(|_| "`auth` is not base64")?;
        let text = String::from_utf8(bytes).map_err(|_| "`auth` is not UTF-8")?;
        let (user, password) = text.split_once(':').ok_or("`auth` has no colon between name and password")?;
        // Docker, too, drops the NULs that some tools pad with.
        let password = Secret::new(password.trim_end_matches('\0'));
        Ok(Some(Credentials::Basic { user: user.to_owned(), password }))
    }
}

/// 1 MiB: a thousand times what a real file has.
pub(crate) const LIMIT: u64 = 1 << 20;

pub(crate) fn read(path: &Path) -> Result<Option<ConfigFile>, CredentialsError> {
    let fail = |source| CredentialsError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    // serde's own message could quote the file, that is a password.
    serde_json::from_slice(&bytes).map(Some).map_err(|error| CredentialsError::Garbled {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    })
}

/// The entry for a host. Keys may be URLs: `https://host/v2/` is what some logins leave.
fn lookup<'m, V>(map: &'m BTreeMap<String, V>, host: &str) -> Option<(&'m str, &'m V)> {
    let bare = |key: &str| {
        let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        key.split('/').next().unwrap_or(key).to_ascii_lowercase()
    };
    let host = host.to_ascii_lowercase();
    let exact = map.get_key_value(&host);
    let found = exact.or_else(|| {
        map.iter().find(|(key, _)| {
            let key = bare(key);
            key == host || (is_hub(&key) && is_hub(&host))
        })
    });
    found.map(|(key, value)| (key.as_str(), value))
}

fn is_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(config: &str, host: &str, expect: Expect) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, config).unwrap();
        let logins = Logins { files: vec![folder.path().join("absent.json"), file], ..Logins::default() };
        let found = match logins.find(host) {
            Ok(Some(Credentials::Basic { user, password })) => format!("{user} / {}", password.reveal()),
            Ok(Some(Credentials::IdentityToken(token))) => format!("identity {}", token.reveal()),
            Ok(Some(Credentials::RegistryToken(token))) => format!("token {}", token.reveal()),
            Ok(None) => "none".to_owned(),
            Err(error) => error.to_string().replace(&folder.path().display().to_string(), "DIR"),
        };
        expect.assert_eq(&found);
    }

    #[test]
    fn logins_are_found_by_host_whatever_form_the_key_has() {
        let auths = |entries: &str| format!(r#"{{"auths":{{{entries}}},"HttpHeaders":{{}}}}"#);
        // base64 of `cn-1@AK:key:with:colons`
        let swr = r#""swr.x.com":{"auth":"Y24tMUBBSzprZXk6d2l0aDpjb2xvbnM="}"#;
        check(&auths(swr), "swr.x.com", expect!["cn-1@AK / key:with:colons"]);
        check(&auths(swr), "SWR.x.com", expect!["cn-1@AK / key:with:colons"]);
        check(&auths(swr), "swr.x.com:5000", expect!["none"]);
        check(&auths(r#""https://r.x:5000/v2/":{"auth":"YTpi"}"#), "r.x:5000", expect!["a / b"]);
        check(&auths(r#""https://index.docker.io/v1/":{"auth":"YTpi"}"#), "docker.io", expect!["a / b"]);
        check(&auths(r#""r":{"username":"u","password":"p"}"#), "r", expect!["u / p"]);
        check(&auths(r#""r":{"auth":"YTpi","identitytoken":"t"}"#), "r", expect!["identity t"]);
        check(&auths(r#""r":{"registrytoken":"t"}"#), "r", expect!["token t"]);
        check(&auths(r#""r":{}"#), "r", expect!["none"]);
        check("{}", "r", expect!["none"]);
        check("", "r", expect!["none"]);
    }

    #[test]
    fn garbled_logins_are_refused_without_quoting_them() {
        check(
            r#"{"auths":{"r":"hunter2"}}"#,
            "r",
            expect!["logins in `DIR/config.json` are garbled at line 1, column 23"],
        );
        check(
            r#"{"auths":{"r":{"auth":"hunter2!"}}}"#,
            "r",
            expect!["the login for `r` in `DIR/config.json` is garbled: `auth` is not base64"],
        );
        check(
            r#"{"auths":{"r":{"auth":"aHVudGVy"}}}"#,
            "r",
            expect!["the login for `r` in `DIR/config.json` is garbled: `auth` has no colon between name and password"],
        );
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let given = CredentialSource::Given(Credentials::Basic { user: "u".into(), password: Secret::new("hunter2") });
        expect![[r#"Given(Basic { user: "u", password: … })"#]].assert_eq(&format!("{given:?}"));
    }
}
