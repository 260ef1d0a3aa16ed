//! What a fetch leaves beside its wheels: what it was asked for and what came.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::Context;
use image_name::Digest;
use serde::{Deserialize, Serialize};

use super::request::Request;
use crate::resolve::{place, wheels::wheel_name};

/// The record, `fetched.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What pip was asked for; none while files are on their way in, so that an interrupted fetch is not taken for one
    /// that is done.
    pub request: Option<Request>,
    /// The wheels that are fetch's own, by file name: it may remove them.
    pub files: BTreeMap<String, FileRecord>,
}

/// One wheel.
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

impl Record {
    /// The record in this folder. One that can not be read counts as none: the next fetch writes it anew.
    pub fn load(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => {
                let record: Option<Self> = serde_json::from_slice(&bytes).ok();
                // Files are removed by these names: none may lead out of the folder.
                Ok(record.filter(|record| record.files.keys().all(|file| wheel_name(file).is_ok())))
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
