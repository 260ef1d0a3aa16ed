//! Releases of Debian and Ubuntu, and what differs between the two.

use std::collections::BTreeMap;

/// Who makes a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

/// A release, as a base has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Whose it is.
    pub vendor: Vendor,
    /// Its code name: `bookworm`, `jammy`.
    pub codename: String,
}

impl Vendor {
    /// Whose system has this `/etc/os-release`.
    pub fn of(os_release: &BTreeMap<String, String>) -> Option<Self> {
        match os_release.get("ID").map(String::as_str) {
            Some("debian") => Some(Self::Debian),
            Some("ubuntu") => Some(Self::Ubuntu),
            _ => None,
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
        }
    }

    /// Parts of the archive: what is free software.
    pub fn components(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &["main"],
            Self::Ubuntu => &["main", "universe"],
        }
    }

    /// Where packages are searched for.
    pub fn search(self) -> &'static str {
        match self {
            Self::Debian => "https://packages.debian.org",
            Self::Ubuntu => "https://packages.ubuntu.com",
        }
    }

    /// Where systems of this vendor have the keys that sign releases.
    pub fn keyrings(self) -> [&'static str; 2] {
        match self {
            Self::Debian => [
                "/usr/share/keyrings/debian-archive-keyring.gpg",
                // What the first is a link to since Debian 13.
                "/usr/share/keyrings/debian-archive-keyring.pgp",
            ],
            Self::Ubuntu => [
                "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
                "/etc/apt/trusted.gpg.d/ubuntu-keyring-2018-archive.gpg",
            ],
        }
    }
}

impl Release {
    /// The release that `/etc/os-release` tells, if it is one of these vendors' own.
    pub fn of(os_release: &BTreeMap<String, String>) -> Option<Self> {
        let vendor = Vendor::of(os_release)?;
        let codename = os_release.get("VERSION_CODENAME").filter(|name| !name.is_empty())?.clone();
        Some(Self { vendor, codename })
    }

    /// For people.
    pub fn name(&self) -> String {
        format!("{} {}", self.vendor.name(), self.codename)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_debian_s_and_ubuntu_s_own() {
        let of = |text: &str| {
            let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
            Release::of(&pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()).map(|it| it.name())
        };
        assert_eq!(of("ID=debian VERSION_CODENAME=bookworm").as_deref(), Some("Debian bookworm"));
        assert_eq!(of("ID=ubuntu VERSION_CODENAME=jammy ID_LIKE=debian").as_deref(), Some("Ubuntu jammy"));
        for other in ["ID=openEuler", "ID=kali VERSION_CODENAME=x ID_LIKE=debian", "ID=debian", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
