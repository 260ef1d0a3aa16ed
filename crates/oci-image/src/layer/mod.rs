//! Layers: what a finished one is known by, and writing them.

mod content;
mod digester;
mod error;
mod gzip;
mod inflate;
mod path;
mod splice;
mod split;
mod tar;
mod tree;
mod writer;

use std::collections::BTreeMap;

use image_name::Digest;
use serde::{Deserialize, Serialize};

use crate::Store;

pub use content::{Content, ContentHash};
pub use error::LayerError;
pub use split::split;
pub(crate) use tar::{Kind, padding, push_header};
pub use tree::{TreeEntry, TreeKind, tree_layer};
pub use writer::{LayerOptions, LayerWriter};

/// Part of every key under which a layer is remembered: raised where [`LayerWriter`] makes other bytes of the same
/// entries, so that no store has those of before.
pub const LAYER_FORMAT: u32 = 2;

/// Modification time of everything in our layers: 1980-01-02, the first day that every time zone can write into a zip.
pub const MTIME: u64 = 315_619_200;

/// A finished layer: one gzip member over one tar archive, in the store under `digest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// SHA-256 of the compressed blob.
    pub digest: Digest,
    /// Length of the compressed blob in bytes.
    pub size: u64,
    /// SHA-256 of the uncompressed tar archive.
    pub diff_id: Digest,
    /// Length of the uncompressed tar archive in bytes.
    pub tar_size: u64,
}

impl Layer {
    /// Whether the store has it, or what lies behind the store.
    pub fn is_in(&self, store: &Store) -> bool {
        store.offers(&self.digest, self.size, &self.diff_id)
    }
}

/// Owner, mode and time of an entry of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attr {
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Numeric user id.
    pub uid: u64,
    /// Numeric group id.
    pub gid: u64,
    /// Modification time, seconds since 1970 UTC.
    pub mtime: u64,
}

/// Attributes of the folders that exist in the base, by absolute path without a trailing slash (`/home/ma-user`).
/// A folder that is not named here is new and gets the layer's own owner, mode 0755 and mtime.
pub type ParentDirs = BTreeMap<String, Attr>;
