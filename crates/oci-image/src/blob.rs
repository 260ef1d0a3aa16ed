//! What points at a blob, and where blobs are read from.

use std::io::{self, Read};

use image_name::Digest;
use serde::{Deserialize, Serialize};

/// A descriptor of a blob (OCI image spec, descriptor.md; Docker's schema 2 has the same three fields).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the blob.
    pub media_type: String,
    /// SHA-256 of the blob's bytes.
    pub digest: Digest,
    /// Length of the blob in bytes.
    pub size: u64,
    /// Where a foreign layer lies; an image that has one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// A place that blobs are read from: a store, an OCI layout, a docker archive, a registry.
pub trait BlobSource {
    /// Opens the blob as it is stored, still compressed. The reader ends with an error where the bytes do not have
    /// the descriptor's size and digest.
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>>;
}
