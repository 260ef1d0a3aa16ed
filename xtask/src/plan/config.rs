//! What becomes of the base's config.

use std::collections::BTreeMap;

use oci_image::ConfigEdits;

use super::{Inputs, PlannedScripts};
use crate::{
    base::ImageRef,
    recipe::{Recipe, resolve_environment},
};

pub(super) fn config(inputs: &Inputs<'_>, scripts: Option<&PlannedScripts>) -> ConfigEdits {
    let Recipe { user, workdir, environment, labels, versions, .. } = inputs.recipe;
    let base_env = inputs.base_env.iter().cloned().collect();
    let title = inputs.recipe.registry.repository.to_string();
    let mut all: BTreeMap<String, String> = [
        ("org.opencontainers.image.title", title),
        ("org.opencontainers.image.created", inputs.timestamp.rfc3339()),
        ("org.opencontainers.image.base.digest", inputs.base.digest.to_string()),
        ("fmtk.recipe.digest", inputs.recipe_digest.to_string()),
        ("fmtk.python", versions.python.to_string()),
        ("fmtk.mindspore", versions.mindspore.to_string()),
        ("fmtk.cann", versions.cann.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    // A path of this machine would make another image elsewhere, and means nothing there.
    if let ImageRef::Registry(reference) = &inputs.recipe.base.reference {
        all.insert("org.opencontainers.image.base.name".to_owned(), reference.to_string());
    }
    for edit in scripts.iter().flat_map(|scripts| &scripts.edits) {
        all.insert(format!("fmtk.patch.{}", edit.edit), edit.status.word().to_owned());
    }
    all.extend(labels.clone());
    ConfigEdits {
        env: resolve_environment(environment, &base_env),
        user: Some(user.to_string()),
        working_dir: Some(workdir.to_string()),
        labels: all,
        created: inputs.timestamp.rfc3339(),
        created_by: "fmtk".to_owned(),
    }
}
