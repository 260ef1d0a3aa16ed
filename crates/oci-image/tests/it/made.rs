//! Images made in code for the tests.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::atomic::{AtomicUsize, Ordering},
};

use oci_image::{Base, BlobSource, CheckedReader, Descriptor, Digest, Platform, Store, UnpackError, read_layer};
use serde_json::{Value, json};

pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const OCI_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub const OCI_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

pub fn arm64() -> Platform {
    Platform::linux_arm64()
}

/// An empty store in a folder of its own.
pub fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    let digest = digest(bytes);
    Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64, urls: Vec::new() }
}

/// Blobs in memory.
#[derive(Debug, Default, Clone)]
pub struct Blobs(pub BTreeMap<Digest, Vec<u8>>);

impl Blobs {
    pub fn put(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = descriptor(media_type, bytes);
        self.0.insert(descriptor.digest, bytes.to_owned());
        descriptor
    }

    /// The blobs as the files of a layout in an archive, with these beside them.
    pub fn archived(&self, others: &[(&str, &[u8])]) -> Vec<u8> {
        let names = self.0.iter().map(|(digest, bytes)| (format!("blobs/sha256/{}", digest.hex()), bytes.as_slice()));
        let names: Vec<_> = names.chain(others.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes))).collect();
        tar(&names.iter().map(|(name, bytes)| Made::File(name, bytes)).collect::<Vec<_>>())
    }
}

impl BlobSource for Blobs {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.0.get(&blob.digest).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(CheckedReader::new(bytes.as_slice(), blob)))
    }
}

/// Counts how often it is asked.
pub struct Counted(pub Blobs, AtomicUsize);

impl Counted {
    pub fn new(blobs: Blobs) -> Self {
        Self(blobs, AtomicUsize::new(0))
    }

    /// Times that it was asked since the last call.
    pub fn take(&self) -> usize {
        self.1.swap(0, Ordering::Relaxed)
    }
}

impl BlobSource for Counted {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open(blob)
    }
}

/// The archives in all layers of a base, each checked against its diff id.
pub fn contents(source: &dyn BlobSource, base: &Base) -> Vec<Vec<u8>> {
    let read = |(layer, diff_id): (&Descriptor, &Digest)| {
        let whole = read_layer(source, layer, Some(*diff_id), |stream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            Ok::<_, UnpackError>(bytes)
        });
        whole.unwrap().0
    };
    base.layers.iter().zip(base.config.diff_ids()).map(read).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What is in a gzip stream, which has to be one member.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    // `bufread` stops at the end of the first member; nothing may be left.
    let mut decoder = flate2::bufread::GzDecoder::new(bytes);
    let mut unpacked = Vec::new();
    decoder.read_to_end(&mut unpacked).unwrap();
    assert!(decoder.into_inner().is_empty(), "more than one member");
    unpacked
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One entry of a tar archive to be made.
pub enum Made<'a> {
    Dir(&'a str, u32),
    File(&'a str, &'a [u8]),
    Mode(&'a str, u32, &'a [u8]),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
    Whiteout(&'a str),
    Opaque(&'a str),
}

pub fn tar(entries: &[Made<'_>]) -> Vec<u8> {
    use tar::EntryType;
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: EntryType, mode: u32, link: Option<&str>, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(1000);
        header.set_gid(100);
        header.set_mtime(1_600_000_000);
        header.set_size(bytes.len() as u64);
        match link {
            Some(target) => builder.append_link(&mut header, path, target).unwrap(),
            None => builder.append_data(&mut header, path, bytes).unwrap(),
        }
    };
    for entry in entries {
        match entry {
            Made::Dir(path, mode) => add(&format!("{path}/"), EntryType::Directory, *mode, None, b""),
            Made::File(path, bytes) => add(path, EntryType::Regular, 0o644, None, bytes),
            Made::Mode(path, mode, bytes) => add(path, EntryType::Regular, *mode, None, bytes),
            Made::Link(path, target) => add(path, EntryType::Symlink, 0o777, Some(target), b""),
            Made::Hard(path, target) => add(path, EntryType::Link, 0o644, Some(target), b""),
            Made::Whiteout(path) => {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                let marker = format!("{folder}/.wh.{name}");
                add(marker.trim_start_matches('/'), EntryType::Regular, 0o644, None, b"");
            }
            Made::Opaque(path) => add(&format!("{path}/.wh..wh..opq"), EntryType::Regular, 0o644, None, b""),
        }
    }
    builder.into_inner().unwrap()
}

/// A config for arm64 with these layers.
pub fn config(archives: &[Vec<u8>]) -> Value {
    json!({
        "architecture": "arm64",
        "os": "linux",
        "created": "2022-11-09T00:00:00Z",
        "config": { "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"], "Cmd": ["bash"] },
        "rootfs": { "type": "layers", "diff_ids": archives.iter().map(|tar| digest(tar)).collect::<Vec<_>>() },
    })
}

/// A manifest over a config and layers, all of them in `blobs`.
pub fn manifest(blobs: &mut Blobs, config: &Value, layers: &[Descriptor]) -> Descriptor {
    let config = blobs.put(OCI_CONFIG, config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers });
    blobs.put(OCI_MANIFEST, manifest.to_string().as_bytes())
}

/// A whole image of these archives, gzipped.
pub fn image(blobs: &mut Blobs, archives: &[Vec<u8>]) -> Descriptor {
    let layers: Vec<_> = archives.iter().map(|tar| blobs.put(OCI_GZIP, &gzip(tar))).collect();
    manifest(blobs, &config(archives), &layers)
}

/// A base of these layers, each with its media type; the config says that the archives are in them.
pub fn base_of(blobs: &mut Blobs, layers: &[(&str, Vec<u8>)], archives: &[Vec<u8>]) -> Base {
    let layers: Vec<_> = layers.iter().map(|(media_type, bytes)| blobs.put(media_type, bytes)).collect();
    let config = config(archives);
    let top = manifest(blobs, &config, &layers);
    Base::new("base", &blobs.0[&top.digest], None, config.to_string().into_bytes()).unwrap()
}

/// Bytes that do not compress.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
