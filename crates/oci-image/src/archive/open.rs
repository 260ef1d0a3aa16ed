//! Opening an image in a docker archive on the disk.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use lzma_rust2::XzReader;

use super::{
    docker,
    import::{import, imported},
    members::{Members, refused},
};
use crate::{
    Base, BaseError, BlobSource, CheckedReader, Compression, Descriptor, Digest, Platform, Store,
    checked::{digest_of, open_regular, read_full},
    layout::image_in,
    media::MAX_MANIFEST,
    unpack::decoder,
};

/// What xz may take of the memory: 128 MiB, as zstd. `xz -9` asks for 65.
const MAX_XZ_KIB: u32 = 128 << 10;

/// Where a file lies in the archive.
#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    size: u64,
}

/// The blobs of an archive that is not compressed as a whole, and where they lie.
struct ArchiveSource {
    path: PathBuf,
    blobs: BTreeMap<Digest, Extent>,
}

impl BlobSource for ArchiveSource {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let missing = || format!("`{}` has no blob {}", self.path.display(), blob.digest);
        let extent = *self.blobs.get(&blob.digest).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing()))?;
        Ok(Box::new(CheckedReader::new(open(&self.path, extent)?, blob)))
    }
}

fn open(archive: &Path, extent: Extent) -> io::Result<Take<File>> {
    let mut file = open_regular(archive)?;
    file.seek(SeekFrom::Start(extent.offset))?;
    Ok(file.take(extent.size))
}

/// How a stream is compressed, by its first bytes.
fn compression_of(source: &mut dyn Read) -> io::Result<Compression> {
    let mut start = [0; 4];
    read_full(source, &mut start).map(|length| Compression::of_magic(&start[..length]))
}

/// What is in a file that is compressed as a whole; none where it is not.
fn decompressed(path: &Path, file: &File) -> Result<Option<Box<dyn Read>>, BaseError> {
    let io_error = BaseError::io(path);
    let mut file = BufReader::new(file.try_clone().map_err(&io_error)?);
    // The buffer's first fill is more than any magic number.
    let start = file.fill_buf().map_err(&io_error)?;
    if start.starts_with(b"BZh") {
        return Err(refused(path, "it is compressed with bzip2; gzip, zstd and xz are read"));
    }
    if start.starts_with(b"\xfd7zXZ\0") {
        return Ok(Some(Box::new(XzReader::new_mem_limit(file, true, MAX_XZ_KIB))));
    }
    match decoder(file).map_err(&io_error)? {
        (Compression::None, _) => Ok(None),
        (_, archive) => Ok(Some(archive)),
    }
}

/// Notes that a decompressor wants more than there is, which whoever reads from it may tell as something else.
struct NotingEnd<'a> {
    archive: Box<dyn Read>,
    is_cut_off: &'a Cell<bool>,
}

impl Read for NotingEnd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.archive.read(buffer);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            self.is_cut_off.set(true);
        }
        read
    }
}

/// Opens the one image of an archive, in any form that there is: that of `docker save` and `podman save`
/// (`manifest.json`, a tar archive a layer), that of docker 25 and later (an OCI layout beside it), a plain OCI layout
/// in a tar archive. The contents of layers are not read, except that compressed ones without a digest are hashed,
/// once, remembered in `store`. An archive that is compressed as a whole can't be read at any place: it is taken into
/// the store, once, as one that an engine streams.
pub fn open_archive(
    store: &Store,
    path: &Path,
    platform: &Platform,
) -> Result<(Base, Box<dyn BlobSource + Send + Sync>), BaseError> {
    let io_error = BaseError::io(path);
    let name = format!("docker-archive:{}", path.display());
    let mut file = open_regular(path).map_err(&io_error)?;
    if let Some(archive) = decompressed(path, &file)? {
        let is_cut_off = Cell::new(false);
        let archive = NotingEnd { archive, is_cut_off: &is_cut_off };
        let size = file.metadata().map_err(&io_error)?.len();
        let id = remembered_digest(store, path, Extent { offset: 0, size })?;
        let (base, source) = match imported(store, &name, &id, platform)? {
            Some(image) => image,
            None => import(store, &name, &id, archive, platform).map_err(|error| match is_cut_off.get() {
                true => BaseError::CutOff { path: path.to_owned() },
                false => error,
            })?,
        };
        return Ok((base, Box::new(source)));
    }
    file.rewind().map_err(&io_error)?;
    let extent = |offset, size| Ok(Extent { offset, size });
    let members = Members::list(path, BufReader::new(file), |entry, size, _| extent(entry.offset, size))?;
    let read = |name: &str, limit| {
        let extent = *members.need(name)?;
        if extent.size > limit {
            let reason = format!("`{name}` has {} bytes; at most {limit} are read", extent.size);
            return Err(refused(path, &reason));
        }
        let mut bytes = Vec::new();
        open(path, extent).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(&io_error)?;
        Ok(bytes)
    };
    if members.is_layout() {
        let blob = |(hex, extent): (&str, &Extent)| Some((format!("sha256:{hex}").parse().ok()?, *extent));
        let blobs = members.below("blobs/sha256/").filter_map(blob).collect();
        let source = ArchiveSource { path: path.to_owned(), blobs };
        let base = image_in(&read("index.json", MAX_MANIFEST)?, &name, path, None, platform, &source)?;
        return Ok((base, Box::new(source)));
    }
    let mut blobs = BTreeMap::new();
    // An uncompressed layer's digest is its diff id, which whoever reads it checks.
    let layer = |_: &str, extent: &Extent, diff_id| {
        let compression = open(path, *extent).and_then(|mut file| compression_of(&mut file)).map_err(&io_error)?;
        let digest = match compression {
            Compression::None => diff_id,
            _ => remembered_digest(store, path, *extent)?,
        };
        blobs.insert(digest, *extent);
        Ok(Descriptor::new(compression.oci_layer(), digest, extent.size))
    };
    let base = docker::image(&name, path, &members, read, layer)?;
    base.require(platform)?;
    Ok((base, Box::new(ArchiveSource { path: path.to_owned(), blobs })))
}

/// SHA-256 of a file in the archive, computed once as long as the archive's time and length stay the same.
fn remembered_digest(store: &Store, path: &Path, extent: Extent) -> Result<Digest, BaseError> {
    let key = || -> io::Result<String> {
        let meta = path.metadata()?;
        let changed = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = path.canonicalize()?;
        Ok(format!("{} {} {changed} {} {}", path.display(), meta.len(), extent.offset, extent.size))
    };
    let key = key().map_err(BaseError::io(path))?;
    if let Some(digest) = store.record("archive-layer", &key)? {
        return Ok(digest);
    }
    let digest = open(path, extent).and_then(|mut file| digest_of(&mut file)).map_err(BaseError::io(path))?;
    store.put_record("archive-layer", &key, &digest)?;
    Ok(digest)
}
