//! `[[files]]`: a user's own files in the image.

use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use super::{
    amounts::{Mode, Owner},
    document::{Document, Section},
    paths::{HostPath, ImagePath},
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    from: Spanned<String>,
    to: Spanned<String>,
    mode: Option<Mode>,
    owner: Option<Owner>,
}

pub(super) fn finish(written: Vec<Section<Written>>, document: &mut Document) -> Vec<OwnFile> {
    let mut files: Vec<OwnFile> = Vec::new();
    for Section(Written { from, to, mode, owner }) in written {
        let (span, text) = (to.span(), to.into_inner());
        let folder = text.strip_suffix('/').filter(|folder| !folder.is_empty());
        let to: ImagePath = match folder.unwrap_or(&text).parse() {
            Ok(to) => to,
            Err(message) => {
                document.fault(span, message);
                continue;
            }
        };
        if files.iter().any(|file| file.to == to) {
            document.fault(span.clone(), format!("`{to}` is given twice"));
        }
        if to.as_str() == "/" {
            document.fault(span, "`/` is not the path of a file");
        }
        let from = HostPath::new(from.get_ref(), document.folder_at(from.span().start));
        files.push(OwnFile { from, to, to_folder: folder.is_some(), mode, owner });
    }
    files
}
