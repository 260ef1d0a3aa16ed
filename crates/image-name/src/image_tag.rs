//! The tag of an image of ours: `py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325`.

use std::fmt;

use crate::{
    NameError, Platform, Tag, Timestamp, Version,
    error::{Broken, parsed_by_read},
    names::{TAG_LENGTH, length},
};

/// The parts of the tag. `_cann_` is joined by underscores, every other part by a hyphen, as jobs in the field have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct ImageTag {
    /// `3.9`.
    pub python: Version,
    /// `1.8.1`.
    pub mindspore: Version,
    /// `5.1.RC2`.
    pub cann: Version,
    /// The operating system, `euler_2.8.3`.
    pub os: Platform,
    /// `aarch64`.
    pub arch: Platform,
    /// `d910`.
    pub chip: Platform,
    /// When the image was built.
    pub timestamp: Timestamp,
}

impl ImageTag {
    /// A tag of these parts. Fails where it would be longer than a tag's 128 characters.
    pub fn new(
        python: Version,
        mindspore: Version,
        cann: Version,
        os: Platform,
        arch: Platform,
        chip: Platform,
        timestamp: Timestamp,
    ) -> Result<Self, NameError> {
        let tag = Self { python, mindspore, cann, os, arch, chip, timestamp };
        let text = tag.to_string();
        length(&text, TAG_LENGTH).map_err(|broken| broken.of("image tag", &text))?;
        Ok(tag)
    }

    /// As a plain tag.
    pub fn to_tag(&self) -> Tag {
        // It is made of a tag's characters, begins with `py_`, and its length was checked.
        Tag::of_checked(self.to_string())
    }

    fn read(text: &str) -> Result<Self, Broken> {
        length(text, TAG_LENGTH)?;
        let mut at = 0;
        Ok(Self {
            python: part(text, &mut at, "Python version", ("py_", "-"), Version::read)?,
            mindspore: part(text, &mut at, "MindSpore version", ("ms_", "_"), Version::read)?,
            cann: part(text, &mut at, "CANN version", ("cann_", "-"), Version::read)?,
            os: part(text, &mut at, "operating system", ("", "-"), Platform::read)?,
            arch: part(text, &mut at, "architecture", ("", "-"), Platform::read)?,
            chip: part(text, &mut at, "chip", ("", "-"), Platform::read)?,
            timestamp: Timestamp::read(&text[at..]).map_err(|broken| broken.in_part("timestamp", at))?,
        })
    }
}

parsed_by_read!(ImageTag, "image tag");

/// Reads `<prefix><part><end>` from there on; a part never reaches over a hyphen.
fn part<T>(
    text: &str,
    at: &mut usize,
    what: &'static str,
    (prefix, end): (&str, &str),
    read: impl Fn(&str) -> Result<T, Broken>,
) -> Result<T, Broken> {
    let shape = "read `py_<python>-ms_<mindspore>_cann_<cann>-<os>-<arch>-<chip>-<timestamp>`";
    let rest = text[*at..].strip_prefix(prefix).ok_or_else(|| Broken::new(shape, *at))?;
    let begin = *at + prefix.len();
    let stop = rest.find('-').into_iter().chain(rest.find(end)).min().unwrap_or(rest.len());
    if !rest[stop..].starts_with(end) {
        return Err(Broken::new(shape, begin + stop));
    }
    *at = begin + stop + end.len();
    read(&rest[..stop]).map_err(|broken| broken.in_part(what, begin))
}

impl fmt::Display for ImageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { python, mindspore, cann, os, arch, chip, timestamp } = self;
        write!(f, "py_{python}-ms_{mindspore}_cann_{cann}-{os}-{arch}-{chip}-{timestamp}")
    }
}
