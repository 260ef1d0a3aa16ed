//! A base that says itself what its Python, system and users are, so that the recipe need not.

use std::{fs, os::unix::fs::symlink, path::Path};

use expect_test::expect;
use oci_image::{ConfigEdits, TreeEntry, TreeKind};

use crate::{
    layout::{entry, file, write},
    program::{program, run},
};

/// Writes a base like those of CANN into the layout `base`: root alone, Python built from source below `/usr/local`.
fn base(folder: &Path) {
    let mut python = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0".to_vec();
    python.resize(80, 0);
    base_with(
        folder,
        vec![
            file("usr/local/python3.11.10/bin/python3.11", &python),
            entry("usr/local/python3.11.10/lib/python3.11/site-packages", TreeKind::Dir),
        ],
    );
}

/// Writes it with this in place of Python.
fn base_with(folder: &Path, python: Vec<TreeEntry>) {
    let mut entries = vec![
        file("etc/group", b"root:x:0:\nusers:x:100:\n"),
        file("etc/os-release", b"ID=ubuntu\nVERSION_ID=\"22.04\"\n"),
        file("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n"),
        file("lib/libc.so.6", b"\x7fELF GNU C Library stable release version 2.35.\n"),
    ];
    entries.extend(python);
    let path = "/usr/local/python3.11.10/bin:/usr/bin:/bin".to_owned();
    let edits = ConfigEdits { env: vec![("PATH".to_owned(), path)], ..ConfigEdits::default() };
    write(folder, "base", vec![("all", entries)], edits);
}

const RECIPE: &str = "\
    packages = { cann.required = false, moxing.required = false, tuning-kit.required = false }\n\
    pypi.requirements = ['a==1']\n\
    versions.cann = 'none'\n\
    base.reference = 'oci:base'\n";

#[test]
fn a_base_completes_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    base(folder.path());
    fs::write(folder.path().join("image.toml"), RECIPE).unwrap();
    fs::create_dir(folder.path().join("pkg")).unwrap();
    let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/fmtk/src/resolve/fetch/fake_pip.sh");
    symlink(pip, folder.path().join("python3")).unwrap();
    let call = |arguments: &[&str]| {
        let mut command = program(folder.path(), &[arguments, &["--recipe", "image.toml", "--pkg", "pkg"]].concat());
        command.env("PATH", format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap()));
        let (_, out, said) = run(command);
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("inspecting")).collect();
        (out, said.join("\n") + "\n")
    };
    // Wheels come for its Python and its glibc.
    let fetched = "note: from the base: versions.python = \"3.11\", python.prefix = \"/usr/local/python3.11.10\", \
                   versions.os = \"ubuntu_22.04\", python.glibc = \"2.35\", user = { name = \"ma-user\" }\n\
                   pip downloads a==1 and dependencies\n\
                   fetched 1 wheel, 5 B, into `pkg/pypi`\n";
    assert_eq!(call(&["fetch"]).1, fetched);
    let record = fs::read_to_string(folder.path().join("pkg/pypi/fetched.json")).unwrap();
    assert!(record.contains("\"cp311\"") && record.contains("manylinux_2_35_aarch64"), "{record}");
    // The file is no wheel, and nothing else is wrong.
    let (_, said) = call(&["image", "--dry-run"]);
    expect![[r#"
        error: wheel `pkg/pypi/a-1-py3-none-any.whl` is damaged: it is not a whole zip archive (Missing end of central directory)
        hint: delete `pkg/pypi/a-1-py3-none-any.whl` and run `cargo xtask fetch --recipe image.toml --pkg pkg`
    "#]]
    .assert_eq(&said);
    let (lock, _) = call(&["lock", "--dry-run"]);
    assert!(lock.contains("python = \"3.11\"\nglibc = \"2.35\"\n"), "{lock}");
    let (plan, said) = call(&[
        "image",
        "--dry-run",
        "--set",
        "pypi.requirements=[]",
        "--set",
        "versions.mindspore=2.7.1",
        "--timestamp",
        "20221028181325",
    ]);
    assert!(plan.contains("py_3.11-ms_2.7.1_cann_none-ubuntu_22.04-aarch64-d910-20221028181325"), "{plan}{said}");
    let notes: Vec<&str> = plan.lines().filter(|line| line.starts_with("note") || line.starts_with("user")).collect();
    expect![[r#"
        note    from the base: versions.python = "3.11", python.prefix = "/usr/local/python3.11.10", versions.os = "ubuntu_22.04", python.glibc = "2.35", user = { name = "ma-user" }
        note    the group `ma-group` is another name of the base's `users`, 100
        user    ma-user
    "#]]
    .assert_eq(&(notes.join("\n") + "\n"));
    // What is written counts more, and is held against the base.
    let (_, said) = call(&["image", "--dry-run", "--set", "pypi.requirements=[]", "--set", "versions.python=3.12"]);
    assert!(said.contains("the base `oci:base` has no Python 3.12"), "{said}");
    // Wheels need no base that is out of reach now.
    fs::rename(folder.path().join("base"), folder.path().join("elsewhere")).unwrap();
    assert_eq!(call(&["fetch"]).1.lines().last(), Some("everything is already in `pkg/pypi`: 1 wheel, 5 B"));
    let (_, said) = call(&["fetch", "--base", "oci:nowhere"]);
    assert!(said.starts_with("warning: failed to open the base `oci:nowhere`: "), "{said}");
    assert!(said.contains("; wheels are fetched for Python 3.9, as the recipe has it\n"), "{said}");
}

#[test]
fn a_base_without_a_python_is_told_to_have_none() {
    let folder = tempfile::tempdir().unwrap();
    base_with(folder.path(), Vec::new());
    fs::write(folder.path().join("image.toml"), RECIPE).unwrap();
    fs::create_dir(folder.path().join("pkg")).unwrap();
    let image = ["image", "--dry-run", "--recipe", "image.toml", "--pkg", "pkg", "--set", "pypi.requirements=[]"];
    let (code, plan, said) = run(program(folder.path(), &image));
    assert_eq!((code, plan.as_str()), (Some(2), ""));
    let said: Vec<&str> = said.lines().skip_while(|line| !line.contains("no Python")).take(2).collect();
    expect![[r#"
        error: the base `oci:base` has no Python 3.9 at `/home/ma-user/anaconda3/envs/MindSpore/bin/python3.9`; it has no Python at all
        hint: use a base that has a Python for aarch64
    "#]].assert_eq(&(said.join("\n") + "\n"));
}
