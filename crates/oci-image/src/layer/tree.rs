//! A layer of a few files.

use std::path::PathBuf;

use super::{Attr, Content, ContentHash, Layer, LayerError, LayerOptions, LayerWriter};
use crate::{Digest, Store, checked::open_regular};

/// One entry of a small layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Absolute path inside the image.
    pub path: String,
    /// Owner, mode and time.
    pub attr: Attr,
    /// What it is.
    pub kind: TreeKind,
}

/// What an entry of a small layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeKind {
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A file with the contents of one of this machine, of which is known what it has to be: another makes no layer.
    Known {
        /// The file.
        file: PathBuf,
        /// SHA-256 of its contents.
        sha256: Digest,
    },
    /// A folder.
    Dir,
    /// A symbolic link to this target.
    Symlink(String),
    /// Removes what the layers below have at the path.
    Whiteout,
}

/// Makes a layer of these entries, sorted by path, so that the order in which they are given does not matter.
pub fn tree_layer(store: &Store, mut entries: Vec<TreeEntry>, options: LayerOptions<'_>) -> Result<Layer, LayerError> {
    // By components, so that what is in a folder follows it (`a/b` before `a-c`).
    entries.sort_by(|one, other| one.path.split('/').cmp(other.path.split('/')));
    let mut writer = LayerWriter::new(store, options)?;
    for TreeEntry { path, attr, kind } in &entries {
        match kind {
            TreeKind::Bytes(bytes) => writer.file(path, attr, bytes)?,
            TreeKind::Known { file, sha256 } => {
                let read_error = |source| LayerError::Read { path: file.display().to_string(), source };
                let mut source = open_regular(file).map_err(read_error)?;
                let size = source.metadata().map_err(read_error)?.len();
                let hash = Some(ContentHash::Sha256(*sha256.as_bytes()));
                writer.file_from(path, attr, &Content { size, crc32: None, hash }, &mut source)?;
            }
            TreeKind::Dir => writer.dir(path, attr)?,
            TreeKind::Symlink(target) => writer.symlink(path, attr, target)?,
            TreeKind::Whiteout => writer.whiteout(path)?,
        }
    }
    writer.finish()
}
