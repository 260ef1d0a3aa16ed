//! Layers of wheels: every way of storing a file, splitting, caching.

use std::{collections::BTreeSet, fs};

use expect_test::expect;
use oci_image::{Attr, Layer, LayerError};
use wheel_layer::{Layout, WheelError};

use crate::{
    wheel_file::{Setup, WheelFile, noise, setup, store, unpack},
    zip_file::ZipEntry,
};

#[test]
fn every_way_of_storing_a_file_comes_out_right() {
    let described = ZipEntry { flags: 8, ..ZipEntry::new("described", &noise(1), true) };
    let wheel = WheelFile::demo()
        .entry(ZipEntry::new("stored", &noise(0), false))
        .entry(described)
        .entry(ZipEntry { flags: 8, ..ZipEntry::new("described-stored", &noise(2), false) })
        .entry(ZipEntry { zip64: true, ..ZipEntry::new("zip64", &noise(3), true) })
        .entry(ZipEntry { flags: 6, ..ZipEntry::new("fastest", &noise(4), true) })
        .entry(ZipEntry { raw: Vec::new(), ..ZipEntry::new("empty-without-a-stream", b"", true) })
        .entry(ZipEntry::new("empty", b"", true))
        .entry(ZipEntry::new("empty-stored", b"", false));
    let (folder, store) = store();
    let made = setup().layers(&store, &wheel.write(folder.path())).unwrap();
    let found = unpack(&store, &made[0]);
    let get = |name: &str| &found.iter().find(|(path, ..)| path.ends_with(&format!("/{name}"))).unwrap().2;
    for (seed, name) in ["stored", "described", "described-stored", "zip64", "fastest"].into_iter().enumerate() {
        assert_eq!(*get(name), noise(seed as u8), "{name}");
    }
    for name in ["empty-without-a-stream", "empty", "empty-stored"] {
        assert!(get(name).is_empty());
    }
}

#[test]
fn a_name_without_the_utf8_flag_is_read_as_code_page_437() {
    let wheel = WheelFile::demo().entry(ZipEntry {
        name: b"caf\x82.py".to_vec(),
        local_name: b"caf\x82.py".to_vec(),
        ..ZipEntry::new("x", b"", true)
    });
    let (folder, store) = store();
    let made = setup().layers(&store, &wheel.write(folder.path())).unwrap();
    assert!(unpack(&store, &made[0]).iter().any(|(path, ..)| path.ends_with("site-packages/café.py")));
}

fn large() -> WheelFile {
    (0..10).fold(WheelFile::demo(), |wheel, seed| wheel.file(&format!("demo/{seed}.bin"), &noise(seed)))
}

#[test]
fn a_large_wheel_is_split_by_files_in_the_same_way_every_time() {
    let (folder, store) = store();
    let wheel = large().write(folder.path());
    let parents = [("/opt/py".to_owned(), Attr { mode: 0o711, uid: 1000, gid: 100, mtime: crate::wheel_file::MTIME })];
    let one = Setup { parents: parents.into_iter().collect(), ..setup() };
    let split = Setup { max_layer: 20_000, ..one.clone() };
    let made = split.layers(&store, &wheel).unwrap();
    let whole = one.layers(&store, &wheel).unwrap();
    assert_eq!(whole.len(), 1);
    let mut pieces = Vec::new();
    let mut listing = String::new();
    for layer in &made {
        assert!(layer.size < 22_000);
        let entries = unpack(&store, layer);
        assert!(entries.contains(&("opt/py/".to_owned(), 0o711, Vec::new())), "a piece lacks a parent folder");
        listing += &format!("{} entries\n", entries.len());
        pieces.extend(entries);
    }
    expect![[r#"
        13 entries
        15 entries
    "#]]
    .assert_eq(&listing);
    let set = |entries: Vec<_>| entries.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(pieces), set(unpack(&store, &whole[0])));
    let (_other, store) = self::store();
    assert_eq!(split.layers(&store, &wheel).unwrap(), made);
}

#[test]
fn of_a_wheel_that_is_split_every_piece_is_held_to_record() {
    let (folder, store) = store();
    let mut wheel = large();
    let record: String = (0..10)
        .map(|seed| format!("demo/{seed}.bin,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,\n"))
        .chain(["demo-1.0.dist-info/METADATA,,\ndemo-1.0.dist-info/WHEEL,,\n".to_owned()])
        .collect();
    wheel.record = Some(record);
    let path = wheel.write(folder.path());
    let split = Setup { max_layer: 20_000, ..setup() };
    let said = split.layers(&store, &path).unwrap_err().to_string();
    assert!(said.contains("RECORD has other hashes") && said.matches(".bin`").count() == 10, "{said}");
    // Damage in one piece ends the others; it is what is told.
    let damaged = large().entry(ZipEntry { crc32: 1, ..ZipEntry::new("last.bin", &noise(10), true) });
    match split.layers(&store, &damaged.write(folder.path())) {
        Err(WheelError::Layer { source: LayerError::Damaged { path, .. }, .. }) => {
            assert!(path.ends_with("/last.bin"), "{path}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!store.root().join("records/wheel-layers").exists(), "a wheel without layers is known");
}

#[test]
fn the_first_damage_is_told_and_ends_what_comes_behind_it() {
    let damaged = |name: &str, seed| ZipEntry { crc32: 1, ..ZipEntry::new(name, &noise(seed), true) };
    let wheel = (0..60).fold(WheelFile::demo().entry(damaged("first.bin", 100)), |wheel, seed| {
        wheel.file(&format!("demo/{seed}.bin"), &noise(seed))
    });
    let wheel = wheel.entry(damaged("last.bin", 101));
    let split = Setup { max_layer: 4000, ..setup() };
    let left = || {
        let (folder, store) = store();
        match split.layers(&store, &wheel.write(folder.path())) {
            Err(WheelError::Layer { source: LayerError::Damaged { path, .. }, .. }) => {
                assert!(path.ends_with("/first.bin"), "{path}");
            }
            other => panic!("{other:?}"),
        }
        fs::read_dir(store.root().join("blobs/sha256")).unwrap().count()
    };
    // Whoever makes the first may be held up until the others are done, and not five times.
    assert!((0..5).any(|_| left() < 60), "nothing was given up");
}

#[test]
fn a_wheel_that_conflicts_with_itself_is_refused() {
    let setup = Setup { link: Some(("/opt/py/man/man1", "/opt/py/share/man/man1")), ..setup() };
    let between = |first: &str, second: &str| {
        let (folder, _) = store();
        let path = WheelFile::demo().file(first, b"").file("between", b"").file(second, b"").write(folder.path());
        let said = setup.install(&path).unwrap_err().to_string();
        said.replace(path.to_str().unwrap(), "it").replace("/opt/py/lib/python3.9/site-packages", "SITE")
    };
    let both = "wheel `it` is damaged: `SITE/demo/a` would be a file and a folder";
    assert_eq!(between("demo/a", "demo/a/b"), both);
    assert_eq!(between("demo/a/b", "demo/a"), both);
    let twice =
        "wheel `it` is damaged: two of its files would be `/opt/py/share/man/man1/x`, behind a link of the base";
    assert_eq!(between("demo-1.0.data/data/man/man1/x", "demo-1.0.data/data/share/man/man1/x"), twice);
}

#[test]
fn layers_are_made_once_and_made_again_where_a_blob_is_gone() {
    let (folder, store) = store();
    let wheel = large().write(folder.path());
    let make = |setup: &Setup| setup.layers(&store, &wheel).unwrap();
    let stamp = |layer: &Layer| fs::metadata(store.blob_path(&layer.digest)).unwrap().modified().unwrap();
    let are_made = || {
        let Setup { parents, max_layer, .. } = setup();
        wheel_layer::made(&[&setup().install(&wheel).unwrap()], &store, &parents, max_layer).unwrap().is_some()
    };
    assert!(!are_made());
    let first = make(&setup());
    assert!(are_made());
    let time = stamp(&first[0]);
    assert_eq!(make(&setup()), first);
    assert_eq!(stamp(&first[0]), time, "the blob was written again");

    fs::remove_file(store.blob_path(&first[0].digest)).unwrap();
    assert!(!are_made());
    assert_eq!(make(&setup()), first);
    fs::write(store.blob_path(&first[0].digest), b"cut").unwrap();
    assert_eq!(make(&setup()), first);
    assert_eq!(stamp(&first[0]), fs::metadata(store.blob_path(&first[0].digest)).unwrap().modified().unwrap());
    assert_eq!(unpack(&store, &first[0]).len(), 10 + 5 + 3 + 4);

    let attr = Attr { mode: 0o700, uid: 0, gid: 0, mtime: 0 };
    let records = || fs::read_dir(store.root().join("records/wheel-layers")).unwrap().count();
    let elsewhere = Setup { parents: [("/root".to_owned(), attr)].into(), ..setup() };
    assert_eq!(make(&elsewhere), first);
    assert_eq!(records(), 1, "a folder of the base that lies elsewhere costs a layer");
    let above = Setup { parents: [("/opt".to_owned(), attr)].into(), ..setup() };
    assert_ne!(make(&above), first);

    let other = Setup { layout: Layout { uid: 0, ..setup().layout }, ..setup() };
    assert_ne!(make(&other), first);
}

#[test]
fn the_bytes_of_a_layer_stay_the_same() {
    let (folder, store) = store();
    let wheel = WheelFile::demo()
        .entry(ZipEntry::new("stored", &noise(0), false))
        .entry(ZipEntry { raw: b"\x4b\x04\0".to_vec(), ..ZipEntry::new("a", b"a", true) })
        .commands("[console_scripts]\ntool = demo:main\n");
    let made = setup().layers(&store, &wheel.write(folder.path())).unwrap();
    // A change here needs a new format version in layers.rs.
    expect!["sha256:dda9236caaeabb412faa956a8684b755d7dcf15f4266fdf2946148a9bbc2c91d"]
        .assert_eq(&made[0].diff_id.to_string());
}

#[test]
fn two_at_once_make_one_layer() {
    let (folder, store) = store();
    let wheel = large().write(folder.path());
    let made: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| setup().layers(&store, &wheel).unwrap())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(made.iter().all(|layers| *layers == made[0]));
    assert_eq!(fs::read_dir(store.root().join("blobs/sha256")).unwrap().count(), 1);
}
