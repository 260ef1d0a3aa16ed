//! Opening an image in an OCI image layout.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    Base, BaseError, BlobSource, CheckedReader, Descriptor, Index, IndexEntry, Platform, checked::read_small,
    media::MAX_MANIFEST, regular,
};

/// The blobs of a layout.
#[derive(Debug, Clone)]
pub struct LayoutSource {
    root: PathBuf,
}

impl BlobSource for LayoutSource {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let path = self.root.join("blobs/sha256").join(blob.digest.hex());
        let file = regular::open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("failed to open `{}`: {error}", path.display())))?;
        Ok(Box::new(CheckedReader::new(file, blob)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// Opens the image of this tag in the layout at `dir`; without a tag, the only one, or the only one for `platform`.
pub fn open_layout(dir: &Path, tag: Option<&str>, platform: &Platform) -> Result<(Base, LayoutSource), BaseError> {
    let refused = |reason: String| BaseError::Place { place: dir.to_owned(), what: "an OCI image layout", reason };
    // 4 KiB: it holds one short key.
    let marker = match read_file(&dir.join("oci-layout"), 4096) {
        Err(BaseError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(refused("there is no file `oci-layout` in it".to_owned()));
        }
        marker => marker?,
    };
    let marker: Marker =
        serde_json::from_slice(&marker).map_err(|error| refused(format!("`oci-layout` can't be read: {error}")))?;
    if marker.image_layout_version != "1.0.0" {
        return Err(refused(format!("it is of version `{}`, known is 1.0.0", marker.image_layout_version)));
    }
    let name = match tag {
        Some(tag) => format!("oci:{}:{tag}", dir.display()),
        None => format!("oci:{}", dir.display()),
    };
    let index = read_file(&dir.join("index.json"), MAX_MANIFEST)?;
    let index = Index::parse(&index, None).map_err(|source| BaseError::Manifest { name: name.clone(), source })?;
    let source = LayoutSource { root: dir.to_owned() };
    let entry = entry_of(&index, dir, tag, platform)?;
    let base = resolve(&name, entry, platform, &source)?;
    Ok((base, source))
}

/// The image that an entry of `index.json` leads to; the entry may be an index of its own.
pub(crate) fn resolve(
    name: &str,
    entry: &IndexEntry,
    platform: &Platform,
    source: &dyn BlobSource,
) -> Result<Base, BaseError> {
    let manifest = |blob: &Descriptor| read_small(source, blob, MAX_MANIFEST);
    let document = manifest(&entry.descriptor).map_err(|source| BaseError::Blob {
        what: "manifest",
        name: name.to_owned(),
        source,
    })?;
    let media_type = Some(entry.descriptor.media_type.as_str());
    Base::resolve(name, &document, media_type, platform, &mut { manifest }, source)
}

/// The entry of `index.json` that is meant.
pub(crate) fn entry_of<'a>(
    index: &'a Index,
    place: &Path,
    tag: Option<&str>,
    platform: &Platform,
) -> Result<&'a IndexEntry, BaseError> {
    let images = || index.manifests.iter().filter(|entry| !entry.is_attestation());
    let mut there: Vec<String> = images().flat_map(IndexEntry::names).map(str::to_owned).collect();
    there.sort();
    there.dedup();
    let mut found: Vec<&IndexEntry> = match tag {
        Some(tag) => images().filter(|entry| entry.is_named(tag)).collect(),
        None => images().collect(),
    };
    // One image under two names is one image.
    found.dedup_by_key(|entry| entry.descriptor.digest);
    if found.len() > 1 {
        found.retain(|entry| entry.platform.as_ref().is_some_and(|there| there.serves(platform)));
    }
    let place = place.to_owned();
    match (found.as_slice(), tag) {
        ([entry], _) => Ok(entry),
        ([], Some(tag)) => Err(BaseError::NoSuchTag { place, tag: tag.to_owned(), there }),
        ([], None) if images().next().is_none() => {
            let reason = "it holds no image".to_owned();
            Err(BaseError::Place { place, what: "an OCI image layout that can be used", reason })
        }
        _ => Err(BaseError::Several { place, there }),
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, BaseError> {
    let io_error = |source| BaseError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    regular::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(io_error)?;
    if bytes.len() as u64 > limit {
        let reason = format!("it has more than {limit} bytes");
        return Err(io_error(io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    Ok(bytes)
}
