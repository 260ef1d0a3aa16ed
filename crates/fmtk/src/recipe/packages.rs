//! `[packages]` and `[pypi]`: what goes into the image, by name.

use std::collections::BTreeMap;

use glob::Pattern;
use serde::Serialize;

use super::{
    distribution::Requirement,
    fields::{Fields, Placed},
    versions::Versions,
};

/// A vendor's package, found by its file name in the package folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageSpec {
    /// Pattern of the file name, with the versions filled in.
    pub glob: String,
    /// Whether an image without it is refused. Default: yes, but for CANN where the tag says that there is none.
    pub required: bool,
}

/// The kinds that the image of the manual is made of, and what finds them. A recipe may add kinds of its own, wheels
/// always, by giving their glob.
const KINDS: [(&str, &str); 3] = [
    // Any version: a file of another one than the recipe's is better named than not found.
    ("cann", "Ascend-cann-toolkit_*.run"),
    ("moxing", "moxing_framework-*.whl"),
    ("tuning-kit", "Ascend_mindxsdk_mxTuningKit-*.whl"),
];

/// The kind whose file is CANN's installer; all others are wheels.
pub const CANN: &str = "cann";

/// The kind of the wheels that `fetch` gets.
pub const PYPI: &str = "pypi";

pub(super) fn read_packages(mut fields: Fields<'_>, versions: &Versions) -> BTreeMap<String, PackageSpec> {
    let mut kinds: Vec<String> = fields.keys();
    kinds.extend(KINDS.map(|(kind, _)| kind.to_owned()));
    kinds.sort();
    kinds.dedup();
    let mut packages = BTreeMap::new();
    for kind in kinds {
        let mut inner = fields.table(&kind);
        let required = inner.value("required", kind != CANN || versions.has_cann());
        let preset = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, glob)| *glob);
        let glob = match preset {
            Some(text) => inner.preset("glob", text),
            None => inner.required("glob"),
        };
        let Some(glob) = glob else {
            inner.end();
            continue;
        };
        if kind == PYPI || !kind.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-')) || kind.is_empty() {
            inner.fault(&glob, format!("`{kind}` can not be a kind: lowercase letters, digits and `-`, not `{PYPI}`"));
        }
        if let Some(glob) = pattern(&inner, glob, versions, kind == CANN) {
            packages.insert(kind, PackageSpec { glob, required });
        }
        inner.end();
    }
    fields.end();
    packages
}

fn pattern(fields: &Fields<'_>, glob: Placed<String>, versions: &Versions, installer: bool) -> Option<String> {
    let fault = |message: String| {
        fields.fault(&glob, message);
        None
    };
    let text = match versions.fill(&glob.value) {
        Ok(text) => text,
        Err(message) => return fault(message),
    };
    let suffix = if installer { ".run" } else { ".whl" };
    if let Err(error) = Pattern::new(&text) {
        return fault(format!("`{text}` is no glob: {error}"));
    }
    if text.contains('/') {
        return fault(format!("`{text}` must be the pattern of a file name, without folders"));
    }
    if !text.ends_with(suffix) {
        return fault(format!("`{text}` must end with `{suffix}`"));
    }
    Some(text)
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
    pub(super) fn read(mut fields: Fields<'_>, versions: &Versions) -> Self {
        let mut list = |key: &str, default: &[&str]| {
            let texts = fields.list(key, default);
            let mut requirements = Vec::new();
            for text in &texts.value {
                match versions.fill(text).and_then(|text| text.parse()) {
                    Ok(requirement) => requirements.push(requirement),
                    Err(message) => fields.fault(&texts, message),
                }
            }
            requirements
        };
        let requirements = list("requirements", &["mindspore-ascend=={mindspore}"]);
        let constraints = list("constraints", &["numpy<1.24", "protobuf<3.21"]);
        fields.end();
        Self { requirements, constraints }
    }
}
