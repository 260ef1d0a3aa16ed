//! What a fetch leaves beside the files that it brought: what it was asked for and what came.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::Context;
use image_name::Digest;
use oci_image::Store;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::resolve::{place, wheels::digest};

/// The record, `fetched.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<R> {
    /// What was asked for; none while files are on their way in, so that an interrupted fetch is not taken for one that
    /// is done.
    pub request: Option<R>,
    /// The files that are fetch's own, by name: it may remove them.
    pub files: BTreeMap<String, FileRecord>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub size: u64,
    pub sha256: Digest,
}

const NAME: &str = "fetched.json";

/// Whether a fetch ever put something into this folder.
pub fn was_here(folder: &Path) -> bool {
    folder.join(NAME).exists()
}

/// Those of the files that are not there with this content: the store remembers digests, so this is quick.
pub fn lacking(files: &BTreeMap<String, FileRecord>, folder: &Path, store: &Store) -> Vec<String> {
    let files: Vec<_> = files.iter().collect();
    let length = |(_, known): &(&String, &FileRecord)| known.size;
    let lacking = side_by_side::map_longest_first(&files, side_by_side::cores(), length, |(file, known)| {
        let is_there = digest(store, &folder.join(file)).is_ok_and(|found| found == (known.size, known.sha256));
        (!is_there).then(|| String::clone(file))
    });
    lacking.into_iter().flatten().collect()
}

/// Says that these files are [`lacking`].
pub fn gone(lacking: &[String], folder: &Path) -> String {
    format!("files fetched into `{}` are gone or changed: `{}`", folder.display(), lacking.join("`, `"))
}

impl<R: Serialize + DeserializeOwned> Record<R> {
    /// The record in this folder. One that can not be read counts as none: the next fetch writes it anew.
    pub fn load(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => {
                let record: Option<Self> = serde_json::from_slice(&bytes).ok();
                // Files are removed by these names: none may lead out of the folder.
                let is_plain =
                    |file: &String| [".whl", ".deb"].iter().any(|end| file.ends_with(end)) && !file.contains('/');
                Ok(record.filter(|record| record.files.keys().all(is_plain)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
        }
    }

    /// Writes the record, the whole of it or nothing.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(NAME);
        let writing = || format!("failed to write `{}`", path.display());
        let mut text = serde_json::to_string_pretty(self).with_context(writing)?;
        text.push('\n');
        place::write_whole(&path, &text).with_context(writing)
    }
}
