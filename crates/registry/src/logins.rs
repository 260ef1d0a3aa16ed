//! Logins in the files and helpers where docker and podman keep them: found and stored.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use file_edit::{EditError, Original, apply, create, json::Json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    credentials::{Credentials, CredentialsError, Secret},
    helper::Helper,
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

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// By this helper of docker's.
    Helper(String),
    /// In this file, for its owner to read.
    File(PathBuf),
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
        let files = docker.into_iter().chain(podman).collect();
        Self { files, path: env::var_os("PATH"), helper_timeout: Duration::from_secs(60) }
    }

    /// The login for this registry host (with its port), if there is one.
    pub fn find(&self, host: &str) -> Result<Option<Credentials>, CredentialsError> {
        for path in &self.files {
            let Some(config) = read(path)? else { continue };
            if let Some(helper) = config.helper(self, host)
                && let Some(found) = helper.get()?
            {
                return Ok(Some(found));
            }
            let Some((key, entry)) = lookup(&config.auths, host) else { continue };
            let malformed = |reason| CredentialsError::Entry(path.clone(), key.to_owned(), reason);
            if let Some(found) = entry.credentials().map_err(malformed)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Stores the login for this registry host (with its port) as docker does: with the helper that its file names for
    /// the host or for all, else under `auths` of the file itself, which nobody but its owner may then read. The file is
    /// replaced whole; what else is in it stays byte for byte. On an error what was stored before is so still.
    pub fn store(&self, host: &str, user: &str, password: &Secret) -> Result<Stored, CredentialsError> {
        let file = self.files.first().ok_or(CredentialsError::NoFile)?;
        let config = read(file)?;
        let Some(helper) = config.as_ref().and_then(|config| config.helper(self, host)) else {
            write(file, host, &json!({ "auth": password.encoded(user).reveal() }))?;
            return Ok(Stored::File(file.clone()));
        };
        helper.store(user, password)?;
        // Docker leaves an empty entry for what a helper keeps; an old password goes with that.
        write(file, host, &json!({}))?;
        Ok(Stored::Helper(helper.program()))
    }
}

/// The parts of docker's `config.json` that hold logins; podman's `auth.json` has the same.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

impl ConfigFile {
    /// The helper that keeps the login for a host.
    fn helper<'a>(&'a self, logins: &'a Logins, host: &'a str) -> Option<Helper<'a>> {
        let own = lookup(&self.cred_helpers, host).map(|(_, name)| name);
        let name = own.or(self.creds_store.as_ref()).filter(|name| !name.is_empty())?;
        Some(Helper { name, server: server(host), path: logins.path.as_deref(), timeout: logins.helper_timeout })
    }
}

/// What a host's logins are kept under: those of Docker Hub under the address of its first API.
fn server(host: &str) -> &str {
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
        let secret = |value| set(value).map(Secret::new);
        if let Some(token) = secret(&self.registrytoken) {
            return Ok(Some(Credentials::RegistryToken(token)));
        }
        if let Some(token) = secret(&self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        let Some(auth) = set(&self.auth) else {
            let login = set(&self.username).zip(secret(&self.password));
            return Ok(login.map(|(user, password)| Credentials::Basic { user, password }));
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
const LIMIT: u64 = 1 << 20;

fn read(path: &Path) -> Result<Option<ConfigFile>, CredentialsError> {
    let fail = |error| CredentialsError::Read(path.to_owned(), error);
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
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| CredentialsError::Malformed(path.to_owned(), error.line(), error.column()))
}

/// Sets the entry of `auths`.
fn write(file: &Path, host: &str, entry: &Value) -> Result<(), CredentialsError> {
    let original = Original::find(file, LIMIT as usize).map_err(CredentialsError::Write)?;
    let old = original.as_ref().map_or(&[][..], |original| &original.bytes);
    let shape = |error| CredentialsError::Shape(file.to_owned(), error);
    // Docker indents by a tab.
    let json = Json::parse(old, "\t").map_err(shape)?;
    let path = ["auths", server(host)];
    if json.value(&path).map_err(shape)?.as_ref() == Some(entry) {
        return Ok(());
    }
    let new = apply(old, &[json.set(&path, entry).map_err(shape)?]);
    let written = match &original {
        Some(original) => original.replace_private(&new),
        None => {
            let folder = file.parent().unwrap_or(Path::new("."));
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| EditError::Write(folder.to_owned(), error)).and_then(|()| create(file, &new, 0o600))
        }
    };
    written.map_err(CredentialsError::Write)
}

/// The entry for a host. Keys may be URLs: `https://host/v2/` is what some logins leave.
fn lookup<'m, V>(map: &'m Option<BTreeMap<String, V>>, host: &str) -> Option<(&'m str, &'m V)> {
    let map = map.as_ref()?;
    let host = host.to_ascii_lowercase();
    let is_it = |key: &str| {
        let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let key = key.split('/').next().unwrap_or(key).to_ascii_lowercase();
        key == host || (is_hub(&key) && is_hub(&host))
    };
    let found = map.get_key_value(&host).or_else(|| map.iter().find(|(key, _)| is_it(key)));
    found.map(|(key, value)| (key.as_str(), value))
}

fn is_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn logins(folder: &Path) -> (Logins, PathBuf) {
        let file = folder.join("docker/config.json");
        let logins = Logins { files: vec![file.clone()], path: Some(folder.into()), ..Logins::default() };
        (logins, file)
    }

    fn secret() -> Secret {
        Secret::new("hunter2")
    }

    #[test]
    fn logins_are_found_by_host_whatever_form_the_key_has_and_never_quoted() {
        // base64 of `cn-1@AK:key:with:colons`
        let swr = r#"{"auths":{"swr.x.com":{"auth":"Y24tMUBBSzprZXk6d2l0aDpjb2xvbnM="}},"HttpHeaders":{}}"#;
        let malformed = "the login for `r` in `FILE` is malformed:";
        for (config, host, expected) in [
            (swr, "swr.x.com", "cn-1@AK / key:with:colons".to_owned()),
            (swr, "SWR.x.com", "cn-1@AK / key:with:colons".to_owned()),
            (swr, "swr.x.com:5000", "none".to_owned()),
            (r#"{"auths":{"https://r.x:5000/v2/":{"auth":"YTpi"}}}"#, "r.x:5000", "a / b".to_owned()),
            (r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}"#, "docker.io", "a / b".to_owned()),
            (r#"{"auths":{"r":{"username":"u","password":"p"}}}"#, "r", "u / p".to_owned()),
            (r#"{"auths":{"r":{"auth":"YTpi","identitytoken":"t"}}}"#, "r", "identity t".to_owned()),
            (r#"{"auths":{"r":{"registrytoken":"t"}}}"#, "r", "token t".to_owned()),
            (r#"{"auths":{"r":{}}}"#, "r", "none".to_owned()),
            (r#"{"auths":null,"credHelpers":null,"credsStore":null}"#, "r", "none".to_owned()),
            ("{}", "r", "none".to_owned()),
            ("", "r", "none".to_owned()),
            (r#"{"auths":{"r":"hunter2"}}"#, "r", "logins in `FILE` are malformed at line 1, column 23".to_owned()),
            (r#"{"auths":{"r":{"auth":"hunter2!"}}}"#, "r", format!("{malformed} `auth` is not base64")),
            (
                r#"{"auths":{"r":{"auth":"aHVudGVy"}}}"#,
                "r",
                format!("{malformed} `auth` has no colon between name and password"),
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("config.json");
            fs::write(&file, config).unwrap();
            let logins = Logins { files: vec![folder.path().join("absent.json"), file.clone()], ..Logins::default() };
            let found = match logins.find(host) {
                Ok(Some(Credentials::Basic { user, password })) => format!("{user} / {}", password.reveal()),
                Ok(Some(Credentials::IdentityToken(token))) => format!("identity {}", token.reveal()),
                Ok(Some(Credentials::RegistryToken(token))) => format!("token {}", token.reveal()),
                Ok(None) => "none".to_owned(),
                Err(error) => error.to_string().replace(&file.display().to_string(), "FILE"),
            };
            assert_eq!(found, expected, "{config} {host}");
        }
    }

    #[test]
    fn a_login_in_the_file_is_found_again_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (logins, file) = logins(folder.path());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(logins.store("r.x:5000", "cn@AK", &secret()).unwrap(), Stored::File(file.clone()));
        let found = logins.find("r.x:5000").unwrap();
        assert_eq!(found, Some(Credentials::Basic { user: "cn@AK".into(), password: secret() }));
        assert_eq!((mode(&file), mode(&folder.path().join("docker"))), (0o600, 0o700));

        let text = "{\r\n  \"detachKeys\" : \"ctrl-e\",\r\n  \"auths\" : {\r\n    \"r.x\" : {\r\n      \"auth\" : \"b2xkOm9sZA==\"\r\n    }\r\n  },\r\n  \"a\" : [1,2]}";
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        logins.store("r.x", "u", &secret()).unwrap();
        let new = text.replace("b2xkOm9sZA==", secret().encoded("u").reveal());
        assert_eq!((fs::read_to_string(&file).unwrap(), mode(&file)), (new, 0o600));
        assert_eq!(fs::read_dir(folder.path().join("docker")).unwrap().count(), 1);
    }

    #[test]
    fn a_malformed_file_is_not_touched_and_nothing_of_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let (logins, file) = logins(folder.path());
        fs::create_dir(folder.path().join("docker")).unwrap();
        for text in ["{\"auths\": {\"r\": {\"auth\": \"aHVudGVy\"", "[\"aHVudGVy\"]", "{\"auths\": {}, \"auths\": {}}"]
        {
            fs::write(&file, text).unwrap();
            let said = logins.store("r.x", "u", &secret()).unwrap_err().to_string();
            assert!(!said.contains("aHVudGVy") && !said.contains("hunter2"), "{said}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert!(matches!(Logins::default().store("r", "u", &secret()), Err(CredentialsError::NoFile)));
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let given = CredentialSource::Given(Credentials::Basic { user: "u".into(), password: Secret::new("hunter2") });
        assert_eq!(format!("{given:?}"), r#"Given(Basic { user: "u", password: … })"#);
    }
}
