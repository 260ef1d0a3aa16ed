//! What becomes of the base's config.

use std::collections::BTreeMap;

use oci_image::ConfigEdits;

use super::{Inputs, PlannedScripts, cann::has_table};
use crate::{
    recipe::{Allow, Distribution, Environment, PLATFORM, RANKS, Recipe, environment_doubts, resolve_environment},
    resolve::tools,
};
use image_name::ImageRef;

pub(super) fn config(
    inputs: &Inputs<'_>,
    scripts: Option<&PlannedScripts>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<ConfigEdits> {
    let Recipe { user, workdir, labels, versions, launch, allow, .. } = inputs.recipe;
    let (below, environment) = environment(inputs);
    warnings.extend(environment_doubts(&environment, &below));
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
    let mut env = variables(inputs);
    env.push((RANKS.to_owned(), launch.ranks.name().to_owned()));
    find_tools(&mut env, &below);
    Ok(ConfigEdits {
        env,
        user: Some(user.to_string()),
        working_dir: Some(workdir.to_string()),
        labels: all,
        created: inputs.timestamp.rfc3339(),
        created_by: "fmtk".to_owned(),
        cache: None,
    })
}

/// The variables that the image sets, sorted by name: what was learned of CANN, and upon it what the recipe says.
pub(super) fn variables(inputs: &Inputs<'_>) -> Vec<(String, String)> {
    let (below, environment) = environment(inputs);
    let mut variables: BTreeMap<String, String> = learned(inputs).collect();
    variables.extend(resolve_environment(&environment, &below));
    variables.into_iter().collect()
}

/// The variables of the base and of CANN upon it, which the recipe's may name; and the recipe's.
fn environment(inputs: &Inputs<'_>) -> (BTreeMap<String, String>, Environment) {
    let below = inputs.base.config.env().into_iter().chain(learned(inputs)).collect();
    let mut environment = inputs.recipe.environment.clone();
    environment.retain(|name, _| !inputs.recipe.of_table.contains(name) || has_table(inputs));
    (below, environment)
}

/// What was learned of CANN, less what the recipe does not want.
fn learned(inputs: &Inputs<'_>) -> impl Iterator<Item = (String, String)> {
    let variables = inputs.cann.iter().flat_map(|cann| &cann.variables).flatten();
    let wanted = variables.filter(|(name, _)| !inputs.recipe.left_out.contains(*name));
    wanted.map(|(name, value)| (name.clone(), value.clone()))
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
