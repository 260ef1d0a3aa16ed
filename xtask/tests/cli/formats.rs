//! An image is pushed in either format of manifests, and with layers in zstd.

use std::fs;

use expect_test::expect;
use oci_image::{ConfigEdits, Digest, Format, Image, Store};
use registry_fake::{FakeRegistry, Options};
use serde_json::{Value, json};

use crate::{
    intact::TAG,
    layout::{self, file},
    program::{program, run},
};

const OCI: [&str; 2] = ["--media-types", "oci"];
const ZSTD: [&str; 4] = ["--media-types", "oci", "--compression", "zstd"];

/// A workspace whose last image has a layer of the base and one above it.
struct Workspace {
    folder: tempfile::TempDir,
    store: Store,
    built: Image,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let text = "compressible ".repeat(10_000);
        let layers = vec![("base", vec![file("etc", b"1")]), ("demo 1.0", vec![file("opt", text.as_bytes())])];
        let built = layout::image(&store, layers, ConfigEdits::default());
        for bytes in [&built.manifest, &built.config] {
            store.put_blob(bytes).unwrap();
        }
        let layer = |number: usize, content: &str| json!({ "blob": built.layers[number], "content": content, "of_base": number == 0 });
        let record = json!({
            "repository": "fmtk-ma",
            "tag": TAG,
            "timestamp": "20221109000000",
            "digest": built.digest,
            "media_type": built.format.manifest(),
            "manifest_size": built.manifest.len(),
            "config": built.config_descriptor,
            "layers": [layer(0, "base"), layer(1, "demo 1.0")],
            "base": { "reference": "oci:/nonexistent", "digest": built.digest },
        });
        store.put_record("image", &format!("fmtk-ma:{TAG}"), &record).unwrap();
        let latest = json!({ "repository": "fmtk-ma", "tag": TAG, "digest": built.digest });
        let recipe = folder.path().join("image.toml");
        store.put_record("latest-image", recipe.to_str().unwrap(), &latest).unwrap();
        Self { folder, store, built }
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(program(self.folder.path(), arguments))
    }

    fn push(&self, fake: &FakeRegistry, flags: &[&str]) -> (Option<i32>, String, String) {
        let to = ["push", "--org", "o", "--insecure", "--registry", &fake.host(), "--format", "json"];
        self.run(&[&to, flags].concat())
    }

    /// What a push that has to work prints, and what it says.
    fn pushed(&self, fake: &FakeRegistry, flags: &[&str]) -> (Value, String) {
        let (code, out, said) = self.push(fake, flags);
        assert_eq!(code, Some(0), "{said}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["user_image_url"], format!("o/fmtk-ma:{TAG}"));
        assert_eq!(fake.tag("o/fmtk-ma", TAG).as_deref(), report["digest"].as_str());
        assert_eq!(report["built_digest"], self.built.digest.to_string());
        (report, said)
    }
}

#[test]
fn an_image_is_pushed_in_either_format_whatever_it_was_built_with() {
    let (workspace, fake) = (Workspace::new(), FakeRegistry::start());
    let (docker, oci) = (workspace.built.digest, workspace.built.in_format(Format::Oci).digest);
    let (report, said) = workspace.pushed(&fake, &[]);
    assert_eq!((&report["digest"], &report["sent"]), (&json!(docker), &json!(3)));
    assert!(!said.contains("another digest"), "{said}");

    // The tag does not move by itself, and what it has is told apart from another image.
    let (code, _, said) = workspace.push(&fake, &OCI);
    assert_eq!(code, Some(1));
    let said = said.lines().skip_while(|line| !line.starts_with("caused by")).collect::<Vec<_>>().join("\n");
    let said = said.replace(TAG, "TAG").replace(&docker.to_string(), "DOCKER").replace(&oci.to_string(), "OCI");
    expect![[r#"
        caused by: tag `TAG` exists with digest DOCKER, not OCI
        hint: the tag has this very image with other media types: leave it, or move the tag with `--overwrite`"#]]
    .assert_eq(&said);

    let (report, said) = workspace.pushed(&fake, &[&OCI[..], &["--overwrite"]].concat());
    assert_eq!((&report["digest"], &report["sent"]), (&json!(oci), &json!(0)));
    assert_eq!(report["media_type"], Format::Oci.manifest());
    assert!(said.contains(&format!("pushed {oci}")) && said.contains(&format!("built as {docker}")), "{said}");
    // The last push is known, whatever its format.
    let (code, out, said) = workspace.run(&["job", "--kind", "volcano", "--", "a"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains(&format!("{}/o/fmtk-ma:{TAG}", fake.host())), "{out}");
}

#[test]
fn layers_above_the_base_become_zstd_once() {
    let (workspace, fake) = (Workspace::new(), FakeRegistry::start());
    let (report, _) = workspace.pushed(&fake, &ZSTD);
    let blob = |number: usize| report["layers"][number]["blob"].clone();
    let kind = |number: usize| blob(number)["mediaType"].as_str().unwrap().rsplit('+').next().unwrap().to_owned();
    assert_eq!([kind(0), kind(1)], ["gzip", "zstd"]);
    assert_eq!(blob(0)["digest"], workspace.built.layers[0].digest.to_string());
    let digest: Digest = blob(1)["digest"].as_str().unwrap().parse().unwrap();
    let sent = fake.blob("o/fmtk-ma", &digest.to_string()).unwrap();
    assert_eq!((&sent[..4], json!(sent.len())), (&[0x28, 0xb5, 0x2f, 0xfd][..], blob(1)["size"].clone()));

    // It is the same image: `diff` finds no layer that only one of them has.
    let image = format!("{}/o/fmtk-ma:{TAG}", fake.host());
    let (code, out, said) = workspace.run(&["diff", &image, TAG, "--insecure", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    let diff: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(diff["layers"], json!({ "removed": [], "added": [] }));
    assert_eq!(diff["from"]["digest"], report["digest"]);

    // The store keeps it under the digest of the gzip, and makes it again where it is gone.
    let path = workspace.store.blob_path(&digest);
    let made = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(workspace.pushed(&fake, &ZSTD).0["unchanged"], true);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), made);
    fs::remove_file(&path).unwrap();
    assert_eq!(workspace.pushed(&fake, &ZSTD).0["digest"], report["digest"]);
    assert_eq!(fs::read(&path).unwrap(), sent);
}

#[test]
fn what_can_not_be_pushed_so_is_told_what_to_do() {
    let (workspace, fake) = (Workspace::new(), FakeRegistry::with(Options { refuse_oci: true, ..Options::default() }));
    let said = |flags: &[&str]| {
        let (code, _, said) = workspace.push(&fake, flags);
        let error: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("error:")).collect();
        format!("{}\n{}\n", code.unwrap(), error.join("\n")).replace(&fake.host(), "HOST").replace(TAG, "TAG")
    };
    expect![[r#"
        2
        error: Docker's manifests have no media type for layers in zstd
        hint: add `--media-types oci`, if the registry takes OCI manifests
        1
        error: failed to push `HOST/o/fmtk-ma:TAG`
        caused by: the registry refused the manifest of type `application/vnd.oci.image.manifest.v1+json`: Invalid image, fail to parse 'manifest.json' (MANIFEST_INVALID)
        hint: SWR's basic edition takes only Docker v2 manifests: push with `--media-types docker`
    "#]]
    .assert_eq(&(said(&["--compression", "zstd"]) + &said(&OCI)));
    // As the hint says.
    workspace.pushed(&fake, &["--media-types", "docker"]);
}

#[test]
fn a_layer_that_is_damaged_is_not_compressed_again() {
    let (workspace, fake) = (Workspace::new(), FakeRegistry::start());
    let layer = &workspace.built.layers[1];
    let mut bytes = fs::read(workspace.store.blob_path(&layer.digest)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(workspace.store.blob_path(&layer.digest), bytes).unwrap();
    let (code, _, said) = workspace.push(&fake, &ZSTD);
    assert!(code == Some(1) && said.contains("was damaged in the store and has been removed from it"), "{said}");
    assert_eq!(fake.blob_count("o/fmtk-ma"), 0);
}
