//! `[versions]`: what the image's tag says of its contents; `[python]`: the Python of the base that wheels are for.

use std::collections::BTreeMap;

use image_name::{NameError, Tag, TagPart, TagTemplate, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use serde_spanned::Spanned;
use wheel_layer::Target;

use super::{
    amounts::{Glibc, number},
    document::{Document, OrFalse},
    paths::ImagePath,
};
use crate::terminal::hints::is_typo;

/// Versions and platform by their keys: parts of the tag, of requirements and of the names of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions(BTreeMap<String, TagPart>);

/// The architecture of every image.
pub const ARCH: &str = "aarch64";

/// The keys that mean something to fmtk, in the order that they have in the recipe's digest.
const KEYS: [&str; 8] = ["python", "mindspore", "torch", "torch_npu", "cann", "os", "arch", "chip"];

/// Parts of the tag that are no version of something in the image.
pub const PLATFORM: [&str; 3] = ["os", "arch", "chip"];

/// The keys that claim what wheels are in the image, each with the distributions that can be meant. The key is the module
/// of each of them.
pub const CLAIMS: [(&str, &[&str]); 3] =
    [("mindspore", &["mindspore", "mindspore-ascend"]), ("torch", &["torch"]), ("torch_npu", &["torch-npu"])];

/// What people call it.
pub fn title(key: &str) -> &str {
    match key {
        "python" => "Python",
        "mindspore" => "MindSpore",
        "torch" => "PyTorch",
        "cann" => "CANN",
        other => other,
    }
}

pub(super) fn finish(written: BTreeMap<Spanned<String>, Spanned<OrFalse>>, document: &mut Document) -> Versions {
    let mut versions = BTreeMap::new();
    for (key, value) in written {
        let (span, key) = (key.span(), key.into_inner());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let near = KEYS.iter().filter(|known| !KEYS.contains(&key.as_str()) && is_typo(known, &key));
        if let Some(known) = near.min_by_key(|known| strsim::damerau_levenshtein(known, &key))
            && !document.mentions(&format!("{{{key}}}"))
        {
            let hint = format!("did you mean `versions.{known}`?");
            document.fault_with(span, "nothing uses it", Some(hint));
        } else if !key.chars().all(plain) || !key.starts_with(|c: char| c.is_ascii_lowercase()) || key == "timestamp" {
            document.fault(span, "a key has lowercase letters, digits and `_`, a letter first, and is not `timestamp`");
        }
        let span = value.span();
        let checked = match value.into_inner().0 {
            Some(text) => checked(&key, &text),
            None if matches!(key.as_str(), "python" | "arch") => Err("no image is without one".to_owned()),
            None => continue,
        };
        let value = checked.or_else(|message| {
            document.fault(span, message);
            // What names the key is not wrong because of it.
            TagPart::new(&key, "0")
        });
        versions.extend(value.map(|value| (key, value)));
    }
    Versions(versions)
}

fn checked(key: &str, text: &str) -> Result<TagPart, String> {
    let value = TagPart::new(key, text).map_err(|error| error.to_string())?;
    match key {
        "python" if numbers(text).is_none() => Err(format!("`{text}` has no major and minor number, as `3.9`")),
        "arch" if text != ARCH => Err(format!("`{text}`: every image is for `{ARCH}`")),
        _ => Ok(value),
    }
}

impl Versions {
    /// The value of a key, where it has one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(TagPart::as_str)
    }

    /// What there is, for people: `Python 3.9`.
    pub fn in_words(&self) -> Vec<String> {
        let word = |(key, value): (&str, &str)| {
            if PLATFORM.contains(&key) { value.to_owned() } else { format!("{} {value}", title(key)) }
        };
        self.in_order().map(word).collect()
    }

    /// Keys and values, those that fmtk knows first.
    fn in_order(&self) -> impl Iterator<Item = (&str, &str)> {
        let known = KEYS.into_iter().filter_map(|key| Some((key, self.get(key)?)));
        known.chain(self.iter().filter(|(key, _)| !KEYS.contains(key)))
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Major and minor number of Python.
    pub fn python_numbers(&self) -> (u32, u32) {
        // Read only where it has them.
        self.get("python").and_then(numbers).unwrap_or((3, 9))
    }

    /// The tag of an image built at this time. Fails where it would have more than 128 characters.
    pub fn tag(&self, template: &TagTemplate, timestamp: Timestamp) -> Result<Tag, NameError> {
        template.render(&self.0, timestamp)
    }

    /// The key that claims a version of this distribution (normalised), and the version.
    pub fn claim(&self, distribution: &str) -> Option<(&'static str, &str)> {
        let (key, _) = CLAIMS.into_iter().find(|(_, names)| names.contains(&distribution))?;
        Some((key, self.get(key)?))
    }

    /// CANN's version, where it is in the image, by the installer or by the base.
    pub fn cann(&self) -> Option<&str> {
        self.get("cann").filter(|version| *version != "none")
    }

    /// Puts the values in for `{python}`, `{mindspore}` and the other keys.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let filled = self.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{key}}}"), value));
        match filled.contains(['{', '}']) {
            true => Err(format!("`{text}` has a brace that is not around a key of `[versions]`")),
            false => Ok(filled),
        }
    }
}

impl Serialize for Versions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.in_order())
    }
}

/// The version of a wheel as a tag can have it: without its local part.
pub fn public(version: &str) -> &str {
    version.split('+').next().unwrap_or_default()
}

/// Whether a wheel of this version is one of that which is claimed; its local part, as in `2.7.1+cpu`, does not count.
pub fn is_version(claimed: &str, version: &str) -> bool {
    wheel_layer::version_satisfies(&format!("=={claimed}"), version).unwrap_or(false)
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((number(parts.next()?)?, number(parts.next()?)?))
}

/// Python in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Python {
    /// Major and minor number, from `versions.python`.
    pub version: (u32, u32),
    /// `sys.prefix`. Default: the conda environment of the manual's base, `/home/ma-user/anaconda3/envs/MindSpore`.
    pub prefix: ImagePath,
    /// Where wheels are unpacked. Default: `<prefix>/lib/python<version>/site-packages`; Debian says `dist-packages`.
    pub site_packages: ImagePath,
    /// What scripts name in their first line. Default: `<prefix>/bin/python<version>`.
    pub interpreter: ImagePath,
    /// The base's glibc: no wheel may need a newer one. Default: `2.28`, EulerOS 2.8's.
    pub glibc: Glibc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPython {
    prefix: ImagePath,
    site_packages: Option<ImagePath>,
    interpreter: Option<ImagePath>,
    glibc: Glibc,
}

impl WrittenPython {
    pub fn finish(self, versions: &Versions) -> Python {
        let Self { prefix, site_packages, interpreter, glibc } = self;
        let version = versions.python_numbers();
        let name = format!("python{}.{}", version.0, version.1);
        let site_packages = site_packages.unwrap_or_else(|| prefix.join(&format!("lib/{name}/site-packages")));
        let interpreter = interpreter.unwrap_or_else(|| prefix.join(&format!("bin/{name}")));
        Python { version, prefix, site_packages, interpreter, glibc }
    }
}

impl Python {
    /// What wheels are chosen for, as far as the recipe knows it.
    pub fn target(&self) -> Target {
        Target::aarch64(self.version, (self.glibc.major, self.glibc.minor))
    }

    /// The ABI tag of wheels for it (PEP 425): `cp39`; up to 3.7 with the `m` of pymalloc.
    pub fn abi(&self) -> String {
        let (major, minor) = self.version;
        let suffix = if self.version <= (3, 7) { "m" } else { "" };
        format!("cp{major}{minor}{suffix}")
    }
}
