//! Small values of the recipe that have a notation of their own: modes, owners, sizes, glibc versions.

use std::{fmt, str::FromStr};

use super::document::{as_text, from_number_or_text};

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
        bits.map(Self).ok_or_else(|| format!("`{text}` is not a mode: three or four octal digits as text, \"0750\""))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// The number of bytes of a size, with a unit or without: `536870912`, `512 MiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit: Option<u64> = match text[digits..].trim() {
        "" | "B" => Some(1),
        "kB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = text[..digits].parse().ok();
    let bytes = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    bytes.ok_or_else(|| {
        format!("`{text}` is not a size: a whole number of bytes, or one with KiB, MiB, GiB, kB, MB or GB")
    })
}

/// A number of bytes, written with a unit or without: `"15 GB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        bytes(text).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
            _ => Err(format!("`{text}` is not a version of glibc, as \"2.28\"")),
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
        let (uid, gid) =
            ids.ok_or_else(|| format!("`{text}` is not an owner: numeric user and group, \"1000:100\""))?;
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

as_text!(Mode, Glibc, Owner);
from_number_or_text!(Size, "expected a number of bytes, or text as \"15 GB\"");

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: fmt::Debug + PartialEq>(
        parse: impl Fn(&str) -> Result<T, String>,
        good: impl IntoIterator<Item = (&'static str, T)>,
        reason: &str,
        bad: &[&str],
    ) {
        for (text, value) in good {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        for text in bad {
            assert!(parse(text).is_err_and(|error| error.starts_with(&format!("`{text}` is not {reason}"))), "{text}");
        }
    }

    #[test]
    fn every_amount_has_one_notation() {
        let modes = [("0750", Mode(0o750)), ("1777", Mode(0o1777)), ("755", Mode(0o755))];
        check(str::parse, modes, "a mode", &["", "75", "00755", "0o755", "rwx", "0789", "+755"]);
        assert_eq!(Mode(0o755).to_string(), "0755");
        let sizes = [("0", 0), ("512 MiB", 512 << 20), ("512MiB", 512 << 20), ("10 GB", 10_000_000_000), ("7 B", 7)];
        check(bytes, sizes, "a size", &["", "MiB", "1.5 GiB", "-1", "1 mb", "99999999999 GiB"]);
        let owner = ("1000:100", Owner { uid: 1000, gid: 100 });
        let bad = ["", "1000", "ma-user:ma-group", "-1:0", "0:4294967295", "1:2:3", ":"];
        check(str::parse, [owner], "an owner", &bad);
        let glibc = ("2.28", Glibc { major: 2, minor: 28 });
        check(str::parse, [glibc], "a version of glibc", &["", "2", "2.", "3.1", "2.28.1", "2.x", "2.+8"]);
    }
}
