//! `[packages]`: the vendor's packages that go into the image, by name.

use std::collections::BTreeMap;

use glob::Pattern;
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use super::{
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
#[serde(try_from = "Keys")]
pub(super) struct WrittenPackage {
    /// None only where the kind is not required, and the stack does not have it.
    glob: Option<Spanned<String>>,
    required: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    glob: Option<Spanned<String>>,
    required: Option<bool>,
}

impl TryFrom<Keys> for WrittenPackage {
    type Error = &'static str;

    fn try_from(Keys { glob, required }: Keys) -> Result<Self, Self::Error> {
        match (&glob, required) {
            (Some(_), _) | (None, Some(false)) => Ok(Self { glob, required }),
            (None, _) => Err("missing key `glob`"),
        }
    }
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
            document.fault(span.clone(), message);
        }
        let Some(glob) = glob else {
            // A kind that is asked for by no stack is done without, but a misspelt one would still be asked for.
            if document.is_misspelt(&span) {
                document.fault(span, "missing key `glob`");
            }
            continue;
        };
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
