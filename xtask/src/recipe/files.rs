//! `[[files]]`: a user's own files in the image.

use std::path::Path;

use serde::Serialize;

use super::{
    amounts::{Mode, Owner},
    fields::Fields,
    folder_of,
    paths::{HostPath, ImagePath},
};

/// A file or folder of this machine that becomes part of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnFile {
    /// The file or folder; where relative, it begins at the recipe.
    pub from: HostPath,
    /// Its path in the image, name included.
    pub to: ImagePath,
    /// Permission bits of a file. Default: 0644, or 0755 where its owner may run it here.
    pub mode: Option<Mode>,
    /// Owner. Default: that of the layout.
    pub owner: Option<Owner>,
}

pub(super) fn read(tables: Vec<Fields<'_>>, folder: &Path) -> Vec<OwnFile> {
    let mut files: Vec<OwnFile> = Vec::new();
    for mut fields in tables {
        let (from, to) = (fields.required::<String>("from"), fields.required::<ImagePath>("to"));
        let mode = fields.optional("mode");
        let owner = fields.optional("owner");
        if let (Some(from), Some(to)) = (from, to) {
            if files.iter().any(|file| file.to == to.value) {
                fields.fault(&to, format!("`{}` is given twice", to.value));
            }
            if to.value.as_str() == "/" {
                fields.fault(&to, "`/` is no file's path");
            }
            let from = HostPath::new(&from.value, folder_of(&from, folder));
            files.push(OwnFile { from, to: to.value, mode, owner });
        }
        fields.end();
    }
    files
}
