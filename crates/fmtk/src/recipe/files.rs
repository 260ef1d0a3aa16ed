//! `[[files]]`: a user's own files in the image.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    amounts::{Mode, Owner},
    fields::Fields,
    folder_of,
    paths::{HostPath, ImagePath, ImagePathError},
};

/// A file or folder of this machine that becomes part of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnFile {
    /// The file or folder; where relative, it begins at the recipe.
    pub from: HostPath,
    /// Its path in the image, name included.
    pub to: ImagePath,
    /// Whether that was written with a slash at the end, as is none but a folder's.
    #[serde(skip)]
    pub to_folder: bool,
    /// Permission bits of a file. Default: 0644, or 0755 where its owner may run it here.
    pub mode: Option<Mode>,
    /// Owner. Default: that of the layout.
    pub owner: Option<Owner>,
}

/// A path in the image, of a folder where it ends with a slash.
#[derive(Debug, Clone)]
struct Place {
    path: ImagePath,
    is_folder: bool,
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let folder = text.strip_suffix('/').filter(|folder| !folder.is_empty());
        let path = folder.unwrap_or(&text).parse();
        let path = path.map_err(|error: ImagePathError| serde::de::Error::custom(format!("`{text}` {error}")))?;
        Ok(Self { path, is_folder: folder.is_some() })
    }
}

pub(super) fn read(tables: Vec<Fields<'_>>, folder: &Path) -> Vec<OwnFile> {
    let mut files: Vec<OwnFile> = Vec::new();
    for mut fields in tables {
        let (from, to) = (fields.required::<String>("from"), fields.required::<Place>("to"));
        let mode = fields.optional("mode");
        let owner = fields.optional("owner");
        if let (Some(from), Some(placed)) = (from, to) {
            let Place { path: to, is_folder: to_folder } = placed.value.clone();
            if files.iter().any(|file| file.to == to) {
                fields.fault(&placed, format!("`{to}` is given twice"));
            }
            if to.as_str() == "/" {
                fields.fault(&placed, "`/` is no file's path");
            }
            let from = HostPath::new(&from.value, folder_of(&from, folder));
            files.push(OwnFile { from, to, to_folder, mode, owner });
        }
        fields.end();
    }
    files
}
