//! Small images in OCI layouts, made as tests want them.

use std::path::Path;

use oci_image::{
    Attr, Base, ConfigEdits, Format, LayerOptions, MTIME, NewLayer, ParentDirs, Store, TreeEntry, TreeKind, assemble,
    tree_layer, write_layout,
};

/// A file, a folder or a whiteout of root.
pub fn entry(path: &str, kind: TreeKind) -> TreeEntry {
    TreeEntry { path: format!("/{path}"), attr: Attr { mode: 0o755, uid: 0, gid: 0, mtime: MTIME }, kind }
}

pub fn file(path: &str, bytes: &[u8]) -> TreeEntry {
    entry(path, TreeKind::Bytes(bytes.to_vec()))
}

/// An image of these layers, each with what its history says of it.
pub fn write(folder: &Path, layout: &str, layers: Vec<(&str, Vec<TreeEntry>)>, edits: ConfigEdits) {
    let store = Store::open(&folder.join("made")).unwrap();
    let parents = ParentDirs::new();
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let layer = |(holds, entries): (&str, Vec<TreeEntry>)| {
        let layer = tree_layer(&store, entries, options).unwrap();
        NewLayer { layer, holds: holds.to_owned() }
    };
    let layers: Vec<NewLayer> = layers.into_iter().map(layer).collect();
    let config = br#"{"architecture":"arm64","os":"linux","config":{},"rootfs":{"type":"layers"}}"#;
    let nothing = Base::scratch(config).unwrap();
    let image = assemble(&nothing, &layers, &edits, Format::Oci).unwrap();
    write_layout(&image, &store, &folder.join(layout), "1").unwrap();
}
