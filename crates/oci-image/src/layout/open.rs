//! Opening an image in an OCI image layout.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    Base, BaseError, BlobSource, CheckedReader, Descriptor, Index, IndexEntry, Platform,
    base::listed,
    checked::{open_regular, read_small},
    media::MAX_MANIFEST,
};

/// The blobs of a layout.
#[derive(Debug, Clone)]
pub struct LayoutSource {
    root: PathBuf,
}

impl BlobSource for LayoutSource {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let path = self.root.join("blobs/sha256").join(blob.digest.hex());
        let file = open_regular(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("failed to open `{}`: {error}", path.display())))?;
        Ok(Box::new(CheckedReader::new(file, blob)))
    }
}

/// Opens the image of this tag in the layout at `dir`; without a tag, the only one, or the only one for `platform`.
pub fn open_layout(dir: &Path, tag: Option<&str>, platform: &Platform) -> Result<(Base, LayoutSource), BaseError> {
    let refused = |reason: &str| BaseError::is_not(dir, "an OCI image layout", reason);
    // 4 KiB: it holds one short key.
    let marker = match read_file(&dir.join("oci-layout"), 4096) {
        Err(BaseError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && dir.exists() => {
            return Err(refused("there is no file `oci-layout` in it"));
        }
        marker => marker?,
    };
    let marker: serde_json::Value =
        serde_json::from_slice(&marker).map_err(|error| refused(&format!("`oci-layout` can't be read: {error}")))?;
    match marker["imageLayoutVersion"].as_str() {
        Some("1.0.0") => {}
        Some(other) => return Err(refused(&format!("it is of version `{other}`, known is 1.0.0"))),
        None => return Err(refused("its `oci-layout` does not say `imageLayoutVersion`")),
    }
    let mut name = format!("oci:{}", dir.display());
    name.extend(tag.iter().flat_map(|tag| [":", tag]));
    let source = LayoutSource { root: dir.to_owned() };
    let index = read_file(&dir.join("index.json"), MAX_MANIFEST)?;
    Ok((image_in(&index, &name, dir, tag, platform, &source)?, source))
}

/// The image that is meant of those that the bytes of an `index.json` list; the entry may be an index of its own.
/// `name` and `place` are what the image and its layout are called.
pub(crate) fn image_in(
    index: &[u8],
    name: &str,
    place: &Path,
    tag: Option<&str>,
    platform: &Platform,
    source: &dyn BlobSource,
) -> Result<Base, BaseError> {
    let index = Index::parse(index, None).map_err(BaseError::document(name))?;
    let entry = entry_of(&index, place, tag, platform)?;
    let manifest = |blob: &Descriptor| read_small(source, blob, MAX_MANIFEST);
    let document = manifest(&entry.descriptor).map_err(BaseError::blob("manifest", name))?;
    let media_type = Some(entry.descriptor.media_type.as_str());
    let base = Base::resolve(name, &document, media_type, platform, &mut { manifest }, source)?;
    Ok(Base { names: entry.names().map(str::to_owned).collect(), ..base })
}

fn entry_of<'a>(
    index: &'a Index,
    place: &Path,
    tag: Option<&str>,
    platform: &Platform,
) -> Result<&'a IndexEntry, BaseError> {
    let images = || index.manifests.iter().filter(|entry| !entry.is_attestation());
    let mut there: Vec<String> = images().flat_map(IndexEntry::names).map(str::to_owned).collect();
    there.sort();
    there.dedup();
    let mut found: Vec<&IndexEntry> = images().filter(|entry| tag.is_none_or(|tag| entry.is_named(tag))).collect();
    // One image under two names is one image.
    found.dedup_by_key(|entry| entry.descriptor.digest);
    if found.len() > 1 {
        found.retain(|entry| entry.platform.as_ref().is_some_and(|there| there.serves(platform)));
    }
    match (found.as_slice(), tag) {
        ([entry], _) => Ok(entry),
        ([], Some(tag)) => {
            let place = place.display();
            Err(BaseError::refused(format!("`{place}` has no image `{tag}`; it has {}", listed(&there))))
        }
        ([], None) if images().next().is_none() => {
            Err(BaseError::is_not(place, "an OCI image layout that can be used", "it holds no image"))
        }
        _ => Err(BaseError::Several { place: place.to_owned(), there }),
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, BaseError> {
    let io_error = BaseError::io(path);
    let mut bytes = Vec::new();
    open_regular(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(&io_error)?;
    if bytes.len() as u64 > limit {
        let reason = format!("it has more than {limit} bytes");
        return Err(io_error(io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    Ok(bytes)
}
