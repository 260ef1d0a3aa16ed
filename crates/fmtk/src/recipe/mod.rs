//! The recipe, `image.toml`: what the image is made of, parsed into types once. Its defaults are the image of the manual.
//!
//! An argument of the command comes before the file, and the file before the defaults. Whatever is wrong is said at
//! once, with the line and, for an unknown key, the nearest known one.

mod allow;
mod amounts;
mod base;
mod cann;
mod distribution;
mod environment;
mod fields;
mod files;
mod launch;
mod layout;
mod max_layer;
mod packages;
mod paths;
mod python;
mod registry;
mod settings;
mod tree;
mod versions;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::Context;
use image_name::{Digest, ImageTag, NameError, Timestamp};
use serde::Serialize;

pub use self::{
    allow::Allow,
    amounts::Glibc,
    base::Base,
    cann::{Cann, Matcher},
    distribution::{Distribution, Requirement},
    environment::{Environment, resolve as resolve_environment},
    files::OwnFile,
    launch::{Launch, RANKS, Ranks},
    layout::{Dir, Layout},
    packages::{CANN, PYPI, PackageSpec, Pypi},
    paths::ImagePath,
    python::Python,
    registry::Registry,
    settings::{Scripts, User},
    versions::{ARCH, Versions},
};
use self::{
    fields::{Faults, Fields, Placed},
    tree::Table,
};
use crate::terminal::report::WithHint;

/// What the image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// User that jobs run as. Default: `ma-user`.
    pub user: User,
    /// Folder that jobs begin in. Default: `/home/ma-user`.
    pub workdir: ImagePath,
    /// Where the five vendor scripts come from. Default: `auto`.
    pub scripts: Scripts,
    /// Versions and platform.
    pub versions: Versions,
    /// The image below.
    #[serde(skip)]
    pub base: Base,
    /// Python of the base.
    pub python: Python,
    /// Where the image is pushed to.
    #[serde(skip)]
    pub registry: Registry,
    /// The vendor's packages by kind.
    pub packages: BTreeMap<String, PackageSpec>,
    /// What PyPI has of the image.
    pub pypi: Pypi,
    /// How CANN is installed.
    pub cann: Cann,
    /// How jobs start in the image.
    pub launch: Launch,
    /// Environment variables.
    pub environment: Environment,
    /// Owners, modes, sizes.
    pub layout: Layout,
    /// Checks that some distributions are let off.
    pub allow: Allow,
    /// The user's own files.
    pub files: Vec<OwnFile>,
    /// Labels of the image besides those that every image has. Default: none.
    pub labels: BTreeMap<String, String>,
}

/// What the command's arguments change of the recipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides<'a> {
    /// `KEY=VALUE` of each `--set`.
    pub set: &'a [String],
    /// `--base`: it takes the place of the file's base and of its digest.
    pub base: Option<&'a str>,
}

impl Recipe {
    /// Reads the recipe from its file. Where `required` is false, a file that is not there is an empty one.
    pub fn load(file: &Path, required: bool, overrides: Overrides<'_>) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read recipe `{}`", file.display())).input();
            }
        };
        let folder = std::path::absolute(file).with_context(|| format!("bad path `{}`", file.display()))?;
        Self::parse(&text, &file.to_string_lossy(), folder.parent().unwrap_or(Path::new("/")), overrides)
    }

    /// Reads the recipe from text. `file` is its name in messages; relative paths in it begin at `folder`.
    pub fn parse(text: &str, file: &str, folder: &Path, overrides: Overrides<'_>) -> anyhow::Result<Self> {
        let mut root = tree::parse(text)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("failed to read recipe `{file}`"))
            .input()?;
        let faults = Faults::new(file);
        for argument in overrides.set {
            if let Err(message) = tree::set(&mut root, argument) {
                faults.note(message, None);
            }
        }
        if let Some(base) = overrides.base {
            root.remove("base");
            tree::put(&mut root, ["base", "reference"], base, &format!("--base {base}"));
        }
        let recipe = Self::read(root, folder, &faults);
        faults.into_result()?;
        recipe.with_context(|| format!("recipe `{file}` can not be read"))
    }

    fn read(root: Table, folder: &Path, faults: &Faults) -> Option<Self> {
        let mut fields = Fields::root(root, faults);
        let versions = Versions::read(fields.table("versions"));
        let user = fields.preset("user", "ma-user");
        let workdir = fields.preset("workdir", "/home/ma-user");
        let scripts = Scripts::read(&mut fields, folder);
        let base = Base::read(fields.table("base"), folder);
        let registry = Registry::read(fields.table("registry"), folder);
        let cann = Cann::read(fields.table("cann"));
        let launch = Launch::read(fields.table("launch"));
        let environment =
            environment::read(fields.table("environment"), versions.as_ref().is_none_or(Versions::has_cann));
        if environment.contains_key(RANKS) {
            faults.note(
                format!("`environment.{RANKS}`: the image has it from `launch.ranks`"),
                Some("set `launch.ranks`".to_owned()),
            );
        }
        let layout = Layout::read(fields.table("layout"));
        let allow = Allow::read(fields.table("allow"));
        let files = files::read(fields.tables("files"), folder);
        let labels = settings::labels(fields.table("labels"));
        // Every section has been looked at by now, so that the faults of all are known.
        let (python, packages, pypi) = (fields.table("python"), fields.table("packages"), fields.table("pypi"));
        fields.end();
        let versions = versions?;
        let (python, packages, pypi) = (
            Python::read(python, &versions),
            packages::read_packages(packages, &versions),
            Pypi::read(pypi, &versions),
        );
        let recipe = Self {
            user: user?.value,
            workdir: workdir?.value,
            scripts,
            versions,
            base: base?,
            python: python?,
            registry: registry?,
            packages,
            pypi,
            cann,
            launch,
            environment,
            layout,
            allow,
            files,
            labels,
        };
        // Any timestamp has the same length.
        if let Err(error) = Timestamp::new(1980, 1, 1, 0, 0, 0).and_then(|any| recipe.image_tag(&any)) {
            faults.note(error, Some("shorten a part in `[versions]`".to_owned()));
        }
        Some(recipe)
    }

    /// The tag of the image when it is built at this time.
    pub fn image_tag(&self, timestamp: &Timestamp) -> Result<ImageTag, NameError> {
        self.versions.tag(*timestamp)
    }

    /// What is legal but likely a mistake, in words.
    pub fn warnings(&self) -> Vec<String> {
        self.versions.warnings()
    }

    /// SHA-256 of all that shapes the image: the base and the registry are not in it, nor is a path of this machine
    /// beyond what the recipe says.
    pub fn digest(&self) -> anyhow::Result<Digest> {
        let json = serde_json::to_vec(self).context("failed to write the recipe as JSON")?;
        Ok(Digest::of(json))
    }
}

/// Where a relative path of the recipe begins: at the recipe, or, in an argument of the command, where that was run.
fn folder_of<'a, T>(path: &Placed<T>, folder: &'a Path) -> &'a Path {
    if path.is_argument() { Path::new("") } else { folder }
}
