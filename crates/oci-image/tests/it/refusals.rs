//! What is refused, and in which words.

use std::io;

use expect_test::expect_file;
use oci_image::{Base, Descriptor, Document, Index};
use serde_json::{Value, json};

use crate::made::*;

/// A good manifest, changed.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let some = descriptor(DOCKER_LAYER, b"layer");
    let config = descriptor(DOCKER_CONFIG, b"{}");
    let mut manifest = json!({ "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": [some] });
    Document::parse(manifest.to_string().as_bytes(), None).unwrap();
    change(&mut manifest);
    manifest
}

#[test]
fn manifests_that_are_not_taken() {
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let mut text = String::new();
    for (document, media_type) in [
        (json!({ "schemaVersion": 1, "name": "a/b", "tag": "1", "fsLayers": [], "history": [] }), Some(schema_1)),
        (with(|m| m["layers"][0]["mediaType"] = foreign.into()), None),
        (with(|m| m["layers"][0]["urls"] = json!(["https://elsewhere"])), None),
        (with(|m| m["layers"][0]["mediaType"] = encrypted.into()), None),
        (with(|m| m["layers"][0]["digest"] = "sha512:00".into()), None),
        (with(|m| m["layers"][0]["size"] = (-1).into()), None),
        (with(|m| m["config"]["mediaType"] = helm.into()), None),
        (with(|m| m["config"]["size"] = (9 << 20).into()), None),
        (with(|m| m["manifests"] = json!([])), None),
        (with(|m| m["schemaVersion"] = 3.into()), None),
        (with(|m| m["mediaType"] = "application/x".into()), None),
        (with(|_| ()), Some(OCI_MANIFEST)),
        (with(|m| m["layers"] = vec![m["layers"][0].clone(); 1001].into()), None),
        (json!([]), None),
        (json!("x".repeat(5 << 20)), None),
    ] {
        let error = Document::parse(document.to_string().as_bytes(), media_type).unwrap_err();
        text += &format!("{}\n", chain(&error));
    }
    expect_file!["snapshots/manifests.txt"].assert_eq(&text);
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
fn an_index_gives_arm64_and_passes_attestations_over() {
    let unknown = (OCI_MANIFEST, Some(("unknown", "unknown")));
    let amd64 = (DOCKER_MANIFEST, Some(("linux", "amd64")));
    let three = index(&[unknown, amd64, (OCI_MANIFEST, Some(("linux", "arm64")))]);
    assert_eq!(three.choose(&arm64()).unwrap(), &three.manifests[2]);
    let refusals: [(&[_], &str); 7] = [
        (&[], "the index is empty"),
        (&[unknown], "the index holds attestations only, no image"),
        (&[amd64, unknown], "the index has nothing for linux/arm64, only for linux/amd64"),
        (&[(OCI_INDEX, Some(("linux", "arm64")))], "the index leads to another index"),
        (&[(OCI_INDEX, None)], "the index leads to another index"),
        (&[("application/x", Some(("linux", "arm64")))], "the index leads to a `application/x`, which is not known"),
        (&[(OCI_MANIFEST, None), (OCI_MANIFEST, None)], "the index has nothing for linux/arm64, only for no platform"),
    ];
    for (entries, reason) in refusals {
        let error = index(entries).choose(&arm64()).unwrap_err();
        assert_eq!(error.to_string(), format!("refused the manifest: {reason}"));
    }
}

#[test]
fn bases_that_are_not_taken() {
    let resolve = |blobs: &Blobs, top: &Descriptor| {
        let mut fetch = |blob: &Descriptor| Ok::<_, io::Error>(blobs.0[&blob.digest].clone());
        Base::resolve("base", &blobs.0[&top.digest], None, &arm64(), &mut fetch, blobs)
    };
    let mut text = String::new();
    let mut refused = |blobs: &Blobs, top: &Descriptor| {
        text += &format!("{}\n", chain(&resolve(blobs, top).unwrap_err()));
    };
    let archives = [tar(&[Made::File("a", b"1")])];
    let config = config(&archives);
    let mut blobs = Blobs::default();
    let good = image(&mut blobs, &archives);
    assert_eq!(resolve(&blobs, &good).unwrap().manifest_digest, good.digest);

    let layer = blobs.put(OCI_GZIP, &gzip(&archives[0]));
    let top = manifest(&mut blobs, &config, &[layer.clone(), layer.clone()]);
    refused(&blobs, &top);
    let changes: [fn(&mut Value); 3] = [
        |config| config["architecture"] = "amd64".into(),
        |config| config["os"] = Value::Null,
        |config| config["config"]["Env"] = json!({ "A": "1" }),
    ];
    for change in changes {
        let mut config = config.clone();
        change(&mut config);
        let top = manifest(&mut blobs, &config, std::slice::from_ref(&layer));
        refused(&blobs, &top);
    }
    // A config with other bytes than its descriptor says, more of them, fewer.
    let damages: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[0] = b' ', |bytes| bytes.push(b' '), |bytes| bytes.truncate(10)];
    for damage in damages {
        let mut damaged = blobs.clone();
        damage(damaged.0.get_mut(&digest(config.to_string().as_bytes())).unwrap());
        refused(&damaged, &good);
    }
    // An index whose entry has another size, or other bytes, than it says.
    let mut index_of = |size: u64| {
        let entry = json!({ "mediaType": OCI_MANIFEST, "digest": good.digest, "size": size,
            "platform": { "os": "linux", "architecture": "arm64" } });
        blobs.put(OCI_INDEX, json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().as_bytes())
    };
    let (longer, shorter, right) = (index_of(good.size + 1), index_of(good.size - 1), index_of(good.size));
    refused(&blobs, &longer);
    refused(&blobs, &shorter);
    assert_eq!(resolve(&blobs, &right).unwrap().manifest_digest, good.digest);
    blobs.0.get_mut(&good.digest).unwrap()[0] = b' ';
    refused(&blobs, &right);
    expect_file!["snapshots/bases.txt"].assert_eq(&text);
}
