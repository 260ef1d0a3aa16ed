//! An image that an engine streams is the image of the same archive in a file, and is remembered.

use std::{
    fs,
    io::{self, Read},
};

use expect_test::expect_file;
use oci_image::{Base, Digest, import, imported, open_archive, recompress};
use serde_json::{Value, json};

use crate::made::*;

const NAME: &str = "docker-daemon:base:1";

/// Layers of all kinds: one that is large, one that is small, the first again.
fn layers() -> [Vec<u8>; 3] {
    let large = tar(&[Made::Dir("opt", 0o755), Made::File("opt/noise", &noise(700_000))]);
    [large.clone(), tar(&[Made::File("opt/small", b"1")]), large]
}

/// What docker before 25 streams: folders by an id of their own, `manifest.json` last.
fn by_old_docker(layers: &[Vec<u8>; 3], config: &Value) -> Vec<u8> {
    let config = config.to_string();
    let id = digest(config.as_bytes()).hex();
    let names = ["f/layer.tar", "b/layer.tar", "a/layer.tar"];
    let manifest = json!([{ "Config": format!("{id}.json"), "RepoTags": null, "Layers": names }]).to_string();
    tar(&[
        Made::Dir("a", 0o755),
        Made::File("a/VERSION", b"1.0"),
        Made::Link("a/layer.tar", "../f/layer.tar"),
        Made::File("b/json", b"{}"),
        Made::File("b/layer.tar", &layers[1]),
        Made::File(&format!("{id}.json"), config.as_bytes()),
        Made::File("f/layer.tar", &layers[0]),
        Made::File("manifest.json", manifest.as_bytes()),
        Made::File("repositories", b"{}"),
    ])
}

/// What docker from 25 on streams: a layout, and `manifest.json` beside it.
fn by_new_docker(layers: &[Vec<u8>; 3], config: &Value) -> (Vec<u8>, Digest) {
    let mut blobs = Blobs::default();
    let listed = [
        blobs.put(OCI_TAR, &layers[0]),
        blobs.put(OCI_GZIP, &gzip(&layers[1])),
        blobs.put(OCI_ZSTD, &zstd(&layers[2])),
    ];
    let top = manifest(&mut blobs, config, &listed);
    let index = json!({ "schemaVersion": 2, "manifests": [top] }).to_string();
    let layout: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    (blobs.archived(&[("index.json", index.as_bytes()), ("manifest.json", b"[]"), layout]), top.digest)
}

#[test]
fn a_stream_gives_the_image_of_the_same_archive_in_a_file() {
    let layers = layers();
    let config = config(&layers);
    let (new, top) = by_new_docker(&layers, &config);
    for archive in [by_old_docker(&layers, &config), new] {
        let (dir, store) = store();
        let id = digest(config.to_string().as_bytes());
        assert!(imported(&store, NAME, &id, &arm64()).unwrap().is_none());
        let (base, source) = import(&store, NAME, &id, archive.as_slice(), &arm64()).unwrap();
        let file = dir.path().join("saved.tar");
        fs::write(&file, &archive).unwrap();
        let (of_file, _) = open_archive(&store, &file, &arm64()).unwrap();
        assert_eq!(Base { name: of_file.name.clone(), ..base.clone() }, of_file);
        assert_eq!(contents(&source, &base), layers);

        // The engine is not asked again, and neither are its layers compressed again.
        let (again, source) = imported(&store, NAME, &id, &arm64()).unwrap().unwrap();
        assert_eq!(again, base);
        assert_eq!(contents(&source, &again), layers);
        let nothing = Blobs::default();
        if base.manifest_digest != top {
            recompress(&store, &base, &nothing).unwrap();
        }

        // A store that has lost a layer asks again.
        let blobs = dir.path().join("store/blobs/sha256");
        let sizes = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap());
        fs::remove_file(sizes.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().path()).unwrap();
        assert!(imported(&store, NAME, &id, &arm64()).unwrap().is_none());
        import(&store, NAME, &id, archive.as_slice(), &arm64()).unwrap();
        assert!(imported(&store, NAME, &id, &arm64()).unwrap().is_some());
    }
}

/// It was to be decompressed by hand.
#[test]
fn an_archive_that_is_compressed_as_a_whole_is_read_as_it_is() {
    let layers = layers();
    let archive = by_old_docker(&layers, &config(&layers));
    let (dir, store) = store();
    let file = dir.path().join("saved");
    fs::write(&file, &archive).unwrap();
    let (plain, _) = open_archive(&store, &file, &arm64()).unwrap();
    for packed in [gzip(&archive), zstd(&archive), xz(&archive)] {
        fs::write(&file, packed).unwrap();
        let (base, source) = open_archive(&store, &file, &arm64()).unwrap();
        assert_eq!(base, plain);
        assert_eq!(contents(&*source, &base), layers);
        assert_eq!(open_archive(&store, &file, &arm64()).unwrap().0, plain);
    }
}

#[test]
fn what_streams_and_can_not_be_used_is_refused_and_not_remembered() {
    let layers = layers();
    let good = config(&layers);
    let (_dir, store) = store();
    let id = digest(b"id");
    let archive = by_old_docker(&layers, &good);
    let last = archive.windows(13).rposition(|window| window == b"manifest.json").unwrap();
    let mut other = layers.clone();
    other[1] = tar(&[Made::File("opt/small", b"2")]);
    let mut amd64 = good.clone();
    amd64["architecture"] = "amd64".into();
    let (mut laid_out, _) = by_new_docker(&layers, &good);
    let at = laid_out.windows(9).position(|window| window == b"opt/noise").unwrap();
    laid_out[at] = b'x';
    let mut text = String::new();
    for archive in [
        b"",
        &archive[..last],
        &archive[..500_000],
        &by_old_docker(&other, &good),
        &by_old_docker(&layers, &amd64),
        &laid_out,
    ] {
        let error = import(&store, NAME, &id, archive, &arm64()).map(drop).unwrap_err();
        text += &format!("{}\n", chain(&error));
        assert!(imported(&store, NAME, &id, &arm64()).unwrap().is_none());
    }
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    text += &format!("{}\n", chain(&import(&store, NAME, &id, Broken, &arm64()).map(drop).unwrap_err()));
    expect_file!["snapshots/import.txt"].assert_eq(&text);
}

/// Documents that never end would fill the memory.
#[test]
fn what_waits_in_memory_is_bounded() {
    let document = [&b"{"[..], &vec![b' '; (8 << 20) - 1]].concat();
    let names: Vec<String> = (0..9).map(|number| format!("{number}.json")).collect();
    let members: Vec<Made<'_>> = names.iter().map(|name| Made::File(name, &document)).collect();
    let (_dir, store) = store();
    let error = import(&store, NAME, &digest(b"id"), tar(&members).as_slice(), &arm64()).map(drop).unwrap_err();
    assert_eq!(chain(&error), "`docker-daemon:base:1` is not a docker archive: its small files have more than 64 MiB");
}
