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

/// The kind of records of installers that were checked.
pub const MAKESELF: &str = "makeself";

/// The key of the record of an installer.
pub fn installer_key(sha256: &Digest) -> String {
    format!("{VERSION} {sha256}")
}

/// Reads the installer with this digest (the caller's word) whole and compares its sums, or takes from the store what
/// was found when that was done. Of one that is not there, what is known behind the store is taken.
pub fn installer(store: &Store, path: &Path, sha256: &Digest) -> anyhow::Result<Makeself> {
    let key = installer_key(sha256);
    if let Some(read) = store.record(MAKESELF, &key)? {
        return Ok(read);
    }
    if !path.exists()
        && let Some(read) = store.record_behind(MAKESELF, &key)
    {
        return Ok(read);
    }
    let read = Makeself::read_whole(path)?;
    store.put_record(MAKESELF, &key, &read)?;
    Ok(read)
}
