//! Images whose blobs are no longer in the store as they were built, as `push` meets them.

use std::{fs, path::Path};

use expect_test::expect;
use oci_image::{Digest, Store};
use registry_fake::FakeRegistry;
use serde_json::{Value, json};

use crate::program::{program, run};

pub const TAG: &str = "py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-20221109000000";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An image of one layer in a store.
pub struct BuiltImage {
    folder: tempfile::TempDir,
    store: Store,
    manifest: Digest,
    config: Digest,
    layer: Digest,
}

impl BuiltImage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let put = |text: &str| store.put_blob(text.as_bytes()).unwrap();
        let blob = |kind: &str, digest: Digest, size: usize| json!({ "mediaType": format!("application/vnd.docker.{kind}"), "digest": digest, "size": size });
        let (layer, config) = (put("layer"), put("{}"));
        let config_blob = blob("container.image.v1+json", config, 2);
        let layer_blob = blob("image.rootfs.diff.tar.gzip", layer, 5);
        let text = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config_blob, "layers": [layer_blob] });
        let manifest = put(&text.to_string());
        let record = json!({
            "repository": "fmtk-ma",
            "tag": TAG,
            "timestamp": "20221109000000",
            "digest": manifest,
            "media_type": MANIFEST,
            "manifest_size": text.to_string().len(),
            "config": config_blob,
            "layers": [{ "blob": layer_blob, "content": "demo 1.0", "of_base": false }],
            "base": { "reference": "oci:/nonexistent", "digest": manifest },
        });
        store.put_record("image", &format!("fmtk-ma:{TAG}"), &record).unwrap();
        let image = Self { folder, store, manifest, config, layer };
        image.built_here(&manifest);
        image
    }

    pub fn workspace(&self) -> &Path {
        self.folder.path()
    }

    /// Has the store remember that this was built last from the recipe of the workspace.
    fn built_here(&self, digest: &Digest) {
        let latest = json!({ "repository": "fmtk-ma", "tag": TAG, "digest": digest });
        let recipe = self.workspace().join("image.toml");
        self.store.put_record("latest-image", recipe.to_str().unwrap(), &latest).unwrap();
    }

    /// Pushes to a registry in memory; the exit code and what was said.
    pub fn push(&self, fake: &FakeRegistry) -> (Option<i32>, String) {
        self.run(&["push", "--org", "o", "--insecure", "--registry", &fake.host()])
    }

    /// Runs the program in the workspace.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (code, _, said) = run(program(self.workspace(), arguments));
        (code, said)
    }
}

#[test]
fn an_image_that_is_whole_is_pushed() {
    let (image, fake) = (BuiltImage::new(), FakeRegistry::start());
    let (code, said) = image.push(&fake);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fake.tag("o/fmtk-ma", TAG), Some(image.manifest.to_string()));
}

/// `push` took what was built last without a word: after a build that failed, and a trial with other packages.
#[test]
fn an_image_that_may_not_be_the_one_meant_is_told_or_has_to_be_named() {
    let image = BuiltImage::new();
    let (_, said) = image.push(&FakeRegistry::start());
    assert!(!said.contains("note: "), "{said}");
    let (code, said) = image.run(&["image", "--base", "oci:nowhere"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = image.push(&FakeRegistry::start());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: this image was built at 20221109000000; a later build failed"), "{said}");
    image.built_here(&image.manifest);
    let mut record: Value = image.store.record("image", &format!("fmtk-ma:{TAG}")).unwrap().unwrap();
    record["arguments"] = json!("--pkg 'my pkg'");
    image.store.put_record("image", &format!("fmtk-ma:{TAG}"), &record).unwrap();
    let (code, said) = image.push(&FakeRegistry::start());
    assert_eq!(code, Some(2), "{said}");
    expect![[r#"
        error: the last image of `FOLDER/image.toml` was built with `--pkg 'my pkg'`
        hint: if that is the one to push, name it, as in `cargo xtask push 20221109000000`, with the same flags; in the store, newest first: `TAG` (built with `--pkg 'my pkg'`)
    "#]]
    .assert_eq(&said.replace(image.workspace().to_str().unwrap(), "FOLDER").replace(TAG, "TAG"));
    for name in [TAG, "20221109000000", &format!("fmtk-ma:{TAG}")] {
        let (code, said) = image.run(&["push", name, "--org", "o", "--dry-run"]);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{name}");
    }
    let (code, said) = image.run(&["push", "20221109000001", "--org", "o", "--dry-run"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no image with timestamp `20221109000001` in the store `"), "{said}");
}

/// What contradicts the name was passed over: the image went where the name does not say.
#[test]
fn what_contradicts_the_image_s_name_is_refused_with_both_values() {
    let image = BuiltImage::new();
    let named = format!("o/fmtk-ma:{TAG}");
    let push = |arguments: &[&str]| {
        let (code, said) = image.run(&[&["push", "--dry-run"], arguments].concat());
        assert_eq!(code, Some(2), "{said}");
        said
    };
    let said =
        push(&[&named, "--org", "p"]) + &push(&["20221109000000", "--org", "o", "--timestamp", "20221109000001"]);
    expect![[r#"
        error: `o/fmtk-ma:TAG` names the organisation `o`, and it would be pushed to `p`
        hint: give `--org o`, or name the image without `o/`
        error: `20221109000000` has the timestamp 20221109000000, and `--timestamp` or `$timestamp` says 20221109000001
        hint: leave out one of the two
    "#]]
    .assert_eq(&said.replace(TAG, "TAG"));
    let (code, said) = image.run(&["push", &named, "--org", "o", "--timestamp", "20221109000000", "--dry-run"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn an_image_of_another_recipe_is_told_whose_registry_is_taken() {
    let image = BuiltImage::new();
    let key = format!("fmtk-ma:{TAG}");
    let mut record: Value = image.store.record("image", &key).unwrap().unwrap();
    record["recipe"] = json!("/recipes/torch.toml");
    image.store.put_record("image", &key, &record).unwrap();
    let said = |flags: &[&str]| image.run(&[&["push", TAG, "--org", "o", "--dry-run"], flags].concat()).1;
    expect![[r#"
        note: this image was built from `/recipes/torch.toml`; the registry is that of `FOLDER/image.toml`; `--recipe` names another
    "#]]
    .assert_eq(&said(&[]).replace(image.workspace().to_str().unwrap(), "FOLDER"));
    assert!(image.run(&["push", "--timestamp", "20221109000000", "--org", "o", "--dry-run"]).1.starts_with("note: "));
    assert_eq!(said(&["--registry", "r.example"]), "");
}

#[test]
fn an_image_of_a_stack_is_pushed_with_that_stack() {
    let image = BuiltImage::new();
    let mut record: Value = image.store.record("image", &format!("fmtk-ma:{TAG}")).unwrap().unwrap();
    record["arguments"] = json!("--stack torch-2.7");
    image.store.put_record("image", &format!("fmtk-ma:{TAG}"), &record).unwrap();
    let push = |stack: &[&str]| image.run(&[&["push", "--org", "o", "--dry-run"], stack].concat());
    assert_eq!(push(&["--stack", "torch-2.7"]), (Some(0), String::new()));
    for stack in [&[][..], &["--stack", "torch-2.10"]] {
        let (code, said) = push(stack);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("was built with `--stack torch-2.7`"), "{said}");
    }
}

/// A build into another store was answered as if there had been none.
#[test]
fn a_store_without_an_image_of_the_recipe_is_named() {
    let image = BuiltImage::new();
    let store = image.workspace().join("other");
    let (_, said) = image.run(&["push", "--org", "o", "--store", store.to_str().unwrap()]);
    let recipe = image.workspace().join("other.toml");
    fs::write(&recipe, "").unwrap();
    let (_, other) = image.run(&["push", "--org", "o", "--recipe", recipe.to_str().unwrap()]);
    expect![[r#"
        error: the store `FOLDER/other` has no image that was built from `FOLDER/image.toml`
        hint: run `cargo xtask image` first; if it was built into another store, name that with `--store DIR`
        error: the store `FOLDER/store` has no image that was built from `FOLDER/other.toml`
        hint: in the store, newest first: `TAG`; name the one you want
    "#]]
    .assert_eq(&(said + &other).replace(image.workspace().to_str().unwrap(), "FOLDER").replace(TAG, "TAG"));
}

#[test]
fn what_the_store_has_lost_is_named_and_nothing_is_pushed() {
    type Blob = fn(&BuiltImage) -> Digest;
    let blobs: [(Blob, &str); 3] = [
        (|image| image.manifest, "the manifest of `fmtk-ma:"),
        (|image| image.config, "it lacks its config"),
        (|image| image.layer, "it lacks layer `demo 1.0`"),
    ];
    for (blob, expected) in blobs {
        for content in [None, Some("other")] {
            let (image, fake) = (BuiltImage::new(), FakeRegistry::start());
            let digest = blob(&image);
            let file = image.store.blob_path(&digest);
            match content {
                None => fs::remove_file(&file).unwrap(),
                // A layer is read when it is sent; its length tells before.
                Some(text) => fs::write(&file, [text, " and longer"].concat()).unwrap(),
            }
            let (code, said) = image.push(&fake);
            assert_eq!(code, Some(1), "{said}");
            for text in [expected, TAG, "hint: build the image again: `cargo xtask image --timestamp 20221109000000`"] {
                assert!(said.contains(text), "no `{text}` in {said}");
            }
            assert!(fake.log().is_empty());
        }
    }
}

#[test]
fn a_layer_with_other_bytes_is_named_and_removed_so_that_the_next_build_makes_it() {
    let (image, fake) = (BuiltImage::new(), FakeRegistry::start());
    let file = image.store.blob_path(&image.layer);
    fs::write(&file, "lager").unwrap();
    let (code, said) = image.push(&fake);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("layer `demo 1.0` of `fmtk-ma:{TAG}` was damaged in the store")), "{said}");
    assert!(said.contains("hint: build the image again"), "{said}");
    assert!(!file.exists());
    assert_eq!(fake.tag("o/fmtk-ma", TAG), None);
}

#[test]
fn what_another_workspace_built_under_the_tag_is_not_taken_for_ones_own() {
    let (image, fake) = (BuiltImage::new(), FakeRegistry::start());
    image.built_here(&image.layer);
    let (code, said) = image.push(&fake);
    assert_eq!(code, Some(2), "{said}");
    let now = format!("another build has made it {}", image.manifest);
    assert!(said.contains(&now) && said.contains(TAG) && said.contains("hint: build it again"), "{said}");
    assert!(fake.log().is_empty());
}

#[test]
fn a_record_that_is_not_the_manifests_is_not_pushed() {
    let (image, fake) = (BuiltImage::new(), FakeRegistry::start());
    let key = format!("fmtk-ma:{TAG}");
    let mut record: Value = image.store.record("image", &key).unwrap().unwrap();
    let other = image.store.put_blob(b"other").unwrap();
    record["layers"][0]["blob"]["digest"] = json!(other);
    image.store.put_record("image", &key, &record).unwrap();
    let (code, said) = image.push(&fake);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("differs from its manifest"), "{said}");
    assert!(fake.log().is_empty());
}

/// A tag of the registry was shown as the store had it, without a word.
#[test]
fn inspect_says_whose_image_it_shows() {
    let image = BuiltImage::new();
    let stores = |subject: &str| {
        image.run(&["inspect", subject]).1.contains(" from the store; to inspect the one in the registry")
    };
    assert!(stores(&format!("o/fmtk-ma:{TAG}")));
    assert!(!stores(TAG) && !stores("20221109000000"));
    let short = TAG.strip_suffix(|_: char| true).unwrap();
    for subject in [short.to_owned(), format!("o/fmtk-ma:{short}")] {
        let (code, said) = image.run(&["inspect", &subject]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("error: no image `{subject}` in the store\nhint: did you mean `")), "{said}");
    }
}
