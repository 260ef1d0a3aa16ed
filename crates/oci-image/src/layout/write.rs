//! Writing an image into an OCI image layout.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use serde_json::{Map, Value, json};

use crate::{
    BlobSource, CheckedReader, Descriptor, Digest, Format, Image, ImageConfig, checked::open_regular,
    document::REF_NAME, leftover, media::MAX_MANIFEST,
};

/// What names of files begin with that are not yet whole.
const NEW: &str = ".new-";

/// Why an image could not be written: which file the system refused, which layer could not be read or is not what its
/// descriptor says, what is in the way.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct WriteError {
    message: String,
    source: Option<io::Error>,
}

impl WriteError {
    pub(crate) fn layer(digest: &Digest, path: &Path) -> impl Fn(io::Error) -> Self {
        let message = format!("failed to copy layer {digest} to `{}`", path.display());
        move |source| Self { message: message.clone(), source: Some(source) }
    }

    /// Something else is there already.
    pub(crate) fn occupied(path: &Path, reason: &str) -> Self {
        Self { message: format!("`{}` is there already and {reason}", path.display()), source: None }
    }
}

pub(crate) fn io_error(action: &str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let message = format!("failed to {action} `{}`", path.display());
    move |source| WriteError { message, source: Some(source) }
}

/// Whether an image can be written into a layout at `dir`, as far as what is there tells.
pub fn check_layout(dir: &Path) -> Result<(), WriteError> {
    if fs::metadata(dir).is_ok_and(|meta| !meta.is_dir()) {
        return Err(WriteError::occupied(dir, "is not a folder"));
    }
    let marker = dir.join("oci-layout");
    // Asked again: another run may have made the layout meanwhile.
    if !marker.exists() && has_other_things(dir) && !marker.exists() {
        return Err(WriteError::occupied(dir, "is not an OCI image layout"));
    }
    read_index(&dir.join("index.json")).map(drop)
}

/// Writes the image into the layout at `dir` under `tag`, and gives the digest of its manifest there; the layout is
/// made where there is none, other images in it stay, one of the same tag gives its name up. The manifest is OCI's
/// whatever the image's own format is: tools that read layouts take no other. Layers come from `source`. `index.json`
/// changes last and at once, so that whoever reads the layout meanwhile sees it before or after. Where not one blob could
/// be written, a new folder is left empty.
pub fn write_layout(image: &Image, source: &dyn BlobSource, dir: &Path, tag: &str) -> Result<Digest, WriteError> {
    check_layout(dir)?;
    let image = &image.in_format(Format::Oci);
    let blobs = dir.join("blobs/sha256");
    let marker = dir.join("oci-layout");
    let _lock = loop {
        fs::create_dir_all(dir).map_err(io_error("create folder", dir))?;
        if !marker.exists() {
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
        // One that failed has removed it meanwhile, and another may have made it again.
        let file = |meta: io::Result<fs::Metadata>| meta.ok().map(|meta| (meta.dev(), meta.ino()));
        if file(lock.metadata()) == file(fs::metadata(&marker)) {
            break lock;
        }
    };
    leftover::clear(dir, &[NEW]);
    leftover::clear(&blobs, &[NEW]);
    let written = put_all(image, source, dir, &blobs, tag);
    if written.is_err() && !dir.join("index.json").exists() {
        // Each only if it is empty.
        let empty = fs::remove_dir(&blobs).and_then(|()| fs::remove_dir(dir.join("blobs")));
        let _ = empty.and_then(|()| fs::remove_file(&marker));
    }
    written.map(|()| image.digest)
}

fn put_all(image: &Image, source: &dyn BlobSource, dir: &Path, blobs: &Path, tag: &str) -> Result<(), WriteError> {
    fs::create_dir_all(blobs).map_err(io_error("create folder", blobs))?;
    for layer in &image.layers {
        put_layer(blobs, layer, source)?;
    }
    put(blobs, &blobs.join(image.config_descriptor.digest.hex()), &image.config)?;
    put(blobs, &blobs.join(image.digest.hex()), &image.manifest)?;
    let index = dir.join("index.json");
    let named = named(&index, image, tag)?;
    put(dir, &index, named.to_string().as_bytes())
}

/// Whether the folder holds what neither a layout that is being made nor one that was given up half-made holds.
fn has_other_things(dir: &Path) -> bool {
    let other = |name: &str| !matches!(name, "blobs" | "oci-layout") && !name.starts_with(NEW);
    fs::read_dir(dir).is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_str().is_none_or(other)))
}

/// The layout's index, with a list of manifests in it; an empty one where there is none yet.
fn read_index(path: &Path) -> Result<Map<String, Value>, WriteError> {
    let mut old = Vec::new();
    match open_regular(path).and_then(|file| file.take(MAX_MANIFEST).read_to_end(&mut old)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => old = b"{}".to_vec(),
        Err(error) => return Err(io_error("read", path)(error)),
    }
    let mut index: Map<String, Value> =
        serde_json::from_slice(&old).map_err(|error| WriteError::occupied(path, &format!("can't be read: {error}")))?;
    index.insert("schemaVersion".to_owned(), 2.into());
    index.entry("mediaType").or_insert(crate::media::OCI_INDEX.into());
    match index.entry("manifests").or_insert(Value::Array(Vec::new())) {
        Value::Array(_) => Ok(index),
        _ => Err(WriteError::occupied(path, "its `manifests` is not a list")),
    }
}

/// The layout's index with the image in it under its tag; all else is kept as it is.
fn named(path: &Path, image: &Image, tag: &str) -> Result<Value, WriteError> {
    let mut index = read_index(path)?;
    let Some(Value::Array(entries)) = index.get_mut("manifests") else { unreachable!("made a list when it was read") };
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
    let failed = WriteError::layer(&layer.digest, &path);
    let opened = source.open(layer).map_err(&failed)?;
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
    leftover::readable_file(folder, NEW).map_err(io_error("create a temporary file in", folder))
}

/// Syncs the file and gives it its name.
pub(crate) fn name(file: tempfile::NamedTempFile, path: &Path) -> Result<(), WriteError> {
    file.as_file().sync_data().map_err(io_error("sync", path))?;
    file.persist(path).map_err(|error| io_error("rename to", path)(error.error))?;
    Ok(())
}
