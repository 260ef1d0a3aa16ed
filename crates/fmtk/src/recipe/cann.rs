//! `[cann]`: how CANN's installer is run, and what is kept of what it writes.

use std::{collections::BTreeSet, fmt, str::FromStr};

use glob::{MatchOptions, Pattern};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::document::from_number_or_text;

/// How CANN is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cann {
    /// Whether a user `HwHiAiUser` is made first, and stays in the image: installers of some versions want one.
    /// Default: no.
    pub user: bool,
    /// File names of wheels in the installed tree that are installed like the others.
    #[serde(deserialize_with = "of_names")]
    pub wheels: Globs,
    /// What is not kept: paths, with all that is below them, where a pattern begins with `/`, else names.
    pub drop: Globs,
    /// The C++ ABI that torch was built with, by which nnal's `set_env.sh` chooses its libraries: 0 or 1. Default: 1.
    #[serde(skip_serializing_if = "CxxAbi::is_usual")]
    pub cxx_abi: CxxAbi,
    /// Variables of `set_env.sh` that the image keeps besides those that are known to be CANN's. Default: none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub keep_env: BTreeSet<String>,
}

impl Cann {
    /// The same without what changes the environment alone: no installer is run again for that.
    pub fn of_installers(&self) -> Self {
        Self { cxx_abi: CxxAbi::USUAL, keep_env: BTreeSet::new(), ..self.clone() }
    }
}

/// The C++ ABI of libraries: 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CxxAbi(u8);

impl CxxAbi {
    /// That of torch's wheels for aarch64.
    const USUAL: Self = Self(1);

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_usual(&self) -> bool {
        *self == Self::USUAL
    }
}

impl FromStr for CxxAbi {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0" => Ok(Self(0)),
            "1" => Ok(Self(1)),
            _ => Err("must be 0 or 1".to_owned()),
        }
    }
}

impl fmt::Display for CxxAbi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

from_number_or_text!(CxxAbi, "must be 0 or 1");

/// Patterns of paths or names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Globs(Vec<String>);

impl TryFrom<Vec<String>> for Globs {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        for text in &texts {
            Pattern::new(text).map_err(|error| format!("`{text}` is not a glob pattern: {error}"))?;
            if !text.starts_with('/') && text.contains('/') {
                return Err(format!("`{text}` must begin with `/`, or be the pattern of a name"));
            }
        }
        Ok(Self(texts))
    }
}

fn of_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Globs, D::Error> {
    let globs = Globs::deserialize(deserializer)?;
    match globs.0.iter().find(|text| text.contains('/')) {
        Some(text) => Err(D::Error::custom(format!("`{text}` must be the pattern of a file name, without folders"))),
        None => Ok(globs),
    }
}

impl Globs {
    /// The patterns as written.
    pub fn texts(&self) -> &[String] {
        &self.0
    }

    /// Something that matches absolute paths.
    pub fn matcher(&self) -> Matcher {
        // The recipe has tried them all.
        let patterns = |of_paths: bool| {
            let chosen = self.0.iter().filter(move |text| text.starts_with('/') == of_paths);
            chosen.filter_map(|text| Pattern::new(text).ok()).collect()
        };
        Matcher { paths: patterns(true), names: patterns(false) }
    }
}

/// Parsed patterns.
#[derive(Debug)]
pub struct Matcher {
    paths: Vec<Pattern>,
    names: Vec<Pattern>,
}

/// `*` stays within a name.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

impl Matcher {
    /// Whether the path, or a folder that it is in, is meant.
    pub fn matches(&self, path: &str) -> bool {
        let name = |name: &str| self.names.iter().any(|pattern| pattern.matches_with(name, OPTIONS));
        if path.split('/').any(|part| !part.is_empty() && name(part)) {
            return true;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
        ends.into_iter().any(|end| self.paths.iter().any(|pattern| pattern.matches_with(&path[..end], OPTIONS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_meant_with_all_below_them_and_names_anywhere() {
        let globs = |texts: &[&str]| Globs(texts.iter().map(|text| (*text).to_owned()).collect()).matcher();
        let matcher = globs(&["/tmp", "/a/*/log", "*.pyc", "__pycache__"]);
        for path in ["/tmp", "/tmp/x/y", "/a/b/log", "/a/b/log/c", "/x/y.pyc", "/x/__pycache__", "/x/__pycache__/y"] {
            assert!(matcher.matches(path), "{path}");
        }
        for path in ["/tmpx", "/x/tmp", "/a/b/c/log", "/a/log", "/x/y.py", "/x/pycache"] {
            assert!(!matcher.matches(path), "{path}");
        }
    }
}
