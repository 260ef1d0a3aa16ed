//! `[versions]`: what the image's tag says of its contents; `[python]`: the Python of the base that wheels are for.

use image_name::{ImageTag, NameError, Platform, Timestamp, Version};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use wheel_layer::Target;

use super::{
    amounts::{Glibc, number},
    paths::ImagePath,
};

/// Versions and platform, all of them parts of the tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// Python, with at least major and minor. Default: `3.9`.
    #[serde(deserialize_with = "of_python")]
    pub python: Version,
    /// MindSpore. Default: `1.8.1`.
    pub mindspore: Version,
    /// CANN, the second `_` field of its installer's file name. Default: `5.1.RC2`.
    pub cann: Version,
    /// Operating system of the base. Default: `euler_2.8.3`.
    pub os: Platform,
    /// Architecture; the image is for linux/arm64. Default, and the only one: `aarch64`.
    #[serde(deserialize_with = "aarch64")]
    pub arch: Platform,
    /// Chip. Default: `d910`.
    pub chip: Platform,
}

/// The architecture of every image.
pub const ARCH: &str = "aarch64";

/// What images of this kind are known to have been made with.
const KNOWN_PYTHON: [(u32, u32); 3] = [(3, 7), (3, 8), (3, 9)];
const KNOWN_MINDSPORE: [&str; 5] = ["1.7.0", "1.7.1", "1.8.0", "1.8.1", "1.9.0"];

impl Versions {
    /// Major and minor number of Python.
    pub fn python_numbers(&self) -> (u32, u32) {
        // Read only where it has them.
        numbers(&self.python).unwrap_or((3, 9))
    }

    /// The tag of an image built at this time. Fails where it would have more than 128 characters.
    pub fn tag(&self, timestamp: Timestamp) -> Result<ImageTag, NameError> {
        let Self { python, mindspore, cann, os, arch, chip } = self.clone();
        ImageTag::new(python, mindspore, cann, os, arch, chip, timestamp)
    }

    /// Whether CANN is in the image, by the installer or by the base.
    pub fn has_cann(&self) -> bool {
        self.cann.as_str() != "none"
    }

    /// CANN's version, where it is in the image, by the installer or by the base.
    pub fn cann(&self) -> Option<&str> {
        Some(self.cann.as_str()).filter(|_| self.has_cann())
    }

    /// Puts the versions in for `{python}`, `{mindspore}`, `{cann}`, `{os}`, `{arch}` and `{chip}`.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let Self { python, mindspore, cann, os, arch, chip } = self;
        let names = [("{python}", python.as_str()), ("{mindspore}", mindspore.as_str()), ("{cann}", cann.as_str())];
        let more = [("{os}", os.as_str()), ("{arch}", arch.as_str()), ("{chip}", chip.as_str())];
        let values = names.into_iter().chain(more);
        let filled = values.fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        match filled.contains(['{', '}']) {
            true => Err(format!("`{text}` has a brace that is not around a key of `[versions]`")),
            false => Ok(filled),
        }
    }

    /// Versions that nobody is known to have built an image with.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let (major, minor) = self.python_numbers();
        if !KNOWN_PYTHON.contains(&(major, minor)) {
            let known = KNOWN_PYTHON.map(|(major, minor)| format!("{major}.{minor}")).join(", ");
            warnings.push(format!("Python `{}` is untried here; known to work are {known}", self.python));
        }
        if !KNOWN_MINDSPORE.contains(&self.mindspore.as_str()) {
            let known = KNOWN_MINDSPORE.join(", ");
            warnings.push(format!("MindSpore `{}` is untried here; known to work are {known}", self.mindspore));
        }
        warnings
    }
}

fn numbers(version: &Version) -> Option<(u32, u32)> {
    let mut parts = version.as_str().split('.');
    Some((number(parts.next()?)?, number(parts.next()?)?))
}

fn of_python<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let version = Version::deserialize(deserializer)?;
    match numbers(&version) {
        Some(_) => Ok(version),
        None => Err(D::Error::custom(format!("`{version}` has no major and minor number, as `3.9`"))),
    }
}

fn aarch64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Platform, D::Error> {
    let platform = Platform::deserialize(deserializer)?;
    match platform.as_str() {
        ARCH => Ok(platform),
        other => Err(D::Error::custom(format!("`{other}`: every image is for `{ARCH}`"))),
    }
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
