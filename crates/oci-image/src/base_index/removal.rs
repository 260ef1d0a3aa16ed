//! What has to be whited out for a distribution to be gone: its files, or whole folders where nothing else is in them.

use std::{collections::HashMap, ops::Bound};

use super::{
    distributions::{Found, prefix_of},
    tree::{Dir, Found as Place, Kind, Tree},
};
use crate::is_within;

/// Whose a file or all that is in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Nothing is in the folder.
    Nobody,
    /// One distribution's, by its place in the list.
    One(usize),
    /// Several distributions', or not only theirs.
    Others,
}

/// Fills in the removal of every distribution whose files are known. A file that two distributions list stays, as the
/// other one needs it; so does what is not in the base, and what lies outside the distribution's Python.
pub(super) fn fill_in(tree: &Tree, found: &mut [Found]) {
    let mut owners: HashMap<String, Owner> = HashMap::new();
    for (number, one) in found.iter().enumerate() {
        for path in one.listed.iter().flatten() {
            let below = prefix_of(&one.distribution.location[1..]);
            for path in existing(tree, path).into_iter().filter(|path| is_within(path, below)) {
                let owner = owners.entry(path).or_insert(Owner::One(number));
                if *owner != Owner::One(number) {
                    *owner = Owner::Others;
                }
            }
        }
    }
    let mut removals: Vec<Vec<String>> = vec![Vec::new(); found.len()];
    let mut sites: Vec<&str> = found.iter().map(|one| &one.distribution.location[1..]).collect();
    sites.dedup();
    for site in &sites {
        if let Some(Kind::Dir(dir)) = tree.find(site).map(|node| &node.kind) {
            let mut all = Vec::new();
            contents(dir, &mut (*site).to_owned(), &owners, &mut removals, &mut all);
            give(all, &mut removals);
        }
    }
    // Commands, headers, data: single files, since other things live beside them.
    for (path, owner) in owners {
        if let Owner::One(number) = owner
            && !sites.iter().any(|site| is_within(&path, site))
        {
            removals[number].push(path);
        }
    }
    for (one, mut removal) in found.iter_mut().zip(removals) {
        removal.sort();
        let absolute = removal.into_iter().map(|path| format!("/{path}")).collect();
        one.distribution.removal = one.listed.as_ref().map(|_| absolute);
    }
}

/// The file itself, where it is there, and what Python compiled of it, each at its real place.
fn existing(tree: &Tree, path: &str) -> Vec<String> {
    let Some((folder, name)) = path.rsplit_once('/') else { return Vec::new() };
    let Some((folder, Place::Dir(dir))) = tree.resolve(folder) else { return Vec::new() };
    let mut found = Vec::new();
    if dir.children.get(name).is_some_and(|node| !matches!(node.kind, Kind::Dir(_))) {
        found.push(format!("{folder}/{name}"));
    }
    if let Some(module) = name.strip_suffix(".py")
        && let Some(Kind::Dir(cache)) = dir.children.get("__pycache__").map(|node| &node.kind)
    {
        // `module.cpython-39.pyc`, `module.cpython-39.opt-1.pyc`.
        let start = format!("{module}.");
        let from = (Bound::Included(start.as_str()), Bound::Unbounded);
        let compiled = cache.children.range::<str, _>(from).map(|(name, _)| name);
        let compiled = compiled.take_while(|name| name.starts_with(&start)).filter(|name| name.ends_with(".pyc"));
        found.extend(compiled.map(|name| format!("{folder}/__pycache__/{name}")));
    }
    found
}

/// Puts what is in a folder into `all`, as paths with owners, a folder of one owner as one path. Where the folder is
/// not one owner's, what is in it is given away at once.
fn contents(
    dir: &Dir,
    path: &mut String,
    owners: &HashMap<String, Owner>,
    removals: &mut [Vec<String>],
    all: &mut Vec<(String, Owner)>,
) {
    for (name, node) in &dir.children {
        let length = path.len();
        path.push('/');
        path.push_str(name);
        let owner = match &node.kind {
            Kind::Dir(below) => {
                let mut inside = Vec::new();
                contents(below, path, owners, removals, &mut inside);
                let owner = inside.iter().fold(Owner::Nobody, |sum, (_, owner)| match (sum, *owner) {
                    (sum, Owner::Nobody) => sum,
                    (Owner::Nobody, owner) => owner,
                    (sum, owner) if sum == owner => sum,
                    _ => Owner::Others,
                });
                if owner == Owner::Others {
                    give(inside, removals);
                }
                owner
            }
            _ => owners.get(path.as_str()).copied().unwrap_or(Owner::Others),
        };
        all.push((path.clone(), owner));
        path.truncate(length);
    }
}

fn give(all: Vec<(String, Owner)>, removals: &mut [Vec<String>]) {
    for (path, owner) in all {
        if let Owner::One(number) = owner {
            removals[number].push(path);
        }
    }
}
