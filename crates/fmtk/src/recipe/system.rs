//! `[system]`: packages of the base's distribution.

use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use super::document::Document;

/// Packages of Debian or Ubuntu that are added to the base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct System {
    /// Names of packages; what they depend on comes with them. Default: none.
    pub packages: Vec<String>,
    /// Address of a mirror. Default: the one that this machine's apt uses for Debian, else the vendor's. Nothing of it
    /// changes the image.
    #[serde(skip)]
    pub mirror: Option<String>,
}

impl System {
    /// As recipes were before they had the section.
    pub(super) fn is_default(&self) -> bool {
        self.packages.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    packages: Vec<Spanned<String>>,
    mirror: Option<String>,
}

impl Written {
    pub fn finish(self, document: &mut Document) -> System {
        let mut packages = Vec::new();
        for name in self.packages {
            if is_name(name.get_ref()) {
                packages.push(name.into_inner());
            } else {
                let message = format!("`{}` is not the name of a Debian package, as in `libstdc++6`", name.get_ref());
                document.fault(name.span(), message);
            }
        }
        packages.sort();
        packages.dedup();
        System { packages, mirror: self.mirror }
    }
}

/// Debian policy 5.6.1.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() >= 2 && name.starts_with(is_plain) && name.chars().all(|c| is_plain(c) || matches!(c, '+' | '-' | '.'))
}
