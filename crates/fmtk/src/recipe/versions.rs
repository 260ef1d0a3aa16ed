//! `[versions]`: what the image's tag says of its contents.

use image_name::{ImageTag, NameError, Platform, Timestamp, Version};
use serde::Serialize;

use super::{amounts::number, fields::Fields};

/// Versions and platform, all of them parts of the tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Python, with at least major and minor. Default: `3.9`.
    pub python: Version,
    /// MindSpore. Default: `1.8.1`.
    pub mindspore: Version,
    /// CANN, the second `_` field of its installer's file name. Default: `5.1.RC2`.
    pub cann: Version,
    /// Operating system of the base. Default: `euler_2.8.3`.
    pub os: Platform,
    /// Architecture; the image is for linux/arm64. Default, and the only one: `aarch64`.
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
    pub(super) fn read(mut fields: Fields<'_>) -> Option<Self> {
        // The defaults are names, as the tests show: they are read the way a user's text is.
        let python = fields.preset("python", "3.9");
        let mindspore = fields.preset("mindspore", "1.8.1");
        let cann = fields.preset("cann", "5.1.RC2");
        let os = fields.preset("os", "euler_2.8.3");
        let arch = fields.preset::<Platform>("arch", ARCH);
        let chip = fields.preset("chip", "d910");
        let (python, arch) = (python?, arch?);
        if numbers(&python.value).is_none() {
            fields.fault(&python, format!("`{}` has no major and minor number, as `3.9`", python.value));
        }
        if arch.value.as_str() != ARCH {
            fields.fault(&arch, format!("`{}`: every image is for `{ARCH}`", arch.value));
        }
        fields.end();
        let (python, arch) = (python.value, arch.value);
        Some(Self { python, mindspore: mindspore?.value, cann: cann?.value, os: os?.value, arch, chip: chip?.value })
    }

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

    /// Puts the versions in for `{python}`, `{mindspore}`, `{cann}`, `{os}`, `{arch}` and `{chip}`.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let inner = rest[open..].strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, after) = inner.ok_or_else(|| format!("`{text}` has a brace without its other one"))?;
            filled.push_str(&rest[..open]);
            filled.push_str(match name {
                "python" => self.python.as_str(),
                "mindspore" => self.mindspore.as_str(),
                "cann" => self.cann.as_str(),
                "os" => self.os.as_str(),
                "arch" => self.arch.as_str(),
                "chip" => self.chip.as_str(),
                _ => return Err(format!("`{text}`: `{{{name}}}` is no key of `[versions]`")),
            });
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
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
