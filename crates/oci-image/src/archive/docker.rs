//! `manifest.json` of a docker archive: one file of config and one file a layer, no manifest.

use std::{collections::BTreeMap, io::Read, path::Path, time::UNIX_EPOCH};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::members::{Member, Members, open, refused};
use crate::{
    Base, BaseError, Compression, Descriptor, Digest, Format, ImageConfig, Manifest, Store,
    media::{MAX_CONFIG, MAX_MANIFEST, OCI_CONFIG, OCI_LAYER, OCI_LAYER_TAR},
};

/// One image of `manifest.json`, as docker writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// Puts together the one image of the archive. `read` gives a small file whole, `layer` describes the layer in a file
/// that has to have this diff id, and is none where there is no such file.
pub(crate) fn image(
    name: &str,
    path: &Path,
    read: impl Fn(&str, u64) -> Result<Vec<u8>, BaseError>,
    mut layer: impl FnMut(&str, Digest) -> Result<Option<Descriptor>, BaseError>,
) -> Result<Base, BaseError> {
    let listed: Vec<Listed> = serde_json::from_slice(&read("manifest.json", MAX_MANIFEST)?)
        .map_err(|error| refused(path, format!("`manifest.json` can't be read: {error}")))?;
    let image = match listed.as_slice() {
        [image] => image,
        [] => return Err(refused(path, "it holds no image".to_owned())),
        several => {
            let name = |image: &Listed| match image.repo_tags.as_deref() {
                Some([tag, ..]) => tag.clone(),
                _ => image.config.clone(),
            };
            return Err(BaseError::Several { place: path.to_owned(), there: several.iter().map(name).collect() });
        }
    };
    let name = name.to_owned();
    let config_bytes = read(&image.config, MAX_CONFIG)?;
    let config =
        ImageConfig::parse(&config_bytes).map_err(|source| BaseError::Config { name: name.clone(), source })?;
    let (layers, diff_ids) = (image.layers.len(), config.diff_ids().len());
    if layers != diff_ids {
        return Err(BaseError::Layers { name, layers, diff_ids });
    }
    let mut layers = Vec::new();
    for (file, diff_id) in image.layers.iter().zip(config.diff_ids()) {
        layers.push(layer(file, *diff_id)?.ok_or_else(|| refused(path, format!("it has no layer `{file}`")))?);
    }
    let manifest = Manifest {
        format: Format::Oci,
        config: Descriptor {
            media_type: OCI_CONFIG.to_owned(),
            digest: Digest::of(&config_bytes),
            size: config_bytes.len() as u64,
            urls: Vec::new(),
        },
        layers,
    };
    Base::new(&name, &manifest.to_json(), None, config_bytes)
}

/// Opens the one image of an archive on the disk. An uncompressed layer's digest is its diff id, which whoever reads it
/// checks; that of a compressed one is computed here, once for each file as long as its time and length stay the same.
pub(crate) fn read(
    store: &Store,
    path: &Path,
    members: &Members,
) -> Result<(Base, BTreeMap<Digest, Member>), BaseError> {
    let mut blobs = BTreeMap::new();
    let layer = |file: &str, diff_id| {
        let Some(member) = members.find(file) else { return Ok(None) };
        let layer = describe(store, path, *member, diff_id)?;
        blobs.insert(layer.digest, *member);
        Ok(Some(layer))
    };
    let name = format!("docker-archive:{}", path.display());
    let base = image(&name, path, |name, limit| members.read(name, limit), layer)?;
    Ok((base, blobs))
}

/// A layer with this digest, compressed like that.
pub(crate) fn layer(compression: Compression, digest: Digest, size: u64) -> Descriptor {
    let media_type = match compression {
        Compression::None => OCI_LAYER_TAR,
        Compression::Gzip => OCI_LAYER,
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    };
    Descriptor { media_type: media_type.to_owned(), digest, size, urls: Vec::new() }
}

fn describe(store: &Store, path: &Path, member: Member, diff_id: Digest) -> Result<Descriptor, BaseError> {
    let io_error = |source| BaseError::Io { path: path.to_owned(), source };
    let mut start = Vec::new();
    open(path, member).map_err(io_error)?.take(6).read_to_end(&mut start).map_err(io_error)?;
    let compression = Compression::of_magic(&start);
    let digest = if compression == Compression::None { diff_id } else { digest_of(store, path, member)? };
    Ok(layer(compression, digest, member.size))
}

/// SHA-256 of a member, from the store where the same file was asked for before.
fn digest_of(store: &Store, path: &Path, member: Member) -> Result<Digest, BaseError> {
    let io_error = |source| BaseError::Io { path: path.to_owned(), source };
    let key = || -> std::io::Result<String> {
        let meta = path.metadata()?;
        let changed = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = path.canonicalize()?;
        Ok(format!("{} {} {changed} {} {}", path.display(), meta.len(), member.offset, member.size))
    };
    let key = key().map_err(io_error)?;
    if let Some(digest) = store.record("archive-layer", &key)? {
        return Ok(digest);
    }
    let mut hash = Sha256::new();
    let mut source = open(path, member).map_err(io_error)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error(error)),
        }
    }
    let digest = Digest::from_bytes(hash.finalize().into());
    store.put_record("archive-layer", &key, &digest)?;
    Ok(digest)
}
