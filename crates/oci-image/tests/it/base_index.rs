//! What is found in a base, layer upon layer.

use elf_fake::FakeLibrary;
use expect_test::{expect, expect_file};
use oci_image::{Base, BaseIndex, Store};

use crate::made::{Made::*, *};

fn index_of(archives: &[Vec<u8>], files: &[&str]) -> (tempfile::TempDir, Store, BaseIndex) {
    let (dir, store) = store();
    let (blobs, base) = base(archives);
    let files: Vec<String> = files.iter().map(|path| (*path).to_owned()).collect();
    let index = BaseIndex::build(&store, &base, &blobs, &files).map_err(|error| chain(&error)).unwrap();
    assert_eq!(BaseIndex::cached(&store, &base.manifest_digest, &files).unwrap().as_ref(), Some(&index));
    (dir, store, index)
}

fn base(archives: &[Vec<u8>]) -> (Blobs, Base) {
    let mut blobs = Blobs::default();
    let layers: Vec<_> = archives.iter().map(|archive| (OCI_GZIP, gzip(archive))).collect();
    let base = base_of(&mut blobs, &layers, archives);
    (blobs, base)
}

fn look(archives: &[Vec<u8>]) -> BaseIndex {
    index_of(archives, &[]).2
}

fn folders(index: &BaseIndex) -> String {
    let line = |(path, attr): (&String, &oci_image::Attr)| format!("{path} {:o} {}:{}", attr.mode, attr.uid, attr.gid);
    index.dirs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An ELF header for aarch64 and some bytes.
fn elf(rest: &[u8]) -> Vec<u8> {
    [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0".as_slice(), &[0; 60], rest].concat()
}

#[test]
fn folders_are_as_the_layers_leave_them() {
    let cases: [(&str, &[&[Made<'_>]]); 6] = [
        (
            "a folder named again changes, one that is only implied is made anew, as docker and podman do",
            &[
                &[Dir("a", 0o700), Dir("a/b", 0o750), Dir("c", 0o1777), File("d/e", b"")],
                &[Dir("a", 0o711), File("c/x", b"")],
            ],
        ),
        (
            "whiteouts remove what is below them, whatever it is, and only of layers below",
            &[
                &[Dir("a", 0o700), Dir("a/b", 0o700), Dir("c", 0o700), File("f", b"")],
                &[Whiteout("a/b"), Whiteout("f"), Dir("f", 0o755), Whiteout("nothing")],
                &[Dir("c", 0o755), Dir("c/new", 0o755), Whiteout("c")],
            ],
        ),
        (
            "an opaque folder hides what lower layers have in it, and keeps what its own layer has, before or after",
            &[
                &[Dir("a", 0o700), Dir("a/old", 0o700), Dir("a/both", 0o700), Dir("a/both/old", 0o700)],
                &[Dir("a", 0o755), Dir("a/both", 0o755), Opaque("a"), Dir("a/new", 0o755)],
            ],
        ),
        (
            "a file or a link replaces a folder, and the other way round",
            &[
                &[Dir("a", 0o700), Dir("a/b", 0o700), Link("l", "a"), Dir("m", 0o700)],
                &[File("a", b""), Dir("l", 0o755), Dir("l/x", 0o755), Link("m", "l")],
            ],
        ),
        (
            "within a layer a link to a folder is followed; one of a layer below gives way",
            &[
                &[Dir("usr", 0o755), Dir("usr/lib", 0o755), Link("lib", "usr/lib"), Dir("lib/x", 0o700)],
                &[Dir("lib/y", 0o700)],
            ],
        ),
        ("links in a circle end somewhere", &[&[Link("a", "b"), Link("b", "a"), File("a/x/y", b"")]]),
    ];
    let mut text = String::new();
    for (what, layers) in cases {
        let archives: Vec<_> = layers.iter().map(|entries| tar(entries)).collect();
        text += &format!("{what}:\n{}\n\n", folders(&look(&archives)));
    }
    expect_file!["snapshots/folders.txt"].assert_eq(&text);
}

#[test]
fn links_to_folders_are_known() {
    let index = look(&[tar(&[
        Dir("data/home", 0o755),
        Dir("usr/lib/python3.9", 0o755),
        Link("home", "/data/home/"),
        Link("lib", "usr/lib"),
        Link("deep", "lib/../lib/./python3.9"),
        Link("out", "../../../usr"),
        Link("top", "/"),
        Link("file", "nothing"),
        Link("loop", "loop"),
    ])]);
    for (path, real) in [
        ("/lib/python3.9/x", "/usr/lib/python3.9/x"),
        ("/home/ma-user", "/data/home/ma-user"),
        ("/deep", "/usr/lib/python3.9"),
        ("/out/lib", "/usr/lib"),
        ("/top/lib", "/usr/lib"),
        ("/file", "/file"),
        ("/loop/x", "/loop/x"),
        ("//usr/./lib/", "/usr/lib"),
        ("/top", "/"),
    ] {
        assert_eq!(index.real_path(path), real, "{path}");
    }
}

#[test]
fn what_is_no_folder_is_known_by_its_path() {
    let index = look(&[
        tar(&[File("usr/bin/x", b""), Dir("usr/bin/y", 0o755), File("usr/z", b""), File("top", b""), Link("l", "top")]),
        tar(&[File("usr/bin/a", b""), Whiteout("usr/z")]),
    ]);
    for path in ["/usr/bin/x", "/usr/bin/a", "/top", "/l"] {
        assert!(index.has_file(path), "{path}");
    }
    for path in ["/usr/bin", "/usr/bin/y", "/usr/z", "/x", "/", "/usr/bin/x/y", "/usr/bin/top"] {
        assert!(!index.has_file(path), "{path}");
    }
}

/// As openEuler has them: libraries behind links, GCC's with its version in the file's name.
#[test]
fn libraries_are_known_by_name_and_some_by_their_versions() {
    let library = |soname: &str, versions: &[&str]| {
        let library = FakeLibrary::new().soname(soname);
        versions.iter().fold(library, |library, version| library.defines(version)).bytes()
    };
    let libc = [&library("libc.so.6", &["GLIBC_2.17", "GLIBC_2.28"]), &b"stable release version 2.28."[..]].concat();
    let old = library("libstdc++.so.6", &["GLIBCXX_3.4"]);
    let new = library("libstdc++.so.6", &["GLIBCXX_3.4", "GLIBCXX_3.4.24"]);
    let index = look(&[
        tar(&[
            File("usr/lib64/libc-2.28.so", &libc),
            Link("usr/lib64/libc.so.6", "libc-2.28.so"),
            File("usr/lib64/libgcc_s-7.3.0.so.1", &library("libgcc_s.so.1", &["GCC_3.0"])),
            File("usr/lib64/libgone.so", b""),
            File("usr/lib64/libgomp.so.1", b"text"),
            File("usr/lib64/libz.so.1.2", &library("libz.so.1", &["ZLIB_1.2"])),
            File("usr/lib64/libz.a", b""),
            File("opt/libx.so.d/file", b""),
            File("opt/conda/lib/libstdc++.so.6.0.25", &new),
        ]),
        tar(&[Whiteout("usr/lib64/libgone.so"), File("usr/lib64/libstdc++.so.6", &old)]),
    ]);
    let line = |(name, versions): (&String, &std::collections::BTreeSet<String>)| {
        versions.iter().fold(name.clone(), |line, version| line + " " + version) + "\n"
    };
    expect![[r#"
        libc-2.28.so
        libc.so.6 GLIBC_2.17 GLIBC_2.28
        libgcc_s-7.3.0.so.1
        libgcc_s.so.1 GCC_3.0
        libgomp.so.1
        libstdc++.so.6 GLIBCXX_3.4 GLIBCXX_3.4.24
        libstdc++.so.6.0.25
        libz.so.1.2
    "#]]
    .assert_eq(&index.libraries.iter().map(line).collect::<String>());
    assert_eq!(index.glibc, Some((2, 28)));
}

#[test]
fn the_system_is_recognised() {
    let old = [
        File("usr/lib/os-release", b"NAME=\"EulerOS\"\nVERSION='2.0 (SP8)'\n# no\nID=euleros\nbad\nX=\"a\\\"b\"\n"),
        Link("etc/os-release", "../usr/lib/os-release"),
        File("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nma-user:x:1000:100::/home/ma-user:/bin/bash\nbad\n"),
        File("etc/group", b"root:x:0:\nma-group:x:100:a,ma-user\n"),
        File("usr/lib64/libc-2.28.so", b"ELF"),
        Link("usr/lib64/libc.so.6", "libc-2.28.so"),
        Link("lib64", "usr/lib64"),
        File("opt/conda/lib/libc.so.6", b"stable release version 2.99."),
        Mode("usr/bin/su", 0o4755, b""),
        Hard("usr/bin/su2", "usr/bin/su"),
        Mode("usr/bin/gone", 0o4755, b""),
        Mode("usr/bin/wall", 0o2755, b""),
    ];
    let index = look(&[tar(&old), tar(&[Whiteout("usr/bin/gone")])]);
    let release: Vec<_> = index.os_release.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(release, ["ID=euleros", "NAME=EulerOS", "VERSION=2.0 (SP8)", "X=a\"b"]);
    assert_eq!(index.glibc, Some((2, 28)));
    assert_eq!((index.user("ma-user").unwrap().uid, index.user("ma-user").unwrap().gid), (1000, 100));
    assert_eq!(index.user("ma-user").unwrap().home, "/home/ma-user");
    assert_eq!((index.groups[1].gid, &*index.groups[1].members), (100, &["a".to_owned(), "ma-user".to_owned()][..]));
    assert_eq!(index.setid.keys().collect::<Vec<_>>(), ["/usr/bin/su", "/usr/bin/su2", "/usr/bin/wall"]);
    assert_eq!(index.platform.to_string(), "linux/arm64");

    let words = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u1) stable release version 2.36.\nCopyright".as_slice();
    let filler = vec![b'x'; 200_000];
    let library = [&filler, words, &filler].concat();
    let new = look(&[tar(&[File("lib/aarch64-linux-gnu/libc.so.6", &library)])]);
    assert_eq!(new.glibc, Some((2, 36)));
    assert_eq!(look(&[tar(&[File("lib/ld-musl-aarch64.so.1", b"")])]).glibc, None);
}

#[test]
fn every_python_is_found_under_its_names() {
    let python = elf(b"some\x003.2.0\0Python 3.9.9\x003.9.11\0rest and then more of it to fill the window");
    let small = elf(b"nothing here");
    let library = elf(b"\x003.9.2+\0 more that follows, more than thirty-two bytes");
    let index = look(&[tar(&[
        Mode("opt/conda/envs/ms/bin/python3.9", 0o755, &python),
        Link("opt/conda/envs/ms/bin/python3", "python3.9"),
        Link("opt/conda/envs/ms/bin/python", "python3.9"),
        Hard("opt/conda/pkgs/python-3.9.11-h1/bin/python3.9", "opt/conda/envs/ms/bin/python3.9"),
        Mode("usr/local/bin/python3.9", 0o755, &small),
        File("usr/local/lib/libpython3.9.so.1.0", &library),
        Mode("usr/bin/python2.7", 0o755, b"#!/bin/sh\n"),
        Mode("usr/bin/python3.9-config", 0o755, b"#!/bin/sh\n"),
        Link("bin", "usr/bin"),
        Link("usr/bin/python3", "missing"),
        Link("home/ma-user/anaconda3", "/opt/conda"),
    ])]);
    let all: Vec<_> = index
        .interpreters
        .iter()
        .map(|one| format!("{} {:?} {:?} {:?} {}", one.path, one.version, one.micro, one.machine, one.prefix))
        .collect();
    expect_file!["snapshots/pythons.txt"].assert_eq(&format!("{}\n\n{}\n", all.join("\n"), index.pythons().join("\n")));
    assert!(index.has_python("/home/ma-user/anaconda3/envs/ms/bin/python", (3, 9)));
    assert!(!index.has_python("/home/ma-user/anaconda3/envs/ms/bin/python", (3, 8)));
    assert!(index.has_python("/bin/python2.7", (2, 7)));
    assert!(!index.has_python("/bin/python3", (3, 9)));
}

#[test]
fn a_python_looks_where_its_program_and_its_environment_are() {
    let python = elf(b"");
    let entries = |release: &'static [u8]| {
        tar(&[
            File("etc/os-release", release),
            File("etc/passwd", b"ma-user:x:1000:100::/home/ma-user:/bin/sh\n"),
            Mode("usr/bin/python3.9", 0o755, &python),
            Dir("usr/lib/python3.9", 0o755),
            Link("venv/bin/python", "/usr/bin/python3.9"),
            Dir("venv/lib/python3.9/site-packages", 0o755),
            File("venv/pyvenv.cfg", b"home = /usr/bin\n"),
            Link("usr/local/bin/python", "/usr/bin/python3.9"),
            Dir("usr/local/lib/python3.9/dist-packages", 0o755),
            Mode("moved/bin/python3.9", 0o755, &python),
            File("script/bin/python3.9", b"#!/bin/sh\n"),
            Dir("script/lib/python3.9", 0o755),
        ])
    };
    let sites = |index: &BaseIndex, path: &str| index.sites(index.interpreter(path).unwrap());
    let debian = look(&[entries(b"ID=other\nID_LIKE=\"debian\"\n")]);
    let of_venv = sites(&debian, "/venv/bin/python").unwrap();
    expect_file!["snapshots/sites.txt"].assert_eq(&(of_venv.join("\n") + "\n"));
    assert_eq!(sites(&debian, "/usr/bin/python3.9").unwrap()[0], "/usr/local/lib/python3.9/dist-packages");
    // A link is no environment, whatever lies beside it.
    assert_eq!(sites(&debian, "/usr/local/bin/python"), sites(&debian, "/usr/bin/python3.9"));
    // Where the library is not beside it, and what a script starts, is not known.
    assert_eq!(sites(&debian, "/moved/bin/python3.9"), None);
    assert_eq!(sites(&debian, "/script/bin/python3.9"), None);
    let other = sites(&look(&[entries(b"ID=euleros\n")]), "/usr/bin/python3.9").unwrap();
    assert_eq!((&*other[0], other.len()), ("/usr/lib/python3.9/site-packages", 8));
}

const SITE: &str = "opt/env/lib/python3.9/site-packages";

#[test]
fn a_removal_takes_what_is_a_distributions_own() {
    let listed =
        include_str!("removal_base.txt").lines().skip(1).map(|line| line.split_once(' ').unwrap_or((line, "")));
    let files: Vec<(String, String)> =
        listed.map(|(path, contents)| (path.replace('@', SITE), contents.replace("\\n", "\n"))).collect();
    let mut entries: Vec<Made<'_>> = files.iter().map(|(path, text)| File(path, text.as_bytes())).collect();
    let broken = format!("{SITE}/broken-9.dist-info/METADATA");
    entries.push(File(&broken, b"\xff"));
    // uv links what it installs with its cache, of which nothing is read.
    let cache = "opt/env/cache/metadata";
    let [hard, soft] = ["hard-3", "soft-4"].map(|name| format!("{SITE}/{name}.dist-info/METADATA"));
    entries.extend([File(cache, b"Name: linked\n"), Hard(&hard, cache), Link(&soft, "/opt/env/cache/metadata")]);
    let old = format!("{SITE}/replaced-1.dist-info/METADATA");
    entries.push(File(&old, b"Name: replaced\nVersion: 1\n"));
    let second = format!("{SITE}/replaced-1.dist-info");
    let new = format!("{SITE}/replaced-2.dist-info/METADATA");
    let index = look(&[tar(&entries), tar(&[Whiteout(&second), File(&new, b"Name: replaced\nVersion: 2\n")])]);
    let mut text = String::new();
    for one in &index.distributions {
        let removal = match index.removal(one) {
            Ok(paths) => paths.iter().map(|path| format!("\n  {path}")).collect(),
            Err(error) => format!("\n  {error}"),
        };
        text.push_str(&format!("{} = {} {}{removal}\n", one.key, one.name, one.version));
        assert_eq!(one.location, format!("/{SITE}"));
    }
    assert_eq!(index.distributions_of(&format!("/{SITE}/")).len(), index.distributions.len());

    let numpy = index.distributions.iter().find(|one| one.key == "numpy").unwrap();
    let left = index.dirs_without(&index.removal(numpy).unwrap());
    let gone: Vec<_> = index.dirs.keys().filter(|path| !left.contains_key(*path)).cloned().collect();
    text += &format!("\nwithout numpy these folders are gone:\n{}\n", gone.join("\n"));
    expect_file!["snapshots/removal.txt"].assert_eq(&text);
}

#[test]
fn files_that_are_asked_for_are_kept_through_links() {
    let big = vec![b'x'; (4 << 20) + 1];
    let archives = [tar(&[
        File("data/ascend910/fmk.py", b"class FMK: pass"),
        File("data/ascend910/common.py", &big),
        Link("home/ma-user", "../data"),
        Link("data/ascend910/linked.py", "fmk.py"),
    ])];
    let asked =
        ["fmk.py", "common.py", "linked.py", "manager.py"].map(|name| format!("/home/ma-user/ascend910/{name}"));
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let (_dir, store, index) = index_of(&archives, &asked);
    let bytes = |name: &str| index.file(&store, &format!("/home/ma-user/ascend910/{name}")).unwrap();
    assert_eq!(bytes("fmk.py").as_deref(), Some(b"class FMK: pass".as_slice()));
    assert_eq!(index.files["/home/ma-user/ascend910/fmk.py"].as_ref().unwrap().attr.gid, 100);
    assert_eq!(bytes("linked.py").as_deref(), Some(b"class FMK: pass".as_slice()));
    assert_eq!((bytes("common.py"), bytes("manager.py")), (None, None));
    assert_eq!(index.files.len(), 4);
}

#[test]
fn a_base_is_streamed_once_for_all_that_is_asked() {
    let (_dir, store) = store();
    let archives = [tar(&[File("s/a.py", b"a"), File("s/b.py", b"b")]), tar(&[File("x", b"")])];
    let (blobs, base) = base(&archives);
    let source = Counted::new(blobs);
    let build = |files: &[&str]| {
        let files: Vec<String> = files.iter().map(|path| (*path).to_owned()).collect();
        let index = BaseIndex::build(&store, &base, &source, &files).unwrap();
        (index, source.take())
    };
    let read = |index: &BaseIndex, path| index.file(&store, path).unwrap();
    assert_eq!(build(&[]).1, 2);
    assert_eq!(build(&[]).1, 0);
    assert_eq!(build(&["/s/a.py"]).1, 2);
    let (index, reads) = build(&["/s/b.py"]);
    assert_eq!(reads, 2);
    assert_eq!(read(&index, "/s/b.py").as_deref(), Some(b"b".as_slice()));
    assert_eq!(read(&index, "/s/a.py").as_deref(), Some(b"a".as_slice()));
    assert_eq!(build(&["/s/a.py", "/s/b.py"]).1, 0);
    // A file whose contents the store has lost is fetched again.
    std::fs::remove_file(store.blob_path(&digest(b"a"))).unwrap();
    assert_eq!(build(&["/s/a.py"]).1, 2);
}

#[test]
fn a_damaged_base_is_not_remembered() {
    let (_dir, store) = store();
    let (mut blobs, base) = base(&[tar(&[File("a", b"1")])]);
    blobs.0.get_mut(&base.layers[0].digest).unwrap()[30] ^= 1;
    let error = BaseIndex::build(&store, &base, &blobs, &[]).unwrap_err();
    assert!(chain(&error).starts_with("failed to read"), "{}", chain(&error));
    assert_eq!(BaseIndex::cached(&store, &base.manifest_digest, &[]).unwrap(), None);

    let deep = format!("{}x", "d/".repeat(300));
    let (blobs, base) = self::base(&[tar(&[File(&deep, b"")])]);
    let error = BaseIndex::build(&store, &base, &blobs, &[]).unwrap_err();
    let layer = base.layers[0].digest;
    assert_eq!(chain(&error), format!("layer {layer} can't be inspected: its folders are more than 256 deep"));
}
