//! The blobs of a layout, or of the store: both keep them alike.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Log, Snapshot,
    files::{field, read_json},
};

pub fn blob(root: &Path, digest: &str) -> PathBuf {
    root.join("blobs").join(digest.replace(':', "/"))
}

/// The manifest or config that a descriptor leads to.
pub fn described(root: &Path, descriptor: &Value) -> anyhow::Result<Value> {
    read_json(&blob(root, field(descriptor, "digest")?))
}

/// The first manifest of a layout.
pub fn manifest(layout: &Path) -> anyhow::Result<Value> {
    described(layout, &read_json(&layout.join("index.json"))?["manifests"][0])
}

/// What a layer holds, as gunzip unpacks it.
pub fn layer_files(log: &Log, root: &Path, digest: &str) -> anyhow::Result<Snapshot> {
    let gunzip = log.command("gunzip").arg("--stdout").stdin(&blob(root, digest))?;
    gunzip.read_by(Snapshot::read)
}
