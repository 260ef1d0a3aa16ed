//! What a base already has of a stack: Python, CANN and frameworks.

use std::{collections::BTreeMap, path::Path};

use oci_image::{Base, BaseIndex};

use crate::{
    plan,
    recipe::{CANN_HOMES, CLAIMS, Recipe, public, title},
    resolve::packages,
};

/// What a base already has. If it has no CANN, the toolkit in the package folder counts.
#[derive(Debug)]
pub struct Facts {
    /// As in `3.11`; none of a base without a Python for aarch64.
    pub python: Option<String>,
    pub cann: Cann,
    /// What is installed of [`CLAIMS`], by key, with its public version.
    pub frameworks: Vec<(&'static str, String)>,
    /// Name and version of all that is installed where the Python looks.
    pub installed: Vec<(String, String)>,
}

/// Where the image's CANN comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Cann {
    /// The base has this version, and these others.
    OfBase(String, Vec<String>),
    /// The base has one whose version its folders do not tell.
    Unknown,
    /// The package folder has the toolkit: its version and file.
    ToInstall(String, String),
    /// From nowhere.
    None,
}

impl Cann {
    /// Its version, where that is known.
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::OfBase(version, _) | Self::ToInstall(version, _) => Some(version),
            Self::Unknown | Self::None => None,
        }
    }
}

impl Facts {
    /// Those of a base. The recipe is one that the base completed.
    pub fn of(recipe: &Recipe, base: &Base, index: &BaseIndex, pkg: &Path) -> anyhow::Result<Self> {
        let python = &recipe.python;
        let (major, minor) = python.version;
        let installed = plan::installed(python, index);
        let version = |names: &[&str]| {
            let of_it = |(name, _): &&(String, String)| names.contains(&&*wheel_layer::normalize(name));
            installed.iter().find(of_it).map(|(_, version)| public(version).to_owned())
        };
        Ok(Self {
            python: index.has_python(python.interpreter.as_str(), python.version).then(|| format!("{major}.{minor}")),
            cann: match of_base(base, index) {
                Cann::None => of_folder(pkg)?,
                found => found,
            },
            frameworks: CLAIMS.into_iter().filter_map(|(key, names)| Some((key, version(names)?))).collect(),
            installed,
        })
    }

    /// Frameworks, CANN and Python in words.
    pub fn words(&self) -> String {
        let cann = self.cann.version().map(|version| format!("CANN {version}"));
        let python = self.python.as_ref().map(|version| format!("Python {version}"));
        let frameworks = self.frameworks.iter().map(|(key, version)| format!("{} {version}", title(key)));
        let mut words: Vec<String> = frameworks.chain(cann).chain(python).collect();
        match words.pop() {
            Some(last) if !words.is_empty() => format!("{} and {last}", words.join(", ")),
            last => last.unwrap_or_default(),
        }
    }

    /// The version of a distribution by its normalised name.
    pub fn version_of(&self, name: &str) -> Option<&str> {
        let found = self.installed.iter().find(|(other, _)| wheel_layer::normalize(other) == name);
        found.map(|(_, version)| version.as_str())
    }
}

fn of_base(base: &Base, index: &BaseIndex) -> Cann {
    let variables: BTreeMap<String, String> = base.config.env().into_iter().collect();
    let mut all = plan::cann_versions(index);
    all.sort();
    all.dedup();
    let home = CANN_HOMES.iter().find_map(|name| variables.get(*name));
    // Where the variable leads: `…/ascend-toolkit/8.1.RC1` by its link `latest`, or `…/cann-8.5.0`.
    let of_home = home.and_then(|home| {
        let real = index.real_path(home);
        let name = real.rsplit('/').next().unwrap_or_default();
        let version = name.strip_prefix("cann-").unwrap_or(name);
        version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
    });
    match of_home.or_else(|| all.pop()) {
        Some(version) => {
            all.retain(|other| *other != version);
            Cann::OfBase(version, all)
        }
        None if plan::has_cann(base, Some(index)) => Cann::Unknown,
        None => Cann::None,
    }
}

/// The toolkit in the package folder. If there are several, none is chosen: the plan reports them.
fn of_folder(pkg: &Path) -> anyhow::Result<Cann> {
    match <[_; 1]>::try_from(packages::toolkits(pkg)?) {
        Ok([(file, version)]) => Ok(Cann::ToInstall(version, file)),
        Err(_) => Ok(Cann::None),
    }
}
