//! `layout.max_layer`: above how many compressed bytes a layer is split.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::amounts::Bytes;

/// Above how many compressed bytes a layer is split.
///
/// Small pieces are sent and fetched side by side, and a cut costs little of an upload to a registry that can't resume:
/// 64 MiB are a minute on a line of 10 Mbit/s, 512 MiB seven. But images have no more than 120 layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxLayer {
    /// The smallest of [`MaxLayer::TRIED`] with which there is room for all layers.
    #[default]
    Auto,
    /// This many, whatever comes of it.
    Bytes(Bytes),
}

/// What [`MaxLayer::Auto`] is called in a recipe.
const AUTO: &str = "auto";

impl MaxLayer {
    /// What a number of bytes may be: less than the first makes thousands of layers of one MindSpore, more than the
    /// second no registry of the field takes.
    pub const BOUNDS: RangeInclusive<u64> = 1 << 20..=10_000_000_000;

    /// What [`MaxLayer::Auto`] may come to, bytes.
    pub const TRIED: [u64; 4] = [64 << 20, 128 << 20, 256 << 20, 512 << 20];

    /// The bytes, where `layers` tells how many layers so many bytes make at most and `room` how many there may be.
    /// Where none fits it is the largest: less is left to do for the wheels that share a layer then.
    pub fn fitting(self, room: usize, layers: impl Fn(u64) -> usize) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.0,
            Self::Auto => {
                let [.., largest] = Self::TRIED;
                Self::TRIED.into_iter().find(|bytes| layers(*bytes) <= room).unwrap_or(largest)
            }
        }
    }
}

impl<'de> Deserialize<'de> for MaxLayer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = MaxLayer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\", a number of bytes, or text as \"512 MiB\"")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<MaxLayer, E> {
                let bytes = u64::try_from(number).map_err(|_| E::custom(format!("`{number}` is no size")))?;
                Ok(MaxLayer::Bytes(Bytes(bytes)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MaxLayer, E> {
                match text {
                    AUTO => Ok(MaxLayer::Auto),
                    size => size.parse().map(MaxLayer::Bytes).map_err(E::custom),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for MaxLayer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(AUTO),
            Self::Bytes(bytes) => bytes.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_pieces_are_taken_that_there_is_room_for() {
        let layers = |bytes: u64| usize::try_from((1_u64 << 30).div_ceil(bytes)).unwrap();
        let taken = |room| MaxLayer::Auto.fitting(room, layers) >> 20;
        assert_eq!([16, 15, 8, 4, 3, 2, 1, 0].map(taken), [64, 128, 128, 256, 512, 512, 512, 512]);
        assert_eq!(MaxLayer::Bytes(Bytes(5)).fitting(1, layers), 5);
    }
}
