//! Opening an image in a docker archive.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    docker,
    members::{self, Member, Members},
};
use crate::{
    Base, BaseError, BlobSource, CheckedReader, Descriptor, Digest, Index, Platform, Store,
    layout::{entry_of, resolve},
    media::MAX_MANIFEST,
};

/// The blobs of an archive.
#[derive(Debug, Clone)]
pub struct ArchiveSource {
    path: PathBuf,
    blobs: BTreeMap<Digest, Member>,
}

impl BlobSource for ArchiveSource {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let missing = || format!("`{}` has no blob {}", self.path.display(), blob.digest);
        let member = *self.blobs.get(&blob.digest).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing()))?;
        Ok(Box::new(CheckedReader::new(members::open(&self.path, member)?, blob)))
    }
}

/// Opens the one image of an archive, in any form that there is: that of `docker save` and `podman save`
/// (`manifest.json`, a tar archive a layer), that of docker 25 and later (an OCI layout beside it), a plain OCI layout
/// in a tar archive. The contents of layers are not read, except that compressed ones without a digest are hashed,
/// once, remembered in `store`.
pub fn open_archive(store: &Store, path: &Path, platform: &Platform) -> Result<(Base, ArchiveSource), BaseError> {
    let members = Members::of(path)?;
    // The layout knows digests; `manifest.json` doesn't.
    if members.find("oci-layout").is_none() || members.find("index.json").is_none() {
        let (base, blobs) = docker::read(store, path, &members)?;
        base.require(platform)?;
        return Ok((base, ArchiveSource { path: path.to_owned(), blobs }));
    }
    let name = format!("docker-archive:{}", path.display());
    let blob = |(hex, member): (&str, &Member)| Some((format!("sha256:{hex}").parse().ok()?, *member));
    let blobs = members.below("blobs/sha256/").filter_map(blob).collect();
    let source = ArchiveSource { path: path.to_owned(), blobs };
    let index = Index::parse(&members.read("index.json", MAX_MANIFEST)?, None)
        .map_err(|source| BaseError::Manifest { name: name.clone(), source })?;
    let base = resolve(&name, entry_of(&index, path, None, platform)?, platform, &source)?;
    Ok((base, source))
}
