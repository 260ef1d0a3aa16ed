//! Wheels that get in each other's way.

use std::collections::{BTreeMap, HashMap};

use crate::{
    Conflict, Fault, Layout, Target, WheelFacts,
    install::{Installation, install},
};

/// What a file is, as far as it can be told without reading it.
#[derive(PartialEq, Eq)]
enum Identity<'a> {
    Archived {
        size: u64,
        crc32: u32,
        hash: Option<oci_image::ContentHash>,
        unfinished: bool,
        mode: u32,
    },
    Made(&'a [u8], u32),
    /// What lists the files of the distribution of this name, and is alike in no two. Two of one are told as such.
    Record(String),
}

/// All pairs of wheels that can't both be installed. Two wheels that put the same bytes at one path get along.
pub fn conflicts(wheels: &[WheelFacts], layout: &Layout, target: &Target) -> Result<Vec<Conflict>, Fault> {
    let plans: Vec<_> =
        wheels.iter().map(|facts| Ok((facts, install(facts, layout, target)?))).collect::<Result<_, Fault>>()?;
    Ok(among(plans.iter().map(|(facts, plan)| (*facts, plan))))
}

/// All pairs of these wheels that can't both be installed as they are placed here.
pub(crate) fn among<'a>(plans: impl Iterator<Item = (&'a WheelFacts, &'a Installation<'a>)> + Clone) -> Vec<Conflict> {
    let mut found = Vec::new();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (facts, _) in plans.clone() {
        if let Some(version) = names.insert(facts.key(), &facts.version) {
            let versions = [version.to_owned(), facts.version.clone()];
            found.push(Conflict::Distribution { name: facts.key(), versions });
        }
    }
    let mut files: BTreeMap<&str, (&WheelFacts, Identity<'_>)> = BTreeMap::new();
    let mut folders: HashMap<&str, &WheelFacts> = HashMap::new();
    for (facts, plan) in plans {
        let archived = plan.placed.iter().map(|placed| {
            let (entry, hash) = (placed.entry, placed.hash);
            let identity = Identity::Archived {
                size: entry.size,
                crc32: entry.crc32,
                hash,
                unfinished: placed.unfinished,
                mode: placed.mode,
            };
            (placed.path.as_str(), identity)
        });
        let made = plan.generated.iter().map(|made| (made.path.as_str(), Identity::Made(&made.bytes, made.mode)));
        let record = (plan.record_path.as_str(), Identity::Record(facts.key()));
        for (path, identity) in archived.chain(made).chain([record]) {
            let mut folder = path;
            while let Some((above, _)) = folder.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
                folder = above;
                if folders.insert(folder, facts).is_some() {
                    break; // what lies above is there already
                }
            }
            match files.get(path) {
                Some((other, theirs)) if *theirs != identity => {
                    let distributions = [other.name.clone(), facts.name.clone()];
                    found.push(Conflict::File { path: path.to_owned(), distributions });
                }
                Some(_) => {}
                None => {
                    files.insert(path, (facts, identity));
                }
            }
        }
    }
    for (path, (facts, _)) in &files {
        if let Some(other) = folders.get(path) {
            let distributions = [facts.name.clone(), other.name.clone()];
            found.push(Conflict::Folder { path: (*path).to_owned(), distributions });
        }
    }
    found
}
