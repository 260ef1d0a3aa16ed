//! CANN in the plan: what is known of its layers before, and after, its installer was run.

use std::path::PathBuf;

use image_name::Digest;
use oci_image::Layer;
use serde::Serialize;

use super::{
    Inputs, PlannedLayer,
    layers::{pieces, share},
};
use crate::{
    cann::{Installed, LATEST},
    recipe::Recipe,
    resolve::packages::Package,
};

/// CANN's installer, found and checked, and what it wrote if it has been run upon this base.
#[derive(Debug, Clone)]
pub struct CannInput {
    pub installer: Package,
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
    pub sha256: Digest,
    pub size: u64,
    /// Whether a user `HwHiAiUser` is made first.
    pub user: bool,
    pub drop: Vec<String>,
    /// The engine that has to run it; none where its layers are in the store.
    pub engine: Option<&'static str>,
    /// The layers, if they are in the store.
    pub layers: Vec<Layer>,
    /// What is kept outside of CANN's own folders.
    pub outside: Vec<String>,
    /// What it removes of the base.
    pub removed: Vec<String>,
    /// How many changes are dropped.
    pub dropped: u64,
}

/// Compressed bytes above which a layer of CANN is split. It depends on nothing that changes from day to day, so that
/// its installer need not be run again.
pub fn max_layer(recipe: &Recipe, base_layers: usize, installer: u64) -> u64 {
    recipe.layout.max_layer.fitting(share(base_layers), |bytes| pieces(installer, bytes))
}

/// CANN's layers, and how many they are at most.
pub(super) fn cann(inputs: &Inputs<'_>, warnings: &mut Vec<String>) -> Option<(PlannedLayer, usize)> {
    let CannInput { installer: Package { path, sha256, size, .. }, engine, installed } = inputs.cann.as_ref()?;
    let recipe = inputs.recipe;
    if let Some(setid) = installed.as_ref().map(|installed| &installed.setid).filter(|setid| !setid.is_empty()) {
        warnings.push(format!(
            "CANN brings set-id files, which older resource pools refuse if root owns them: {}; list those that jobs \
             don't need in `cann.drop`",
            setid.join(", ")
        ));
    }
    if installed.as_ref().is_some_and(|installed| !installed.latest) {
        warnings.push(format!("CANN was installed without `{LATEST}`, to which `[environment]` points"));
    }
    let most = match installed {
        Some(installed) => installed.layers.len(),
        // The installer is compressed, as its layers will be.
        None => pieces(*size, max_layer(recipe, inputs.base.layers.len(), *size)),
    };
    let engine = engine.filter(|_| installed.is_none());
    let known = installed.as_ref();
    let planned = PlannedCann {
        version: recipe.versions.get("cann").unwrap_or_default().to_owned(),
        path: path.clone(),
        sha256: *sha256,
        size: *size,
        user: recipe.cann.user,
        drop: recipe.cann.drop.texts().to_vec(),
        engine,
        layers: known.map(|known| known.layers.clone()).unwrap_or_default(),
        outside: known.map(|known| known.outside.clone()).unwrap_or_default(),
        removed: known.map(|known| known.removed.clone()).unwrap_or_default(),
        dropped: known.map_or(0, |known| known.dropped),
    };
    Some((PlannedLayer::Cann(planned.into()), most))
}
