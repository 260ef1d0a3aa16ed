//! Wheels that get in each other's way.

use std::collections::{BTreeMap, HashMap};

use crate::{
    InstalledWheel,
    filename::normalize,
    install::{FileContent, InstalledFile},
};

/// What keeps two wheels from being installed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    text: String,
    /// The distributions, where [`overwrite`] can let either of them win.
    pub either: Option<[String; 2]>,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.text)
    }
}

/// What keeps these wheels from being installed together. Two wheels that put the same bytes at one path get along.
pub fn conflicts(wheels: &[&InstalledWheel]) -> Vec<Conflict> {
    let mut found = Vec::new();
    let mut refuse = |text| found.push(Conflict { text, either: None });
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for InstalledWheel { facts, .. } in wheels {
        let (name, version) = (facts.key(), &facts.version);
        if let Some(other) = names.insert(name.clone(), version) {
            refuse(format!("there are two wheels of `{name}`: {other} and {version}"));
        }
    }
    let mut files: BTreeMap<&str, (&InstalledWheel, &InstalledFile)> = BTreeMap::new();
    let mut folders: HashMap<&str, &InstalledWheel> = HashMap::new();
    let mut apart: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for wheel in wheels {
        folders.extend(wheel.folders.iter().map(|folder| (folder.as_str(), *wheel)));
        for file in wheel.files.iter().filter(|file| !file.overwritten) {
            let (other, theirs) = *files.entry(&file.path).or_insert((wheel, file));
            if !is_alike(other, theirs, wheel, file) {
                let (one, two) = (&other.facts.name, &wheel.facts.name);
                if is_unknown(other, theirs, wheel, file) {
                    refuse(format!(
                        "`{one}` and `{two}` both have `{}`, and whether these files are the same is only known where both \
                         packages are in the package folder",
                        file.path
                    ));
                } else if is_record(theirs) || is_record(file) {
                    refuse(format!("`{one}` and `{two}` put different files at `{}`", file.path));
                } else {
                    apart.entry((one.clone(), two.clone())).or_default().push(&file.path);
                }
            }
        }
    }
    for (path, (wheel, _)) in &files {
        if let Some(other) = folders.get(path) {
            let (one, other) = (&wheel.facts.name, &other.facts.name);
            refuse(format!("`{one}` puts a file at `{path}`, where `{other}` has a folder"));
        }
    }
    found.extend(apart.into_iter().map(|((one, two), paths)| Conflict {
        text: format!("`{one}` and `{two}` put different files at {}", first_of(&paths)),
        either: Some([normalize(&one), normalize(&two)]),
    }));
    found
}

/// Lets the wheels of these distributions overwrite what others put at the same paths, as if pip installed them last and
/// in this order. No RECORD is overwritten. Gives what is, in a sentence for each two wheels.
pub fn overwrite(wheels: &mut [InstalledWheel], winners: &[String]) -> Vec<String> {
    let mut said = Vec::new();
    // From the last on, which nothing overwrites.
    for (order, name) in winners.iter().enumerate().rev() {
        let Some(winner) = wheels.iter().find(|wheel| wheel.facts.key() == *name).cloned() else { continue };
        let kept = winner.files.iter().filter(|file| !file.overwritten);
        let kept: HashMap<&str, &InstalledFile> = kept.map(|file| (file.path.as_str(), file)).collect();
        for loser in wheels.iter_mut().filter(|wheel| !winners[order..].contains(&wheel.facts.key())) {
            let is_lost = |file: &InstalledFile| {
                let winning = kept.get(file.path.as_str()).filter(|_| !file.overwritten && !is_record(file));
                winning.is_some_and(|winning| {
                    !is_alike(loser, file, &winner, winning) && !is_unknown(loser, file, &winner, winning)
                })
            };
            let lost: Vec<usize> = (0..loser.files.len()).filter(|number| is_lost(&loser.files[*number])).collect();
            lost.iter().for_each(|number| loser.files[*number].overwritten = true);
            let paths: Vec<&str> = lost.iter().map(|number| loser.files[*number].path.as_str()).collect();
            if !paths.is_empty() {
                said.push(format!("`{}` overwrites {} of `{}`", winner.facts.name, first_of(&paths), loser.facts.name));
            }
        }
    }
    said
}

fn is_record(file: &InstalledFile) -> bool {
    matches!(file.content, FileContent::Record { .. })
}

fn first_of(paths: &[&str]) -> String {
    let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
    format!("`{}`{more}", paths[0])
}

/// Whether two files may be the same or not, because one of them is in a wheel of which only an outline is there.
fn is_unknown(of_one: &InstalledWheel, one: &InstalledFile, of_other: &InstalledWheel, other: &InstalledFile) -> bool {
    match (&one.content, &other.content) {
        (FileContent::Archived(one), FileContent::Archived(other))
        | (FileContent::Bytecode(one), FileContent::Bytecode(other)) => {
            let lacks = |wheel: &InstalledWheel, number: usize| {
                wheel.facts.known.as_ref().is_some_and(|known| !known.contains(&number))
            };
            let entries = (of_one.entry(one), of_other.entry(other));
            let lacks_either = lacks(of_one, one.number) || lacks(of_other, other.number);
            entries.0.size == entries.1.size && entries.0.size > 0 && lacks_either
        }
        _ => false,
    }
}

/// Whether two files are the same, as far as it can be told without reading them.
fn is_alike(of_one: &InstalledWheel, one: &InstalledFile, of_other: &InstalledWheel, other: &InstalledFile) -> bool {
    let same = match (&one.content, &other.content) {
        (FileContent::Archived(one), FileContent::Archived(other))
        | (FileContent::Bytecode(one), FileContent::Bytecode(other)) => {
            let entries = (of_one.entry(one), of_other.entry(other));
            let content = |entry: &crate::Entry| (entry.size, entry.crc32);
            // Where RECORD is not believed there is no hash.
            let hash = one.hash.is_none() || other.hash.is_none() || one.hash == other.hash;
            content(entries.0) == content(entries.1) && hash && one.unfinished == other.unfinished
        }
        (FileContent::Made(one), FileContent::Made(other)) => one == other,
        // Two of one distribution are told as such.
        (FileContent::Record { .. }, FileContent::Record { .. }) => of_one.facts.key() == of_other.facts.key(),
        _ => false,
    };
    same && one.mode == other.mode
}
