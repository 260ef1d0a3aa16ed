//! Wheels with the metadata that they need, and what comes of them.

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use oci_image::{Digest, Layer, ParentDirs, Store};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use wheel_layer::{InstalledWheel, Layout, NoCompiler, Target, WheelError, WheelFacts};

use crate::zip_file::{ZipEntry, zip};

/// 1 January 1980.
pub const MTIME: u64 = 315_532_800;

/// A wheel under construction: `demo` 1.0 for any Python 3.
#[derive(Clone)]
pub struct WheelFile {
    pub file_name: String,
    pub wheel: String,
    pub metadata: String,
    pub entries: Vec<ZipEntry>,
    /// RECORD, if it is not to be the true one.
    pub record: Option<String>,
    pub dist_info: String,
}

impl WheelFile {
    pub fn new(name: &str, version: &str) -> Self {
        let escaped = name.replace('-', "_");
        Self {
            file_name: format!("{escaped}-{version}-py3-none-any.whl"),
            wheel: "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
            metadata: format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
            entries: Vec::new(),
            record: None,
            dist_info: format!("{escaped}-{version}.dist-info"),
        }
    }

    pub fn demo() -> Self {
        Self::new("demo", "1.0")
    }

    /// Adds a deflated file.
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.entry(ZipEntry::new(name, bytes, true))
    }

    /// Adds a deflated file with a Unix mode.
    pub fn file_with_mode(self, name: &str, bytes: &[u8], mode: u32) -> Self {
        self.entry(ZipEntry { mode, ..ZipEntry::new(name, bytes, true) })
    }

    pub fn entry(mut self, entry: ZipEntry) -> Self {
        self.entries.push(entry);
        self
    }

    pub fn commands(self, text: &str) -> Self {
        let name = format!("{}/entry_points.txt", self.dist_info);
        self.file(&name, text.as_bytes())
    }

    pub fn requires(mut self, requirement: &str) -> Self {
        writeln!(self.metadata, "Requires-Dist: {requirement}").unwrap();
        self
    }

    /// The archive.
    pub fn bytes(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        for (name, text) in [("METADATA", &self.metadata), ("WHEEL", &self.wheel)] {
            entries.push(ZipEntry::new(&format!("{}/{name}", self.dist_info), text.as_bytes(), true));
        }
        let own = format!("{}/RECORD", self.dist_info);
        let record = self.record.clone().unwrap_or_else(|| {
            let mut text = String::new();
            for entry in entries.iter().filter(|entry| !entry.name.ends_with(b"/")) {
                let bytes = match entry.method {
                    8 => inflate(&entry.raw),
                    _ => entry.raw.clone(),
                };
                let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes));
                writeln!(text, "{},sha256={hash},{}", String::from_utf8_lossy(&entry.name), bytes.len()).unwrap();
            }
            text + &own + ",,\n"
        });
        entries.push(ZipEntry::new(&own, record.as_bytes(), true));
        zip(&entries, None)
    }

    /// Writes the wheel into a folder.
    pub fn write(&self, folder: &Path) -> PathBuf {
        write(folder, &self.file_name, &self.bytes())
    }

    /// The facts of the wheel.
    pub fn facts(&self) -> WheelFacts {
        let folder = tempfile::tempdir().unwrap();
        WheelFacts::read(&self.write(folder.path())).unwrap()
    }
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn inflate(raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Where it is no deflate stream, its RECORD does not matter.
    let _ = flate2::read::DeflateDecoder::new(raw).read_to_end(&mut bytes);
    bytes
}

pub fn target() -> Target {
    Target::aarch64((3, 9), (2, 28))
}

/// A store in a folder of its own.
pub fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

/// How wheels become layers: for a Python below `/opt/py`, owned by 1000:100, unless a test says otherwise.
#[derive(Clone)]
pub struct Setup {
    pub layout: Layout,
    pub parents: ParentDirs,
    /// A folder that is a link of the base, and where it leads.
    pub link: Option<(&'static str, &'static str)>,
    pub max_layer: u64,
}

pub fn setup() -> Setup {
    let layout = Layout { uid: 1000, gid: 100, ..Layout::posix_prefix("/opt/py", (3, 9), MTIME) };
    Setup { layout, parents: ParentDirs::new(), link: None, max_layer: u64::MAX }
}

impl Setup {
    /// Reads the wheel and places its files.
    pub fn install(&self, wheel: &Path) -> Result<InstalledWheel, WheelError> {
        let digest = Digest::of(fs::read(wheel).unwrap());
        let real = |folder: &str| self.link.filter(|(from, _)| *from == folder).map(|(_, to)| to.to_owned());
        let facts = Arc::new(WheelFacts::read(wheel)?);
        InstalledWheel::new(facts, wheel.to_owned(), digest, Arc::new(self.layout.clone()), real)
    }

    pub fn share(&self, store: &Store, wheels: &[InstalledWheel]) -> Result<Vec<Layer>, WheelError> {
        wheel_layer::layers(&wheels.iter().collect::<Vec<_>>(), store, &self.parents, self.max_layer, &NoCompiler)
    }

    /// Reads the wheel and makes its layers.
    pub fn layers(&self, store: &Store, wheel: &Path) -> Result<Vec<Layer>, WheelError> {
        self.share(store, &[self.install(wheel)?])
    }
}

/// 5000 bytes that do not compress, others for each seed.
pub fn noise(seed: u8) -> Vec<u8> {
    (0..5000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

/// The entries of a layer: path, mode and contents. Fails unless the blob is one gzip member.
pub fn unpack(store: &Store, layer: &Layer) -> Vec<(String, u32, Vec<u8>)> {
    let blob = fs::read(store.blob_path(&layer.digest)).unwrap();
    let mut decoder = flate2::bufread::GzDecoder::new(&blob[..]);
    let mut tar = Vec::new();
    decoder.read_to_end(&mut tar).unwrap();
    assert!(decoder.into_inner().is_empty(), "more than one member");
    assert_eq!(Digest::of(&tar), layer.diff_id);
    let mut archive = tar::Archive::new(&tar[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (1000, 100, MTIME));
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        (path, header.mode().unwrap(), bytes)
    });
    entries.collect()
}
