//! Contexts of a small image upon a small base.

use std::{
    fs,
    path::{Path, PathBuf},
};

use expect_test::expect;
use oci_image::{
    Attr, Base as BaseImage, ConfigEdits, Descriptor, Digest, Format, ImageConfig, Layer, NewLayer, assemble,
    open_archive, write_layout,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    build::{Built, BuiltLayer},
    cann::entries,
    options::RegistryArgs,
    recipe::{Overrides, Recipe},
    record::{BuildRecord, RecordedLayer, tests::example},
    resolve::base::OpenImage,
    ship::output::Output,
    terminal::{progress::Progress, report},
};

/// A base with a folder `/lib` of an odd mode, and an image that replaces what is in it.
struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    opened: OpenImage,
    built: Built,
    config: ConfigEdits,
    record: BuildRecord,
    reference: ImageRef,
}

const LIB: Attr = Attr { mode: 0o751, uid: 7, gid: 8, mtime: 1_500_000_000 };
const FILE: Attr = Attr { mode: 0o644, uid: 0, gid: 0, mtime: MTIME };

fn layer(store: &Store, entries: &[(&str, TreeKind)]) -> Layer {
    let parents = [("/lib".to_owned(), LIB)].into();
    let options = LayerOptions { mtime: MTIME, uid: 0, gid: 0, parents: &parents };
    let entry =
        |(path, kind): &(&str, TreeKind)| TreeEntry { path: (*path).to_owned(), attr: FILE, kind: kind.clone() };
    tree_layer(store, entries.iter().map(entry).collect(), options).unwrap()
}

/// `inner` is the `config` of the base's config.
fn fixture(inner: Value) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let bytes = |text: &str| TreeKind::Bytes(text.into());
    let first = layer(&store, &[("/lib/old.py", bytes("old"))]);
    let config = json!({
        "architecture": "arm64", "os": "linux", "config": inner,
        "rootfs": { "type": "layers", "diff_ids": [first.diff_id] },
    });
    let config_bytes = config.to_string().into_bytes();
    let media_type = Format::DockerV2.layer().to_owned();
    let base = BaseImage {
        name: "base".to_owned(),
        names: Vec::new(),
        manifest_digest: Digest::from_bytes([0; 32]),
        format: Format::DockerV2,
        layers: vec![Descriptor { media_type, digest: first.digest, size: first.size, urls: Vec::new() }],
        config: ImageConfig::parse(&config_bytes).unwrap(),
        config_bytes,
    };
    let created = "1980-01-02T00:00:00Z".to_owned();
    let plain = ConfigEdits { created: created.clone(), ..ConfigEdits::default() };
    let image = assemble(&base, &[], &plain, Format::DockerV2).unwrap();
    let dir = folder.path().join("base");
    write_layout(&image, &store, &dir, "base").unwrap();
    let reference = ImageRef::Layout { dir, tag: None };
    let recipe = Recipe::parse("", "image.toml", Path::new("/"), Overrides::default()).unwrap();
    let opened =
        base::open(&reference, &RegistryArgs::default(), &recipe.registry, &store, &Progress::new(true)).unwrap();

    let layers = [
        (
            "without the base's old 1.0\nRUN evil",
            layer(&store, &[("/lib/old.py", TreeKind::Whiteout)]),
            vec!["/lib/old.py", "/lib/\"$x y\\"],
        ),
        ("new 2.0", layer(&store, &[("/lib/new.py", bytes("new"))]), vec![]),
    ];
    let config = ConfigEdits {
        env: vec![("PATH".to_owned(), "/a:/b".to_owned()), ("PROMPT".to_owned(), r#"\h "$USER" "#.to_owned())],
        user: Some("ma-user".to_owned()),
        working_dir: Some("/home/ma-user".to_owned()),
        labels: [("org.opencontainers.image.title".to_owned(), "it's $5 \\".to_owned())].into(),
        created,
        created_by: "fmtk".to_owned(),
        cache: None,
    };
    let new: Vec<NewLayer> =
        layers.iter().map(|(holds, layer, _)| NewLayer { layer: layer.clone(), holds: (*holds).to_owned() }).collect();
    let image = assemble(&opened.base, &new, &config, Format::DockerV2).unwrap();
    let recorded = image.layers[1..].iter().zip(&layers).map(|(blob, (holds, ..))| RecordedLayer {
        blob: blob.clone(),
        content: (*holds).to_owned(),
        of_base: false,
        of_cache: None,
    });
    let record = BuildRecord { layers: recorded.collect(), ..example("py_3.9", "20221028181325") };
    let known = |(holds, _, removes): (&str, Layer, Vec<&str>)| BuiltLayer {
        holds: holds.to_owned(),
        removes: removes.into_iter().map(str::to_owned).collect(),
    };
    let built = Built { image, layers: layers.map(known).into() };
    Fixture { folder, store, opened, built, config, record, reference }
}

impl Fixture {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image(&self) -> BuiltImage<'_> {
        let Self { opened, built, config, record, reference, .. } = self;
        BuiltImage { record, built, config, reference, opened, elsewhere: opened }
    }

    fn write(&self, dir: &Path) -> anyhow::Result<()> {
        write(&self.image(), &self.store, dir)
    }

    /// Changes a byte of the layer of `new 2.0`, and says where that is.
    fn damage(&self) -> PathBuf {
        let layer = self.store.blob_path(&self.built.image.layers[2].digest);
        let mut bytes = fs::read(&layer).unwrap();
        bytes[20] ^= 1;
        fs::write(&layer, bytes).unwrap();
        layer
    }

    /// Nothing half-made lies beside a context.
    fn is_tidy(&self) -> bool {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        !names.into_iter().any(|name| name.to_string_lossy().starts_with('.'))
    }
}

/// The sums of a context, in which nothing else is.
fn sums(dir: &Path) -> String {
    check(dir).unwrap();
    fs::read_to_string(dir.join("SHA256SUMS")).unwrap()
}

fn said(result: anyhow::Result<()>) -> String {
    format!("{:#}", result.unwrap_err())
}

#[test]
fn all_that_a_build_elsewhere_needs_is_in_the_folder() {
    let fixture = fixture(json!({}));
    let dir = fixture.path("context");
    fixture.write(&dir).unwrap();
    let sums = sums(&dir);
    let mut names = String::new();
    for (hex, name) in sums.lines().map(|line| line.split_once("  ").unwrap()) {
        assert_eq!(hex, Digest::of(fs::read(dir.join(name)).unwrap()).hex(), "{name}");
        names += &format!("{name}\n");
    }
    expect![[r#"
        .dockerignore
        Dockerfile
        README.md
        base.tar
        layers/001-without-the-base-s-old-1.0-RUN-evil.tar.gz
        layers/002-new-2.0.tar.gz
    "#]]
    .assert_eq(&names);

    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let text = read("Dockerfile");
    expect![[r##"
        # fmtk: build context of fmtk-ma:py_3.9-20221028181325
        # From this folder, plain `docker build` or `podman build` makes the image that fmtk has built, file for file. BuildKit is
        # not needed, nor a network once the base is there. README.md beside this file has the commands.

        # The base is in no registry but in this folder: `docker load --input base.tar` first.
        ARG BASE=localhost/fmtk-ma-base:DIGEST
        FROM ${BASE}

        # Only root may remove and unpack files here. The last line sets the user that the image runs as.
        USER root

        # without the base's old 1.0 RUN evil
        RUN ["rm", "-rf", "--", \
             "/lib/old.py", \
             "/lib/\"$x y\\"]

        # the folders of what was removed, as they were
        ADD layers/001-without-the-base-s-old-1.0-RUN-evil.tar.gz /

        # new 2.0
        ADD layers/002-new-2.0.tar.gz /

        ENV PATH="/a:/b" \
            PROMPT="\\h \"\$USER\" "
        LABEL "org.opencontainers.image.title"="it's \$5 \\"
        WORKDIR /home/ma-user
        USER ma-user
    "##]].assert_eq(&text.replace(&fixture.opened.base.manifest_digest.short(), "DIGEST"));
    assert!(sums.contains(&format!("{}  layers/002-new-2.0.tar.gz\n", fixture.built.image.layers[2].digest.hex())));
    let readme = read("README.md");
    assert!(readme.contains("docker load --input base.tar") && !readme.contains('{'), "{readme}");
}

#[test]
fn folders_of_what_is_removed_get_their_attributes_back_and_nothing_else() {
    let fixture = fixture(json!({}));
    let layer = folders(&fixture.store, &fixture.store, &fixture.built.image.layers[1]).unwrap().unwrap();
    let entries = entries(&fixture.store, &layer);
    let [lib] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((lib.path.as_str(), &lib.kind, lib.attr), ("lib", &EntryKind::Dir, LIB));
}

#[test]
fn the_base_in_the_folder_is_the_base() {
    let fixture = fixture(json!({ "Cmd": ["bash"] }));
    let dir = fixture.path("context");
    fixture.write(&dir).unwrap();
    let platform = oci_image::Platform::linux_arm64();
    let (base, _) = open_archive(&fixture.store, &dir.join("base.tar"), &platform).unwrap();
    assert_eq!(base.config.diff_ids(), fixture.opened.base.config.diff_ids());
    assert_eq!(base.config.cmd(), ["bash"]);
}

#[test]
fn names_of_layers_are_plain() {
    assert_eq!(slug("mindspore-ascend 1.8.1"), "mindspore-ascend-1.8.1");
    assert_eq!(slug("the vendor's fmk.py, a[b]*"), "the-vendor-s-fmk.py-a-b");
    assert_eq!(slug(&"x".repeat(200)).len(), 60);
}

#[test]
fn a_base_in_a_registry_is_named_by_its_digest_alone() {
    let mut fixture = fixture(json!({}));
    fixture.reference = "host.example:5000/org/base:1".parse().unwrap();
    let dir = fixture.path("context");
    fixture.write(&dir).unwrap();
    let text = fs::read_to_string(dir.join("Dockerfile")).unwrap();
    let digest = fixture.opened.base.manifest_digest;
    assert!(text.contains(&format!("ARG BASE=host.example:5000/org/base@{digest}\n")), "{text}");
    assert!(!dir.join("base.tar").exists());
    assert!(!fs::read_to_string(dir.join("README.md")).unwrap().contains("base.tar"));
}

#[test]
fn an_earlier_context_is_replaced_by_the_same_bytes() {
    let fixture = fixture(json!({}));
    let (dir, empty) = (fixture.path("context"), fixture.path("empty"));
    fixture.write(&dir).unwrap();
    let first = sums(&dir);
    fixture.write(&dir).unwrap();
    assert_eq!(sums(&dir), first);
    fs::create_dir(&empty).unwrap();
    fixture.write(&empty).unwrap();
    assert_eq!(sums(&empty), first);
    let link = fixture.path("link");
    std::os::unix::fs::symlink(&dir, &link).unwrap();
    fixture.write(&link).unwrap();
    assert!(link.is_symlink() && sums(&dir) == first);
    assert!(fixture.is_tidy());
}

#[test]
fn a_folder_of_the_users_is_left_alone() {
    let fixture = fixture(json!({}));
    let dir = fixture.path("context");
    let refused = |name: &str, text: &str, expected: &str| {
        fixture.write(&dir).unwrap();
        let path = dir.join(name);
        let before = fs::read(&path).ok();
        fs::write(&path, text).unwrap();
        let error = said(fixture.write(&dir));
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        match before {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    };
    let prefix = "is not a build context that fmtk wrote: ";
    refused("notes.txt", "mine", &format!("{prefix}`notes.txt` is in it"));
    refused("layers/more.tar", "mine", &format!("{prefix}`layers/more.tar` is in it"));
    refused("Dockerfile", "FROM a:1\n", &format!("{prefix}`Dockerfile` in it was changed"));
    fs::remove_file(dir.join("SHA256SUMS")).unwrap();
    assert!(said(fixture.write(&dir)).contains(prefix));
    assert!(fixture.is_tidy());
}

#[test]
fn when_it_fails_the_old_one_stands() {
    let fixture = fixture(json!({}));
    let (dir, fresh) = (fixture.path("context"), fixture.path("fresh"));
    fixture.write(&dir).unwrap();
    let first = sums(&dir);
    fixture.damage();
    let error = said(fixture.write(&dir));
    assert!(error.contains("is damaged"), "{error}");
    fixture.write(&fresh).unwrap_err();
    assert_eq!(sums(&dir), first);
    assert!(!fresh.exists() && fixture.is_tidy());
}

#[test]
fn whatever_is_written_names_a_damaged_layer_and_removes_it_from_the_store() {
    for way in ["oci", "docker-archive", "context"] {
        let fixture = fixture(json!({}));
        let output: Output = format!("{way}:{}", fixture.path("out").display()).parse().unwrap();
        let layer = fixture.damage();
        let text = report::render(&output.write(&fixture.image(), &fixture.store).unwrap_err());
        assert!(
            text.contains("layer `new 2.0` of `fmtk-ma:py_3.9-20221028181325` was damaged in the store"),
            "{way}: {text}"
        );
        assert!(text.contains("hint: build the image again"), "{way}: {text}");
        assert!(!layer.exists(), "{way}");
    }
}

#[test]
fn an_output_that_failed_leaves_no_empty_folder() {
    let fixture = fixture(json!({}));
    let output: Output = format!("context:{}", fixture.path("new/folder/out").display()).parse().unwrap();
    fixture.damage();
    output.write(&fixture.image(), &fixture.store).unwrap_err();
    assert!(!fixture.path("new").exists());
}

#[test]
fn what_a_build_would_do_otherwise_is_refused() {
    let refused = |inner: Value| {
        let fixture = fixture(inner);
        let dir = fixture.path("context");
        let error = said(fixture.write(&dir));
        assert!(!dir.exists() && fixture.is_tidy());
        error
    };
    assert_eq!(
        refused(json!({ "OnBuild": ["RUN true"] })),
        "the base has ONBUILD triggers, which a build upon it would run"
    );
    assert_eq!(
        refused(json!({ "Volumes": { "/lib": {} } })).lines().next().unwrap(),
        "`/lib/old.py` is in the base's volume `/lib`, where docker's builder removes nothing"
    );
    let kept = fixture(json!({ "Volumes": { "/library": {} }, "OnBuild": [] }));
    kept.write(&kept.path("context")).unwrap();
}
