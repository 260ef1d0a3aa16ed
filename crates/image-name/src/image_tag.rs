//! The tag of an image of ours: `py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325`.

use std::{fmt, str::FromStr};

use crate::{
    NameError, Platform, Tag, Timestamp, Version, platform,
    refusal::{Fault, Rule, length},
    tag,
    text::serde_as_text,
    timestamp, version,
};

/// The parts of the tag. `_cann_` is joined by underscores, every other part by a hyphen, as jobs in the field have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageTag {
    python: Version,
    mindspore: Version,
    cann: Version,
    os: Platform,
    arch: Platform,
    chip: Platform,
    timestamp: Timestamp,
}

const SHAPE: Rule = Rule::Parts("read `py_<python>-ms_<mindspore>_cann_<cann>-<os>-<arch>-<chip>-<timestamp>`");

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
        match length(&text, tag::MAX) {
            Ok(()) => Ok(tag),
            Err(fault) => Err(fault.of("image tag", &text)),
        }
    }

    /// Python's version, `3.9`.
    pub fn python(&self) -> &Version {
        &self.python
    }

    /// MindSpore's version, `1.8.1`.
    pub fn mindspore(&self) -> &Version {
        &self.mindspore
    }

    /// CANN's version, `5.1.RC2`.
    pub fn cann(&self) -> &Version {
        &self.cann
    }

    /// The operating system, `euler_2.8.3`.
    pub fn os(&self) -> &Platform {
        &self.os
    }

    /// The architecture, `aarch64`.
    pub fn arch(&self) -> &Platform {
        &self.arch
    }

    /// The chip, `d910`.
    pub fn chip(&self) -> &Platform {
        &self.chip
    }

    /// When the image was built.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The same image at another time.
    #[must_use]
    pub fn at(self, timestamp: Timestamp) -> Self {
        Self { timestamp, ..self }
    }

    /// As a plain tag.
    pub fn to_tag(&self) -> Tag {
        self.into()
    }

    fn read(text: &str) -> Result<Self, Fault> {
        length(text, tag::MAX)?;
        let mut rest = Rest { text, at: 0 };
        let python = rest.part("Python version", "py_", '-', version::check)?;
        let mindspore = rest.part("MindSpore version", "ms_", '_', version::check)?;
        let cann = rest.part("CANN version", "cann_", '-', version::check)?;
        let os = rest.part("operating system", "", '-', platform::check)?;
        let arch = rest.part("architecture", "", '-', platform::check)?;
        let chip = rest.part("chip", "", '-', platform::check)?;
        let digits = &text[rest.at..];
        let timestamp = timestamp::check(digits).map_err(|fault| fault.in_part("timestamp", rest.at))?;
        Ok(Self { python, mindspore, cann, os, arch, chip, timestamp })
    }
}

/// What is still to be read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl Rest<'_> {
    /// Reads `<prefix><part><end>`; a part never reaches over a hyphen.
    fn part<T: FromStr>(
        &mut self,
        what: &'static str,
        prefix: &str,
        end: char,
        check: impl Fn(&str) -> Result<(), Fault>,
    ) -> Result<T, Fault> {
        let shape = |at| Fault::new(SHAPE, at);
        let rest = self.text[self.at..].strip_prefix(prefix).ok_or(shape(self.at))?;
        let begin = self.at + prefix.len();
        let stop = rest.find(['-', end]).unwrap_or(rest.len());
        if !rest[stop..].starts_with(end) {
            return Err(shape(begin + stop));
        }
        let part = &rest[..stop];
        check(part).map_err(|fault| fault.in_part(what, begin))?;
        self.at = begin + stop + end.len_utf8();
        // The part has just been checked by the function that its `FromStr` calls.
        part.parse().map_err(|_| shape(begin))
    }
}

impl FromStr for ImageTag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::read(text).map_err(|fault| fault.of("image tag", text))
    }
}

impl fmt::Display for ImageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { python, mindspore, cann, os, arch, chip, timestamp } = self;
        write!(f, "py_{python}-ms_{mindspore}_cann_{cann}-{os}-{arch}-{chip}-{timestamp}")
    }
}

serde_as_text!(ImageTag);

impl From<&ImageTag> for Tag {
    fn from(tag: &ImageTag) -> Self {
        // An `ImageTag` is made of a tag's characters, begins with `py_` and has checked its own length.
        Self::of_checked(tag.to_string())
    }
}
