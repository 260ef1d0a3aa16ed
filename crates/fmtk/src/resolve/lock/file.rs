//! The lock as a file: TOML, sorted, written whole.

use std::{fs, path::Path};

use anyhow::{Context, anyhow};
use file_edit::Original;
use image_name::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    recipe::Recipe,
    resolve::{fetch::Request, packages::Package, place},
    terminal::report::WithHint,
};

/// What a recipe's inputs were when they were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    pub base: Option<LockedBase>,
    /// What PyPI's wheels were fetched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pypi: Option<LockedRequest>,
    /// The packages by kind and file name.
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
}

/// The base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// As the recipe names it.
    pub reference: String,
    pub digest: Digest,
}

/// What decides which of PyPI's wheels are wanted: as long as the recipe says the same, they are these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRequest {
    pub python: String,
    pub glibc: String,
    pub requirements: Vec<String>,
    pub constraints: Vec<String>,
    /// Of all else in `[pypi]` that decides, where the recipe has any of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Digest>,
}

impl LockedRequest {
    /// What this recipe asks for.
    pub fn of(recipe: &Recipe) -> Self {
        let Request { requirements, constraints, python, resolution, .. } = Request::of(recipe);
        let resolution = resolution.digest();
        Self { python, glibc: recipe.python.glibc.to_string(), requirements, constraints, resolution }
    }
}

const VERSION: u32 = 1;

/// Bytes of a lock: it has some 200 for a package.
const LIMIT: usize = 16 << 20;

const HEAD: &str = "# The inputs of the image by content. Written by `cargo xtask lock`; keep it with the recipe.\n";

impl Lock {
    /// The lock of these inputs.
    pub fn of(recipe: &Recipe, packages: &[Package], base: Digest) -> Self {
        let mut packages = packages.to_vec();
        packages.sort();
        let base = LockedBase { reference: recipe.base.reference.to_string(), digest: base };
        let pypi = (!recipe.pypi.requirements.is_empty()).then(|| LockedRequest::of(recipe));
        Self { version: VERSION, base: Some(base), pypi, packages }
    }

    /// The lock in this file, if there is one.
    pub fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        let reading = || format!("failed to read lock `{}`", path.display());
        let Some(found) = Original::find(path, LIMIT).with_context(reading).input()? else { return Ok(None) };
        let text = String::from_utf8_lossy(&found.bytes);
        Self::parse(&text)
            .with_context(reading)
            .hint("restore it, or write it again with `cargo xtask fetch --upgrade` and `cargo xtask lock --upgrade`")
            .input()
            .map(Some)
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let lock: Self = toml_edit::de::from_str(text).map_err(|error| anyhow!("{}", error.to_string().trim_end()))?;
        anyhow::ensure!(
            lock.version == VERSION,
            "its version is {}, but this program knows only {VERSION}",
            lock.version
        );
        Ok(lock)
    }

    /// The lock as TOML; equal locks give equal text.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(format!("{HEAD}{}", toml_edit::ser::to_string_pretty(self)?))
    }

    /// Writes the lock, the whole of it or nothing. Gives whether the file changed.
    pub fn save(&self, path: &Path) -> anyhow::Result<bool> {
        let writing = || format!("failed to write lock `{}`", path.display());
        let text = self.to_toml()?;
        if fs::read_to_string(path).is_ok_and(|old| old == text) {
            return Ok(false);
        }
        place::write_whole(path, &text).with_context(writing)?;
        Ok(true)
    }
}
