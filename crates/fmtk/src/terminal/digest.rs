//! SHA-256 of what is in memory.

use image_name::Digest;
use sha2::{Digest as _, Sha256};

/// SHA-256 of these bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}
