//! Who we are to a registry, and why that could not be told.

use std::{fmt, io, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use file_edit::{EditError, json::JsonError};

/// A password or token. `Debug` prints `…`, there is no `Display`, and it is never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `USER:PASSWORD` in base64, as HTTP and docker's file have it.
    pub(crate) fn encoded(&self, user: &str) -> Self {
        Self(BASE64_STANDARD.encode(format!("{user}:{}", self.0)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What a registry is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and its password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token, exchanged for access tokens.
    IdentityToken(Secret),
    /// An access token, sent as it is.
    RegistryToken(Secret),
}

/// Why a stored login could not be used. Never holds any part of it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is there but can't be read.
    #[error("failed to read logins from `{0}`")]
    Read(PathBuf, #[source] io::Error),
    /// The file is no JSON of the right shape, at this line and column, from 1.
    #[error("logins in `{0}` are malformed at line {1}, column {2}")]
    Malformed(PathBuf, usize, usize),
    /// The entry of the file under this key is of no use.
    #[error("the login for `{1}` in `{0}` is malformed: {2}")]
    Entry(PathBuf, String, &'static str),
    /// This helper did not give what it should for this host.
    #[error("credential helper `{0}` {2}")]
    Helper(String, String, String),
    /// There is no file for it: neither `DOCKER_CONFIG` nor `HOME` is set.
    #[error("neither `DOCKER_CONFIG` nor `HOME` names a folder for logins")]
    NoFile,
    /// The file has a shape that no login can be put into.
    #[error("can't put a login into `{0}`: {1}")]
    Shape(PathBuf, #[source] JsonError),
    /// The file can't be written.
    #[error("failed to store the login: {0}")]
    Write(EditError),
}

impl CredentialsError {
    /// What to do about it, as one line without a full stop.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Helper(program, host, _) => Some(format!("see what it says: `echo {host} | {program} get`")),
            Self::Read(..) => Some("make it a file that you can read, or move it away".to_owned()),
            Self::Malformed(..) | Self::Entry(..) => Some("log in again: `docker login HOST`".to_owned()),
            _ => None,
        }
    }
}
