//! `[layout]`: owners, modes and sizes of what the layers hold.

use std::{collections::BTreeMap, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

use super::{
    amounts::{Mode, Owner, bytes},
    document::{Section, from_number_or_text},
    paths::ImagePath,
};

/// How files lie in the layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Owner of what the image adds. Default: `1000:100`, the platform's ma-user and ma-group.
    pub owner: Owner,
    /// Folders of the base, which every layer that reaches into them repeats. The base's own attributes, once known,
    /// come before these. New folders above the user's own files too. Default: those of the manual's base.
    pub dirs: BTreeMap<ImagePath, Dir>,
    /// A layer with more compressed bytes is split. Default: `"auto"`.
    pub max_layer: MaxLayer,
}

/// Attributes of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dir {
    /// Permission bits. Default: 0755.
    pub mode: Mode,
    /// Owner. Default: that of the layout.
    pub owner: Owner,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    owner: Owner,
    max_layer: MaxLayer,
    dirs: BTreeMap<ImagePath, Section<WrittenDir>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDir {
    mode: Option<Mode>,
    owner: Option<Owner>,
}

impl Written {
    pub fn finish(self) -> Layout {
        let Self { owner, max_layer, dirs } = self;
        let dir =
            |dir: WrittenDir| Dir { mode: dir.mode.unwrap_or(Mode::new(0o755)), owner: dir.owner.unwrap_or(owner) };
        let dirs = dirs.into_iter().map(|(path, Section(written))| (path, dir(written))).collect();
        Layout { owner, dirs, max_layer }
    }
}

/// Above how many compressed bytes a layer is split.
///
/// Small parts are sent and fetched side by side, and a cut costs little of an upload to a registry that can't resume:
/// 64 MiB are a minute on a line of 10 Mbit/s, 512 MiB seven. But images have no more than 120 layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxLayer {
    /// The smallest of [`MaxLayer::TRIED`] with which all layers fit.
    Auto,
    /// This many, whatever comes of it.
    Bytes(u64),
}

from_number_or_text!(MaxLayer, "expected \"auto\", a number of bytes, or text as \"512 MiB\"");

/// What [`MaxLayer::Auto`] is called in a recipe.
const AUTO: &str = "auto";

impl MaxLayer {
    /// What a number of bytes may be: less than the first makes thousands of layers of one MindSpore, more than the
    /// second no registry of the field takes.
    const BOUNDS: RangeInclusive<u64> = 1 << 20..=10_000_000_000;

    /// What [`MaxLayer::Auto`] may come to, bytes.
    pub const TRIED: [u64; 4] = [64 << 20, 128 << 20, 256 << 20, 512 << 20];

    /// The bytes, where `layers` tells how many layers so many bytes make at most and `room` how many there may be.
    /// Where none fits it is the largest: less is left to do for the wheels that share a layer then.
    pub fn fitting(self, room: usize, layers: impl Fn(u64) -> usize) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Auto => {
                let [.., largest] = Self::TRIED;
                Self::TRIED.into_iter().find(|bytes| layers(*bytes) <= room).unwrap_or(largest)
            }
        }
    }
}

impl FromStr for MaxLayer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == AUTO {
            return Ok(Self::Auto);
        }
        match bytes(text)? {
            bytes if Self::BOUNDS.contains(&bytes) => Ok(Self::Bytes(bytes)),
            _ => Err("must be 1 MiB to 10 GB, or `auto`".to_owned()),
        }
    }
}

impl Serialize for MaxLayer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(AUTO),
            Self::Bytes(bytes) => serializer.serialize_u64(*bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_parts_are_taken_with_which_all_layers_fit() {
        let layers = |bytes: u64| usize::try_from((1_u64 << 30).div_ceil(bytes)).unwrap();
        let taken = |room| MaxLayer::Auto.fitting(room, layers) >> 20;
        assert_eq!([16, 15, 8, 4, 3, 2, 1, 0].map(taken), [64, 128, 128, 256, 512, 512, 512, 512]);
        assert_eq!(MaxLayer::Bytes(5).fitting(1, layers), 5);
    }
}
