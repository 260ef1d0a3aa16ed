//! CANN in the plan: what is known of its layers before, and after, its installer was run.

use std::path::PathBuf;

use image_name::Digest;
use oci_image::{Base, BaseIndex, Layer};
use serde::Serialize;

use super::{
    Inputs, PlannedLayer,
    layers::{pieces, share},
};
use crate::{
    cann::{Installed, LATEST, NNAL_HOME, NNAL_SET_ENV, ROOTS, Sourced, Variables},
    recipe::{CANN, CANN_HOMES, NNAL, Recipe, is_of_table},
    resolve::packages::Package,
    terminal::report::Problems,
};

/// CANN's installers, found and checked, and what they wrote if they have been run upon this base.
#[derive(Debug, Clone, Default)]
pub struct CannInput {
    /// In the order in which they are run, each upon those before it.
    pub steps: Vec<CannStep>,
    /// What runs those that are missing, and `set_env.sh`.
    pub engine: Option<&'static str>,
    /// Whose `set_env.sh` makes variables of the image.
    pub sourced: Option<Sourced>,
    /// What that sets, where it is known.
    pub variables: Option<Variables>,
}

/// One of CANN's installers.
#[derive(Debug, Clone)]
pub struct CannStep {
    pub package: Package,
    /// What it wrote, where that is known.
    pub installed: Option<Installed>,
}

/// CANN of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedCann {
    /// As the tag says it.
    pub version: String,
    /// `cann`, which is the toolkit, or another kind of package.
    pub kind: String,
    /// The installer; it is in no layer itself.
    pub path: PathBuf,
    pub sha256: Digest,
    pub size: u64,
    /// Whether a user `HwHiAiUser` is made first.
    pub user: bool,
    pub drop: Vec<String>,
    /// The engine that has to run it; none where its layers are in the store.
    pub engine: Option<&'static str>,
    /// Whether the variables of the image are learned once it is installed.
    pub learns: bool,
    /// The layers, if they are in the store.
    pub layers: Vec<Layer>,
    /// What is kept outside of CANN's own folders.
    pub outside: Vec<String>,
    /// What it removes of the base.
    pub removed: Vec<String>,
}

impl PlannedCann {
    /// What its layers hold, for people and for the image's history.
    pub(super) fn content(&self) -> String {
        match self.kind.as_str() {
            CANN => format!("CANN {}", self.version),
            kind => format!("CANN {} {kind}", self.version),
        }
    }
}

/// Compressed bytes above which a layer of this installer is split. It depends on nothing that changes from day to day,
/// so that no installer need be run again.
pub fn max_layer(recipe: &Recipe, base_layers: usize, installer: &Package) -> u64 {
    let most = if installer.kind == CANN { share(base_layers) } else { share(base_layers) / 2 };
    recipe.layout.max_layer.fitting(most, |bytes| pieces(installer.size, bytes))
}

/// Whose `set_env.sh` makes variables of the image: not those of CANN 5, for which there is a table, nor those of a CANN
/// of the base that the base's config has already, nor any that the recipe sets by itself.
pub fn sourced(
    recipe: &Recipe,
    base: &Base,
    index: Option<&BaseIndex>,
    installers: impl IntoIterator<Item = impl AsRef<str>>,
) -> Option<Sourced> {
    let kinds: Vec<String> = installers.into_iter().map(|kind| kind.as_ref().to_owned()).collect();
    let has = |kind: &str| kinds.iter().any(|one| one == kind);
    let by_recipe = CANN_HOMES.iter().any(|name| recipe.environment.contains_key(*name));
    // CANN's own images have the toolkit's variables in their config, and nnal's by their entry point alone.
    let lacks_nnal = || {
        let is_there = |index: &BaseIndex| index.has_file(&index.real_file(NNAL_SET_ENV));
        index.is_some_and(is_there) && !base.config.env().iter().any(|(name, _)| name == NNAL_HOME)
    };
    let version = recipe.versions.cann().filter(|_| !by_recipe)?;
    if has(CANN) {
        (!is_of_table(version)).then_some(Sourced::All)
    } else if has_variables(base) {
        (has(NNAL) || lacks_nnal()).then_some(Sourced::Nnal)
    } else {
        index.is_some_and(has_later).then_some(Sourced::All)
    }
}

/// Whether the base's config has the variables of a CANN of its own.
pub fn has_variables(base: &Base) -> bool {
    base.config.env().iter().any(|(name, _)| CANN_HOMES.contains(&name.as_str()))
}

/// Whether the table of CANN 5 is what the image has: where that is installed or may be in the base.
pub(super) fn has_table(inputs: &Inputs<'_>) -> bool {
    let installs = inputs.cann.iter().flat_map(|cann| &cann.steps).any(|step| step.package.kind == CANN);
    installs || !has_variables(inputs.base) && !inputs.index.is_some_and(has_later)
}

/// Which CANN a base has, by its folders: `/usr/local/Ascend/ascend-toolkit/5.1.RC2` beside `latest`, and from 8.5 on
/// `/usr/local/Ascend/cann-8.5.0`.
pub fn versions_of_base(index: &BaseIndex) -> Vec<String> {
    let below = |folder: &str, start: &str| -> Vec<String> {
        let start = format!("{folder}/{start}");
        let paths = index.dirs.range(start.clone()..).map_while(|(path, _)| path.strip_prefix(&start));
        let versions =
            paths.filter(|name| !name.contains('/') && name.starts_with(|first: char| first.is_ascii_digit()));
        versions.map(str::to_owned).collect()
    };
    let parts = PARTS.map(|part| index.real_path(&format!("{}/{part}", ROOTS[0])));
    let in_parts = parts.iter().flat_map(|part| below(part, ""));
    in_parts.chain(below(&index.real_path(ROOTS[0]), "cann-")).collect()
}

/// Folders of CANN's parts, any of which can be what a base has of it.
const PARTS: [&str; 4] = ["ascend-toolkit", "nnae", "nnrt", "cann"];

/// Whether a base has a CANN after the table's, whose variables its own `set_env.sh` sets.
fn has_later(index: &BaseIndex) -> bool {
    versions_of_base(index).iter().any(|version| !is_of_table(version))
}

/// Whether the base has any CANN, by the variables of its config, its folders or its libraries.
pub fn is_in_base(base: &Base, index: Option<&BaseIndex>) -> bool {
    let has_part = |index: &BaseIndex, part: &str| index.has_dir(&format!("{}/{part}", ROOTS[0]));
    let has_files = |index: &BaseIndex| {
        PARTS.iter().any(|part| has_part(index, part))
            || !versions_of_base(index).is_empty()
            || index.libraries.contains_key("libascendcl.so")
    };
    has_variables(base) || index.is_some_and(has_files)
}

/// Whether these installers can be run upon this base.
pub(super) fn check(inputs: &Inputs<'_>, problems: &mut Problems, warnings: &mut Vec<String>, notes: &mut Vec<String>) {
    let Some(cann) = &inputs.cann else { return };
    let (base, wanted) = (&inputs.recipe.base.reference, inputs.recipe.versions.cann().unwrap_or("none"));
    let of_base = inputs.index.map(versions_of_base).unwrap_or_default();
    let toolkit = cann.steps.iter().find(|step| step.package.kind == CANN);
    if let Some(step) = toolkit.filter(|_| inputs.index.is_some_and(has_later)) {
        let (file, versions) = (&step.package.file, of_base.join("`, `"));
        problems.push(
            format_args!("the base `{base}` has CANN `{versions}`, and `{file}` would be installed beside it"),
            Some(format!(
                "to keep the base's, remove `{file}` and give `--set packages.cann.required=false`; else use a base \
                 without CANN"
            )),
        );
    }
    for step in cann.steps.iter().filter(|_| toolkit.is_none()) {
        let file = &step.package.file;
        if inputs.index.is_some() && !is_in_base(inputs.base, inputs.index) {
            problems.push(
                format_args!(
                    "`{file}` is installed upon CANN's toolkit, and neither the base `{base}` has one nor a package"
                ),
                Some("copy the toolkit of the same version to the package folder".to_owned()),
            );
        } else if !of_base.is_empty() && !of_base.iter().any(|version| version == wanted) {
            problems.push(
                format_args!("`{file}` is of CANN `{wanted}`, and the base `{base}` has `{}`", of_base.join("`, `")),
                Some("use packages of the base's version".to_owned()),
            );
        }
    }
    let Some(sourced) = cann.sourced.filter(|_| cann.variables.is_none() && cann.steps.is_empty()) else { return };
    let whose = match sourced {
        Sourced::All => "the base's CANN",
        Sourced::Nnal => "nnal in the base",
    };
    match cann.engine {
        Some(engine) => notes.push(format!(
            "the config of the base lacks the variables of {whose}, which its entry point sets; the build sources its \
             `set_env.sh` once with {engine}"
        )),
        None => warnings.push(format!(
            "the config of the base lacks the variables of {whose}, which its entry point sets, and there is no container \
             engine to learn them: `docker exec` and boot commands that do not start a shell would lack them; install \
             podman or docker, or set the variables in `[environment]`"
        )),
    }
}

/// The layers of CANN's installers, and how many these are at most.
pub(super) fn cann(inputs: &Inputs<'_>, warnings: &mut Vec<String>) -> (Vec<PlannedLayer>, usize) {
    let Some(CannInput { steps, engine, sourced, variables }) = inputs.cann.as_ref() else { return (Vec::new(), 0) };
    let recipe = inputs.recipe;
    let (mut layers, mut most) = (Vec::new(), 0);
    for (number, CannStep { package, installed }) in steps.iter().enumerate() {
        let Package { kind, path, sha256, size, .. } = package;
        let installed = installed.as_ref();
        if let Some(setid) = installed.map(|installed| &installed.setid).filter(|setid| !setid.is_empty()) {
            warnings.push(format!(
                "CANN brings set-id files, which older resource pools refuse if root owns them: {}; list those that \
                 jobs don't need in `cann.drop`",
                setid.join(", ")
            ));
        }
        if installed.is_some_and(|installed| !installed.latest) && kind == CANN && sourced.is_none() {
            warnings.push(format!("CANN was installed without `{LATEST}`, to which `[environment]` points"));
        }
        most += match installed {
            Some(installed) => installed.layers.len(),
            // The installer is compressed, as its layers will be.
            None => pieces(*size, max_layer(recipe, inputs.base.layers.len(), package)),
        };
        let planned = PlannedCann {
            version: recipe.versions.cann().unwrap_or("none").to_owned(),
            kind: kind.clone(),
            path: path.clone(),
            sha256: *sha256,
            size: *size,
            user: recipe.cann.user,
            drop: recipe.cann.drop.texts().to_vec(),
            engine: engine.filter(|_| installed.is_none()),
            learns: sourced.is_some() && variables.is_none() && number + 1 == steps.len(),
            layers: installed.map(|known| known.layers.clone()).unwrap_or_default(),
            outside: installed.map(|known| known.outside.clone()).unwrap_or_default(),
            removed: installed.map(|known| known.removed.clone()).unwrap_or_default(),
        };
        layers.push(PlannedLayer::Cann(planned.into()));
    }
    (layers, most)
}
