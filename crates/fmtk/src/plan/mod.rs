//! The plan: every layer and every edit of the config, decided before anything is made.
//!
//! A pure function of recipe, packages and base: no clock, no file, no network. `--dry-run` prints it, the build
//! executes it and nothing else.

mod cann;
mod checks;
mod claims;
mod config;
mod folders;
mod front;
mod layers;
mod scripts;
mod site;
#[cfg(test)]
mod tests;
mod text;

use std::{collections::BTreeSet, path::PathBuf};

use image_name::{Digest, Repository, Tag, Timestamp};
use oci_image::{BaseIndex, ConfigEdits, ParentDirs, Platform};
use serde::Serialize;
use wheel_layer::{Layout, Target, WheelFacts};

use crate::{
    options::Call,
    recipe::Recipe,
    resolve::{front::Replaced, own_file::PlannedFile, scripts::Found},
    terminal::{
        progress::{count, piece},
        report::Problems,
    },
};

pub use cann::{CannInput, PlannedCann, max_layer as max_layer_of_cann};
pub use folders::{PlannedFolder, above};
pub use scripts::{PlannedEdit, PlannedScript, PlannedScripts};

/// Layers that docker's overlay can stack, with some left for the user's own `FROM`.
pub const MAX_LAYERS: usize = 120;

/// All that a plan is made from.
pub struct Inputs<'a> {
    /// The recipe, flags and environment laid over it.
    pub recipe: &'a Recipe,
    /// What identifies it.
    pub recipe_digest: Digest,
    /// The image's timestamp.
    pub timestamp: Timestamp,
    /// The wheels of the vendor and of PyPI.
    pub wheels: Vec<WheelInput>,
    /// What each of them says and holds, in the same order.
    pub facts: &'a [WheelFacts],
    /// CANN's installer, where there is one.
    pub cann: Option<CannInput>,
    /// The user's own files.
    pub files: Vec<PlannedFile>,
    /// The vendor's scripts, where they were found.
    pub scripts: Option<Found>,
    /// Whether the recipe wants them patched.
    pub scripts_wanted: bool,
    /// What the base has in the place of the launch kit's front.
    pub replaced: Replaced,
    /// The base.
    pub base: PlannedBase,
    /// What the base says it runs on.
    pub platform: Platform,
    /// The base's environment.
    pub base_env: Vec<(String, String)>,
    /// What is inside the base, where that is known.
    pub index: Option<&'a BaseIndex>,
    /// Build though a wheel requires a distribution that is nowhere.
    pub allow_missing: bool,
    /// The call that it is made for, as hints name it.
    pub call: Call,
    /// Whether a fetch was in its folder already, so that one more brings nothing new unless more is asked for.
    pub fetched: bool,
    /// The folder in which it looks for the vendor's scripts.
    pub scripts_folder: PathBuf,
    /// The manifest is to be one of the OCI image spec.
    pub oci: bool,
}

/// A wheel, identified and read.
pub struct WheelInput {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// What will be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Name without organisation.
    pub repository: Repository,
    /// The image's tag.
    pub tag: Tag,
    /// The tag's timestamp.
    pub timestamp: Timestamp,
    /// The manifest is one of the OCI image spec.
    pub oci: bool,
    /// What it is put upon.
    pub base: PlannedBase,
    /// The layers that are put upon the base, bottom to top.
    pub layers: Vec<PlannedLayer>,
    /// The folders that are new with the user's own files, each after those above it.
    pub folders: Vec<PlannedFolder>,
    /// What becomes of the vendor's scripts; none where they are kept.
    pub scripts: Option<PlannedScripts>,
    /// What becomes of the base's config.
    pub config: ConfigEdits,
    /// The folders above what the layers hold, the base's and new ones, those of wheels aside: these have their own.
    #[serde(skip)]
    pub parents: ParentDirs,
    /// How wheels are checked and installed.
    #[serde(skip)]
    pub target: Target,
    /// Compressed bytes above which a layer of wheels is split.
    pub max_layer: u64,
    /// What the user should know before it is built.
    pub warnings: Vec<String>,
}

/// The base of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedBase {
    /// As it was named.
    pub reference: String,
    /// The same with absolute paths, for the push that comes later.
    #[serde(skip)]
    pub source: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// How many layers it has.
    pub layers: usize,
    /// Compressed bytes of them all.
    pub size: u64,
    /// Whether its contents are known.
    pub inspected: bool,
}

/// One layer of ours; a wheel larger than `max_layer` becomes several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PlannedLayer {
    /// Takes away the base's copies of distributions that wheels replace.
    Whiteouts {
        /// `name version` of each.
        distributions: Vec<String>,
        /// Absolute paths.
        paths: Vec<String>,
    },
    /// CANN as its installer leaves it; it becomes several where it is larger than `max_layer`.
    Cann(Box<PlannedCann>),
    /// A wheel.
    Wheel(Box<PlannedWheel>),
    /// The smallest wheels, where there is no room for a layer each.
    SharedByWheels {
        /// Largest first.
        wheels: Vec<PlannedWheel>,
        /// How many layers that is, at most.
        pieces: usize,
    },
    /// The vendor's scripts that change.
    Scripts {
        /// Sorted by path.
        scripts: Vec<PlannedScript>,
    },
    /// The launch kit's `launcher.py`: ours, and the base's own under another name.
    Front {
        /// Sorted by path.
        files: Vec<PlannedScript>,
    },
    /// The user's own files; there are several where they are larger than `max_layer`.
    Files {
        /// Sorted by path.
        files: Vec<PlannedFile>,
        /// Which of these layers it is, counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// Our own programs.
    Tools {
        /// Absolute paths in the image.
        paths: Vec<String>,
    },
}

/// A wheel of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedWheel {
    /// Name of the distribution.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// How many layers of its own it has, at most; 0 where it shares those of others.
    pub pieces: usize,
    /// Where its parts go.
    #[serde(skip)]
    pub layout: Layout,
}

impl PlannedLayer {
    /// What the layer holds, for people and for the image's history.
    pub fn content(&self) -> String {
        match self {
            Self::Whiteouts { distributions, .. } => format!("without the base's {}", distributions.join(", ")),
            Self::Cann(cann) => format!("CANN {}", cann.version),
            Self::Wheel(wheel) => wheel.content(),
            Self::SharedByWheels { wheels, .. } => {
                wheels.iter().map(PlannedWheel::content).collect::<Vec<String>>().join(", ")
            }
            Self::Scripts { scripts } => {
                let names = scripts.iter().map(|script| script.to.rsplit('/').next().unwrap_or_default());
                format!("the vendor's {}", names.collect::<Vec<&str>>().join(", "))
            }
            Self::Front { .. } => "the launch kit's front".to_owned(),
            Self::Files { files, of: 1, .. } => count(files.len(), "own file"),
            Self::Files { number, of, .. } => piece("own files", *number, *of),
            Self::Tools { .. } => "fmtk-launch, fmk-patch".to_owned(),
        }
    }

    /// What its first layer, which is one of whiteouts then, takes away of the layers below.
    pub fn removes(&self) -> &[String] {
        match self {
            Self::Whiteouts { paths, .. } => paths,
            Self::Cann(cann) => &cann.removed,
            Self::Wheel(_)
            | Self::SharedByWheels { .. }
            | Self::Scripts { .. }
            | Self::Front { .. }
            | Self::Files { .. }
            | Self::Tools { .. } => &[],
        }
    }

    /// The absolute paths in it; of wheels and CANN none, as these are planned by what they hold.
    fn paths(&self) -> Vec<&str> {
        match self {
            Self::Whiteouts { paths, .. } | Self::Tools { paths } => paths.iter().map(String::as_str).collect(),
            Self::Files { files, .. } => files.iter().map(|file| file.to.as_str()).collect(),
            Self::Scripts { scripts: all } | Self::Front { files: all } => {
                all.iter().map(|script| script.to.as_str()).collect()
            }
            Self::Cann(_) | Self::Wheel(_) | Self::SharedByWheels { .. } => Vec::new(),
        }
    }
}

impl PlannedWheel {
    fn content(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

impl Plan {
    /// Decides everything, or says everything that is wrong.
    pub fn new(inputs: &Inputs<'_>) -> anyhow::Result<Self> {
        let recipe = inputs.recipe;
        let mut problems = Problems::default();
        let mut warnings = recipe.warnings();
        checks::base(inputs, &mut problems, &mut warnings);
        let target = checks::target(inputs);
        checks::wheels(inputs, &target, &mut problems, &mut warnings);
        site::site(inputs, &mut problems, &mut warnings);
        claims::claims(inputs, &mut problems, &mut warnings);

        let whiteouts = layers::whiteouts(inputs, &mut problems);
        let removed = match &whiteouts {
            Some(PlannedLayer::Whiteouts { paths, .. }) => paths.as_slice(),
            _ => &[],
        };
        let known = cann::with_its_folders(folders::known(inputs, removed), inputs);
        let (cann, cann_layers) = cann::cann(inputs, &mut warnings).unzip();
        let files = layers::own_files(inputs);
        let of_wheels = if files.is_empty() { BTreeSet::new() } else { folders::of_wheels(inputs, &target, removed) };
        checks::files(inputs, &of_wheels, &known, &mut problems);
        let (scripts, patched) = scripts::scripts(inputs, &mut problems, &mut warnings);
        front::ranks(inputs, &mut problems);
        let front = front::front(inputs, &mut warnings);
        let of_vendor = patched.into_iter().chain(front);
        let above: Vec<PlannedLayer> =
            of_vendor.chain(layers::files(inputs, &files)).chain([layers::tools(inputs)]).collect();
        let taken = inputs.base.layers + whiteouts.iter().len() + cann_layers.unwrap_or(0) + above.len();
        if taken > MAX_LAYERS {
            problems.push(
                format_args!("the image would have {taken} layers without any wheel, {MAX_LAYERS} can be stacked"),
                Some("take a base with fewer layers".to_owned()),
            );
        }
        let room = MAX_LAYERS.saturating_sub(taken);
        let (wheels, max_layer) = layers::wheels(inputs, &known, removed, &target, room, &mut problems);
        problems.into_result()?;
        let (folders, attrs) = folders::of_files(inputs, &known, &of_wheels, &files);
        let mut parents = folders::above(&known, whiteouts.iter().chain(&above).flat_map(PlannedLayer::paths));
        parents.extend(attrs);
        let tag = recipe.image_tag(&inputs.timestamp)?.to_tag();
        Ok(Self {
            repository: recipe.registry.repository.clone(),
            tag,
            timestamp: inputs.timestamp,
            oci: inputs.oci,
            base: inputs.base.clone(),
            parents,
            folders,
            layers: whiteouts.into_iter().chain(cann).chain(wheels).chain(above).collect(),
            config: config::config(inputs, scripts.as_ref()),
            scripts,
            target,
            max_layer,
            warnings,
        })
    }
}
