//! Small images, made as tests want them, and OCI layouts of them.

use std::path::Path;

use oci_image::{
    Attr, Base, ConfigEdits, Format, Image, LayerOptions, MTIME, NewLayer, ParentDirs, Store, TreeEntry, TreeKind,
    assemble, tree_layer, write_layout,
};

/// A file, a folder or a whiteout of root.
pub fn entry(path: &str, kind: TreeKind) -> TreeEntry {
    TreeEntry { path: format!("/{path}"), attr: Attr { mode: 0o755, uid: 0, gid: 0, mtime: MTIME }, kind }
}

pub fn file(path: &str, bytes: &[u8]) -> TreeEntry {
    entry(path, TreeKind::Bytes(bytes.to_vec()))
}

/// A layout with an image of these layers, each with what its history says of it.
pub fn write(folder: &Path, layout: &str, layers: Vec<(&str, Vec<TreeEntry>)>, edits: ConfigEdits) {
    let store = Store::open(&folder.join("made")).unwrap();
    write_layout(&image(&store, layers, edits), &store, &folder.join(layout), "1").unwrap();
}

/// The image itself, with its layers in the store.
pub fn image(store: &Store, layers: Vec<(&str, Vec<TreeEntry>)>, edits: ConfigEdits) -> Image {
    let parents = ParentDirs::new();
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let layer = |(holds, entries): (&str, Vec<TreeEntry>)| {
        let layer = tree_layer(store, entries, options).unwrap();
        NewLayer { layer, holds: holds.to_owned() }
    };
    let layers: Vec<NewLayer> = layers.into_iter().map(layer).collect();
    let config = br#"{"architecture":"arm64","os":"linux","config":{},"rootfs":{"type":"layers"}}"#;
    let nothing = Base::scratch(config).unwrap();
    assemble(&nothing, &layers, &edits, Format::DockerV2).unwrap()
}
