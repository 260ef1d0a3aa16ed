//! Archives that want to do harm, or are merely broken: each is refused with a sentence, none panics.

use std::fmt::Write as _;

use expect_test::{expect, expect_file};
use oci_image::Store;
use proptest::prelude::*;
use wheel_layer::WheelFacts;

use crate::{
    wheel_file::{WheelFile, setup, store, write},
    zip_file::{ZipEntry, zip},
};

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap();
        cause = error.source();
    }
    text
}

/// What making layers of these bytes says, without the path of the wheel.
fn refusal(bytes: &[u8]) -> String {
    let (folder, store) = store();
    let path = write(folder.path(), "demo-1.0-py3-none-any.whl", bytes);
    let text = match setup().layers(&store, &path) {
        Ok(_) => return "accepted".to_owned(),
        Err(error) => chain(&error),
    };
    assert_nothing_left(&store);
    text.replace(&format!("wheel `{}`", path.display()), "it")
}

fn assert_nothing_left(store: &Store) {
    for folder in ["tmp", "blobs/sha256"] {
        assert_eq!(std::fs::read_dir(store.root().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

/// What a wheel with this entry says.
fn with(entry: ZipEntry) -> String {
    refusal(&WheelFile::demo().entry(entry).bytes())
}

fn good() -> ZipEntry {
    ZipEntry::new("demo.py", &b"import this\n".repeat(99), true)
}

#[test]
fn names_that_lead_out_are_refused() {
    let mut table = String::new();
    for name in [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a\\b",
        "a\0b",
        "a//b",
        "./a",
        "",
        "a\nb",
        ".wh.demo",
        "demo/.wh..wh..opq",
        &"n".repeat(5000),
    ] {
        writeln!(table, "{}", with(ZipEntry::new(name, b"x", true))).unwrap();
    }
    let scheme = |name: &str| with(ZipEntry::new(&format!("demo-1.0.data/{name}"), b"x", true));
    for name in ["scripts/../../x", "root/x", "x", "data//etc/passwd"] {
        writeln!(table, "{}", scheme(name)).unwrap();
    }
    let twice = WheelFile::demo().entry(good()).entry(good());
    writeln!(table, "{}", refusal(&twice.bytes())).unwrap();
    let below = WheelFile::demo().file("a", b"").file("a/b", b"");
    writeln!(table, "{}", refusal(&below.bytes())).unwrap();
    let cp437 = ZipEntry { name: b"\xff\xfe".to_vec(), local_name: b"\xff\xfe".to_vec(), flags: 0x800, ..good() };
    writeln!(table, "{}", with(cp437)).unwrap();
    expect_file!["said/hostile_names.txt"].assert_eq(&table);
}

/// A wheel of 4 MB with 500 names `a/a/a/…` made a layer of 3 GB, and took 1.9 GB of memory.
#[test]
fn few_names_that_make_many_folders_are_refused() {
    let deep = |number: usize, depth: usize| format!("demo{number}/{}x", "a/".repeat(depth));
    let wheel = |names: usize, depth: usize| {
        let files = (0..names).fold(WheelFile::demo(), |wheel, number| wheel.file(&deep(number, depth), b""));
        let (folder, _) = store();
        match WheelFacts::read(&write(folder.path(), "demo-1.0-py3-none-any.whl", &files.bytes())) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => chain(&error).rsplit(": ").next().unwrap_or_default().to_owned(),
        }
    };
    // Few bytes, but too many; and few, but too many bytes.
    expect!["it has too many folders"].assert_eq(&wheel(3000, 90));
    expect!["it has too many folders"].assert_eq(&wheel(20, 1900));
    expect!["accepted"].assert_eq(&wheel(300, 90));
}

#[test]
fn entries_that_lie_are_refused() {
    let mut table = String::new();
    let mut check = |what: &str, entry: ZipEntry| writeln!(table, "{what}: {}", with(entry)).unwrap();
    check("encrypted", ZipEntry { flags: 1, ..good() });
    check("masked", ZipEntry { flags: 1 << 13, ..good() });
    check("deflate64", ZipEntry { method: 9, ..good() });
    check("bzip2", ZipEntry { method: 12, ..good() });
    check("zstd", ZipEntry { method: 93, ..good() });
    check("unknown method", ZipEntry { method: 4711, ..good() });
    check("other local name", ZipEntry { local_name: b"demo.pz".to_vec(), ..good() });
    check("other CRC", ZipEntry { crc32: 1, ..good() });
    check("larger", ZipEntry { size: good().size + 1, ..good() });
    check("smaller", ZipEntry { size: good().size - 1, ..good() });
    check("bomb", ZipEntry { size: 1 << 31, ..good() });
    check("stored, but other size", ZipEntry { method: 0, ..good() });
    check("stored, other CRC", ZipEntry { crc32: 1, ..ZipEntry::new("demo.py", b"x", false) });
    check("garbage", ZipEntry { raw: vec![0xff; 50], ..good() });
    check("beyond the end", ZipEntry { offset: Some(1 << 30), ..good() });
    expect_file!["said/entries_that_lie.txt"].assert_eq(&table);
}

/// One entry inside the bytes of another, as zip bombs have it.
#[test]
fn overlapping_entries_are_refused() {
    let inner = ZipEntry::new("inner.py", b"x", false);
    let nested = zip(std::slice::from_ref(&inner), None);
    let outer = ZipEntry::new("outer.py", &nested, false);
    let begin = 30 + outer.name.len() as u64;
    let wheel = WheelFile::demo().entry(outer).entry(ZipEntry { offset: Some(begin), ..inner });
    expect!["it is damaged: it is not a whole zip archive (entries overlap)"].assert_eq(&refusal(&wheel.bytes()));
}

#[test]
fn wheels_that_are_none_are_refused() {
    let mut table = String::new();
    let mut check = |what: &str, bytes: &[u8]| writeln!(table, "{what}: {}", refusal(bytes)).unwrap();
    let whole = WheelFile::demo().entry(good()).bytes();
    check("empty", b"");
    check("text", b"<html>not found</html>");
    check("cut", &whole[..whole.len() - 30]);
    check("cut in the middle", &whole[..whole.len() / 2]);
    check("no entries", &zip(&[], None));
    check("more announced", &zip(&[good()], Some(2)));
    check("fewer announced", &zip(&[good(), ZipEntry::new("b", b"", true)], Some(1)));
    let mut other = WheelFile::new("other", "1.0");
    check("another's metadata", &other.bytes());
    other = WheelFile::demo().file("other-1.0.dist-info/METADATA", b"");
    check("two metadata folders", &other.bytes());
    let mut wheel = WheelFile::demo();
    wheel.wheel = "Root-Is-Purelib: true\n".to_owned();
    check("no version of the format", &wheel.bytes());
    wheel = WheelFile::demo();
    wheel.metadata = "Name: demo\n".to_owned();
    check("no version", &wheel.bytes());
    wheel = WheelFile::demo();
    wheel.record = Some("\"demo.py,,\n".to_owned());
    check("RECORD cut", &wheel.bytes());
    check("bad command", &WheelFile::demo().commands("[console_scripts]\nx = y\n").bytes());
    expect_file!["said/files_that_are_no_wheels.txt"].assert_eq(&table);
}

#[test]
fn a_file_whose_bytes_are_not_those_of_record_leaves_no_layer() {
    let mut wheel = WheelFile::demo().entry(good()).file("fine.py", b"");
    let mut record = String::new();
    for name in ["demo.py", "fine.py"] {
        writeln!(record, "{name},sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,").unwrap();
    }
    wheel.record = Some(record);
    expect!["it is damaged: its RECORD has other hashes of `opt/py/lib/python3.9/site-packages/demo.py`"]
        .assert_eq(&refusal(&wheel.bytes()));
}

#[test]
fn a_wheel_that_changes_after_it_was_read_leaves_no_layer() {
    let (folder, store) = store();
    let path = WheelFile::demo().entry(good()).write(folder.path());
    let wheel = setup().install(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60] ^= 0x40;
    std::fs::write(&path, bytes).unwrap();
    let error = setup().share(&store, &[wheel]).unwrap_err();
    assert!(chain(&error).contains("`/opt/py/lib/python3.9/site-packages/demo.py` is damaged"), "{}", chain(&error));
    assert_nothing_left(&store);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    /// A wheel with bytes changed anywhere is refused, or comes out as it was: never a panic, never half a layer.
    #[test]
    fn a_damaged_wheel_is_refused_or_whole(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = WheelFile::demo().entry(good()).file("a.bin", &[7; 3000]).bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (folder, store) = store();
        let path = write(folder.path(), "demo-1.0-py3-none-any.whl", &bytes);
        if setup().layers(&store, &path).is_err() {
            assert_nothing_left(&store);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = wheel_layer::entries(&bytes[..], bytes.len() as u64);
    }
}
