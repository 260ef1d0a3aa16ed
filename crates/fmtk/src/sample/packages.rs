//! The Debian packages of the sample's base, pinned: which, where a mirror has them, and what their bytes are.

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::debian::Package;

/// Packages that make a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageSet {
    /// The release of Debian, by its code name.
    pub suite: String,
    /// What is wanted; the rest is there because these depend on it.
    pub roots: Vec<String>,
    /// The packages by name, which is the order in which they are unpacked.
    pub packages: Vec<Package>,
}

impl PackageSet {
    /// Reads a list, as `cargo xtask sample-packages` writes it.
    pub fn parse(pinned: &str) -> anyhow::Result<Self> {
        toml_edit::de::from_str(pinned).context("a pinned list of Debian's packages can't be read")
    }

    /// Length of all packages in bytes.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::sample::SampleBase;

    #[test]
    fn the_pinned_lists_are_whole_and_sorted() {
        let sets = SampleBase::ALL.map(|base| base.packages().unwrap());
        for set in &sets {
            assert!(set.packages.is_sorted_by(|one, two| one.name < two.name));
            for root in &set.roots {
                assert!(set.packages.iter().any(|package| package.name == *root), "{root}");
            }
        }
        for package in sets.iter().flat_map(|set| &set.packages) {
            let file = package.path.rsplit('/').next().unwrap();
            // An epoch (`1:`) is no part of a file's name.
            let version = package.version.split_once(':').map_or(package.version.as_str(), |(_, version)| version);
            assert!(package.path.starts_with("pool/main/"), "{}", package.path);
            assert!(file.starts_with(&format!("{}_{version}_", package.name)), "{}", package.path);
        }
    }
}
