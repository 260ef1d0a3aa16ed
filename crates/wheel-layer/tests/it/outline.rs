//! What another machine is told of a wheel that it lacks.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use oci_image::{Behind, Digest, Store};
use serde_json::Value;
use wheel_layer::{InstalledWheel, OUTLINES, WheelFacts, conflicts, is_outlined, outlines};

use crate::{
    wheel_file::{WheelFile, noise, setup, store, target},
    zip_file::ZipEntry,
};

#[derive(Default)]
struct Told(Mutex<BTreeMap<Digest, Value>>);

impl Behind for Told {
    fn record(&self, kind: &str, key: &Digest) -> Option<Value> {
        self.0.lock().unwrap().get(key).filter(|_| kind == OUTLINES).cloned()
    }
    fn has_layer(&self, _: &Digest, _: u64, _: &Digest) -> bool {
        false
    }
    fn file(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }
}

/// A machine without a wheel planned another image than one that has it.
#[test]
fn a_wheel_that_is_not_there_is_planned_by_its_outline_as_if_it_were() {
    let (folder, _) = store();
    let wheels = [
        WheelFile::new("kit-one", "1")
            .file("kit/__init__.py", b"# the namespace\n")
            .file("kit/data.bin", &noise(1))
            .file_with_mode("kit_one-1.data/scripts/kit", b"#!python\nimport kit\n", 0o100_755)
            .commands("[console_scripts]\none = kit.one:main\n"),
        WheelFile::new("kit-two", "2")
            .entry(ZipEntry::new("kit/__init__.py", b"# the namespace\n", false))
            .file("kit/two.bin", &noise(2)),
        WheelFile::new("kit-three", "3").file("kit/__init__.py", b"# the Namespace\n").file("kit/empty.py", b""),
    ];
    let paths: Vec<_> = wheels.iter().map(|wheel| wheel.write(folder.path())).collect();
    let full: Vec<InstalledWheel> = paths.iter().map(|path| setup().install(path).unwrap()).collect();
    let told = Arc::new(Told::default());
    let tell = |wheels: &[InstalledWheel]| {
        let all: Vec<&InstalledWheel> = wheels.iter().collect();
        outlines(&all).into_iter().map(|(key, one)| (key, serde_json::to_value(&one).unwrap())).collect::<Vec<_>>()
    };
    let outlined = tell(&full[..2]);
    for (key, outline) in &outlined {
        assert!(!outline.to_string().contains("sha256="), "hashes of files do not travel: {outline}");
        told.0.lock().unwrap().insert(Digest::of(key), outline.clone());
    }
    paths[..2].iter().for_each(|path| fs::remove_file(path).unwrap());
    let other = tempfile::tempdir().unwrap();
    let other = Store::open(other.path()).unwrap().before(told.clone());
    let known: Vec<InstalledWheel> = full
        .iter()
        .map(|InstalledWheel { path, digest, .. }| {
            let facts = Arc::new(WheelFacts::cached(&other, path, digest).unwrap());
            InstalledWheel::new(facts, path.clone(), *digest, Arc::new(setup().layout), |_| None).unwrap()
        })
        .collect();
    for (full, known) in full.iter().zip(&known) {
        assert_eq!(full.facts.check(&target()), known.facts.check(&target()));
        assert_eq!(full.facts.check_record(), known.facts.check_record());
        assert_eq!(full.sizes().collect::<Vec<_>>(), known.sizes().collect::<Vec<_>>());
        assert_eq!((&full.folders, &full.facts.commands), (&known.folders, &known.facts.commands));
    }
    assert_eq!(tell(&known[..2]), outlined, "an outline of an outline is the same");
    // What two of the image have at one path is known to be the same; of a new wheel's it is not.
    assert!(conflicts(&[&known[0], &known[1]]).is_empty());
    let said = |wheels: [&InstalledWheel; 2]| conflicts(&wheels).iter().map(ToString::to_string).collect::<String>();
    assert_eq!(said([&full[0], &full[2]]), said([&known[0], &known[2]]));
    assert!(is_outlined(&other, paths[0].file_name().unwrap().to_str().unwrap(), &full[0].digest));
    assert!(!is_outlined(&other, paths[2].file_name().unwrap().to_str().unwrap(), &full[2].digest));
    assert!(!other.root().join("records/wheel-facts").read_dir().is_ok_and(|found| found.count() > 1));
    // Never enough for a layer.
    assert!(setup().share(&other, &known[..1]).is_err());
}
