//! SHA-256 of what is in memory, for scenarios.

use image_name::Digest;

/// SHA-256 of these bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}
