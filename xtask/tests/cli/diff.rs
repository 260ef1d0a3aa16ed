//! What is different in two images.

use expect_test::expect;
use oci_image::{ConfigEdits, TreeKind};
use serde_json::{Value, json};

use crate::{
    layout::{entry, file, write},
    program::{program, run},
};

#[test]
fn images_differ_in_packages_layers_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = |package: &str| file(&format!("site-packages/{package}.dist-info/METADATA"), package.as_bytes());
    let base = || ("base", vec![metadata("numpy-1.21.2"), metadata("six-1.0"), metadata("old-1")]);
    let edits = |env: &[(&str, &str)], version: &str| ConfigEdits {
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        labels: [("fmtk.mindspore".to_owned(), version.to_owned()), ("same".to_owned(), "1".to_owned())].into(),
        user: Some(if version == "1" { "root" } else { "ma-user" }.to_owned()),
        ..ConfigEdits::default()
    };
    let (one, two) = (edits(&[("A", "1"), ("B", "1")], "1"), edits(&[("B", "2"), ("C", "3")], "2"));
    let gone = |package: &str| entry(&format!("site-packages/{package}.dist-info"), TreeKind::Whiteout);
    write(
        folder.path(),
        "one",
        vec![base(), ("torch 2.0, kit 1", vec![metadata("torch-2.0"), metadata("kit-1")])],
        one,
    );
    let added = vec![metadata("numpy-1.23.0"), metadata("torch-2.1"), file("site-packages/torch/x.py", b"12345")];
    let layers = vec![base(), ("without", vec![gone("numpy-1.21.2"), gone("old-1")]), ("all", added)];
    write(folder.path(), "two", layers, two);

    let diff = |arguments: &[&str]| {
        let (code, out, said) = run(program(folder.path(), &[&["diff"], arguments].concat()));
        assert_eq!((code, said.as_str()), (Some(0), ""));
        out
    };
    let shown = diff(&["oci:one", "oci:two"]);
    let is_digest = |word: &&str| {
        word.starts_with("sha256:") || word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let without_digest =
        |line: &str| line.split(' ').filter(|word| !is_digest(word)).collect::<Vec<_>>().join(" ") + "\n";
    let shown: String = shown.lines().map(without_digest).collect();
    expect![[r#"
        from     oci:one
        to       oci:two
        package  - kit 1
        package  ~ numpy 1.21.2 -> 1.23.0
        package  - old 1
        package  ~ torch 2.0 -> 2.1
        layer    -    4.7 kB  torch 2.0, kit 1 (2 files, 14 B)
        layer    +    2.6 kB  without (0 files, 0 B)
        layer    +    6.2 kB  all (3 files, 26 B)
        user     - root
        user     + ma-user
        env      - A=1
        env      - B=1
        env      + B=2
        env      + C=3
        label    - fmtk.mindspore=1
        label    + fmtk.mindspore=2
        push     3 blobs, 9.3 kB, that the first lacks
    "#]]
    .assert_eq(&shown);
    let same = diff(&["oci:one", "oci:one"]);
    assert_eq!(same.lines().count(), 3, "{same}");
    let json: Value = serde_json::from_str(&diff(&["oci:two", "oci:one", "--format", "json"])).unwrap();
    assert_eq!(json["packages"][0], json!({ "name": "kit", "from": null, "to": "1" }));
    assert_eq!(json["push"]["blobs"], 2);
    // Without a second, it is the last image of the recipe, and there is none.
    let (code, _, said) = run(program(folder.path(), &["diff", "oci:one"]));
    assert!(code == Some(2) && said.contains("has no image that was built from"), "{said}");
}

/// A wheel was a damaged docker archive.
#[test]
fn what_is_no_image_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a-1.0-py3-none-any.whl", "notes.txt"] {
        std::fs::write(folder.path().join(name), "text").unwrap();
        let (code, _, said) = run(program(folder.path(), &["diff", name, name]));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("hint: `diff` takes images"), "{said}");
        assert_eq!(said.contains("docker archive"), name.ends_with(".txt"), "{said}");
    }
}
