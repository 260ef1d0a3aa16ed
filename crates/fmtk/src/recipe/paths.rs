//! Paths of the recipe: those in the image and those on this machine.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::document::as_text;

/// An absolute path in the image, `/home/ma-user`: no `.`, `..`, empty part or slash at the end, the root `/` apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(String);

impl ImagePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of something below this folder. `below` must be made of plain names: it is the caller's own text.
    pub fn join(&self, below: &str) -> Self {
        Self(format!("{}/{below}", self.0.trim_end_matches('/')))
    }
}

impl FromStr for ImagePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let below = text.strip_prefix('/').ok_or_else(|| format!("`{text}` must begin with `/`"))?;
        if !below.is_empty() && below.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("`{text}` must have no `.`, `..` or empty part and no `/` at the end"));
        }
        if text.contains(char::is_control) {
            return Err(format!("`{text}` must hold no control characters"));
        }
        // The kernel would refuse it.
        if text.len() > 4095 || below.split('/').any(|part| part.len() > 255) {
            return Err(format!("`{text}` must have at most 4095 bytes, and 255 between slashes"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path on this machine. It serialises as it was written, so that two machines give one digest of the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath {
    written: String,
    path: PathBuf,
}

impl HostPath {
    /// A path that, where relative, begins at `folder`.
    pub fn new(written: &str, folder: &Path) -> Self {
        Self { written: written.to_owned(), path: folder.join(written) }
    }

    /// Makes it begin at this folder, where relative.
    pub(super) fn begin_at(&mut self, folder: &Path) {
        self.path = folder.join(&self.written);
    }

    /// Where it leads on this machine.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for HostPath {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text, Path::new("")))
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

as_text!(ImagePath, HostPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_taken() {
        let long = format!("/{}", "a".repeat(256));
        let check = |text: &str| text.parse::<ImagePath>().map(|path| path.to_string());
        for good in ["/", "/home/ma-user", "/a b/中", "/..a/b.."] {
            assert_eq!(check(good).as_deref(), Ok(good));
        }
        let part = "must have no `.`, `..` or empty part and no `/` at the end";
        for (text, reason) in [
            ("", "must begin with `/`"),
            ("home", "must begin with `/`"),
            ("/home/", part),
            ("//home", part),
            ("/a/../b", part),
            ("/..", part),
            ("/.", part),
            ("/a\0", "must hold no control characters"),
            ("/a\nb", "must hold no control characters"),
            (&long, "must have at most 4095 bytes, and 255 between slashes"),
        ] {
            assert_eq!(check(text), Err(format!("`{text}` {reason}")));
        }
    }

    #[test]
    fn a_relative_path_begins_at_the_recipe() {
        assert_eq!(HostPath::new("../kit", Path::new("/r")).path(), Path::new("/r/../kit"));
        assert_eq!(HostPath::new("/kit", Path::new("/r")).path(), Path::new("/kit"));
    }
}
