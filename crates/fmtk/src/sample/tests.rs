//! The base in the store.

use oci_image::LayerWriter;

use super::*;

/// A base whose layer was lost could not be read, and was not made again.
#[test]
fn a_base_that_lost_a_part_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    assert!(!is_made(&store, BULLSEYE).unwrap());
    let parents = oci_image::ParentDirs::new();
    let options = oci_image::LayerOptions { mtime: 0, uid: 0, gid: 0, parents: &parents };
    let layer = LayerWriter::new(&store, options).unwrap().finish().unwrap();
    let ImageRef::Layout { dir, .. } = BULLSEYE.reference(&store).unwrap() else { panic!("it is a layout") };
    write(&layer, "nothing", &store, &dir).unwrap();
    assert!(is_made(&store, BULLSEYE).unwrap());
    fs::remove_file(dir.join("blobs/sha256").join(layer.digest.hex())).unwrap();
    assert!(!is_made(&store, BULLSEYE).unwrap());
    write(&layer, "nothing", &store, &dir).unwrap();
    assert!(is_made(&store, BULLSEYE).unwrap());
}
