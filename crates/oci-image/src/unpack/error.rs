//! Why a layer or its archive can't be read.

use std::io;

use crate::Digest;

/// Why a tar archive can't be read.
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes could not be had.
    #[error("failed to read the archive at byte {offset}")]
    Read { offset: u64, source: io::Error },
    /// The bytes are no tar archive, or one of more than any real one has.
    #[error("the archive is damaged at byte {offset}: {reason}")]
    Malformed { offset: u64, reason: String },
}

/// Why a layer can't be read.
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The blob could not be had, or it is damaged.
    #[error("failed to read layer {digest}")]
    Read { digest: Digest, source: io::Error },
    /// It holds something else than the config says.
    #[error("refused layer {digest}: {reason}")]
    Refused { digest: Digest, reason: String },
    /// Its tar archive can't be read.
    #[error("failed to read the archive in layer {digest}")]
    Tar { digest: Digest, source: TarError },
}
