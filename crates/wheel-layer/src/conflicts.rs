//! Wheels that get in each other's way.

use std::collections::{BTreeMap, HashMap};

use crate::{
    InstalledWheel,
    install::{FileContent, InstalledFile},
};

/// What keeps these wheels from being installed together. Two wheels that put the same bytes at one path get along.
pub fn conflicts(wheels: &[&InstalledWheel]) -> Vec<String> {
    let mut found = Vec::new();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for InstalledWheel { facts, .. } in wheels {
        let (name, version) = (facts.key(), &facts.version);
        if let Some(other) = names.insert(name.clone(), version) {
            found.push(format!("there are two wheels of `{name}`: {other} and {version}"));
        }
    }
    let mut files: BTreeMap<&str, (&InstalledWheel, &InstalledFile)> = BTreeMap::new();
    let mut folders: HashMap<&str, &InstalledWheel> = HashMap::new();
    for wheel in wheels {
        folders.extend(wheel.folders.iter().map(|folder| (folder.as_str(), *wheel)));
        for file in &wheel.files {
            let (other, theirs) = *files.entry(&file.path).or_insert((wheel, file));
            if !is_alike(other, theirs, wheel, file) {
                let (one, other) = (&other.facts.name, &wheel.facts.name);
                found.push(format!("`{one}` and `{other}` put different files at `{}`", file.path));
            }
        }
    }
    for (path, (wheel, _)) in &files {
        if let Some(other) = folders.get(path) {
            let (one, other) = (&wheel.facts.name, &other.facts.name);
            found.push(format!("`{one}` puts a file at `{path}`, where `{other}` has a folder"));
        }
    }
    found
}

/// Whether two files are the same, as far as it can be told without reading them.
fn is_alike(of_one: &InstalledWheel, one: &InstalledFile, of_other: &InstalledWheel, other: &InstalledFile) -> bool {
    let same = match (&one.content, &other.content) {
        (FileContent::Archived(one), FileContent::Archived(other)) => {
            let entries = (of_one.entry(one), of_other.entry(other));
            let content = |entry: &crate::Entry| (entry.size, entry.crc32);
            content(entries.0) == content(entries.1) && (one.hash, one.unfinished) == (other.hash, other.unfinished)
        }
        (FileContent::Made(one), FileContent::Made(other)) => one == other,
        // Two of one distribution are told as such.
        (FileContent::Record { .. }, FileContent::Record { .. }) => of_one.facts.key() == of_other.facts.key(),
        _ => false,
    };
    same && one.mode == other.mode
}
