//! CANN's installer, checked once for each digest.

use std::path::Path;

use image_name::Digest;
use makeself::{Makeself, VERSION};
use oci_image::Store;

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
