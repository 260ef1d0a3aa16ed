//! Small values of the recipe that have a notation of their own: modes, sizes, glibc versions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Permission bits of a file or folder, written as octal text: `"0750"`. A number is refused: TOML's `750` is decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(u32);

impl Mode {
    /// The mode of these bits, of which the lowest twelve count.
    pub const fn new(bits: u32) -> Self {
        Self(bits & 0o7777)
    }

    /// The bits, `0o7777` at most.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let bits = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
        bits.map(Self).ok_or_else(|| format!("`{text}` is no mode: three or four octal digits as text, \"0750\""))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A number of bytes, written as a number or as text with a unit: `536870912`, `"512 MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no size: a whole number of bytes, or one with KiB, MiB, GiB, kB, MB or GB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let unit: u64 = match text[digits..].trim() {
            "" | "B" => 1,
            "kB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(fault()),
        };
        let number: u64 = text[..digits].parse().map_err(|_| fault())?;
        number.checked_mul(unit).map(Self).ok_or_else(fault)
    }
}

/// A version of glibc: `"2.28"`. Wheels name what they need in it (PEP 600).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    /// Always 2 so far.
    pub major: u32,
    /// What follows the dot.
    pub minor: u32,
}

impl FromStr for Glibc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        match numbers {
            Some((2, minor)) => Ok(Self { major: 2, minor }),
            _ => Err(format!("`{text}` is no version of glibc, as \"2.28\"")),
        }
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Owner of files and folders, numeric as in a layer: `"1000:100"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Numeric user id.
    pub uid: u64,
    /// Numeric group id.
    pub gid: u64,
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // 32 bits are what Linux has for an id; the highest means "no change" to it.
        let id = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let id = plain.then(|| text.parse().ok()).flatten();
            id.filter(|id: &u64| *id < u64::from(u32::MAX))
        };
        let ids = text.split_once(':').and_then(|(uid, gid)| Some((id(uid)?, id(gid)?)));
        let (uid, gid) = ids.ok_or_else(|| format!("`{text}` is no owner: numeric user and group, \"1000:100\""))?;
        Ok(Self { uid, gid })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// A number of at most three digits, without a sign.
pub fn number(text: &str) -> Option<u32> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

macro_rules! serde_as_text {
    ($($name:ident: $wanted:literal),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($wanted)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    )*};
}

serde_as_text!(
    Mode: "octal digits as text, \"0750\"",
    Glibc: "text, \"2.28\"",
    Owner: "user and group as text, \"1000:100\""
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_text() {
        assert_eq!("0750".parse::<Mode>().map(Mode::bits), Ok(0o750));
        assert_eq!("1777".parse::<Mode>().map(|mode| mode.to_string()), Ok("1777".to_owned()));
        assert_eq!("755".parse::<Mode>().map(|mode| mode.to_string()), Ok("0755".to_owned()));
        for text in ["", "75", "00755", "0o755", "rwx", "0789", "+755"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        let good = [("0", 0), ("512 MiB", 512 << 20), ("512MiB", 512 << 20), ("10 GB", 10_000_000_000), ("7 B", 7)];
        for (text, size) in good {
            assert_eq!(text.parse(), Ok(Bytes(size)), "{text}");
        }
        for text in ["", "MiB", "1.5 GiB", "-1", "1 mb", "99999999999 GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn owners_are_numbers() {
        assert_eq!("1000:100".parse(), Ok(Owner { uid: 1000, gid: 100 }));
        for text in ["", "1000", "ma-user:ma-group", "-1:0", "0:4294967295", "1:2:3", ":"] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
    }

    #[test]
    fn glibc_is_2_and_something() {
        assert_eq!("2.28".parse(), Ok(Glibc { major: 2, minor: 28 }));
        for text in ["", "2", "2.", "3.1", "2.28.1", "2.x", "2.+8"] {
            assert!(text.parse::<Glibc>().is_err(), "{text}");
        }
    }
}
