//! A file of the user, as it was found.

use std::path::PathBuf;

use image_name::Digest;
use serde::Serialize;

/// A file of the user on this machine, and what it is to be in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFile {
    pub from: PathBuf,
    /// Absolute path in the image.
    pub to: String,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub sha256: Digest,
    pub size: u64,
}
