//! A file of the user, as it was found.

use std::path::PathBuf;

use image_name::Digest;
use serde::Serialize;

/// A file of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFile {
    /// The file on this machine.
    pub from: PathBuf,
    /// Absolute path in the image.
    pub to: String,
    /// Permission bits.
    pub mode: u32,
    /// Numeric user id.
    pub uid: u64,
    /// Numeric group id.
    pub gid: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
}
