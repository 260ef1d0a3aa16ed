//! The lock as a file: TOML, sorted, written whole.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, anyhow};
use image_name::Digest;
use serde::{Deserialize, Serialize};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::{recipe::Recipe, resolve::packages::Package, terminal::report::WithHint};

/// What a recipe's inputs were when they were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// The base.
    pub base: Option<LockedBase>,
    /// The packages by kind and file name.
    #[serde(default, rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// The base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// As the recipe names it.
    pub reference: String,
    /// Digest of its manifest.
    pub digest: Digest,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Kind in the recipe, or `pypi`.
    pub kind: String,
    /// Name of the file.
    pub file: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: Digest,
}

const VERSION: u32 = 1;

const HEAD: &str = "# The inputs of the image by content. Written by `cargo xtask lock`; keep it with the recipe.\n";

impl Lock {
    /// The lock of these inputs.
    pub fn of(recipe: &Recipe, packages: &[Package], base: Digest) -> Self {
        let locked = |package: &Package| LockedPackage {
            kind: package.kind.clone(),
            file: package.file.clone(),
            size: package.size,
            sha256: package.sha256,
        };
        let mut packages: Vec<LockedPackage> = packages.iter().map(locked).collect();
        packages.sort();
        let base = LockedBase { reference: recipe.base.reference.to_string(), digest: base };
        Self { version: VERSION, base: Some(base), packages }
    }

    /// The lock in this file, if there is one.
    pub fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        let reading = || format!("failed to read lock `{}`", path.display());
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(reading),
        };
        Self::parse(&text).with_context(reading).hint("write it anew with `cargo xtask lock`").input().map(Some)
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let lock: Self = toml_edit::de::from_str(text).map_err(|error| anyhow!("{}", error.to_string().trim_end()))?;
        anyhow::ensure!(lock.version == VERSION, "its version is {}, and this program knows {VERSION}", lock.version);
        Ok(lock)
    }

    /// The lock as TOML; equal locks give equal text.
    pub fn to_toml(&self) -> String {
        let mut document = DocumentMut::new();
        document["version"] = value(i64::from(self.version));
        if let Some(base) = &self.base {
            let mut table = Table::new();
            table["reference"] = value(&base.reference);
            table["digest"] = value(base.digest.to_string());
            document["base"] = Item::Table(table);
        }
        let mut packages = ArrayOfTables::new();
        for package in &self.packages {
            let mut table = Table::new();
            table["kind"] = value(&package.kind);
            table["file"] = value(&package.file);
            // No file system holds a file whose length does not fit.
            table["size"] = value(i64::try_from(package.size).unwrap_or(i64::MAX));
            table["sha256"] = value(package.sha256.to_string());
            packages.push(table);
        }
        if !packages.is_empty() {
            document["package"] = Item::ArrayOfTables(packages);
        }
        format!("{HEAD}{document}")
    }

    /// Writes the lock, the whole of it or nothing. Gives whether the file changed.
    pub fn save(&self, path: &Path) -> anyhow::Result<bool> {
        let writing = || format!("failed to write lock `{}`", path.display());
        let text = self.to_toml();
        if fs::read_to_string(path).is_ok_and(|old| old == text) {
            return Ok(false);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // It is kept with the sources: others read it too, unlike a temporary file.
        let shared = Permissions::from_mode(0o644);
        let mut file = tempfile::Builder::new().permissions(shared).tempfile_in(folder).with_context(writing)?;
        file.write_all(text.as_bytes()).with_context(writing)?;
        file.as_file().sync_all().with_context(writing)?;
        file.persist(path).with_context(writing)?;
        Ok(true)
    }
}
