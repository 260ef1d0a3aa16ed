//! Logins in the files and helpers where docker and podman keep them: found and stored.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
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
    /// The files, best first; those that are not there are passed over. A login that none of them has goes to the last.
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
    /// The files that podman and skopeo look into, in their order (containers-auth.json(5)); docker's is the last.
    pub fn from_env() -> Self {
        // The user; std has no call for it.
        let uid = fs::metadata("/proc/self").ok().map(|process| process.uid());
        let mut logins = Self::from_lookup(|name| env::var_os(name), uid);
        // Root's folders may be closed to us, and after `su` those of the other session.
        logins.files.retain(|file| !file.starts_with("/run") || file.exists());
        logins
    }

    /// The same from anywhere else: `lookup` gives the value of a variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>, uid: Option<u32>) -> Self {
        let set = |name| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("HOME");
        let below_home = |path| home.as_ref().map(|home| home.join(path));
        // A file that is named replaces those that vanish with the session or at a reboot.
        let session = match set("REGISTRY_AUTH_FILE") {
            Some(file) => [Some(file), None],
            None => [
                set("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
                uid.map(|uid| format!("/run/containers/{uid}/auth.json").into()),
            ],
        };
        let user = set("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let user = user.map(|folder| folder.join("containers/auth.json"));
        let docker = set("DOCKER_CONFIG").or_else(|| below_home(".docker")).map(|folder| folder.join("config.json"));
        let files = session.into_iter().flatten().chain(user).chain(docker).collect();
        Self { files, path: lookup("PATH"), helper_timeout: Duration::from_secs(60) }
    }

    /// The login for a repository on this registry host (with its port), if there is one. An empty repository stands for
    /// the registry as a whole.
    pub fn find(&self, host: &str, repository: &str) -> Result<Option<Credentials>, CredentialsError> {
        for path in &self.files {
            let Some(config) = read(path)? else { continue };
            if let Some(helper) = config.helper(self, host, repository)
                && let Some(found) = helper.get()?
            {
                return Ok(Some(found));
            }
            let Some((key, entry)) = lookup(&config.auths, host, repository) else { continue };
            let malformed = |reason| CredentialsError::Entry(path.clone(), key.to_owned(), reason);
            if let Some(found) = entry.credentials().map_err(malformed)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Logins for parts of this registry host, where they count instead of the host's own: key and file.
    pub fn for_parts(&self, host: &str) -> Result<Vec<(String, PathBuf)>, CredentialsError> {
        let mut found = Vec::new();
        for path in &self.files {
            let auths = read(path)?.and_then(|config| config.auths).unwrap_or_default();
            let parts = auths.into_keys().filter(|key| place(key, host).is_some_and(|place| !place.is_empty()));
            found.extend(parts.map(|key| (key, path.clone())));
        }
        Ok(found)
    }

    /// Stores the login for this registry host (with its port) where it is then found: in the file that has one for it,
    /// else in docker's, and as docker does: with the helper that the file names for the host or for all, else under
    /// `auths` of the file itself, which nobody but its owner may then read. The file is replaced whole; what else is in
    /// it stays byte for byte. On an error what was stored before is so still.
    pub fn store(&self, host: &str, user: &str, password: &Secret) -> Result<Stored, CredentialsError> {
        let mut file = self.files.last().ok_or(CredentialsError::NoFile)?;
        let mut config = None;
        for path in &self.files {
            let keeps = |config: &ConfigFile| {
                config.helper(self, host, "").is_some() || lookup(&config.auths, host, "").is_some()
            };
            if let Some(found) = read(path)?.filter(keeps) {
                (file, config) = (path, Some(found));
                break;
            }
        }
        let Some(helper) = config.as_ref().and_then(|config| config.helper(self, host, "")) else {
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
    /// The helper that keeps the login for a repository on a host.
    fn helper<'a>(&'a self, logins: &'a Logins, host: &'a str, repository: &str) -> Option<Helper<'a>> {
        let own = lookup(&self.cred_helpers, host, repository).map(|(_, name)| name);
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
        // Some tools wrap it, as base64(1) does every 76 characters.
        let auth: String = auth.split_ascii_whitespace().collect();
        let bytes = BASE64_STANDARD.decode(auth).map_err(|_| "`auth` is not base64")?;
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
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        // As tools are told that there are no logins.
        Ok(_) if fs::canonicalize(path).is_ok_and(|real| real == Path::new("/dev/null")) => return Ok(None),
        // A pipe would have us wait for its other end for ever.
        Ok(_) => return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(fail(error)),
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes)).map_err(fail)?;
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    // serde's own message could quote the file, that is a password.
    let mut config: ConfigFile = serde_json::from_slice(&bytes)
        .map_err(|error| CredentialsError::Malformed(path.to_owned(), error.line(), error.column()))?;
    // An empty entry means that the login is elsewhere, such as in a helper.
    config.auths.iter_mut().for_each(|auths| auths.retain(|_, entry| !matches!(entry.credentials(), Ok(None))));
    Ok(Some(config))
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

/// The entry for a repository: of all that it is below, the one with the longest path.
fn lookup<'m, V>(map: &'m Option<BTreeMap<String, V>>, host: &str, repository: &str) -> Option<(&'m str, &'m V)> {
    let fitting = map.as_ref()?.iter().filter_map(|(key, value)| {
        let place = place(key, host)?;
        let rest = repository.strip_prefix(place)?;
        let is_below = place.is_empty() || rest.is_empty() || rest.starts_with('/');
        is_below.then_some((key.as_str(), value, place.len()))
    });
    let best = fitting.max_by_key(|(key, _, length)| (*length, *key == host));
    best.map(|(key, value, _)| (key, value))
}

/// The path on this host that a key is for; `None` where it is another host's. Keys may be URLs, as `https://host/v2/` is
/// what some logins leave: those are for the whole host.
fn place<'k>(key: &'k str, host: &str) -> Option<&'k str> {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (name, path) = bare.unwrap_or(key).split_once('/').unwrap_or((bare.unwrap_or(key), ""));
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    let is_it = name == host || (is_hub(&name) && is_hub(&host));
    let is_address = bare.is_some() || matches!(path, "v1/" | "v2/");
    is_it.then_some(if is_address { "" } else { path.trim_end_matches('/') })
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
        let parts =
            r#"{"auths":{"r":{"auth":"YTpi"},"r/aaa":{"auth":"YTph"},"r/o":{"auth":"YTpv"},"r/o/x/":{"auth":"YTp4"}}}"#;
        let aaa = r#"{"auths":{"r/aaa":{"auth":"YTph"},"r/v2/":{"auth":"YTpi"}}}"#;
        for (config, name, expected) in [
            (swr, "swr.x.com", "cn-1@AK / key:with:colons".to_owned()),
            (swr, "SWR.x.com", "cn-1@AK / key:with:colons".to_owned()),
            (swr, "swr.x.com:5000", "none".to_owned()),
            // That of another organisation is sent to none.
            (parts, "r", "a / b".to_owned()),
            (parts, "r/o", "a / o".to_owned()),
            (parts, "r/o/r", "a / o".to_owned()),
            (parts, "r/o/x/y", "a / x".to_owned()),
            (parts, "r/other/r", "a / b".to_owned()),
            (aaa, "r/o/r", "a / b".to_owned()),
            (r#"{"auths":{"r/aaa":{"auth":"YTph"}}}"#, "r/o/r", "none".to_owned()),
            (r#"{"auths":{"r/o":{"auth":"YTph"}}}"#, "r/other", "none".to_owned()),
            (r#"{"auths":{"r/O":{"auth":"YTph"}}}"#, "r/o", "none".to_owned()),
            (r#"{"auths":{"https://r.x:5000/v2/":{"auth":"YTpi"}}}"#, "r.x:5000/o/r", "a / b".to_owned()),
            (r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}"#, "docker.io/o", "a / b".to_owned()),
            (r#"{"auths":{"r":{"username":"u","password":"p"}}}"#, "r", "u / p".to_owned()),
            (r#"{"auths":{"r":{"auth":"YTpi","identitytoken":"t"}}}"#, "r", "identity t".to_owned()),
            (r#"{"auths":{"r":{"registrytoken":"t"}}}"#, "r", "token t".to_owned()),
            (
                r#"{"auths":{"r":{"auth":"Y24tMUBBSzprZXk6\nd2l0aDpjb2xvbnM=\r\n"}}}"#,
                "r",
                "cn-1@AK / key:with:colons".to_owned(),
            ),
            (r#"{"auths":{"r":{}}}"#, "r", "none".to_owned()),
            (r#"{"auths":{"r/o":{},"r":{"auth":"YTpi"}}}"#, "r/o/r", "a / b".to_owned()),
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
            let (host, repository) = name.split_once('/').unwrap_or((name, ""));
            let found = match logins.find(host, repository) {
                Ok(Some(Credentials::Basic { user, password })) => format!("{user} / {}", password.reveal()),
                Ok(Some(Credentials::IdentityToken(token))) => format!("identity {}", token.reveal()),
                Ok(Some(Credentials::RegistryToken(token))) => format!("token {}", token.reveal()),
                Ok(None) => "none".to_owned(),
                Err(error) => error.to_string().replace(&file.display().to_string(), "FILE"),
            };
            assert_eq!(found, expected, "{config} {name}");
        }
    }

    #[test]
    fn files_are_read_in_podmans_order() {
        let all =
            [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/7"), ("XDG_CONFIG_HOME", "/c"), ("DOCKER_CONFIG", "/d")];
        let named = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/7"), ("REGISTRY_AUTH_FILE", "/a.json")];
        for (variables, files) in [
            (
                &all[..],
                "/run/user/7/containers/auth.json /run/containers/7/auth.json /c/containers/auth.json /d/config.json",
            ),
            (&all[..1], "/run/containers/7/auth.json /h/.config/containers/auth.json /h/.docker/config.json"),
            (&named[..], "/a.json /h/.config/containers/auth.json /h/.docker/config.json"),
            (&[("HOME", "")][..], "/run/containers/7/auth.json"),
        ] {
            let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            let logins = Logins::from_lookup(find, Some(7));
            let found: Vec<_> = logins.files.iter().map(|file| file.display().to_string()).collect();
            assert_eq!(found.join(" "), files, "{variables:?}");
        }
    }

    #[test]
    fn a_login_is_stored_where_it_is_then_found() {
        let folder = tempfile::tempdir().unwrap();
        let [podman, docker] = ["auth.json", "config.json"].map(|name| folder.path().join(name));
        let logins = Logins { files: vec![podman.clone(), docker.clone()], ..Logins::default() };
        for (stale, file) in
            [("{}", &docker), (r#"{"auths":{"r":{}}}"#, &docker), (r#"{"auths":{"r":{"auth":"?"}}}"#, &podman)]
        {
            fs::write(&podman, stale).unwrap();
            assert_eq!(logins.store("r", "u", &secret()).unwrap(), Stored::File(file.clone()), "{stale}");
            let stored = Some(Credentials::Basic { user: "u".into(), password: secret() });
            assert_eq!(logins.find("r", "o/r").unwrap(), stored);
        }
        fs::write(&podman, r#"{"auths":{"r/o":{"auth":"YTpi"},"r":{"auth":"YTpi"},"r/p":{},"x/y":{"auth":"YTpi"}}}"#)
            .unwrap();
        assert_eq!(logins.for_parts("r").unwrap(), [("r/o".to_owned(), podman)]);
    }

    #[test]
    fn a_login_in_the_file_is_found_again_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (logins, file) = logins(folder.path());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(logins.store("r.x:5000", "cn@AK", &secret()).unwrap(), Stored::File(file.clone()));
        let found = logins.find("r.x:5000", "").unwrap();
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
        // Another kind of it, a pipe, was waited for.
        fs::remove_file(&file).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
        for error in [logins.find("r.x", "").unwrap_err(), logins.store("r.x", "u", &secret()).unwrap_err()] {
            let reason = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(reason, "it is not a regular file");
            assert!(error.hint().is_some());
        }
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/null", &file).unwrap();
        assert_eq!(logins.find("r.x", "").unwrap(), None);
        assert!(matches!(Logins::default().store("r", "u", &secret()), Err(CredentialsError::NoFile)));
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let given = CredentialSource::Given(Credentials::Basic { user: "u".into(), password: Secret::new("hunter2") });
        assert_eq!(format!("{given:?}"), r#"Given(Basic { user: "u", password: … })"#);
    }
}
