//! Writing an image into an OCI image layout.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    BlobSource, CheckedReader, Descriptor, Image, ImageConfig, index::REF_NAME, leftover, media::MAX_MANIFEST, regular,
};

/// What names of files begin with that are not yet whole.
const NEW: &str = ".new-";

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refused.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A layer could not be read, or is not what its descriptor says.
    #[error("failed to copy layer {digest} to `{path}`")]
    Layer {
        /// The layer's blob.
        digest: image_name::Digest,
        /// Where it was to go.
        path: PathBuf,
        /// What either side said.
        source: io::Error,
    },
    /// Something else is there already.
    #[error("`{path}` is there already and {reason}")]
    Occupied {
        /// Which file or folder.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError::Io { action, path, source }
}

/// Writes the image into the layout at `dir` under `tag`; the layout is made where there is none, other images in it
/// stay, one of the same tag gives its name up. Layers come from `source`. `index.json` changes last and at once, so
/// that whoever reads the layout meanwhile sees it before or after.
pub fn write_layout(image: &Image, source: &dyn BlobSource, dir: &Path, tag: &str) -> Result<(), WriteError> {
    let blobs = dir.join("blobs/sha256");
    let marker = dir.join("oci-layout");
    let fresh = !marker.exists();
    // Asked again: another run may have made the layout meanwhile.
    if fresh && has_other_things(dir) && !marker.exists() {
        let reason = "is not an OCI image layout; name a new or empty folder".to_owned();
        return Err(WriteError::Occupied { path: dir.to_owned(), reason });
    }
    fs::create_dir_all(&blobs).map_err(io_error("create folder", &blobs))?;
    if fresh {
        let mut file = temporary(dir)?;
        file.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(io_error("write", &marker))?;
        match file.persist_noclobber(&marker) {
            // Another run was first: its file is the one to lock.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            other => drop(other.map_err(|error| io_error("rename to", &marker)(error.error))?),
        }
    }
    // Two that write to one layout take turns, else one of the names would be lost.
    let lock = File::open(&marker).map_err(io_error("open", &marker))?;
    lock.lock().map_err(io_error("lock", &marker))?;
    leftover::clear_named(dir, &[NEW]);
    leftover::clear_named(&blobs, &[NEW]);

    for layer in &image.layers {
        put_layer(&blobs, layer, source)?;
    }
    put(&blobs, &blobs.join(image.config_descriptor.digest.hex()), &image.config)?;
    put(&blobs, &blobs.join(image.digest.hex()), &image.manifest)?;
    let index = dir.join("index.json");
    let named = named(&index, image, tag)?;
    put(dir, &index, named.to_string().as_bytes())
}

/// Whether the folder holds what neither a layout that is being made nor one that was given up half-made holds.
fn has_other_things(dir: &Path) -> bool {
    let other = |name: &str| !matches!(name, "blobs" | "oci-layout") && !name.starts_with(NEW);
    fs::read_dir(dir).is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_str().is_none_or(other)))
}

/// The layout's index with the image in it under its tag; all else is kept as it is.
fn named(path: &Path, image: &Image, tag: &str) -> Result<Value, WriteError> {
    let mut old = Vec::new();
    match regular::open(path).and_then(|file| file.take(MAX_MANIFEST).read_to_end(&mut old)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => old = b"{}".to_vec(),
        Err(error) => return Err(io_error("read", path)(error)),
    }
    let occupied = |reason: String| WriteError::Occupied { path: path.to_owned(), reason };
    let mut index: Map<String, Value> =
        serde_json::from_slice(&old).map_err(|error| occupied(format!("can't be read: {error}")))?;
    index.insert("schemaVersion".to_owned(), 2.into());
    index.entry("mediaType").or_insert(crate::media::OCI_INDEX.into());
    let Value::Array(entries) = index.entry("manifests").or_insert(Value::Array(Vec::new())) else {
        return Err(occupied("its `manifests` is not a list".to_owned()));
    };
    entries.retain(|entry| entry["annotations"][REF_NAME] != tag);
    let mut entry = json!({
        "mediaType": image.format.manifest(),
        "digest": image.digest,
        "size": image.manifest.len(),
        "annotations": { REF_NAME: tag },
    });
    // An image that we made has a config that can be read.
    if let Ok(config) = ImageConfig::parse(&image.config) {
        entry["platform"] = json!(config.platform());
    }
    entries.push(entry);
    Ok(Value::Object(index))
}

fn put_layer(blobs: &Path, layer: &Descriptor, source: &dyn BlobSource) -> Result<(), WriteError> {
    let path = blobs.join(layer.digest.hex());
    if fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == layer.size) {
        return Ok(());
    }
    let mut file = temporary(blobs)?;
    let failed = |source| WriteError::Layer { digest: layer.digest, path: path.clone(), source };
    let opened = source.open(layer).map_err(failed)?;
    io::copy(&mut CheckedReader::new(opened, layer), &mut file).map_err(failed)?;
    name(file, &path)
}

fn put(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut file = temporary(folder)?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    name(file, path)
}

/// A temporary file beside what it will become.
fn temporary(folder: &Path) -> Result<tempfile::NamedTempFile, WriteError> {
    leftover::beside(folder, NEW).map_err(io_error("create a temporary file in", folder))
}

/// Syncs the file and gives it its name.
pub(crate) fn name(file: tempfile::NamedTempFile, path: &Path) -> Result<(), WriteError> {
    file.as_file().sync_data().map_err(io_error("sync", path))?;
    file.persist(path).map_err(|error| io_error("rename to", path)(error.error))?;
    Ok(())
}
