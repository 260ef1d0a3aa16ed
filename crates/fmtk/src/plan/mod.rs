//! The plan: every layer and every edit of the config, decided before anything is made.
//!
//! A pure function of recipe, packages and base: no clock, no file, no network. `--dry-run` prints it, the build
//! executes it and nothing else.

mod access;
mod account;
mod cann;
mod checks;
mod claims;
mod compatibility;
mod config;
mod folders;
mod front;
mod layers;
mod libraries;
mod scripts;
mod site;
mod size;
mod system;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;

use image_name::{Digest, ImageRef, Repository, Tag, Timestamp};
use oci_image::{Attr, Base, BaseIndex, ConfigEdits, ParentDirs};
use serde::Serialize;
use wheel_layer::InstalledWheel;

use crate::{
    cann::Installed,
    options::Call,
    recipe::Recipe,
    resolve::{
        accounts::Accounts,
        bytecode::Release,
        own_file::PlannedFile,
        packages::Wheel,
        scripts::{Origin, Script},
        system::SystemInput,
    },
    terminal::{
        progress::{count, piece},
        report::Problems,
    },
};

pub use cann::{
    CannInput, CannStep, PlannedCann, has_variables as has_cann_variables, is_in_base as has_cann,
    max_layer as max_layer_of_cann, sourced as sourced_of_cann, versions_of_base as cann_versions,
};
pub use checks::installed;
pub use folders::{PlannedFolder, above};
pub use scripts::{PlannedEdit, PlannedScript, PlannedScripts};
pub use system::{PlannedDeb, PlannedSystem};

/// Layers that docker's overlay can stack, with some left for the user's own `FROM`.
pub const MAX_LAYERS: usize = 120;

/// All that a plan is made from.
pub struct Inputs<'a> {
    /// The recipe, flags and environment laid over it.
    pub recipe: &'a Recipe,
    pub timestamp: Timestamp,
    /// The wheels of the vendor and of PyPI, and CANN's own once it is installed.
    pub wheels: Vec<Wheel>,
    pub cann: Option<CannInput>,
    pub files: Vec<PlannedFile>,
    /// Packages of the base's distribution.
    pub system: SystemInput,
    pub origin: Origin,
    pub scripts: Option<Vec<Script>>,
    /// What the base has in the place of the launch kit's front, where that is known.
    pub front: Option<(Attr, Vec<u8>)>,
    /// The base's files of users and groups, where the recipe says what its user is.
    pub accounts: Accounts,
    pub base: &'a Base,
    /// What the base decided of the recipe.
    pub notes: Vec<String>,
    /// What is inside the base, where that is known.
    pub index: Option<&'a BaseIndex>,
    /// Build even if a distribution or a library that a wheel requires is missing.
    pub allow_missing: bool,
    /// False for a plan made before wheels are fetched: missing ones are not reported.
    pub with_wheels: bool,
    /// The call that it is made for, as hints name it.
    pub call: &'a Call,
    /// Whether a fetch was in its folder already, so that one more brings nothing new unless more is asked for.
    pub fetched: bool,
    /// The folder in which it looks for the vendor's scripts.
    pub scripts_folder: PathBuf,
    /// The release of the base's Python, where the modules of wheels are compiled for it.
    pub bytecode: Option<Release>,
    pub oci: bool,
}

impl Inputs<'_> {
    /// What CANN's installers are known to have written, bottom to top.
    fn installed(&self) -> impl Iterator<Item = &Installed> {
        self.cann.iter().flat_map(|cann| &cann.steps).filter_map(|step| step.installed.as_ref())
    }
}

/// What will be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub repository: Repository,
    pub tag: Tag,
    pub timestamp: Timestamp,
    /// The manifest is one of the OCI image spec.
    pub oci: bool,
    pub base: PlannedBase,
    /// The layers that are put upon the base, bottom to top.
    pub layers: Vec<PlannedLayer>,
    /// The image in a registry that each layer is taken from; none of what is in the store or has to be built. Empty where
    /// nothing is taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers_from: Vec<Option<String>>,
    /// The folders that are new with the user's own files, each after those above it.
    pub folders: Vec<PlannedFolder>,
    /// What becomes of the vendor's scripts; none where they are kept.
    pub scripts: Option<PlannedScripts>,
    /// What becomes of the base's config.
    pub config: ConfigEdits,
    /// The folders above what the layers hold, the base's and new ones; of new ones of wheels alone nothing is to be said.
    #[serde(skip)]
    pub parents: ParentDirs,
    /// Compressed bytes above which a layer of wheels is split.
    pub max_layer: u64,
    /// Compressed bytes of the whole image, the base's among them, as far as they are known.
    pub size: u64,
    /// What was decided where the recipe leaves it open, and what is not known to be wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The release of Python that the modules of wheels are compiled for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytecode: Option<Release>,
    /// What the user should know before it is built.
    pub warnings: Vec<String>,
}

/// The base of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedBase {
    /// As it was named.
    pub reference: ImageRef,
    pub digest: Digest,
    pub layers: usize,
    /// Compressed bytes of them all.
    pub size: u64,
    pub inspected: bool,
}

/// One layer of ours; a wheel larger than `max_layer` becomes several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PlannedLayer {
    /// Removes the base's copies of distributions that wheels replace, each told as `name version`.
    Whiteouts {
        distributions: Vec<String>,
        paths: Vec<String>,
    },
    /// The image's user, where the base lacks it or a group of it: the files of users and groups as they are then, and its
    /// home, if that is new.
    Account {
        user: String,
        files: Vec<PlannedScript>,
        home: Option<PlannedFolder>,
    },
    /// Packages of the base's distribution, unpacked, with dpkg's list of them.
    System(Box<PlannedSystem>),
    /// What one of CANN's installers leaves; it becomes several where it is larger than `max_layer`.
    Cann(Box<PlannedCann>),
    /// Folders that CANN's installer left closed, as jobs need them.
    Opened {
        folders: Vec<PlannedFolder>,
    },
    Wheel(Box<PlannedWheel>),
    /// The smallest wheels, largest first, where there is no room for a layer each; how many layers that is at most.
    SharedByWheels {
        wheels: Vec<PlannedWheel>,
        pieces: usize,
    },
    /// The vendor's scripts that change, sorted by path.
    Scripts {
        scripts: Vec<PlannedScript>,
    },
    /// The launch kit's `launcher.py`: ours, and the base's own under another name.
    Front {
        files: Vec<PlannedScript>,
    },
    /// The user's own files, sorted by path; there are several layers, counted from 1, where they are larger than
    /// `max_layer`.
    Files {
        files: Vec<PlannedFile>,
        number: usize,
        of: usize,
    },
    /// Our own programs.
    Tools {
        paths: Vec<String>,
    },
}

/// A wheel of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedWheel {
    /// Its kind in the recipe.
    #[serde(skip)]
    pub kind: String,
    pub name: String,
    pub version: String,
    pub path: PathBuf,
    pub sha256: Digest,
    pub size: u64,
    /// How many layers of its own it has, at most; 0 where it shares those of others.
    pub pieces: usize,
    /// Where its files go.
    #[serde(skip)]
    pub installed: InstalledWheel,
}

impl PlannedLayer {
    /// What the layer holds, for people and for the image's history.
    pub fn content(&self) -> String {
        match self {
            Self::Whiteouts { distributions, .. } => format!("without the base's {}", distributions.join(", ")),
            Self::Account { user, .. } => format!("the user {user}"),
            Self::System(system) => system.content(),
            Self::Cann(cann) => cann.content(),
            Self::Opened { .. } => "folders of CANN, opened".to_owned(),
            Self::Wheel(wheel) => wheel.content(),
            Self::SharedByWheels { wheels, .. } => {
                wheels.iter().map(PlannedWheel::content).collect::<Vec<String>>().join(", ")
            }
            Self::Scripts { scripts } => {
                let names = scripts.iter().map(|script| script.to.rsplit('/').next().unwrap_or_default());
                format!("the vendor's {}", names.collect::<Vec<&str>>().join(", "))
            }
            Self::Front { .. } => "entry point of the launch kit".to_owned(),
            Self::Files { files, of: 1, .. } => count(files.len(), "own file"),
            Self::Files { number, of, .. } => piece("own files", *number, *of),
            Self::Tools { .. } => "fmtk-launch, fmk-patch".to_owned(),
        }
    }

    /// Paths of lower layers that it removes; its first layer then holds the whiteouts.
    pub fn removes(&self) -> &[String] {
        match self {
            Self::Whiteouts { paths, .. } => paths,
            Self::Cann(cann) => &cann.removed,
            _ => &[],
        }
    }

    /// Its wheels.
    pub fn wheels(&self) -> &[PlannedWheel] {
        match self {
            Self::Wheel(wheel) => std::slice::from_ref(&**wheel),
            Self::SharedByWheels { wheels, .. } => wheels,
            _ => &[],
        }
    }

    /// Whether it holds wheels, whose files are compressed already.
    pub fn is_of_wheels(&self) -> bool {
        matches!(self, Self::Wheel(_) | Self::SharedByWheels { .. })
    }

    /// The absolute paths in it; of CANN none, whose layers are made already, and of wheels the folders, each with a
    /// slash at its end.
    fn paths(&self) -> Vec<String> {
        let of_wheel = |wheel: &PlannedWheel| -> Vec<String> {
            wheel.installed.folders.iter().map(|folder| format!("{folder}/")).collect()
        };
        match self {
            Self::Whiteouts { paths, .. } | Self::Tools { paths } => paths.clone(),
            Self::Opened { folders } => folders.iter().map(|folder| folder.path.clone()).collect(),
            Self::Files { files, .. } => files.iter().map(|file| file.to.clone()).collect(),
            Self::Scripts { scripts: all } | Self::Front { files: all } => {
                all.iter().map(|script| script.to.clone()).collect()
            }
            Self::Account { files, home, .. } => {
                let home = home.iter().map(|folder| folder.path.clone());
                files.iter().map(|file| file.to.clone()).chain(home).collect()
            }
            Self::System(system) => system.paths(),
            Self::Cann(_) => Vec::new(),
            Self::Wheel(wheel) => of_wheel(wheel),
            Self::SharedByWheels { wheels, .. } => wheels.iter().flat_map(of_wheel).collect(),
        }
    }
}

impl PlannedWheel {
    fn content(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

impl Plan {
    /// `fmtk-ma:TAG`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// Its wheels, bottom to top.
    pub fn wheels(&self) -> impl Iterator<Item = &PlannedWheel> {
        self.layers.iter().flat_map(PlannedLayer::wheels)
    }

    /// Decides everything, or says everything that is wrong.
    pub fn new(inputs: &Inputs<'_>) -> anyhow::Result<Self> {
        let Inputs { recipe, base, .. } = inputs;
        let mut problems = Problems::default();
        let (mut warnings, mut notes) = (Vec::new(), inputs.notes.clone());
        checks::base(inputs, &mut problems, &mut warnings);
        checks::wheels(inputs, &mut problems, &mut warnings);
        site::site(inputs, &mut problems, &mut warnings);
        claims::claims(inputs, &mut problems, &mut warnings);
        libraries::libraries(inputs, &mut problems, &mut warnings);
        compatibility::compatibility(inputs, &mut problems, &mut warnings, &mut notes)?;

        let whiteouts = layers::whiteouts(inputs, &mut problems);
        let removed = whiteouts.as_ref().map_or(&[][..], PlannedLayer::removes);
        let mut known = folders::known(inputs, removed);
        let opened = access::opened(inputs, &mut known, &mut warnings);
        let account = account::account(inputs, &mut known, &mut problems, &mut notes);
        let system = system::system(inputs, &mut known, &mut problems, &mut warnings);
        let installed = layers::installed(inputs, removed, &mut problems, &mut warnings);
        cann::check(inputs, &mut problems, &mut warnings, &mut notes);
        let (cann, cann_layers) = cann::cann(inputs, &mut warnings);
        let files = layers::own_files(inputs);
        let of_wheel = |folder: &str| installed.iter().any(|(_, wheel)| wheel.folders.contains(folder));
        let (scripts, patched) = scripts::scripts(inputs, &mut problems, &mut warnings);
        front::ranks(inputs, &mut problems);
        let front = front::front(inputs, &mut warnings);
        let of_vendor = patched.into_iter().chain(front);
        let above: Vec<PlannedLayer> =
            of_vendor.chain(layers::files(inputs, &files)).chain([layers::tools(inputs)]).collect();
        let wheels: Vec<&InstalledWheel> = installed.iter().map(|(_, wheel)| wheel).collect();
        checks::files(inputs, &wheels, &above, &known, &mut problems);
        let taken = base.layers.len()
            + cann_layers
            + [&whiteouts, &account, &system, &opened].into_iter().flatten().count()
            + above.len();
        if taken > MAX_LAYERS {
            problems.push(
                format_args!(
                    "the image would have {taken} layers without any wheel, but at most {MAX_LAYERS} are possible"
                ),
                Some("use a base with fewer layers".to_owned()),
            );
        }
        let (folders, attrs) = folders::of_files(inputs, &known, &of_wheel, &files);
        let all: ParentDirs = known.iter().chain(&attrs).map(|(path, attr)| (path.clone(), *attr)).collect();
        access::check(inputs, &all, &mut problems, &mut warnings);
        let room = MAX_LAYERS.saturating_sub(taken);
        let (wheels, max_layer) = layers::wheels(inputs, installed, room, &mut problems);
        let layers: Vec<PlannedLayer> = whiteouts
            .into_iter()
            .chain(account)
            .chain(system)
            .chain(cann)
            .chain(opened)
            .chain(wheels)
            .chain(above)
            .collect();
        let size = size::size(inputs, &layers, &mut problems, &mut warnings);
        problems.into_result()?;
        let paths: Vec<String> = layers.iter().flat_map(PlannedLayer::paths).collect();
        let mut parents = folders::above(&known, paths.iter().map(String::as_str));
        parents.extend(attrs);
        Ok(Self {
            repository: recipe.registry.repository.clone(),
            tag: recipe.image_tag(inputs.timestamp)?,
            timestamp: inputs.timestamp,
            oci: inputs.oci,
            base: PlannedBase {
                reference: recipe.base.reference.clone(),
                digest: base.manifest_digest,
                layers: base.layers.len(),
                size: base.size(),
                inspected: inputs.index.is_some(),
            },
            layers,
            layers_from: Vec::new(),
            folders,
            config: config::config(inputs, scripts.as_ref(), &mut warnings)?,
            scripts,
            parents,
            max_layer,
            size,
            notes,
            bytecode: inputs.bytecode,
            warnings,
        })
    }
}
