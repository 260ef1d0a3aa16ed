//! Storing a login where docker would: with its helper, else in its file.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use file_edit::{EditError, Original, apply, create, json::Json};
use serde_json::{Value, json};

use crate::{
    credentials::CredentialsError,
    docker_config::{LIMIT, Logins, read, server},
    helper,
    secret::Secret,
};

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// By this helper of docker's.
    Helper(String),
    /// In this file, for its owner to read.
    File(PathBuf),
}

impl Logins {
    /// Stores the login for this registry host (with its port) as docker does: with the helper that its file names for
    /// the host or for all, else under `auths` of the file itself, which nobody but its owner may then read. The file is
    /// replaced whole; what else is in it stays byte for byte.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] if there is no place for it, the file is garbled or the helper fails; what was stored before
    /// is so still.
    pub fn store(&self, host: &str, user: &str, password: &Secret) -> Result<Stored, CredentialsError> {
        let file = self.files.first().ok_or(CredentialsError::NoPlace)?;
        let helper = read(file)?.and_then(|config| config.helper(host));
        let Some(name) = helper else {
            let auth = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
            write(file, host, &json!({ "auth": auth }))?;
            return Ok(Stored::File(file.clone()));
        };
        helper::store(&name, server(host), user, password, self.path.as_deref(), self.helper_timeout)?;
        // Docker leaves an empty entry for what a helper keeps; an old password goes with that.
        write(file, host, &json!({}))?;
        Ok(Stored::Helper(format!("docker-credential-{name}")))
    }
}

/// Sets the entry of `auths`.
fn write(file: &Path, host: &str, entry: &Value) -> Result<(), CredentialsError> {
    let original = Original::find(file, LIMIT as usize).map_err(CredentialsError::Write)?;
    let old = original.as_ref().map_or(&[][..], |original| &original.bytes);
    let shape = |source| CredentialsError::Shape { path: file.to_owned(), source };
    // Docker indents by a tab.
    let json = Json::parse(old, "\t").map_err(shape)?;
    let path = ["auths", server(host)];
    if json.value(&path).map_err(shape)?.as_ref() == Some(entry) {
        return Ok(());
    }
    let new = apply(old, &[json.set(&path, entry).map_err(shape)?]);
    let Some(original) = original else {
        let folder = file.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| CredentialsError::Write(EditError::Write { path: folder.to_owned(), error }))?;
        return create(file, &new, 0o600).map_err(CredentialsError::Write);
    };
    original.replace_private(&new).map_err(CredentialsError::Write)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

    use super::*;
    use crate::credentials::Credentials;

    fn logins(folder: &Path) -> Logins {
        let files = vec![folder.join("docker/config.json")];
        Logins { files, path: Some(folder.into()), helper_timeout: Duration::from_secs(5) }
    }

    fn secret() -> Secret {
        Secret::new("hunter2")
    }

    #[test]
    fn a_login_in_the_file_is_found_again_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (logins, file) = (logins(folder.path()), folder.path().join("docker/config.json"));
        assert_eq!(logins.store("r.x:5000", "cn@AK", &secret()).unwrap(), Stored::File(file.clone()));
        let found = logins.find("r.x:5000").unwrap();
        assert_eq!(found, Some(Credentials::Basic { user: "cn@AK".into(), password: secret() }));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("docker")).unwrap().permissions().mode() & 0o7777, 0o700);

        let text = "{\r\n  \"detachKeys\" : \"ctrl-e\",\r\n  \"auths\" : {\r\n    \"r.x\" : {\r\n      \"auth\" : \"b2xkOm9sZA==\"\r\n    }\r\n  },\r\n  \"a\" : [1,2]}";
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        logins.store("r.x", "u", &secret()).unwrap();
        let auth = BASE64_STANDARD.encode("u:hunter2");
        assert_eq!(fs::read_to_string(&file).unwrap(), text.replace("b2xkOm9sZA==", &auth));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("docker")).unwrap().count(), 1);
    }

    #[test]
    fn a_garbled_file_is_not_touched_and_nothing_of_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let (logins, file) = (logins(folder.path()), folder.path().join("docker/config.json"));
        fs::create_dir(folder.path().join("docker")).unwrap();
        for text in ["{\"auths\": {\"r\": {\"auth\": \"aHVudGVy\"", "[\"aHVudGVy\"]", "{\"auths\": {}, \"auths\": {}}"]
        {
            fs::write(&file, text).unwrap();
            let said = logins.store("r.x", "u", &secret()).unwrap_err().to_string();
            assert!(!said.contains("aHVudGVy") && !said.contains("hunter2"), "{said}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert!(matches!(Logins::default().store("r", "u", &secret()), Err(CredentialsError::NoPlace)));
    }
}
