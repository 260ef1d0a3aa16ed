//! Why a layer or its archive can't be read.

use std::io;

use crate::Digest;

/// Why a tar archive can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes could not be had.
    #[error("failed to read the archive at byte {offset}")]
    Read {
        /// Where in the archive.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
    /// The bytes are no tar archive, or one of more than any real one has.
    #[error("the archive is damaged at byte {offset}: {reason}")]
    Malformed {
        /// Where in the archive.
        offset: u64,
        /// Which rule it breaks.
        reason: String,
    },
}

/// Why a layer can't be read.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The blob could not be had, or it is damaged, or it is not compressed as it should be.
    #[error("failed to read layer {digest}")]
    Read {
        /// The layer's blob.
        digest: Digest,
        /// What the source or the decoder said.
        source: io::Error,
    },
    /// Compressed in another way than its media type says, or in one that is not known.
    #[error("refused layer {digest}: its media type is `{media_type}`, its contents are {found}")]
    Compression {
        /// The layer's blob.
        digest: Digest,
        /// What the manifest says.
        media_type: String,
        /// What the first bytes say.
        found: &'static str,
    },
    /// It is well compressed but holds something else than the config says.
    #[error("refused layer {digest}: unpacked it is {found}, the image's config says {wanted}")]
    DiffId {
        /// The layer's blob.
        digest: Digest,
        /// SHA-256 of the tar archive in it.
        found: Digest,
        /// SHA-256 that the config says.
        wanted: Digest,
    },
    /// Its tar archive can't be read.
    #[error("failed to read the archive in layer {digest}")]
    Tar {
        /// The layer's blob.
        digest: Digest,
        /// What is wrong with it.
        source: TarError,
    },
}
