//! The distributions that a base has installed.

use serde::{Deserialize, Serialize};

use super::{
    capture::{Content, is_site},
    listing::{Listed, key},
    python::{in_package_cache, prefix_of},
    removal,
    tree::{Dir, Kind, Tree},
};
use crate::paths::{joined, split_name};

/// An installed distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Name as its metadata has it.
    pub name: String,
    /// Version as its metadata has it.
    pub version: String,
    /// Name as it compares (PEP 503).
    pub key: String,
    /// The folder that it is installed in, where that really is: `/usr/lib/python3/dist-packages`, …
    pub location: String,
    /// What has to be whited out for it to be gone; none where it is not known what belongs to it.
    pub(super) removal: Option<Vec<String>>,
}

/// Every distribution in a `site-packages` or `dist-packages` folder, sorted by folder and name.
pub(super) fn distributions(tree: &Tree) -> Vec<Distribution> {
    let mut sites = Vec::new();
    tree.walk(&mut |path, kind| {
        if let Kind::Dir(dir) = kind
            && is_site(split_name(path).1)
            && !in_package_cache(path)
        {
            sites.push((path.to_owned(), &**dir));
        }
    });
    let mut found = Vec::new();
    for (site, dir) in &sites {
        let conda = Conda::of(tree, site);
        found.extend(dir.children.iter().filter_map(|(name, node)| distribution(site, name, &node.kind, &conda)));
    }
    found.sort_by_cached_key(|(Distribution { location, key, version, .. }, _)| {
        (location.clone(), key.clone(), version.clone())
    });
    let (mut distributions, listed): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let names: Vec<(&str, &str)> = distributions.iter().map(|one| (&one.location[1..], &*one.key)).collect();
    let removals = removal::removals(tree, &names, &listed);
    for (one, removal) in distributions.iter_mut().zip(removals) {
        one.removal = removal;
    }
    distributions
}

fn distribution<'a>(
    site: &str,
    name: &str,
    kind: &'a Kind,
    conda: &Conda<'a>,
) -> Option<(Distribution, Option<Listed<'a>>)> {
    let stem = ["dist-info", "egg-info", "egg"].iter().find_map(|end| name.strip_suffix(end)?.strip_suffix('.'))?;
    // pip renames what it uninstalls so, and leaves it there where it is interrupted.
    if name.starts_with('~') {
        return None;
    }
    // A folder without metadata is a remnant too. A link to them, and a hard link to a cache, are not read.
    let (metadata, listed) = match kind {
        Kind::File(Some(fact)) => (Some(&fact.content), None),
        Kind::Dir(dir) if name.ends_with(".egg") => (metadata(dir.dir("EGG-INFO")?)?, None),
        Kind::Dir(info) => {
            let folder = format!("{site}/{name}");
            // RECORD's paths begin at the folder that holds `*.dist-info`, those of setuptools inside `*.egg-info`.
            let listed = listed(info, "RECORD", site).or_else(|| listed(info, "installed-files.txt", &folder));
            let whole = |listed| {
                // What installers add to the folder later (INSTALLER, REQUESTED, direct_url.json) is its own as well.
                let others = info.children.keys().map(|file| format!("{folder}/{file}")).collect();
                Listed { others, ..listed }
            };
            (metadata(info)?, listed.map(whole))
        }
        _ => return None,
    };
    // Metadata that can't be read still has a file name: `numpy-1.23.5.dist-info`, `six-1.16.0-py3.9.egg-info`.
    let by_name = || {
        let (name, rest) = stem.split_once('-')?;
        Some((name.to_owned(), rest.split("-py").next().unwrap_or(rest).to_owned()))
    };
    let (name, version) = match metadata {
        Some(Content::Metadata(Some(both))) => both.clone(),
        _ => by_name()?,
    };
    let key = key(&name);
    let listed = conda.complete(&key, listed);
    Some((Distribution { name, version, key, location: format!("/{site}"), removal: None }, listed))
}

/// What was read of the metadata in this folder, where it has any.
fn metadata(info: &Dir) -> Option<Option<&Content>> {
    ["METADATA", "PKG-INFO"].into_iter().find(|name| info.children.contains_key(*name)).map(|name| info.content(name))
}

fn listed<'a>(info: &'a Dir, name: &str, from: &str) -> Option<Listed<'a>> {
    match info.content(name)? {
        Content::Listed(lines) => Some(Listed { from: from.to_owned(), lines, others: Vec::new() }),
        _ => None,
    }
}

/// What conda knows of the packages below one prefix.
struct Conda<'a> {
    prefix: &'a str,
    /// Compared name, path of the record, paths of the package.
    packages: Vec<(String, String, &'a str)>,
}

impl<'a> Conda<'a> {
    fn of(tree: &'a Tree, site: &'a str) -> Self {
        let prefix = prefix_of(site);
        let folder = joined(&[prefix, "conda-meta"]);
        let package = |name: &str, dir: &'a Dir| match dir.content(name)? {
            Content::Conda(package) => Some((key(&package.name), format!("{folder}/{name}"), package.files.as_str())),
            _ => None,
        };
        let dir = tree.exact_dir(&folder);
        let names = dir.iter().flat_map(|dir| dir.children.keys().map(move |name| (name, *dir)));
        Self { prefix, packages: names.filter_map(|(name, dir)| package(name, dir)).collect() }
    }

    /// The list with conda's own record; where the installer left none, with the paths that conda knows.
    fn complete(&self, key: &str, listed: Option<Listed<'a>>) -> Option<Listed<'a>> {
        let Some((_, record, files)) = self.packages.iter().find(|(name, ..)| name == key) else {
            return listed;
        };
        let known = || Listed { from: self.prefix.to_owned(), lines: files, others: Vec::new() };
        let mut listed = listed.or_else(|| (!files.is_empty()).then(known))?;
        listed.others.push(record.clone());
        Some(listed)
    }
}
