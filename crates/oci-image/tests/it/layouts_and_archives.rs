//! Images written as a layout or an archive are the same images when they are opened again.

use std::{fs, io, path::Path};

use expect_test::expect_file;
use oci_image::{
    BaseError, BlobSource, ConfigEdits, Descriptor, Format, Image, Layer, NewLayer, assemble, open_archive,
    open_layout, recompress, write_archive, write_layout,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::made::*;

/// An image of these layers over a base of one, in memory.
fn assembled(blobs: &mut Blobs, files: &[Vec<u8>], format: Format) -> Image {
    let below = [tar(&[Made::Dir("etc", 0o755)])];
    let base = base_of(blobs, &[(OCI_GZIP, gzip(&below[0]))], &below);
    let layer = |bytes: &Vec<u8>| {
        let tar = tar(&[Made::File("file", bytes)]);
        let blob = blobs.put(DOCKER_LAYER, &gzip(&tar));
        let layer = Layer { digest: blob.digest, size: blob.size, diff_id: digest(&tar), tar_size: tar.len() as u64 };
        NewLayer { layer, holds: "a file".to_owned() }
    };
    let layers: Vec<NewLayer> = files.iter().map(layer).collect();
    let edits = ConfigEdits { created: "2022-10-28T18:13:25Z".to_owned(), ..ConfigEdits::default() };
    assemble(&base, &layers, &edits, format).unwrap()
}

/// Whether reading the blob ends with the error that it is another.
fn is_refused(source: &dyn BlobSource, blob: &Descriptor) -> bool {
    let copied = io::copy(&mut source.open(blob).unwrap(), &mut io::sink());
    copied.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_layout_gives_back_what_was_written(files in vec(vec(any::<u8>(), 0..600), 0..4), docker in any::<bool>()) {
        let (dir, _) = store();
        let mut blobs = Blobs::default();
        let image = assembled(&mut blobs, &files, if docker { Format::DockerV2 } else { Format::Oci });
        let layout = dir.path().join("layout");
        let digest = write_layout(&image, &blobs, &layout, "tag").unwrap();
        let written = image.in_format(Format::Oci);
        prop_assert_eq!(digest == image.digest, !docker);
        for tag in [Some("tag"), None] {
            let (base, source) = open_layout(&layout, tag, &arm64()).unwrap();
            prop_assert_eq!(base.manifest_digest, digest);
            prop_assert_eq!(&base.layers, &written.layers);
            prop_assert_eq!(base.digest_in(image.format), Some(image.digest));
            prop_assert_eq!(&base.names, &["tag"]);
            prop_assert_eq!(&base.config_bytes, &image.config);
            prop_assert_eq!(contents(&source, &base), contents(&blobs, &base));
            // What it gives is checked.
            let path = layout.join("blobs/sha256").join(base.layers[0].digest.hex());
            let mut damaged = fs::read(&path).unwrap();
            *damaged.last_mut().unwrap() ^= 1;
            let good = fs::read(&path).unwrap();
            fs::write(&path, damaged).unwrap();
            prop_assert!(is_refused(&source, &base.layers[0]));
            fs::write(&path, good).unwrap();
        }
    }

    #[test]
    fn an_archive_gives_back_what_was_written(files in vec(vec(any::<u8>(), 0..600), 0..4)) {
        let (dir, store) = store();
        let mut blobs = Blobs::default();
        let image = assembled(&mut blobs, &files, Format::DockerV2);
        let file = dir.path().join("image.tar");
        write_archive(&image, &blobs, &file, "host/org/name:tag").unwrap();
        let (base, source) = open_archive(&store, &file, &arm64()).unwrap();
        let digests = |layers: &[Descriptor]| layers.iter().map(|layer| (layer.digest, layer.size)).collect::<Vec<_>>();
        prop_assert_eq!(digests(&base.layers), digests(&image.layers));
        prop_assert_eq!(&base.config_bytes, &image.config);
        // It holds no manifest, but all that one is made of.
        prop_assert_eq!(base.digest_in(Format::DockerV2), Some(image.digest));
        prop_assert_eq!(&base.names, &["host/org/name:tag"]);
        prop_assert_eq!(contents(&*source, &base), contents(&blobs, &base));
        // The digests of its layers come from the store this time.
        let (again, _) = open_archive(&store, &file, &arm64()).unwrap();
        prop_assert_eq!(again, base);
        let bytes = fs::read(&file).unwrap();
        write_archive(&image, &blobs, &file, "host/org/name:tag").unwrap();
        prop_assert_eq!(fs::read(&file).unwrap(), bytes);
    }
}

#[test]
fn other_images_of_a_layout_stay_and_a_tag_moves() {
    let (dir, _) = store();
    let layout = dir.path().join("layout");
    let mut blobs = Blobs::default();
    let one = assembled(&mut blobs, &[b"1".to_vec()], Format::DockerV2);
    let two = assembled(&mut blobs, &[b"2".to_vec()], Format::DockerV2);
    let of_one = write_layout(&one, &blobs, &layout, "a").unwrap();
    // What we don't know of an entry has to survive.
    let index = layout.join("index.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    json["manifests"][0]["artifactType"] = "kept".into();
    fs::write(&index, json.to_string()).unwrap();
    write_layout(&one, &blobs, &layout, "b").unwrap();
    let of_two = write_layout(&two, &blobs, &layout, "b").unwrap();
    let opened = |tag| open_layout(&layout, tag, &arm64()).map(|(base, _)| base.manifest_digest);
    assert_eq!(opened(Some("a")).unwrap(), of_one);
    assert_eq!(opened(Some("b")).unwrap(), of_two);
    assert!(matches!(opened(None), Err(BaseError::Several { there, .. }) if there == ["a", "b"]));
    let error = opened(Some("c")).unwrap_err().to_string();
    assert!(error.ends_with("/layout` has no image `c`; it has `a`, `b`"), "{error}");
    let json: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    assert_eq!(json["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(json["manifests"][0]["artifactType"], "kept");
    let left: Vec<_> = fs::read_dir(&layout).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

/// skopeo finds no image under a tag where the manifest is Docker's, and umoci unpacks none.
#[test]
fn a_layout_is_oci_s_and_the_image_upon_it_docker_s_again() {
    let (dir, store) = store();
    let mut blobs = Blobs::default();
    let image = assembled(&mut blobs, &[b"1".to_vec()], Format::DockerV2);
    let layout = dir.path().join("layout");
    write_layout(&image, &blobs, &layout, "1").unwrap();
    let json = |name: &str| -> Value { serde_json::from_slice(&fs::read(layout.join(name)).unwrap()).unwrap() };
    let entry = &json("index.json")["manifests"][0];
    assert_eq!(entry["mediaType"], OCI_MANIFEST);
    assert_eq!(entry["platform"], json!({ "os": "linux", "architecture": "arm64" }));
    assert_eq!(entry["annotations"], json!({ "org.opencontainers.image.ref.name": "1" }));
    let digest = entry["digest"].as_str().unwrap();
    let manifest = json(&digest.replace("sha256:", "blobs/sha256/"));
    let types = ["/mediaType", "/config/mediaType", "/layers/0/mediaType", "/layers/1/mediaType"];
    assert_eq!(types.map(|at| manifest.pointer(at).unwrap()), [OCI_MANIFEST, OCI_CONFIG, OCI_GZIP, OCI_GZIP]);
    // Built upon and pushed, nothing of that is left.
    let (base, source) = open_layout(&layout, Some("1"), &arm64()).unwrap();
    let base = recompress(&store, &base, &source).unwrap();
    let edits = ConfigEdits { created: "2022-10-28T18:13:25Z".to_owned(), ..ConfigEdits::default() };
    assert_eq!(assemble(&base, &[], &edits, Format::DockerV2).unwrap(), image);
}

#[test]
fn a_folder_of_other_things_is_not_written_into() {
    let (dir, _) = store();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let mut blobs = Blobs::default();
    let image = assembled(&mut blobs, &[], Format::Oci);
    let error = write_layout(&image, &blobs, dir.path(), "a").unwrap_err();
    assert!(error.to_string().ends_with("is not an OCI image layout"), "{error}");
}

#[test]
fn a_layout_that_was_given_up_half_made_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let mut blobs = Blobs::default();
    let image = assembled(&mut blobs, &[b"one".to_vec()], Format::Oci);
    let half = dir.path().join("blobs/sha256/.new-half");
    fs::create_dir_all(half.parent().unwrap()).unwrap();
    fs::write(&half, "half").unwrap();
    let hours = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::options().append(true).open(&half).unwrap().set_modified(hours).unwrap();
    write_layout(&image, &blobs, dir.path(), "1").unwrap();
    assert!(!half.exists(), "what the killed run was at stays");
}

#[test]
fn runs_that_make_one_layout_at_the_same_time_get_along() {
    let mut blobs = Blobs::default();
    let image = assembled(&mut blobs, &[b"one".to_vec()], Format::Oci);
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("layout");
        std::thread::scope(|scope| {
            let runs: Vec<_> = ["1", "2", "3", "4"]
                .map(|tag| scope.spawn(|| write_layout(&image, &blobs, &at, tag)))
                .into_iter()
                .collect();
            for run in runs {
                run.join().unwrap().unwrap();
            }
        });
    }
}

/// As root it replaced `/dev/null`.
#[test]
fn an_archive_replaces_nothing_but_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut blobs = Blobs::default();
    let image = assembled(&mut blobs, &[b"one".to_vec()], Format::Oci);
    let write = |name: &str| write_archive(&image, &blobs, &dir.path().join(name), "a:1");
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("socket", dir.path().join("link")).unwrap();
    for name in ["socket", "folder", "link"] {
        let error = write(name).unwrap_err().to_string();
        assert!(error.ends_with(&format!("/{name}` is there already and is not a file")), "{error}");
    }
    fs::write(dir.path().join("file"), "old").unwrap();
    std::os::unix::fs::symlink("file", dir.path().join("to-file")).unwrap();
    write("to-file").unwrap();
    assert!(dir.path().join("to-file").is_symlink());
    assert!(fs::metadata(dir.path().join("file")).unwrap().len() > 1024);
}

#[test]
fn a_layer_that_fails_leaves_no_image_behind() {
    let (dir, _) = store();
    let mut blobs = Blobs::default();
    let image = assembled(&mut blobs, &[b"1".to_vec()], Format::DockerV2);
    blobs.0.get_mut(&image.layers[1].digest).unwrap()[20] ^= 1;
    let file = dir.path().join("image.tar");
    fs::write(&file, "old").unwrap();
    let failed = |path: &Path| format!("failed to copy layer {} to `{}`", image.layers[1].digest, path.display());
    assert_eq!(write_archive(&image, &blobs, &file, "a:b").unwrap_err().to_string(), failed(&file));
    assert_eq!(fs::read(&file).unwrap(), b"old");
    let layout = dir.path().join("layout");
    let blob = layout.join("blobs/sha256").join(image.layers[1].digest.hex());
    assert_eq!(write_layout(&image, &blobs, &layout, "a").unwrap_err().to_string(), failed(&blob));
    assert!(!layout.join("index.json").exists() && !blob.exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "a temporary file is left");
}

/// A layout folder with these entries in its index.
fn layout(folder: &Path, blobs: &Blobs, entries: Value) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    for (digest, bytes) in &blobs.0 {
        fs::write(folder.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    }
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": entries }).to_string()).unwrap();
}

#[test]
fn an_index_inside_a_layout_is_followed_once() {
    let (dir, _) = store();
    let mut blobs = Blobs::default();
    let good = image(&mut blobs, &[tar(&[])]);
    let entry = |blob: &Descriptor, os: &str, architecture: &str| {
        let mut entry = serde_json::to_value(blob).unwrap();
        entry["platform"] = json!({ "os": os, "architecture": architecture });
        entry
    };
    let manifests = [entry(&good, "linux", "arm64"), entry(&good, "unknown", "unknown")];
    let inner = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
    let inner = blobs.put(OCI_INDEX, inner.to_string().as_bytes());
    layout(dir.path(), &blobs, json!([inner]));
    assert_eq!(open_layout(dir.path(), None, &arm64()).unwrap().0.manifest_digest, good.digest);

    let outer = json!({ "schemaVersion": 2, "manifests": [entry(&inner, "linux", "arm64")] });
    let outer = blobs.put(OCI_INDEX, outer.to_string().as_bytes());
    layout(dir.path(), &blobs, json!([outer]));
    let error = open_layout(dir.path(), None, &arm64()).map(|_| ()).unwrap_err();
    assert!(chain(&error).ends_with("the index leads to another index"), "{error}");
}

#[test]
fn layouts_that_are_none() {
    let (dir, _) = store();
    let place = dir.path().join("layout");
    fs::create_dir(&place).unwrap();
    let mut text = String::new();
    let mut refused = || {
        let error = chain(&open_layout(&place, None, &arm64()).map(|_| ()).unwrap_err());
        text += &format!("{}\n", error.replace(&place.display().to_string(), "DIR"));
    };
    refused();
    layout(&place, &Blobs::default(), json!([]));
    refused();
    fs::write(place.join("index.json"), "{").unwrap();
    refused();
    fs::write(place.join("oci-layout"), r#"{"imageLayoutVersion": "2.0.0"}"#).unwrap();
    refused();
    layout(&place, &Blobs::default(), json!([descriptor(OCI_MANIFEST, b"")]));
    refused();
    expect_file!["snapshots/layouts.txt"].assert_eq(&text);
}

/// A docker archive as docker before 25 wrote it.
fn saved(file: &Path, images: &Value, members: &[Made<'_>]) {
    let manifest = images.to_string();
    let mut bytes = tar(members);
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(tar(&[Made::File("manifest.json", manifest.as_bytes())]));
    fs::write(file, bytes).unwrap();
}

#[test]
fn an_archive_of_an_older_docker_is_opened_without_reading_its_layers() {
    let (dir, store) = store();
    let file = dir.path().join("saved.tar");
    let layers = [tar(&[Made::Dir("a", 0o755)]), tar(&[Made::File("a/b", b"1")])];
    let twice = [layers[0].clone(), layers[1].clone(), layers[0].clone()];
    let config = config(&twice).to_string();
    let images = json!([{
        "Config": "c.json", "RepoTags": ["a:b"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]
    }]);
    saved(
        &file,
        &images,
        &[
            Made::File("c.json", config.as_bytes()),
            Made::File("1/layer.tar", &layers[0]),
            Made::File("2/layer.tar", &layers[1]),
            Made::Link("3/layer.tar", "other.tar"),
            Made::Link("3/other.tar", "../1/layer.tar"),
        ],
    );
    let (base, source) = open_archive(&store, &file, &arm64()).unwrap();
    let found: Vec<_> = base.layers.iter().map(|layer| (layer.media_type.as_str(), layer.digest)).collect();
    let [one, two] = [digest(&layers[0]), digest(&layers[1])];
    assert_eq!(found, [(OCI_TAR, one), (OCI_TAR, two), (OCI_TAR, one)]);
    assert_eq!(contents(&*source, &base), twice);

    // A layer that is not what the config says is found when it is read.
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(5).position(|window| window == b"a/b\0\0").unwrap();
    bytes[at] = b'z';
    fs::write(&file, bytes).unwrap();
    let (base, source) = open_archive(&store, &file, &arm64()).unwrap();
    assert!(is_refused(&*source, &base.layers[1]));
}

#[test]
fn a_layout_in_an_archive_is_opened_by_its_digests() {
    let (dir, store) = store();
    let mut blobs = Blobs::default();
    let top = image(&mut blobs, &[tar(&[Made::File("x", b"1")])]);
    let index = json!({ "schemaVersion": 2, "manifests": [top, top] }).to_string();
    let layout: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let archive = blobs.archived(&[layout, ("index.json", index.as_bytes()), ("manifest.json", b"[]")]);
    let file = dir.path().join("saved.tar");
    fs::write(&file, archive).unwrap();
    let (base, source) = open_archive(&store, &file, &arm64()).unwrap();
    assert_eq!(base.manifest_digest, top.digest);
    assert_eq!(contents(&*source, &base), [tar(&[Made::File("x", b"1")])]);
}

#[test]
fn a_layout_of_which_nothing_could_be_written_is_an_empty_folder() {
    let image = assembled(&mut Blobs::default(), &[tar(&[])], Format::Oci);
    let (dir, _) = store();
    let layout = dir.path().join("layout");
    // An empty folder that was there stays: its owner and mode may be other than those of a new one.
    fs::create_dir(&layout).unwrap();
    write_layout(&image, &Blobs::default(), &layout, "x").unwrap_err();
    assert_eq!(fs::read_dir(&layout).unwrap().count(), 0);
    // An earlier image stays.
    let mut blobs = Blobs::default();
    let image = assembled(&mut blobs, &[tar(&[])], Format::Oci);
    write_layout(&image, &blobs, &layout, "x").unwrap();
    let other = assembled(&mut Blobs::default(), &[tar(&[Made::File("a", b"1")])], Format::Oci);
    write_layout(&other, &Blobs::default(), &layout, "y").unwrap_err();
    open_layout(&layout, Some("x"), &arm64()).unwrap();
}

/// A pipe would be waited for without end.
#[test]
fn what_is_no_regular_file_is_not_opened() {
    let (dir, store) = store();
    let socket = dir.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let said = |error: BaseError| std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(said(open_archive(&store, &socket, &arm64()).err().unwrap()), "it is not a regular file");
    assert_eq!(said(open_archive(&store, dir.path(), &arm64()).err().unwrap()), "it is a directory");
    fs::rename(&socket, dir.path().join("oci-layout")).unwrap();
    assert_eq!(said(open_layout(dir.path(), None, &arm64()).unwrap_err()), "it is not a regular file");
}

#[test]
fn archives_that_can_not_be_used() {
    let (dir, store) = store();
    let file = dir.path().join("saved.tar");
    let mut text = String::new();
    let mut refused = || {
        let error = chain(&open_archive(&store, &file, &arm64()).map(|_| ()).unwrap_err());
        text += &format!("{}\n", error.replace(&file.display().to_string(), "FILE"));
    };
    refused();
    let noise: Vec<u8> = (0..100_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let long = tar(&[Made::File("a", &noise)]);
    let cut = |packed: Vec<u8>| packed[..packed.len() / 2].to_vec();
    for bytes in [
        gzip(b"tar"),
        b"not a tar archive at all".to_vec(),
        tar(&[Made::File("a", b"1")]),
        b"BZh91AY&SY".to_vec(),
        cut(gzip(&long)),
        cut(zstd(&long)),
        cut(xz(&long)),
    ] {
        fs::write(&file, bytes).unwrap();
        refused();
    }
    let layer = tar(&[]);
    let good = config(std::slice::from_ref(&layer));
    let one = json!({ "Config": "c", "RepoTags": null, "Layers": ["l"] });
    let two = json!({ "Config": "d", "RepoTags": ["x:y"], "Layers": [] });
    let twice = json!({ "Config": "c", "Layers": ["l", "l"] });
    let mut amd64 = good.clone();
    amd64["architecture"] = "amd64".into();
    let (good, amd64) = (good.to_string(), amd64.to_string());
    let (c, l) = (|| Made::File("c", good.as_bytes()), || Made::File("l", &layer));
    for (images, members) in [
        (json!([one, two]), vec![c(), l()]),
        (json!([]), vec![c(), l()]),
        (json!([one]), vec![c()]),
        (json!([one]), vec![l()]),
        (json!([twice]), vec![c(), l()]),
        (json!([one]), vec![c(), Made::Link("l", "n"), Made::Link("n", "l")]),
        (json!([one]), vec![Made::File("c", amd64.as_bytes()), l()]),
    ] {
        saved(&file, &images, &members);
        refused();
    }
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1200]).unwrap();
    refused();
    expect_file!["snapshots/archives.txt"].assert_eq(&text);
}
