//! CANN's installers, each checked once for each digest.

use std::path::Path;

use image_name::Digest;
use makeself::{Makeself, VERSION};
use oci_image::Store;

use super::Package;

/// An installer of CANN that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installer {
    /// The file.
    pub package: Package,
    /// The program of its first line.
    pub interpreter: String,
}

/// Reads the installer with this digest (the caller's word) whole and compares its sums, or takes from the store what
/// was found when that was done.
pub fn installer(store: &Store, path: &Path, sha256: &Digest) -> anyhow::Result<Makeself> {
    let key = format!("{VERSION} {sha256}");
    if let Some(read) = store.record("makeself", &key)? {
        return Ok(read);
    }
    let read = Makeself::read_whole(path)?;
    store.put_record("makeself", &key, &read)?;
    Ok(read)
}
