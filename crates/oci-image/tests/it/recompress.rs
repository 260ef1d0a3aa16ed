//! Layers are recompressed once: those of a base with gzip, those of an image with zstd.

use std::fs;

use expect_test::{expect, expect_file};
use oci_image::{Base, BaseIndex, Descriptor, Format, Store, assemble, recompress, zstd_layer};

use crate::made::*;

fn count(store: &Store, folder: &str) -> usize {
    fs::read_dir(store.root().join(folder)).map_or(0, Iterator::count)
}

fn assert_nothing_left(store: &Store) {
    for folder in ["blobs/sha256", "tmp", "records"] {
        assert_eq!(count(store, folder), 0, "{folder}");
    }
}

/// The archive in a blob of the store.
fn unpacked(store: &Store, blob: &Descriptor) -> Vec<u8> {
    let bytes = fs::read(store.blob_path(&blob.digest)).unwrap();
    assert_eq!((digest(&bytes), bytes.len() as u64), (blob.digest, blob.size));
    gunzip(&bytes)
}

/// An archive of three files, one of them larger than what is compressed at a time.
fn archive(name: &str) -> Vec<u8> {
    let large: Vec<u8> = (0..1_500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
    tar(&[Made::Dir("opt", 0o755), Made::File("opt/large", &large), Made::File(name, name.as_bytes())])
}

#[test]
fn each_way_of_compressing_becomes_gzip() {
    for (media_type, pack) in [(OCI_ZSTD, zstd as fn(&[u8]) -> Vec<u8>), (OCI_TAR, <[u8]>::to_vec)] {
        let (_dir, store) = store();
        let archive = archive("a");
        let mut blobs = Blobs::default();
        let base = base_of(&mut blobs, &[(media_type, pack(&archive))], std::slice::from_ref(&archive));
        let normal = recompress(&store, &base, &blobs).unwrap();
        assert_eq!(normal.layers.len(), 1);
        assert_eq!(normal.layers[0].media_type, DOCKER_LAYER);
        assert!(unpacked(&store, &normal.layers[0]) == archive, "{media_type}");
        // The config stays as it is, diff ids too.
        assert_eq!((&normal.config, &normal.config_bytes), (&base.config, &base.config_bytes));
        assert_eq!(normal.config.diff_ids(), [digest(&archive)]);
        // The same bytes on every machine and in every release; a change here needs a new format number.
        let expected = "sha256:fa5503bdd9525b016cbe4fa775f245ac13e781cfc07d77396495f6dd06ebf681";
        assert_eq!(normal.layers[0].digest.to_string(), expected);
    }
}

#[test]
fn gzip_stays_the_blob_that_it_is_and_is_not_read() {
    let (_dir, store) = store();
    let archives = [archive("1"), archive("2")];
    let mut blobs = Blobs::default();
    let layers = [(OCI_GZIP, gzip(&archives[0])), (DOCKER_LAYER, gzip(&archives[1]))];
    let base = base_of(&mut blobs, &layers, &archives);
    let source = Counted::new(blobs);
    let normal = recompress(&store, &base, &source).unwrap();
    assert_eq!(source.take(), 0);
    assert_nothing_left(&store);
    for (normal, base) in normal.layers.iter().zip(&base.layers) {
        assert_eq!(*normal, Descriptor { media_type: DOCKER_LAYER.to_owned(), ..base.clone() });
    }
}

#[test]
fn a_mixed_base_becomes_one_that_can_be_built_upon() {
    let (_dir, store) = store();
    let archives = ["1", "2", "3"].map(archive);
    let layers = [(OCI_ZSTD, zstd(&archives[0])), (OCI_GZIP, gzip(&archives[1])), (OCI_TAR, archives[2].clone())];
    let mut blobs = Blobs::default();
    let base = base_of(&mut blobs, &layers, &archives);
    assert_eq!(base.format, Format::Oci);
    let normal = recompress(&store, &base, &blobs).unwrap();
    // It is known by the manifest that people named, and its layers keep their order.
    assert_eq!((&normal.name, normal.manifest_digest), (&base.name, base.manifest_digest));
    assert_eq!(normal.layers[1].digest, base.layers[1].digest);
    assert!(unpacked(&store, &normal.layers[0]) == archives[0]);
    assert!(unpacked(&store, &normal.layers[2]) == archives[2]);
    let image = assemble(&normal, &[], &oci_image::ConfigEdits::default(), Format::DockerV2).unwrap();
    assert!(image.layers.iter().all(|layer| layer.media_type == DOCKER_LAYER));
    assert_eq!(recompress(&store, &normal, &Blobs::default()).unwrap(), normal);
}

/// A layer in gzip that is not gzip would be taken over as it is.
#[test]
fn what_a_layer_holds_counts_more_than_its_media_type() {
    let (_dir, store) = store();
    let archives = ["1", "2", "3"].map(archive);
    let layers = [(OCI_GZIP, archives[0].clone()), (OCI_TAR, gzip(&archives[1])), (OCI_GZIP, gzip(&archives[2]))];
    let mut blobs = Blobs::default();
    let mut base = base_of(&mut blobs, &layers, &archives);
    let index = BaseIndex::build(&store, &base, &blobs, &[]).unwrap();
    let said = base.correct_labels(&index.compressions).unwrap().replace(&base.layers[0].digest.to_string(), "LAYER");
    expect!["2 of the base's layers are taken by their contents, not by their media type: LAYER is `application/vnd.oci.image.layer.v1.tar+gzip` and holds an uncompressed tar archive"].assert_eq(&said);
    assert_eq!(base.correct_labels(&index.compressions), None);
    let normal = recompress(&store, &base, &blobs).unwrap();
    assert!(unpacked(&store, &normal.layers[0]) == archives[0]);
    assert_eq!(normal.layers[1].digest, base.layers[1].digest);
}

#[test]
fn a_layer_is_recompressed_once_whatever_base_it_is_in() {
    let (_dir, store) = store();
    let archives = ["1", "2"].map(archive);
    let mut blobs = Blobs::default();
    let layers = archives.each_ref().map(|archive| (OCI_ZSTD, zstd(archive)));
    let one = base_of(&mut blobs, &layers[..1], &archives[..1]);
    let both = base_of(&mut blobs, &layers, &archives);
    let source = Counted::new(blobs);
    let first = recompress(&store, &one, &source).unwrap();
    assert_eq!(source.take(), 1);
    assert_eq!(recompress(&store, &one, &source).unwrap(), first);
    assert_eq!(source.take(), 0, "read again");
    let second = recompress(&store, &both, &source).unwrap();
    assert_eq!(second.layers[0], first.layers[0]);
    assert_eq!(source.take(), 1);
    // A blob that is gone is made again, the same.
    fs::remove_file(store.blob_path(&first.layers[0].digest)).unwrap();
    assert_eq!(recompress(&store, &both, &source).unwrap(), second);
    assert_eq!(source.take(), 1);
    assert!(unpacked(&store, &first.layers[0]) == archives[0]);
}

#[test]
fn two_at_once_read_a_layer_once() {
    let (_dir, store) = store();
    let archives = [archive("1")];
    let mut blobs = Blobs::default();
    let base = base_of(&mut blobs, &[(OCI_ZSTD, zstd(&archives[0]))], &archives);
    let source = Counted::new(blobs);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| recompress(&store, &base, &source).unwrap());
        }
    });
    assert_eq!(source.take(), 1);
    assert_eq!((count(&store, "blobs/sha256"), count(&store, "tmp")), (1, 0));
}

#[test]
fn a_layer_of_an_image_becomes_zstd_once_and_keeps_its_diff_id() {
    let (_dir, store) = store();
    let archive = archive("a");
    let mut blobs = Blobs::default();
    let base = base_of(&mut blobs, &[(OCI_GZIP, gzip(&archive))], std::slice::from_ref(&archive));
    let source = Counted::new(blobs);
    let zstd = || zstd_layer(&store, &base.layers[0], &digest(&archive), &source).unwrap();
    let layer = zstd();
    assert_eq!((source.take(), layer.media_type.as_str()), (1, OCI_ZSTD));
    // The same bytes on every machine and in every release; a change here needs a new format number.
    let expected = "sha256:0de9de0d3a630f1f137194c7a26760ab3b6dde35121bdb35d52997ecc4a8adac";
    assert_eq!(layer.digest.to_string(), expected);
    assert_eq!(zstd(), layer);
    assert_eq!(source.take(), 0, "read again");

    // Another reader than the writer finds the archive in it, by the diff id that the image's config has.
    let image = assemble(&base, &[], &oci_image::ConfigEdits::default(), Format::DockerV2).unwrap();
    let shipped = image.with_blobs::<oci_image::DocumentError>(|_, _, _| Ok(layer.clone())).unwrap();
    assert_eq!((shipped.format, &shipped.config), (Format::Oci, &image.config));
    let again = Base::new("image", &shipped.manifest, Some(Format::Oci.manifest()), shipped.config.clone()).unwrap();
    assert_eq!((again.manifest_digest, &again.layers), (shipped.digest, &vec![layer]));
    let normal = recompress(&store, &again, &store).unwrap();
    assert!(unpacked(&store, &normal.layers[0]) == archive);
}

#[test]
fn a_layer_that_is_damaged_does_not_become_zstd() {
    let (_dir, store) = store();
    let archive = archive("a");
    let mut blobs = Blobs::default();
    let base = base_of(&mut blobs, &[(OCI_GZIP, gzip(&archive))], std::slice::from_ref(&archive));
    let layer = &base.layers[0];
    let error = zstd_layer(&store, layer, &digest(b"other"), &blobs).unwrap_err().to_string();
    assert!(error.starts_with(&format!("refused layer {}", layer.digest)), "{error}");
    blobs.0.get_mut(&layer.digest).unwrap()[2000] ^= 1;
    let error = zstd_layer(&store, layer, &digest(&archive), &blobs).unwrap_err().to_string();
    assert_eq!(error, format!("failed to read layer {}", layer.digest));
    assert_nothing_left(&store);
}

#[test]
fn a_layer_that_is_not_what_it_should_be_leaves_nothing() {
    let archive = archive("a");
    let other = [tar(&[Made::File("b", b"1")])];
    let packed = zstd(&archive);
    let refusal = |media_type: &str, bytes: &[u8], archives: &[Vec<u8>], break_it: fn(&mut Vec<u8>)| {
        let (_dir, store) = store();
        let mut blobs = Blobs::default();
        let base = base_of(&mut blobs, &[(media_type, bytes.to_vec())], archives);
        break_it(blobs.0.get_mut(&base.layers[0].digest).unwrap());
        let error = recompress(&store, &base, &blobs).unwrap_err();
        assert_nothing_left(&store);
        chain(&error).replace(&base.layers[0].digest.to_string(), "LAYER")
    };
    let right = std::slice::from_ref(&archive);
    let table = [
        ("another archive", refusal(OCI_ZSTD, &packed, &other, |_| {})),
        ("cut", refusal(OCI_ZSTD, &packed, right, |bytes| bytes.truncate(bytes.len() / 2))),
        ("changed", refusal(OCI_TAR, &archive, right, |bytes| bytes[2000] ^= 1)),
        ("longer", refusal(OCI_TAR, &archive, right, |bytes| bytes.push(0))),
        ("damaged zstd", refusal(OCI_ZSTD, &packed[..packed.len() - 9], right, |_| {})),
        ("zstd that is gzip of nothing", refusal(OCI_ZSTD, &gzip(b""), right, |_| {})),
    ]
    .map(|(what, text)| format!("{what}: {text}\n"));
    expect_file!["snapshots/recompress.txt"].assert_eq(&table.concat());
}
