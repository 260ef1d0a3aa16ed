//! The recipe, `image.toml`: what the image is made of, parsed into types once. Its defaults are the image of the manual.
//!
//! An argument of the command comes before the file, and the file before the defaults. Whatever is wrong is said at
//! once, with the line and, for an unknown key, the nearest known one.

mod amounts;
mod base;
mod cann;
mod compatibility;
mod distribution;
mod document;
mod environment;
mod files;
mod found;
mod layout;
pub mod locked;
mod packages;
mod paths;
mod pypi;
mod settings;
pub mod stacks;
mod system;
mod user;
mod versions;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, anyhow};
use image_name::{Digest, NameError, Tag, TagTemplate, Timestamp};
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

pub use self::{
    amounts::Glibc,
    base::Base,
    cann::{Cann, Matcher},
    compatibility::{Compatibility, Row},
    distribution::{Distribution, Requirement},
    environment::{
        CANN_HOMES, ENGINE_PATH, Environment, doubts as environment_doubts, is_of_table, resolve as resolve_environment,
    },
    files::OwnFile,
    found::{Found, device_groups, is_os, os_of},
    layout::{Dir, Layout},
    packages::{CANN, INSTALLERS, NNAL, OPS, PYPI, PackageSpec, SYSTEM},
    paths::ImagePath,
    pypi::{Index, Pypi, Resolution, Resolver},
    settings::{Allow, Bytecode, Chunk, Launch, Limits, RANKS, Ranks, Registry, Scripts},
    system::System,
    user::{Account, Create, Name, User},
    versions::{ARCH, CLAIMS, PLATFORM, Python, Versions, is_version, public, title},
};
use self::{
    document::{Document, OrFalse, Section},
    stacks::Stack,
};
use crate::terminal::{hints::is_typo, report::WithHint};

/// What the image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// The stack that it lies on. Default: `manual`.
    #[serde(skip)]
    pub stack: &'static Stack,
    /// User that jobs run as. Default: `ma-user`.
    pub user: User,
    /// Folder that jobs begin in. Default: `/home/ma-user`.
    pub workdir: ImagePath,
    /// Where the five vendor scripts come from. Default: `auto`.
    pub scripts: Scripts,
    /// How the image's tag is made of the versions. Default:
    /// `py_{python}-ms_{mindspore}_cann_{cann}-{os}-{arch}-{chip}-{timestamp}`.
    #[serde(skip_serializing_if = "is_default")]
    pub tag: TagTemplate,
    /// Whether the modules of wheels are compiled. Default: `off`.
    #[serde(skip_serializing_if = "Bytecode::is_default")]
    pub bytecode: Bytecode,
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
    /// Images of the registry whose layers are taken where they are missing here. Default: the newest of this recipe.
    #[serde(skip)]
    pub cache: Option<Vec<String>>,
    /// Packages of the base's distribution.
    #[serde(skip_serializing_if = "System::is_default")]
    pub system: System,
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
    /// Which of them are only there because the recipe names CANN 5.
    #[serde(skip)]
    pub of_table: BTreeSet<String>,
    /// Variables that are not wanted, of those that are learned where CANN is installed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// Owners, modes, sizes.
    pub layout: Layout,
    /// How large the image may be.
    #[serde(skip)]
    pub limits: Limits,
    /// Checks that some distributions are let off.
    pub allow: Allow,
    /// The user's own files.
    pub files: Vec<OwnFile>,
    /// Labels of the image besides those that every image has. Default: none.
    pub labels: BTreeMap<String, String>,
}

/// Whether a key need not be written, because it has its default.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bytes of a recipe, far above what anybody writes.
const LIMIT: u64 = 1 << 20;

/// The text of a file, which may be a pipe of the shell's, `<(…)`.
fn read(file: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(file)?.take(limit + 1).read_to_string(&mut text)? as u64;
    if length > limit { Err(io::Error::other(format!("it has more than {limit} bytes"))) } else { Ok(text) }
}

/// What the command's arguments change of the recipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides<'a> {
    /// `KEY=VALUE` of each `--set`.
    pub set: &'a [String],
    /// `--base`: it takes the place of the file's base and of its digest.
    pub base: Option<&'a str>,
    /// `--stack`: it takes the place of the file's stack.
    pub stack: Option<&'a str>,
}

/// A recipe as it is written, and what it says where nothing is known of its base.
#[derive(Debug, Clone)]
pub struct Draft {
    file: String,
    document: Document,
    /// With the defaults for what is not written.
    pub recipe: Recipe,
}

impl Draft {
    /// Whether it is written if modules are compiled.
    pub fn decides_bytecode(&self) -> bool {
        self.document.is_given(&["bytecode"])
    }

    /// Reads the recipe from its file. Where `required` is false, a file that is not there is an empty one.
    pub fn load(file: &Path, required: bool, overrides: Overrides<'_>) -> anyhow::Result<Self> {
        let text = match read(file, LIMIT) {
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
        let mut document = Document::parse(text, file, folder)
            .map_err(|error| anyhow!(error.to_string().trim_end().to_owned()))
            .with_context(|| format!("failed to read recipe `{file}`"))
            .input()?;
        overrides.set.iter().for_each(|argument| document.set(argument));
        if let Some(base) = overrides.base {
            document.set_base(base);
        }
        if let Some(stack) = overrides.stack {
            document.set_stack(stack);
        }
        document.lay_stack();
        let recipe = Recipe::of(document.clone(), file)?;
        Ok(Self { file: file.to_owned(), document, recipe })
    }
}

impl Recipe {
    /// Reads the recipe from text, as [`Draft::parse`] does.
    pub fn parse(text: &str, file: &str, folder: &Path, overrides: Overrides<'_>) -> anyhow::Result<Self> {
        Draft::parse(text, file, folder, overrides).map(|draft| draft.recipe)
    }

    fn of(mut document: Document, file: &str) -> anyhow::Result<Self> {
        let tag_is_written = document.is_given(&["tag"]);
        let written: Option<Written> = document.read();
        // What can't be read was taken out.
        let tag_is_read = tag_is_written == document.is_given(&["tag"]);
        let recipe = written.map(|written| written.finish(&mut document, tag_is_read));
        document.into_result()?;
        recipe.with_context(|| format!("recipe `{file}` can't be read"))
    }

    /// The tag of the image when it is built at this time.
    pub fn image_tag(&self, timestamp: Timestamp) -> Result<Tag, NameError> {
        self.versions.tag(&self.tag, timestamp)
    }

    /// SHA-256 of all that shapes the image: the base, the registry and limits are not in it, nor is a path of this machine
    /// beyond what the recipe says.
    pub fn digest(&self) -> anyhow::Result<Digest> {
        let json = serde_json::to_vec(self).context("failed to write the recipe as JSON")?;
        Ok(Digest::of(json))
    }
}

/// The recipe before what needs another section, or to know where it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    user: User,
    workdir: ImagePath,
    scripts: Scripts,
    bytecode: Bytecode,
    tag: Spanned<TagTemplate>,
    versions: BTreeMap<Spanned<String>, Spanned<OrFalse>>,
    base: Section<base::Written>,
    python: Section<versions::WrittenPython>,
    registry: Section<Registry>,
    cache: Option<Vec<String>>,
    system: Section<system::Written>,
    packages: BTreeMap<Spanned<String>, Section<packages::WrittenPackage>>,
    pypi: Section<pypi::Written>,
    cann: Section<Cann>,
    launch: Section<Launch>,
    environment: BTreeMap<Spanned<String>, environment::Entry>,
    layout: Section<layout::Written>,
    limits: Section<Limits>,
    allow: Section<Allow>,
    files: Vec<Section<files::Written>>,
    labels: BTreeMap<Spanned<String>, String>,
}

impl Written {
    fn finish(self, document: &mut Document, tag_is_read: bool) -> Recipe {
        let versions = versions::finish(self.versions, document);
        let (Section(mut registry), mut scripts) = (self.registry, self.scripts);
        if let Scripts::Folder(path) = &mut scripts {
            path.begin_at(document.folder(&["scripts"]));
        }
        if let Some(path) = &mut registry.ca {
            path.begin_at(document.folder(&["registry", "ca"]));
        }
        for name in self.labels.keys() {
            if name.get_ref().is_empty() || name.get_ref().contains(char::is_control) {
                document.fault(name.span(), "a label name must be one line of text");
            }
        }
        let (span, tag) = (self.tag.span(), self.tag.into_inner());
        // The default is not judged in place of a tag that could not be read.
        let unknown: Vec<&str> = tag.keys().filter(|key| tag_is_read && versions.get(key).is_none()).collect();
        for key in &unknown {
            let known: Vec<&str> = versions.iter().map(|(key, _)| key).collect();
            let near = known.iter().find(|known| is_typo(known, key));
            let hint = match near {
                _ if !document.is_given(&["tag"]) => {
                    format!("set `tag` to one without `{{{key}}}`, or name a `stack`")
                }
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => format!("set `versions.{key}`, or use what there is: `{}`", known.join("`, `")),
            };
            document.fault_with(span.clone(), format!("the tag's `{{{key}}}` is not in `[versions]`"), Some(hint));
        }
        // Any timestamp has the same length.
        if tag_is_read
            && unknown.is_empty()
            && let Err(error) = Timestamp::new(1980, 1, 1, 0, 0, 0).and_then(|any| versions.tag(&tag, any))
        {
            document.problem(error, Some("shorten a part in `[versions]`, or `tag`".to_owned()));
        }
        let python = self.python.0.finish(&versions);
        let base = self.base.0.finish(document);
        if base.is_standard() || document.is_given(&["versions", "python"]) {
            document.complete();
        }
        let (environment, of_table, left_out) = environment::finish(self.environment, versions.cann(), document);
        Recipe {
            stack: document.stack(),
            user: self.user,
            workdir: self.workdir,
            scripts,
            tag,
            bytecode: self.bytecode,
            base,
            registry,
            cache: self.cache,
            system: self.system.0.finish(document),
            packages: packages::finish(self.packages, &versions, document),
            pypi: self.pypi.0.finish(&versions, &python, document),
            python,
            cann: self.cann.0,
            launch: self.launch.0,
            environment,
            of_table,
            left_out,
            layout: self.layout.0.finish(),
            limits: self.limits.0,
            allow: self.allow.0,
            files: files::finish(self.files, document),
            labels: self.labels.into_iter().map(|(name, text)| (name.into_inner(), text)).collect(),
            versions,
        }
    }
}
