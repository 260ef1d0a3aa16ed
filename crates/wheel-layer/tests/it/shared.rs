//! Several wheels in one layer.

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use expect_test::{expect, expect_file};
use oci_image::{Attr, Digest};
use wheel_layer::{InstalledWheel, WheelError, conflicts, overwrite};

use crate::{
    wheel_file::{MTIME, Setup, WheelFile, noise, setup, store, unpack},
    zip_file::ZipEntry,
};

const SITE: &str = "opt/py/lib/python3.9/site-packages";

fn installed(folder: &Path, wheel: &WheelFile) -> InstalledWheel {
    setup().install(&wheel.write(folder)).unwrap()
}

/// Two namespace packages and a third wheel, with a file, a script and a command that two of them have alike.
fn three() -> [WheelFile; 3] {
    let script = b"#!python\nimport kit\n";
    let one = WheelFile::new("kit-one", "1")
        .file("kit/__init__.py", b"# the namespace\n")
        .file("kit/one.bin", &noise(1))
        .file_with_mode("kit_one-1.data/scripts/kit", script, 0o100_755)
        .commands("[console_scripts]\none = kit.one:main\n");
    let two = WheelFile::new("kit-two", "2")
        .entry(ZipEntry::new("kit/__init__.py", b"# the namespace\n", false))
        .file("kit/two.bin", &noise(2))
        .file_with_mode("kit_two-2.data/scripts/kit", script, 0o100_755)
        .commands("[console_scripts]\none = kit.one:main\n");
    [one, two, WheelFile::new("apart", "3").file("apart/__init__.py", &noise(3))]
}

fn paths(entries: &[(String, u32, Vec<u8>)]) -> String {
    entries.iter().map(|(path, ..)| format!("{}\n", path.replace(SITE, "SITE"))).collect()
}

#[test]
fn what_wheels_share_is_the_union_of_what_they_have() {
    let (folder, store) = store();
    let parents = [("/opt/py".to_owned(), Attr { mode: 0o711, uid: 1000, gid: 100, mtime: MTIME })];
    let setup = Setup { parents: parents.into_iter().collect(), ..setup() };
    let wheels = three().map(|wheel| installed(folder.path(), &wheel));
    let shared = setup.share(&store, &wheels).unwrap();
    assert_eq!(shared.len(), 1);
    let found = unpack(&store, &shared[0]);
    let apart: Vec<_> = wheels
        .iter()
        .flat_map(|one| setup.layers(&store, &one.path).unwrap())
        .flat_map(|layer| unpack(&store, &layer))
        .collect();
    assert!(found.len() < apart.len());
    let set = found.iter().collect::<BTreeSet<_>>();
    assert_eq!(set.len(), found.len(), "an entry is there twice");
    assert_eq!(set, apart.iter().collect::<BTreeSet<_>>());
    assert!(found.contains(&("opt/py/".to_owned(), 0o711, Vec::new())));
    // Wheel by wheel, each in the order of its archive; what the second has like the first is not there again.
    expect_file!["said/three_wheels_in_one_layer.txt"].assert_eq(&paths(&found));
}

#[test]
fn shared_layers_are_split_and_the_same_every_time() {
    let (folder, store) = store();
    let wheels = three().map(|wheel| installed(folder.path(), &wheel));
    let split = Setup { max_layer: 13_000, ..setup() };
    let shared = split.share(&store, &wheels).unwrap();
    assert_eq!(shared.len(), 3);
    let mut files = BTreeSet::new();
    for layer in &shared {
        assert!(layer.size < 18_000);
        let entries = unpack(&store, layer);
        assert_eq!(entries[0].0, "opt/", "a piece lacks a parent folder");
        for (path, ..) in entries.into_iter().filter(|(path, ..)| !path.ends_with('/')) {
            assert!(files.insert(path.clone()), "{path} is in two pieces");
        }
    }
    let whole = setup().share(&store, &wheels).unwrap();
    let of_whole = unpack(&store, &whole[0]).into_iter().map(|(path, ..)| path).filter(|path| !path.ends_with('/'));
    assert_eq!(files, of_whole.collect());
    let (_other, store) = self::store();
    assert_eq!(split.share(&store, &wheels).unwrap(), shared);
    // A change here needs a new format version in layers.rs.
    let plain = ["one", "two"].map(|name| {
        let wheel = WheelFile::new(name, "1").entry(ZipEntry::new(name, &noise(0), false));
        installed(folder.path(), &wheel)
    });
    expect!["sha256:163a41041a22578f881fced188854f0c1381f916a07c72e672d73fa628df53a7"]
        .assert_eq(&setup().share(&store, &plain).unwrap()[0].diff_id.to_string());
}

#[test]
fn shared_layers_are_made_once_for_the_same_wheels_in_the_same_order() {
    let (folder, store) = store();
    let wheels = three().map(|wheel| installed(folder.path(), &wheel));
    let first = setup().share(&store, &wheels).unwrap();
    for one in &wheels {
        fs::remove_file(&one.path).unwrap();
    }
    assert_eq!(setup().share(&store, &wheels).unwrap(), first, "made again");
    let missing = |wheels: &[InstalledWheel], setup: &Setup| {
        assert!(matches!(setup.share(&store, wheels), Err(WheelError::Read { .. })));
    };
    missing(&wheels, &Setup { max_layer: 13_000, ..setup() });
    missing(&wheels[..2], &setup());
    let [one, two, three] = wheels;
    let swapped = [two, one, three];
    missing(&swapped, &setup());
    let [two, one, three] = swapped;
    let mut other = three.clone();
    other.digest = Digest::from_bytes([0; 32]);
    missing(&[one, two, other], &setup());
}

fn refused(wheels: &[WheelFile], break_it: impl Fn(&mut Vec<u8>)) -> String {
    let (folder, store) = store();
    let wheels: Vec<_> = wheels.iter().map(|wheel| installed(folder.path(), wheel)).collect();
    let last = wheels.last().unwrap();
    let mut bytes = fs::read(&last.path).unwrap();
    break_it(&mut bytes);
    fs::write(&last.path, bytes).unwrap();
    let error = setup().share(&store, &wheels).unwrap_err();
    for folder in ["tmp", "blobs/sha256", "records"] {
        assert_eq!(fs::read_dir(store.root().join(folder)).unwrap().count(), 0, "{folder}");
    }
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{cause}").replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn wheels_that_are_at_odds_leave_no_layer() {
    let wheel = |name: &str, bytes: &[u8]| WheelFile::new(name, "1").file("same.py", bytes);
    expect!["the wheels can't share a layer: there are two wheels of `one`: 1 and 1; `one` and `two` put different files at `/opt/py/lib/python3.9/site-packages/same.py`"].assert_eq(&refused(&[wheel("one", b"1"), wheel("two", b"2"), wheel("ONE", b"1")], |_| {}));
}

#[test]
fn no_wheel_replaces_the_record_of_another() {
    let victim = WheelFile::new("victim", "1").file("victim.py", b"");
    let record = "victim-1.dist-info/RECORD";
    let other = |path: &str| WheelFile::new("other", "1").file(&format!("other-1.data/platlib/{path}"), b"");
    let between = |one: &WheelFile, two: &WheelFile| {
        let folder = tempfile::tempdir().unwrap();
        let found = conflicts(&[&installed(folder.path(), one), &installed(folder.path(), two)]);
        assert!(found.iter().all(|one| one.either.is_none()));
        let said = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert_eq!(refused(&[one.clone(), two.clone()], |_| {}), format!("the wheels can't share a layer: {said}"));
        said
    };
    let different = |one: &str, two: &str| format!("`{one}` and `{two}` put different files at `/{SITE}/{record}`");
    assert_eq!(between(&victim, &other(record)), different("victim", "other"));
    assert_eq!(between(&other(record), &victim), different("other", "victim"));
    let folder = format!("`victim` puts a file at `/{SITE}/{record}`, where `other` has a folder");
    assert_eq!(between(&victim, &other(&format!("{record}/x"))), folder);
}

#[test]
fn a_file_that_is_there_already_is_checked_all_the_same() {
    let shared = noise(5);
    let wheel = |name: &str| WheelFile::new(name, "1").entry(ZipEntry::new("same.bin", &shared, false));
    let at = |bytes: &[u8]| bytes.windows(99).position(|window| window == &shared[..99]).unwrap();
    expect!["wheel `two-1-py3-none-any.whl` is damaged: entry `same.bin` does not have the size and CRC that the archive claims"].assert_eq(&refused(&[wheel("one"), wheel("two")], |bytes| {
        let at = at(bytes);
        bytes[at] ^= 1;
    }));
    // RECORD of both says what neither has.
    let lying = |name: &str| {
        let mut wheel = WheelFile::new(name, "1").entry(ZipEntry::new("same.bin", &shared, false));
        wheel.record = Some(
            "same.bin,sha512=z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c5H0NE8XYXysP-DGNKHfuwvY7kxvUdBeoGlODJ6-SfaPg,\n"
                .to_owned(),
        );
        wheel
    };
    expect!["wheel `two-1-py3-none-any.whl` is damaged: its RECORD has other hashes of `opt/py/lib/python3.9/site-packages/same.bin`"].assert_eq(&refused(&[lying("one"), lying("two")], |_| {}));
}

#[test]
fn other_hashes_are_told_of_the_wheel_that_has_them() {
    let mut two = WheelFile::new("two", "1").file("two.py", b"2");
    two.record = Some("two.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,\n".to_owned());
    let last = WheelFile::new("three", "1").file("three.py", b"3");
    expect!["wheel `two-1-py3-none-any.whl` is damaged: its RECORD has other hashes of `opt/py/lib/python3.9/site-packages/two.py`"].assert_eq(&refused(&[WheelFile::new("one", "1").file("one.py", b"1"), two, last], |_| {}));
    let mut script = WheelFile::new("script", "1").file("script-1.data/scripts/run", b"#!python\n");
    script.record = Some("script-1.data/scripts/run,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,\n".to_owned());
    expect!["wheel `script-1-py3-none-any.whl` is damaged: its RECORD has other hashes of `opt/py/bin/run`"]
        .assert_eq(&refused(&[script], |_| {}));
}

/// pip's outcome: the path has the bytes of the one installed last, and both RECORDs are as if nothing had happened.
#[test]
fn what_is_overwritten_is_in_no_layer_and_in_its_record() {
    let (folder, store) = store();
    let wheel = |name: &str, bytes: &[u8]| {
        let script = [b"#!python\n", bytes].concat();
        WheelFile::new(name, "1").file("same.py", bytes).file(&format!("{name}-1.data/scripts/run"), &script)
    };
    let [one, two] = [wheel("one", b"1"), wheel("two", b"2")];
    let mut wheels = vec![installed(folder.path(), &one), installed(folder.path(), &two)];
    let alone =
        wheels.iter().flat_map(|one| unpack(&store, &setup().share(&store, std::slice::from_ref(one)).unwrap()[0]));
    let alone: BTreeSet<_> = alone.collect();
    assert_eq!(overwrite(&mut wheels, &["one".to_owned()]).len(), 1);
    let apart =
        wheels.iter().flat_map(|one| unpack(&store, &setup().share(&store, std::slice::from_ref(one)).unwrap()[0]));
    let apart: BTreeSet<_> = apart.collect();
    let lost: Vec<_> = alone.difference(&apart).map(|(path, _, bytes)| (path.as_str(), bytes.last())).collect();
    assert_eq!(lost, [("opt/py/bin/run", Some(&b'2')), (&format!("{SITE}/same.py"), Some(&b'2'))]);
    let shared = unpack(&store, &setup().share(&store, &wheels).unwrap()[0]);
    assert_eq!(shared.into_iter().collect::<BTreeSet<_>>(), apart);
    // Had the other won, it would be another layer.
    let mut other = vec![installed(folder.path(), &one), installed(folder.path(), &two)];
    overwrite(&mut other, &["two".to_owned()]);
    assert_ne!(setup().share(&store, &other).unwrap(), setup().share(&store, &wheels).unwrap());
}

#[test]
fn a_record_that_is_not_believed_is_kept_as_it_is() {
    let (folder, store) = store();
    let mut lying = WheelFile::new("lying", "1").file("lying.py", b"x").file("unlisted.py", b"y");
    let row = "lying.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,7";
    lying.record = Some(format!("{row}\n{row}\nlying\\gone.py,sha256=abc,1\n"));
    let believed = installed(folder.path(), &lying);
    assert!(believed.facts.check_record().len() > 4);
    let mut wheel = believed.clone();
    wheel.ignore_record();
    let entries = unpack(&store, &setup().share(&store, &[wheel]).unwrap()[0]);
    let record = entries.iter().find(|(path, ..)| path.ends_with("RECORD")).unwrap();
    expect![[r#"
        lying-1.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4
        lying-1.dist-info/METADATA,,
        lying-1.dist-info/RECORD,,
        lying-1.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
        lying-1.dist-info/WHEEL,,
        lying.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,7
        lying.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,7
        lying\gone.py,sha256=abc,1
        unlisted.py,,
    "#]]
    .assert_eq(&String::from_utf8_lossy(&record.2).replace('\r', ""));
    // Its layer is not that of a wheel whose RECORD was found right.
    assert!(setup().share(&store, &[believed]).unwrap_err().to_string().contains("has other hashes"));
}
