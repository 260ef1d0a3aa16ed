//! CANN in the plan: what is known of its layers before, and after, its installer was run.

use std::path::PathBuf;

use image_name::Digest;
use oci_image::{Layer, ParentDirs};
use serde::Serialize;

use super::{
    Inputs, PlannedLayer,
    layers::{pieces, share},
};
use crate::{
    cann::{Installed, LATEST},
    recipe::Recipe,
};

/// CANN's installer, found and checked, and what it wrote if it has been run upon this base.
#[derive(Debug, Clone)]
pub struct CannInput {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The engine that is to run it.
    pub engine: Option<&'static str>,
    /// What it wrote, where that is known.
    pub installed: Option<Installed>,
}

/// CANN of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedCann {
    /// As the tag says it.
    pub version: String,
    /// The installer; it is in no layer itself.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether a user `HwHiAiUser` is made first.
    pub user: bool,
    /// What is dropped of the changes.
    pub drop: Vec<String>,
    /// The engine that has to run it; none where its layers are in the store.
    pub engine: Option<&'static str>,
    /// The layers, if they are in the store.
    pub layers: Vec<Layer>,
    /// What is kept outside of CANN's own folders.
    pub outside: Vec<String>,
    /// What it takes away of the base.
    pub removed: Vec<String>,
    /// How many changes are dropped.
    pub dropped: u64,
}

/// Compressed bytes above which a layer of CANN is split. It hangs on nothing that changes from day to day, so that its
/// installer need not be run again.
pub fn max_layer(recipe: &Recipe, base_layers: usize, installer: u64) -> u64 {
    recipe.layout.max_layer.fitting(share(base_layers), |bytes| pieces(installer, bytes))
}

/// CANN's layers, and how many they are at most.
pub(super) fn cann(inputs: &Inputs<'_>, warnings: &mut Vec<String>) -> Option<(PlannedLayer, usize)> {
    let CannInput { path, sha256, size, engine, installed } = inputs.cann.as_ref()?;
    let recipe = inputs.recipe;
    let mut planned = PlannedCann {
        version: recipe.versions.cann.to_string(),
        path: path.clone(),
        sha256: *sha256,
        size: *size,
        user: recipe.cann.user,
        drop: recipe.cann.drop.texts().to_vec(),
        engine: *engine,
        layers: Vec::new(),
        outside: Vec::new(),
        removed: Vec::new(),
        dropped: 0,
    };
    let Some(installed) = installed else {
        // The installer is compressed, as its layers will be.
        let most = pieces(*size, max_layer(recipe, inputs.base.layers, *size));
        return Some((PlannedLayer::Cann(planned.into()), most));
    };
    if !installed.setid.is_empty() {
        warnings.push(format!(
            "CANN brings files that run with their owner's or group's rights, which older pools refuse where root owns \
             them: {}; those that jobs can do without can be named in `cann.drop`",
            installed.setid.join(", ")
        ));
    }
    if !installed.latest {
        warnings.push(format!("CANN was installed without `{LATEST}`, to which `[environment]` leads"));
    }
    planned.engine = None;
    planned.layers.clone_from(&installed.layers);
    planned.outside.clone_from(&installed.outside);
    planned.removed.clone_from(&installed.removed);
    planned.dropped = installed.dropped;
    let count = planned.layers.len();
    Some((PlannedLayer::Cann(planned.into()), count))
}

/// The folders that are there once CANN is installed.
pub(super) fn with_its_folders(known: ParentDirs, inputs: &Inputs<'_>) -> ParentDirs {
    let Some(installed) = inputs.cann.as_ref().and_then(|cann| cann.installed.as_ref()) else { return known };
    let gone = |path: &str| {
        let below = |gone: &String| {
            path.strip_prefix(gone.as_str()).is_some_and(|rest| matches!(rest.get(..1), None | Some("/")))
        };
        installed.removed.iter().any(below)
    };
    let mut known: ParentDirs = known.into_iter().filter(|(path, _)| !gone(path)).collect();
    known.extend(installed.dirs.iter().map(|(path, attr)| (path.clone(), *attr)));
    known
}
