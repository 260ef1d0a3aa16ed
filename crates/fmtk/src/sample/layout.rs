//! One layer as a whole image for arm64 in an OCI image layout.

use std::{fs, path::Path};

use anyhow::Context;
use oci_image::{Digest, Layer, Store};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Writes the layout to `folder`, whole or not at all. The layer's blob comes from the store.
pub fn write(store: &Store, layer: &Layer, created: &str, folder: &Path) -> anyhow::Result<()> {
    let parent = folder.parent().context("a layout needs a folder to lie in")?;
    fs::create_dir_all(parent).with_context(|| format!("failed to create folder `{}`", parent.display()))?;
    let scratch = tempfile::Builder::new()
        .prefix("layout-")
        .tempdir_in(parent)
        .with_context(|| format!("failed to create a folder in `{}`", parent.display()))?;
    let blobs = scratch.path().join("blobs/sha256");
    let put = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).with_context(|| format!("failed to write `{}`", path.display()))
    };
    let blob = |bytes: &[u8]| {
        let digest = Digest::from_bytes(Sha256::digest(bytes).into());
        put(&blobs.join(digest.hex()), bytes).map(|()| digest)
    };

    fs::create_dir_all(&blobs).with_context(|| format!("failed to create folder `{}`", blobs.display()))?;
    let (from, to) = (store.blob_path(&layer.digest), blobs.join(layer.digest.hex()));
    // A link costs nothing; where the file system has none, a copy.
    fs::hard_link(&from, &to)
        .or_else(|_| fs::copy(&from, &to).map(drop))
        .with_context(|| format!("failed to write `{}`", to.display()))?;

    let config = json!({
        "architecture": "arm64",
        "os": "linux",
        "created": created,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
            "Cmd": ["/bin/bash"],
        },
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
        "history": [{ "created": created, "created_by": "packages of Debian, unpacked" }],
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": blob(config.as_bytes())?,
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": layer.digest,
            "size": layer.size,
        }],
    })
    .to_string();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": blob(manifest.as_bytes())?,
            "size": manifest.len(),
            "platform": { "architecture": "arm64", "os": "linux" },
            "annotations": { "org.opencontainers.image.ref.name": super::TAG },
        }],
    })
    .to_string();
    put(&scratch.path().join("index.json"), index.as_bytes())?;
    put(&scratch.path().join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;

    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to remove `{}`", folder.display()))?;
    }
    fs::rename(scratch.path(), folder).with_context(|| format!("failed to rename to `{}`", folder.display()))?;
    // It has its name now and must not be removed by the guard, which looks for the old one.
    let _ = scratch.keep();
    Ok(())
}
