//! The distributions that a base has installed.

use serde::{Deserialize, Serialize};

use super::{
    capture::is_site,
    fact::Content,
    listing::key,
    python::in_package_cache,
    tree::{Dir, Kind, Tree, joined},
};

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

/// A distribution with what its installer says belongs to it: paths without leading slash, which may not exist.
pub(super) struct Found {
    pub distribution: Distribution,
    pub listed: Option<Vec<String>>,
}

/// Every distribution in a `site-packages` or `dist-packages` folder, sorted by folder and name.
pub(super) fn distributions(tree: &Tree) -> Vec<Found> {
    let mut sites = Vec::new();
    tree.walk(&mut |path, kind| {
        if let Kind::Dir(dir) = kind
            && is_site(path.rsplit('/').next().unwrap_or(path))
            && !in_package_cache(path)
        {
            sites.push((path.to_owned(), &**dir));
        }
    });
    let mut found = Vec::new();
    for (site, dir) in &sites {
        let conda = Conda::of(tree, site);
        for (name, node) in &dir.children {
            found.extend(distribution(site, name, &node.kind, &conda));
        }
    }
    let order = |found: &Found| {
        let Distribution { location, key, version, .. } = &found.distribution;
        (location.clone(), key.clone(), version.clone())
    };
    found.sort_by_key(order);
    found
}

fn distribution(site: &str, name: &str, kind: &Kind, conda: &Conda<'_>) -> Option<Found> {
    let stem = ["dist-info", "egg-info", "egg"].iter().find_map(|end| name.strip_suffix(end)?.strip_suffix('.'))?;
    let (metadata, listed) = match kind {
        Kind::File(Some(fact)) => (Some(&fact.content), None),
        Kind::Dir(dir) if name.ends_with(".egg") => match dir.children.get("EGG-INFO").map(|node| &node.kind) {
            Some(Kind::Dir(info)) => (content(info, "PKG-INFO"), None),
            _ => return None,
        },
        Kind::Dir(info) => {
            let folder = format!("{site}/{name}");
            // RECORD's paths begin at the folder that holds `*.dist-info`, those of setuptools inside `*.egg-info`.
            let listed = listed(info, "RECORD", site).or_else(|| listed(info, "installed-files.txt", &folder));
            let whole = |mut paths: Vec<String>| {
                // What installers add to the folder later (INSTALLER, REQUESTED, direct_url.json) is its own as well.
                paths.extend(info.children.keys().map(|file| format!("{folder}/{file}")));
                paths
            };
            (content(info, "METADATA").or_else(|| content(info, "PKG-INFO")), listed.map(whole))
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
    let location = format!("/{site}");
    Some(Found { distribution: Distribution { name, version, key, location, removal: None }, listed })
}

fn content<'a>(dir: &'a Dir, name: &str) -> Option<&'a Content> {
    match &dir.children.get(name)?.kind {
        Kind::File(Some(fact)) => Some(&fact.content),
        _ => None,
    }
}

fn listed(info: &Dir, name: &str, from: &str) -> Option<Vec<String>> {
    match content(info, name)? {
        Content::Listed(lines) => Some(lines.lines().map(|path| joined(&[from, path])).collect()),
        _ => None,
    }
}

/// The folder that a Python is installed below, of one of its `site-packages` folders: `<prefix>/lib/python3.9/
/// site-packages`, on some systems `lib64`; Debian has `/usr/lib/python3/dist-packages`. Elsewhere the folder itself.
pub(super) fn prefix_of(site: &str) -> &str {
    let mut parts = site.rsplitn(4, '/');
    let (python, lib) = (parts.nth(1), parts.next());
    let prefix = parts.next().unwrap_or_default();
    let regular =
        python.is_some_and(|name| name.starts_with("python")) && lib.is_some_and(|name| name.starts_with("lib"));
    if regular { prefix } else { site }
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
        let mut packages = Vec::new();
        if let Some(Kind::Dir(dir)) = tree.find(&folder).map(|node| &node.kind) {
            for (name, node) in &dir.children {
                if let Kind::File(Some(fact)) = &node.kind
                    && let Content::Conda(package) = &fact.content
                {
                    packages.push((key(&package.name), format!("{folder}/{name}"), package.files.as_str()));
                }
            }
        }
        Self { prefix, packages }
    }

    /// The list with conda's own record; where the installer left none, with the paths that conda knows.
    fn complete(&self, key: &str, listed: Option<Vec<String>>) -> Option<Vec<String>> {
        let Some((_, record, files)) = self.packages.iter().find(|(name, ..)| name == key) else {
            return listed;
        };
        let known = || Some(files.lines().map(|path| joined(&[self.prefix, path])).collect::<Vec<_>>());
        let mut listed = listed.or_else(|| known().filter(|paths| !paths.is_empty()))?;
        listed.push(record.clone());
        Some(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_three_folders_up() {
        for (site, prefix) in [
            ("usr/local/lib/python3.9/dist-packages", "usr/local"),
            ("usr/lib64/python3.9/site-packages", "usr"),
            ("lib/python3/site-packages", ""),
            ("opt/app/vendor/site-packages", "opt/app/vendor/site-packages"),
            ("site-packages", "site-packages"),
        ] {
            assert_eq!(prefix_of(site), prefix);
        }
    }
}
