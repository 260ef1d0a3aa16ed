//! What has to be whited out for a distribution to be gone: its files, or whole folders where nothing else is in them.

use std::{collections::HashMap, ops::Bound};

use super::{
    listing::Listed,
    python::prefix_of,
    tree::{Dir, Kind, Tree},
};
use crate::{is_within, paths::split_name};

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

/// The removal of every distribution whose files are known, given the folders that they are installed in with their
/// names (sorted) and what they list. A file that two distributions list stays, as the other one needs it; so does what
/// is not in the base, and what lies outside the distribution's Python. Two versions of one in one folder, which a
/// broken installation leaves, go together.
pub(super) fn removals(tree: &Tree, names: &[(&str, &str)], listed: &[Option<Listed<'_>>]) -> Vec<Option<Vec<String>>> {
    let folders: Vec<&str> = names.iter().map(|(folder, _)| *folder).collect();
    let first = |number: usize| names.partition_point(|name| *name < names[number]);
    let mut owners: HashMap<String, Owner> = HashMap::new();
    for (number, (folder, listed)) in folders.iter().zip(listed).enumerate() {
        let number = first(number);
        let below = prefix_of(folder);
        let existing = listed.iter().flat_map(Listed::paths).flat_map(|path| existing(tree, &path));
        for path in existing.filter(|path| is_within(path, below)) {
            let owner = owners.entry(path).or_insert(Owner::One(number));
            if *owner != Owner::One(number) {
                *owner = Owner::Others;
            }
        }
    }
    let mut removals: Vec<Vec<String>> = vec![Vec::new(); folders.len()];
    let mut sites = folders.clone();
    sites.dedup();
    for site in &sites {
        if let Some(dir) = tree.exact_dir(site) {
            let mut all = Vec::new();
            contents(dir, &mut (*site).to_owned(), &owners, &mut removals, &mut all);
            give(all, &mut removals);
        }
    }
    // Commands, headers, data: single files, since other things live beside them.
    let elsewhere = owners.into_iter().filter(|(path, _)| !sites.iter().any(|site| is_within(path, site)));
    give(elsewhere, &mut removals);
    removals.iter_mut().for_each(|removal| removal.sort());
    let absolute = |(number, listed): (usize, &Option<Listed<'_>>)| {
        listed.as_ref()?;
        Some(removals[first(number)].iter().map(|path| format!("/{path}")).collect())
    };
    listed.iter().enumerate().map(absolute).collect()
}

/// The file itself, where it is there, and what Python compiled of it, each where it really is.
fn existing(tree: &Tree, path: &str) -> Vec<String> {
    let (folder, name) = split_name(path);
    let Some((folder, dir)) = tree.dir(folder).filter(|_| path.contains('/')) else { return Vec::new() };
    let mut found = Vec::new();
    if dir.children.get(name).is_some_and(|node| !matches!(node.kind, Kind::Dir(_))) {
        found.push(format!("{folder}/{name}"));
    }
    if let Some(module) = name.strip_suffix(".py")
        && let Some(cache) = dir.dir("__pycache__")
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

fn give(all: impl IntoIterator<Item = (String, Owner)>, removals: &mut [Vec<String>]) {
    for (path, owner) in all {
        if let Owner::One(number) = owner {
            removals[number].push(path);
        }
    }
}
