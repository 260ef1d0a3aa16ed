//! What is refused, and in which words.

#![allow(clippy::unwrap_used, reason = "a test")]

mod made;

use expect_test::{Expect, expect};
use made::*;
use oci_image::{Base, Document, Index, Platform};
use serde_json::{Value, json};

fn check(document: Value, media_type: Option<&str>, expect: Expect) {
    let error = Document::parse(document.to_string().as_bytes(), media_type).unwrap_err();
    expect.assert_eq(&chain(&error));
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let some = descriptor(DOCKER_LAYER, b"layer");
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": descriptor(DOCKER_CONFIG, b"{}"),
        "layers": [some],
    });
    Document::parse(manifest.to_string().as_bytes(), None).unwrap();
    change(&mut manifest);
    manifest
}

#[test]
fn manifests_that_are_not_taken() {
    check(
        json!({ "schemaVersion": 1, "name": "a/b", "tag": "1", "fsLayers": [], "history": [] }),
        Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
        expect!["refused the manifest: it is of schema 1, which holds no digests of contents; push the image again"],
    );
    check(
        with(|m| m["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into()),
        None,
        expect![
            "refused the manifest: layer sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85 is foreign (`application/vnd.docker.image.rootfs.foreign.diff.tar.gzip`): its contents lie elsewhere and can't be pushed"
        ],
    );
    check(
        with(|m| m["layers"][0]["urls"] = json!(["https://elsewhere"])),
        None,
        expect![
            "refused the manifest: layer sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85 is foreign (`application/vnd.docker.image.rootfs.diff.tar.gzip`): its contents lie elsewhere and can't be pushed"
        ],
    );
    check(
        with(|m| m["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted".into()),
        None,
        expect![
            "refused the manifest: layer sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85 is a `application/vnd.oci.image.layer.v1.tar+gzip+encrypted`, which is not known"
        ],
    );
    check(
        with(|m| m["layers"][0]["digest"] = "sha512:00".into()),
        None,
        expect![
            "the manifest can't be read: digest `sha512:00` must start with `sha256:` (character 1, `s`) at line 1 column 345"
        ],
    );
    check(
        with(|m| m["layers"][0]["size"] = (-1).into()),
        None,
        expect!["the manifest can't be read: invalid value: integer `-1`, expected u64 at line 1 column 417"],
    );
    check(
        with(|m| m["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into()),
        None,
        expect!["refused the manifest: it is not an image: its config is `application/vnd.cncf.helm.config.v1+json`"],
    );
    check(
        with(|m| m["config"]["size"] = (9 << 20).into()),
        None,
        expect!["refused the manifest: its config has 9437184 bytes; at most 8388608 are read"],
    );
    check(
        with(|m| m["manifests"] = json!([])),
        None,
        expect!["refused the manifest: it claims to be a manifest and an index at once"],
    );
    check(with(|m| m["schemaVersion"] = 3.into()), None, expect!["refused the manifest: its `schemaVersion` is not 2"]);
    check(
        with(|m| m["mediaType"] = "application/x".into()),
        None,
        expect!["refused the manifest: its media type `application/x` is not known"],
    );
    check(
        with(|_| ()),
        Some(OCI_MANIFEST),
        expect![
            "refused the manifest: it is announced as `application/vnd.oci.image.manifest.v1+json` but says of itself that it is `application/vnd.docker.distribution.manifest.v2+json`"
        ],
    );
    check(
        with(|m| m["layers"] = vec![m["layers"][0].clone(); 1001].into()),
        None,
        expect!["refused the manifest: it lists 1001 layers"],
    );
    check(
        json!([]),
        None,
        expect!["the manifest can't be read: invalid length 0, expected an object at line 1 column 2"],
    );
    check(
        json!("x".repeat(5 << 20)),
        None,
        expect!["refused the manifest: it has 5242882 bytes; at most 4194304 are read"],
    );
}

fn index(entries: &[(&str, Option<(&str, &str)>)]) -> Index {
    let entry = |(media_type, platform): &(&str, Option<(&str, &str)>)| {
        let mut entry = serde_json::to_value(descriptor(media_type, media_type.as_bytes())).unwrap();
        if let Some((os, architecture)) = platform {
            entry["platform"] = json!({ "os": os, "architecture": architecture, "os.version": "1" });
        }
        entry
    };
    let index = json!({ "schemaVersion": 2, "manifests": entries.iter().map(entry).collect::<Vec<_>>() });
    Index::parse(index.to_string().as_bytes(), Some("application/vnd.oci.image.index.v1+json; charset=utf-8")).unwrap()
}

#[test]
fn indexes_that_hold_nothing_for_us() {
    let check = |entries: &[(&str, Option<(&str, &str)>)], expect: Expect| {
        expect.assert_eq(&index(entries).choose(&Platform::linux_arm64()).unwrap_err().to_string());
    };
    check(&[], expect!["refused the manifest: the index is empty"]);
    check(
        &[(OCI_MANIFEST, Some(("unknown", "unknown")))],
        expect!["refused the manifest: the index holds attestations only, no image"],
    );
    check(
        &[(OCI_MANIFEST, Some(("linux", "amd64"))), (OCI_MANIFEST, Some(("unknown", "unknown")))],
        expect!["refused the manifest: the index has nothing for linux/arm64, only for linux/amd64"],
    );
    check(&[(OCI_INDEX, Some(("linux", "arm64")))], expect!["refused the manifest: the index leads to another index"]);
    check(&[(OCI_INDEX, None)], expect!["refused the manifest: the index leads to another index"]);
    check(
        &[("application/x", Some(("linux", "arm64")))],
        expect!["refused the manifest: the index leads to a `application/x`, which is not known"],
    );
    check(
        &[(OCI_MANIFEST, None), (OCI_MANIFEST, None)],
        expect!["refused the manifest: the index has nothing for linux/arm64, only for no platform"],
    );
}

#[test]
fn an_index_gives_arm64_and_passes_attestations_over() {
    let index = index(&[
        (OCI_MANIFEST, Some(("unknown", "unknown"))),
        (DOCKER_MANIFEST, Some(("linux", "amd64"))),
        (OCI_MANIFEST, Some(("linux", "arm64"))),
    ]);
    assert_eq!(index.choose(&Platform::linux_arm64()).unwrap(), &index.manifests[2]);
}

#[test]
fn bases_that_are_not_taken() {
    let resolve = |blobs: &Blobs, top: &[u8]| {
        let mut fetch = |blob: &oci_image::Descriptor| Ok(blobs.0[&blob.digest].clone());
        Base::resolve("base", top, None, &Platform::linux_arm64(), &mut fetch, blobs)
    };
    let check = |blobs: &Blobs, top: &oci_image::Descriptor, expect: Expect| {
        expect.assert_eq(&chain(&resolve(blobs, &blobs.0[&top.digest]).unwrap_err()));
    };
    let archives = [tar(&[Made::File("a", b"1")])];

    let mut blobs = Blobs::default();
    let good = image(&mut blobs, &archives);
    assert_eq!(resolve(&blobs, &blobs.0[&good.digest]).unwrap().manifest_digest, good.digest);

    let mut blobs = Blobs::default();
    let mut amd64 = config(&archives);
    amd64["architecture"] = "amd64".into();
    let layer = blobs.put(OCI_GZIP, &gzip(&archives[0]));
    let top = manifest(&mut blobs, &amd64, std::slice::from_ref(&layer));
    check(&blobs, &top, expect!["`base` is for linux/amd64, not for linux/arm64"]);

    let top = manifest(&mut blobs, &config(&archives), &[layer.clone(), layer.clone()]);
    check(&blobs, &top, expect!["`base` can't be used as a base: its manifest lists 2 layers, its config 1"]);

    let mut no_os = config(&archives);
    no_os["os"] = Value::Null;
    let top = manifest(&mut blobs, &no_os, std::slice::from_ref(&layer));
    check(&blobs, &top, expect!["`base` can't be used as a base: refused the image's config: `os` is not a text"]);

    let mut bad_env = config(&archives);
    bad_env["config"]["Env"] = json!({ "A": "1" });
    let top = manifest(&mut blobs, &bad_env, std::slice::from_ref(&layer));
    check(
        &blobs,
        &top,
        expect!["`base` can't be used as a base: refused the image's config: `config.Env` is not of the right kind"],
    );

    let mut damaged = blobs.clone();
    let top = image(&mut damaged, &archives);
    let config_digest = digest(config(&archives).to_string().as_bytes());
    damaged.0.get_mut(&config_digest).unwrap()[0] = b' ';
    check(
        &damaged,
        &top,
        expect![
            "failed to read the config of `base`: blob sha256:f0e00f070ba5f20ec3f3c828e7d73b1db43f19a86d53f78a0bdbd614f50ab268 is damaged: its digest is sha256:c7fbef687e0b9cc081ab5cbdfb9e44f7c486edc5ba2d9cf9b4d20bc6f30d3e3a"
        ],
    );
    damaged.0.get_mut(&config_digest).unwrap().push(b' ');
    check(
        &damaged,
        &top,
        expect![
            "failed to read the config of `base`: blob sha256:f0e00f070ba5f20ec3f3c828e7d73b1db43f19a86d53f78a0bdbd614f50ab268 has more than 254 bytes"
        ],
    );
    damaged.0.get_mut(&config_digest).unwrap().truncate(10);
    check(
        &damaged,
        &top,
        expect![
            "failed to read the config of `base`: blob sha256:f0e00f070ba5f20ec3f3c828e7d73b1db43f19a86d53f78a0bdbd614f50ab268 ends after 10 of 254 bytes"
        ],
    );

    // An index whose entry has another size, or other bytes, than it says.
    let index_of = |size: u64| {
        json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": OCI_MANIFEST, "digest": good.digest, "size": size,
            "platform": { "os": "linux", "architecture": "arm64" },
        }]})
    };
    let mut blobs = Blobs::default();
    image(&mut blobs, &archives);
    let top = blobs.put(OCI_INDEX, index_of(good.size + 1).to_string().as_bytes());
    check(
        &blobs,
        &top,
        expect![
            "failed to read the manifest of `base`: blob sha256:c0dcca6113f113df816b4c546bd20e2c66f03c26eb9249d3cb0aebe0da84f42c ends after 400 of 401 bytes"
        ],
    );
    let top = blobs.put(OCI_INDEX, index_of(good.size - 1).to_string().as_bytes());
    check(
        &blobs,
        &top,
        expect![
            "failed to read the manifest of `base`: blob sha256:c0dcca6113f113df816b4c546bd20e2c66f03c26eb9249d3cb0aebe0da84f42c has more than 399 bytes"
        ],
    );
    let top = blobs.put(OCI_INDEX, index_of(good.size).to_string().as_bytes());
    assert_eq!(resolve(&blobs, &blobs.0[&top.digest]).unwrap().manifest_digest, good.digest);
    blobs.0.get_mut(&good.digest).unwrap()[0] = b' ';
    check(
        &blobs,
        &top,
        expect![
            "failed to read the manifest of `base`: blob sha256:c0dcca6113f113df816b4c546bd20e2c66f03c26eb9249d3cb0aebe0da84f42c is damaged: its digest is sha256:6132c4fa6239a1bb6290ba62ba882914bf26623726bfadcde9d9ed11c14323a6"
        ],
    );
}
