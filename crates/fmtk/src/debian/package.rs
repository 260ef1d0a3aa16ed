//! A package of an archive, known by its content.

use oci_image::{Descriptor, Digest};
use serde::{Deserialize, Serialize};

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its path on a mirror, below the folder that has `dists/` and `pool/`.
    pub path: String,
    /// Length of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub digest: Digest,
}

/// A `.deb` as a blob.
pub fn blob(size: u64, digest: Digest) -> Descriptor {
    Descriptor { media_type: "application/vnd.debian.binary-package".to_owned(), digest, size, urls: Vec::new() }
}

impl Package {
    /// The package as a blob of the store.
    pub fn blob(&self) -> Descriptor {
        blob(self.size, self.digest)
    }

    /// Name of its file, as it is in the archive.
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}
