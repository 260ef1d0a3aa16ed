//! What to do about the errors of libraries: they give typed causes, and this is the one place that knows what helps.

use std::{error::Error, fmt::Display, io};

use image_name::Host;
use oci_image::{BaseError, IndexError, LayerError, RecompressError, StoreError};
use registry::{Cause, CredentialsError};
use wheel_layer::WheelError;

use super::shell;

/// Typing errors in a long word; more is another word.
const TYPOS: usize = 2;

/// Whether a word is the known one, but for typing errors: of short words one error makes another.
pub fn is_typo(known: &str, word: &str) -> bool {
    strsim::damerau_levenshtein(known, word) <= TYPOS.min((known.len() / 3).max(1))
}

/// What to do about a base that comes whole but can't be used.
pub const ANOTHER_BASE: &str = "use another base image, or rebuild this one";

/// The command that logs in there.
pub fn login(host: impl Display) -> String {
    format!("cargo xtask login --registry {}", shell::word(host))
}

/// What to do about a registry or the stored logins: with our own `login`, where the library names docker's.
pub fn of_registry(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref() {
        return of_logins(error);
    }
    let error: &registry::Error = cause.downcast_ref()?;
    match error.cause() {
        Cause::Unauthorized { host, had_credentials: true, .. } => {
            Some(format!("SWR's temporary logins expire after 24 hours; log in again: `{}`", login(host)))
        }
        Cause::Unauthorized { host, .. } => Some(format!("log in: `{}`", login(host))),
        Cause::Credentials(error) => of_logins(error),
        _ => error.hint(),
    }
}

fn of_logins(error: &CredentialsError) -> Option<String> {
    match error {
        CredentialsError::Malformed { .. } => {
            Some("fix the file or move it away, then log in again: `cargo xtask login`".to_owned())
        }
        // `login` stores none for a part of a registry.
        CredentialsError::Entry(_, key, _) if key.parse::<Host>().is_err() => {
            Some("fix the entry or remove it from the file".to_owned())
        }
        CredentialsError::Entry(_, host, _) => Some(format!("log in again: `{}`", login(host))),
        _ => error.hint(),
    }
}

/// What to do about a base in a file or folder that is not there, or not whole.
pub(super) fn of_base(cause: &(dyn Error + 'static)) -> Option<String> {
    match cause.downcast_ref()? {
        BaseError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(
            "check the path: in a recipe it is relative to the recipe's folder, in an argument to the current folder"
                .to_owned(),
        ),
        BaseError::CutOff { .. } => Some("download or copy it again".to_owned()),
        // Its manifest or config will be the same the next time.
        BaseError::Refused { source: Some(_), .. } => Some(ANOTHER_BASE.to_owned()),
        _ => None,
    }
}

/// What to do about a store that can't be written: it is at fault, whatever was being written into it.
pub fn of_store(cause: &(dyn Error + 'static)) -> Option<String> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match store_error(cause)? {
        error if error.is_full() => {
            Some("free disk space where the store is, or name another folder for it with `--store DIR`".to_owned())
        }
        StoreError::Io { source, .. } if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Some("make the store writable, or name another folder for it with `--store DIR`".to_owned())
        }
        _ => None,
    }
}

/// The store's error, which libraries show as their own: it is not among their causes.
fn store_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    if let Some(LayerError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(WheelError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(BaseError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(IndexError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(RecompressError::Store(error)) = cause.downcast_ref() {
        return Some(error);
    }
    cause.downcast_ref()
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use expect_test::expect;

    use super::*;
    use crate::terminal::report;

    fn full(kind: io::ErrorKind) -> StoreError {
        StoreError::Io { action: "write to", path: "/store".into(), source: kind.into() }
    }

    #[test]
    fn a_full_store_is_told_with_a_hint_whatever_was_written() {
        let written = || io::Error::new(io::ErrorKind::StorageFull, full(io::ErrorKind::StorageFull));
        let errors: [anyhow::Error; 7] = [
            full(io::ErrorKind::QuotaExceeded).into(),
            LayerError::Store(full(io::ErrorKind::StorageFull)).into(),
            LayerError::Read { path: "topi.whl".to_owned(), source: written() }.into(),
            WheelError::Store(full(io::ErrorKind::StorageFull)).into(),
            BaseError::Store(full(io::ErrorKind::StorageFull)).into(),
            IndexError::Store(full(io::ErrorKind::StorageFull)).into(),
            RecompressError::Store(full(io::ErrorKind::FileTooLarge)).into(),
        ];
        for error in errors {
            let text = report::render(&error.context("failed"));
            assert!(text.contains("`/store`") && text.contains("--store DIR"), "{text}");
        }
        let none = anyhow!("no base");
        let both = report::all(vec![none, LayerError::Store(full(io::ErrorKind::StorageFull)).into()]);
        assert!(report::render(&both.unwrap_err()).contains("--store DIR"));
        let wheel = Err::<(), _>(WheelError::Store(full(io::ErrorKind::StorageFull))).context("failed to build");
        expect![[r#"
            error: failed to build
            caused by: failed to write to `/store`
            caused by: no storage space
            hint: free disk space where the store is, or name another folder for it with `--store DIR`
        "#]]
        .assert_eq(&report::render(&wheel.unwrap_err()));
    }

    #[test]
    fn another_disk_and_another_error_have_hints_of_their_own() {
        for error in [anyhow!(io::Error::from(io::ErrorKind::StorageFull)), full(io::ErrorKind::Interrupted).into()] {
            assert!(!report::render(&error).contains("hint"));
        }
        let cut_off = report::render(&BaseError::CutOff { path: "base.tar.gz".into() }.into());
        assert_eq!(cut_off, "error: `base.tar.gz` ends too early\nhint: download or copy it again\n");
        let config = oci_image::Base::scratch(b"[]").unwrap_err();
        let refused = BaseError::Refused { message: "`base` can't be used as a base".to_owned(), source: Some(config) };
        assert!(report::render(&refused.into()).ends_with(&format!("\nhint: {ANOTHER_BASE}\n")));
        let locked = report::render(&full(io::ErrorKind::PermissionDenied).into());
        assert!(locked.ends_with("hint: make the store writable, or name another folder for it with `--store DIR`\n"));
    }

    /// `push` named docker, which this host need not have, and `doctor` named us.
    #[test]
    fn whoever_lacks_a_login_is_sent_to_ours() {
        use registry::{CredentialSource, Credentials, Logins, Registry, RegistryOptions, Secret};
        use registry_fake::{Auth, FakeRegistry, Options};
        let auth = Auth::Basic { user: "u".to_owned(), password: "p".to_owned() };
        let fake = FakeRegistry::with(Options { auth, ..Options::default() });
        let host: Host = fake.host().parse().unwrap();
        let said = |credentials| {
            let options = RegistryOptions { credentials, insecure: true, ..RegistryOptions::default() };
            let error = Registry::new(host.clone(), options).ping().unwrap_err().into();
            report::render(&error).replace(host.as_str(), "HOST").lines().last().unwrap_or_default().to_owned()
        };
        assert_eq!(said(CredentialSource::Anonymous), "hint: log in: `cargo xtask login --registry HOST`");
        let wrong = Credentials::Basic { user: "u".to_owned(), password: Secret::new("x".to_owned()) };
        assert_eq!(
            said(CredentialSource::Given(wrong)),
            "hint: SWR's temporary logins expire after 24 hours; log in again: `cargo xtask login --registry HOST`"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        for (text, hint) in [
            ("{", "fix the file or move it away, then log in again: `cargo xtask login`"),
            (r#"{"auths":{"HOST":{"auth":"?"}}}"#, "log in again: `cargo xtask login --registry HOST`"),
            (r#"{"auths":{"https://HOST/v2/":{"auth":"?"}}}"#, "fix the entry or remove it from the file"),
        ] {
            std::fs::write(&file, text.replace("HOST", host.as_str())).unwrap();
            let logins = Logins { files: vec![file.clone()], ..Logins::default() };
            assert_eq!(said(CredentialSource::Logins(logins)), format!("hint: {hint}"), "{text}");
        }
    }
}
