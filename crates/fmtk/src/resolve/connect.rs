//! How a registry is reached: the flags, over what the recipe says of that host.

use std::fmt::Display;

use image_name::{Host, NameError};
use registry::{Cause, CredentialsError, Registry, RegistryOptions};

use crate::{
    options::RegistryArgs,
    recipe,
    terminal::{report, shell},
};

/// A registry as it is typed; where plain HTTP is meant, the flag for that is told.
pub fn host(text: &str) -> Result<Host, String> {
    let plain = text.to_ascii_lowercase().starts_with("http://");
    text.parse().map_err(|error: NameError| match plain {
        true => format!("{error}\nhint: `--insecure` takes plain HTTP"),
        false => error.to_string(),
    })
}

/// The registry at `host`. What the recipe says under `[registry]` holds for the recipe's own host alone: a base may
/// come from elsewhere.
pub fn registry(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> Registry {
    Registry::new(host.clone(), options(host, args, recipe))
}

/// How the registry at `host` is reached, with the logins that are stored.
pub fn options(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> RegistryOptions {
    let own = (*host == recipe.host).then_some(recipe);
    let ca = args.ca.clone().or_else(|| own.and_then(|own| own.ca.as_ref()).map(|ca| ca.path().to_owned()));
    RegistryOptions {
        insecure: args.insecure || own.is_some_and(|own| own.insecure),
        ip: args.resolve.or_else(|| own.and_then(|own| own.ip)),
        ca_files: ca.into_iter().collect(),
        ..RegistryOptions::default()
    }
}

/// What to do about the registry's error: with our own `login`, where the library names docker's.
pub fn way_out(error: &registry::Error) -> Option<String> {
    match error.cause() {
        Cause::Unauthorized { host, had_credentials: true, .. } => {
            Some(format!("SWR's temporary logins end after 24 hours; log in again: `{}`", login(host)))
        }
        Cause::Unauthorized { host, .. } => Some(format!("log in: `{}`", login(host))),
        Cause::Credentials(error) => way_out_of_logins(error),
        _ => error.hint(),
    }
}

/// What to do about logins that can't be read or stored.
pub fn way_out_of_logins(error: &CredentialsError) -> Option<String> {
    match error {
        CredentialsError::Garbled { .. } => {
            Some("mend the file or move it away, then log in again: `cargo xtask login`".to_owned())
        }
        CredentialsError::Entry(_, host, _) => Some(format!("log in again: `{}`", login(host))),
        _ => error.hint(),
    }
}

/// The command that logs in there.
pub fn login(host: impl Display) -> String {
    format!("cargo xtask login --registry {}", shell::word(host))
}

/// The registry's error with what to do about it.
pub fn hinted(error: registry::Error) -> anyhow::Error {
    let hint = way_out(&error);
    report::hinted_if(error.into(), hint)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use registry::{CredentialSource, Credentials, Logins, Secret};

    use super::*;

    #[test]
    fn an_address_of_the_web_is_told_what_to_leave_away() {
        assert_eq!(host("swr.x.com:5000").unwrap().as_str(), "swr.x.com:5000");
        expect![[r#"
            registry host `http://swr.x.com` must start with the name itself: leave `http://` or `https://` away (character 1, `h`)
            hint: `--insecure` takes plain HTTP"#]]
        .assert_eq(&host("http://swr.x.com").unwrap_err());
        expect!["registry host `https://swr.x.com/` must start with the name itself: leave `http://` or `https://` away (character 1, `h`)"]
            .assert_eq(&host("https://swr.x.com/").unwrap_err());
    }

    /// `push` named docker, which this host need not have, and `doctor` named us.
    #[test]
    fn whoever_lacks_a_login_is_sent_to_ours() {
        use registry_double::{Auth, Double, Options};
        let auth = Auth::Basic { user: "u".to_owned(), password: "p".to_owned() };
        let double = Double::with(Options { auth, ..Options::default() });
        let host: Host = double.host().parse().unwrap();
        let said = |credentials| {
            let options = RegistryOptions { credentials, insecure: true, ..RegistryOptions::default() };
            let error = hinted(Registry::new(host.clone(), options).ping().unwrap_err());
            report::render(&error).replace(host.as_str(), "HOST").lines().last().unwrap_or_default().to_owned()
        };
        assert_eq!(said(CredentialSource::Anonymous), "hint: log in: `cargo xtask login --registry HOST`");
        let wrong = Credentials::Basic { user: "u".to_owned(), password: Secret::new("x".to_owned()) };
        assert_eq!(
            said(CredentialSource::Given(wrong)),
            "hint: SWR's temporary logins end after 24 hours; log in again: `cargo xtask login --registry HOST`"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, "{").unwrap();
        let logins = Logins { files: vec![file], ..Logins::default() };
        assert_eq!(
            said(CredentialSource::Logins(logins)),
            "hint: mend the file or move it away, then log in again: `cargo xtask login`"
        );
    }
}
