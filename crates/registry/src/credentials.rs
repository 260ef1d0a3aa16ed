//! Who we are to a registry, and why that could not be told.

use std::{io, path::PathBuf};

use file_edit::{EditError, json::JsonError};

use crate::secret::Secret;

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
    #[error("failed to read logins from `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no JSON of the right shape.
    #[error("logins in `{path}` are garbled at line {line}, column {column}")]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// An entry of the file is of no use.
    #[error("the login for `{host}` in `{path}` is garbled: {reason}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry's key.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A helper did not give what it should.
    #[error("credential helper `{program}` {reason}")]
    Helper {
        /// The helper.
        program: String,
        /// The host it was asked for.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no file for it: neither `DOCKER_CONFIG` nor `HOME` is set.
    #[error("neither `DOCKER_CONFIG` nor `HOME` names a folder for logins")]
    NoPlace,
    /// The file has a shape that no login can be put into.
    #[error("can't put a login into `{path}`: {source}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: JsonError,
    },
    /// The file can't be written.
    #[error("failed to store the login: {0}")]
    Write(EditError),
}

impl CredentialsError {
    /// What to do about it, as one line without a full stop.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Helper { program, host, .. } => Some(format!("see what it says: `echo {host} | {program} get`")),
            Self::Garbled { .. } | Self::Entry { .. } => Some("log in again: `docker login HOST`".to_owned()),
            Self::Read { .. } | Self::NoPlace | Self::Shape { .. } | Self::Write(_) => None,
        }
    }
}
