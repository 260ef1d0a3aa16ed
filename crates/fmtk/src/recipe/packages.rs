//! `[packages]` and `[pypi]`: what goes into the image, by name.

use std::collections::BTreeMap;

use glob::Pattern;
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;
use wheel_layer::Target;

use super::{
    distribution::Requirement,
    document::{Document, Section},
    versions::Versions,
};

/// A vendor's package, found by its file name in the package folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageSpec {
    /// Pattern of the file name, with the versions filled in.
    pub glob: String,
    /// Whether an image without it is refused. Default: yes, but for CANN's where the tag says that there is none.
    pub required: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPackage {
    glob: Spanned<String>,
    required: Option<bool>,
}

/// CANN's toolkit.
pub const CANN: &str = "cann";

/// CANN's operators, for one chip. Where the recipe has no such kind, they are known by their file names, and so is nnal.
pub const OPS: &str = "ops";

/// CANN's library of operators for transformers.
pub const NNAL: &str = "nnal";

/// The kinds whose files are installers, in the order in which they are run; all others are wheels.
pub const INSTALLERS: [&str; 3] = [CANN, OPS, NNAL];

/// The kind of the wheels that `fetch` gets.
pub const PYPI: &str = "pypi";

/// The kind of the packages of the base's distribution, which `fetch` gets too.
pub const SYSTEM: &str = "system";

pub(super) fn finish(
    written: BTreeMap<Spanned<String>, Section<WrittenPackage>>,
    versions: &Versions,
    document: &mut Document,
) -> BTreeMap<String, PackageSpec> {
    let mut packages = BTreeMap::new();
    for (kind, Section(WrittenPackage { glob, required })) in written {
        let (span, kind) = (kind.span(), kind.into_inner());
        if [PYPI, SYSTEM].contains(&kind.as_str())
            || !kind.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
            || kind.is_empty()
        {
            let message =
                format!("`{kind}` can't be a kind: lowercase letters, digits and `-`, not `{PYPI}` or `{SYSTEM}`");
            document.fault(span, message);
        }
        let is_installer = INSTALLERS.contains(&kind.as_str());
        let required = required.unwrap_or(!is_installer || versions.cann().is_some());
        match pattern(glob.get_ref(), versions, if is_installer { ".run" } else { ".whl" }) {
            Ok(glob) => drop(packages.insert(kind, PackageSpec { glob, required })),
            Err(message) => document.fault(glob.span(), message),
        }
    }
    packages
}

fn pattern(glob: &str, versions: &Versions, suffix: &str) -> Result<String, String> {
    let text = versions.fill(glob)?;
    Pattern::new(&text).map_err(|error| format!("`{text}` is not a glob pattern: {error}"))?;
    if text.contains('/') {
        return Err(format!("`{text}` must be the pattern of a file name, without folders"));
    }
    if !text.ends_with(suffix) {
        return Err(format!("`{text}` must end with `{suffix}`"));
    }
    Ok(text)
}

/// What `fetch` asks pip for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pypi {
    /// Requirements. Default: `mindspore-ascend=={mindspore}`.
    pub requirements: Vec<Requirement>,
    /// Constraints on whatever these need. Default: `numpy<1.24` and `protobuf<3.21`, since pip would else take majors
    /// that are years younger than MindSpore 1.8.
    pub constraints: Vec<Requirement>,
}

impl Pypi {
    /// What does not allow this version of a distribution (normalised) on this target, and under which key.
    pub fn refusing<'a>(
        &'a self,
        name: &'a str,
        version: &'a str,
        target: &'a Target,
    ) -> impl Iterator<Item = (&'static str, &'a Requirement)> {
        let all = [("requirements", &self.requirements), ("constraints", &self.constraints)];
        let all = all.into_iter().flat_map(|(key, list)| list.iter().map(move |one| (key, one)));
        let of_it = all.filter(move |(_, one)| one.name().as_str() == name);
        of_it.filter(move |(_, one)| one.on(target).is_some_and(|one| !one.allows(version)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPypi {
    requirements: Vec<Spanned<String>>,
    constraints: Vec<Spanned<String>>,
}

impl WrittenPypi {
    pub fn finish(self, versions: &Versions, document: &mut Document) -> Pypi {
        let mut list = |texts: Vec<Spanned<String>>| {
            let mut requirements = Vec::new();
            for text in texts {
                match versions.fill(text.get_ref()).and_then(|text| text.parse()) {
                    Ok(requirement) => requirements.push(requirement),
                    Err(message) => document.fault(text.span(), message),
                }
            }
            requirements
        };
        let requirements = list(self.requirements);
        Pypi { requirements, constraints: list(self.constraints) }
    }
}
