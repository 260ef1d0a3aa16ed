//! Paths of the recipe: those in the image and those on this machine.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An absolute path in the image, `/home/ma-user`: no `.`, `..`, empty part or slash at the end, the root `/` apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ImagePath(String);

/// Why a text is no [`ImagePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImagePathError {
    /// It does not begin at the root.
    #[error("must begin with `/`")]
    Relative,
    /// It would leave its folder, or is not the one way to write it.
    #[error("must have no `.`, `..` or empty part and no `/` at the end")]
    Part,
    /// It holds a character that no path of an image should have.
    #[error("must hold no control characters")]
    Control,
    /// The kernel would refuse it.
    #[error("must have at most 4095 bytes, and 255 between slashes")]
    Length,
}

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
    type Err = ImagePathError;

    fn from_str(text: &str) -> Result<Self, ImagePathError> {
        let below = text.strip_prefix('/').ok_or(ImagePathError::Relative)?;
        if !below.is_empty() && below.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(ImagePathError::Part);
        }
        if text.contains(char::is_control) {
            return Err(ImagePathError::Control);
        }
        if text.len() > 4095 || below.split('/').any(|part| part.len() > 255) {
            return Err(ImagePathError::Length);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ImagePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("`{text}` {error}")))
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

    /// Where it leads on this machine.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for HostPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_taken() {
        use ImagePathError::{Control, Length, Part, Relative};
        let long = format!("/{}", "a".repeat(256));
        let check = |text: &str| text.parse::<ImagePath>().map(|path| path.to_string());
        for good in ["/", "/home/ma-user", "/a b/中", "/..a/b.."] {
            assert_eq!(check(good).as_deref(), Ok(good));
        }
        let bad = [("", Relative), ("home", Relative), ("/home/", Part), ("//home", Part), ("/a/../b", Part)];
        let worse = [("/..", Part), ("/.", Part), ("/a\0", Control), ("/a\nb", Control), (long.as_str(), Length)];
        for (text, error) in bad.into_iter().chain(worse) {
            assert_eq!(check(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_relative_path_begins_at_the_recipe() {
        assert_eq!(HostPath::new("../kit", Path::new("/r")).path(), Path::new("/r/../kit"));
        assert_eq!(HostPath::new("/kit", Path::new("/r")).path(), Path::new("/kit"));
    }
}
