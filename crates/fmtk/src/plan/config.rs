//! What becomes of the base's config.

use std::collections::BTreeMap;

use oci_image::ConfigEdits;

use super::{Inputs, PlannedScripts};
use crate::{
    recipe::{Allow, Distribution, PLATFORM, RANKS, Recipe, environment_doubts, resolve_environment},
    resolve::tools,
};
use image_name::ImageRef;

pub(super) fn config(
    inputs: &Inputs<'_>,
    scripts: Option<&PlannedScripts>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<ConfigEdits> {
    let Recipe { user, workdir, environment, labels, versions, launch, allow, .. } = inputs.recipe;
    let base_env = inputs.base.config.env().into_iter().collect();
    warnings.extend(environment_doubts(environment, &base_env));
    let title = inputs.recipe.registry.repository.to_string();
    let mut all: BTreeMap<String, String> = [
        ("org.opencontainers.image.title", title),
        ("org.opencontainers.image.created", inputs.timestamp.rfc3339()),
        ("org.opencontainers.image.base.digest", inputs.base.manifest_digest.to_string()),
        ("fmtk.recipe.digest", inputs.recipe.digest()?.to_string()),
        ("fmtk.launch.front", launch.front.to_string()),
        ("fmtk.launch.ranks", launch.ranks.name().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let versions = versions.iter().filter(|(key, _)| !PLATFORM.contains(key));
    all.extend(versions.map(|(key, version)| (format!("fmtk.{key}"), version.to_owned())));
    // A path of this machine would make another image elsewhere, and means nothing there.
    if let ImageRef::Registry(reference) = &inputs.recipe.base.reference {
        all.insert("org.opencontainers.image.base.name".to_owned(), reference.to_string());
    }
    for edit in scripts.iter().flat_map(|scripts| &scripts.edits) {
        all.insert(format!("fmtk.patch.{}", edit.edit), edit.status.word().to_owned());
    }
    let Allow { overwrite, wrong_record, .. } = allow;
    let allowed =
        [("overwrite", overwrite.iter().collect()), ("wrong_record", wrong_record.iter().collect::<Vec<_>>())];
    for (name, allowed) in allowed {
        let in_image = |name: &&&Distribution| inputs.wheels.iter().any(|wheel| wheel.facts.key() == name.as_str());
        let names: Vec<&str> = allowed.iter().filter(in_image).map(|name| name.as_str()).collect();
        if !names.is_empty() {
            all.insert(format!("fmtk.allow.{name}"), names.join(","));
        }
    }
    all.extend(labels.clone());
    let mut env = resolve_environment(environment, &base_env);
    env.push((RANKS.to_owned(), launch.ranks.name().to_owned()));
    find_tools(&mut env, &base_env);
    Ok(ConfigEdits {
        env,
        user: Some(user.to_string()),
        working_dir: Some(workdir.to_string()),
        labels: all,
        created: inputs.timestamp.rfc3339(),
        created_by: "fmtk".to_owned(),
    })
}

/// Our programs are on PATH, whatever recipe and base make of it. Without any, engines give one that has them.
fn find_tools(env: &mut Vec<(String, String)>, base_env: &BTreeMap<String, String>) {
    const PATH: &str = "PATH";
    let own = env.iter().position(|(name, _)| name == PATH);
    let Some(path) = own.map(|at| &env[at].1).or_else(|| base_env.get(PATH)) else { return };
    if path.split(':').any(|folder| folder.trim_end_matches('/') == tools::FOLDER) {
        return;
    }
    let with_ours = format!("{path}:{}", tools::FOLDER);
    match own {
        Some(at) => env[at].1 = with_ours,
        None => env.push((PATH.to_owned(), with_ours)),
    }
}
