//! Whether the image has what its tag says of MindSpore, PyTorch and CANN, as far as that can be told from plan and base.

use oci_image::{BaseIndex, Distribution};

use super::{
    Inputs,
    cann::{is_in_base, versions_of_base},
    checks, site,
};
use crate::{
    recipe::{CLAIMS, Recipe, is_version, public, title},
    terminal::report::Problems,
};

/// Compares what the tag will say with what base and packages have. Says nothing of a base that was not inspected.
pub(super) fn claims(inputs: &Inputs<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    if let Some(index) = inputs.index {
        for (key, names) in CLAIMS {
            if let Some(wanted) = inputs.recipe.versions.get(key) {
                distribution(inputs, index, (key, names, wanted), problems, warnings);
            }
        }
        cann(inputs, index, warnings);
    }
}

fn distribution(
    inputs: &Inputs<'_>,
    index: &BaseIndex,
    (module, names, wanted): (&str, &[&str], &str),
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    let (base, title) = (&inputs.recipe.base.reference, title(module));
    let is_one = |key: &str| names.contains(&key);
    let put_in: Vec<String> = inputs.wheels.iter().map(|wheel| wheel.facts.key()).filter(|key| is_one(key)).collect();
    let mut kept = checks::installed(&inputs.recipe.python, index);
    kept.retain(|(name, _)| {
        let key = wheel_layer::normalize(name);
        is_one(&key) && !put_in.contains(&key)
    });
    // Wheels of another version were refused by their names.
    if kept.is_empty() && put_in.is_empty() {
        let elsewhere = elsewhere(inputs, index, names);
        if elsewhere.is_empty() && inputs.with_wheels {
            warnings.push(format!(
                "{}, and neither the base `{base}` nor a wheel has any {title}",
                claimed(inputs.recipe, module, wanted)
            ));
        }
        for other in elsewhere.iter().filter(|one| !is_version(wanted, &one.version)) {
            warnings.push(format!(
                "{}, and the base `{base}` has `{}` in `{}`",
                claimed(inputs.recipe, module, wanted),
                other.version,
                other.location
            ));
        }
    }
    if let [(name, version), (other, different), ..] = &kept[..]
        && !kept.iter().all(|(_, version)| is_version(wanted, version))
    {
        problems.push(
            format_args!(
                "the base `{base}` has {title} `{version}` as `{name}` and `{different}` as `{other}`: both are the module \
                 `{module}`"
            ),
            Some("use a base with one of them".to_owned()),
        );
        return;
    }
    for (name, version) in &kept {
        if is_version(wanted, version) {
            continue;
        }
        let (message, hint) = match put_in.first() {
            None => (
                match is_in_tag(inputs.recipe, module) {
                    true => {
                        format!("the base `{base}` has {title} `{version}`, but the image's tag would say `{wanted}`")
                    }
                    false => {
                        format!("the base `{base}` has {title} `{version}`, but `versions.{module}` is `{wanted}`")
                    }
                },
                format!("give `--set versions.{module}={}`, or add the wheel of `{wanted}`", public(version)),
            ),
            Some(other) => (
                format!(
                    "the base `{base}` has {title} `{version}` as `{name}`, which would be mixed with the wheel of \
                     `{other}` `{wanted}`: both are the module `{module}`"
                ),
                format!("use a base without `{name}`, or leave out the wheel"),
            ),
        };
        problems.push(message, Some(hint));
    }
}

/// Those that the interpreter may find in another folder than the one that wheels go to.
fn elsewhere<'a>(inputs: &Inputs<'_>, index: &'a BaseIndex, names: &[&str]) -> Vec<&'a Distribution> {
    let python = index.interpreter(inputs.recipe.python.interpreter.as_str());
    let sites = python.and_then(|python| index.sites(python)).unwrap_or_default();
    let is_found = |folder: &String| sites.contains(folder) || site::is_on(inputs, index, "PYTHONPATH", folder);
    let meant = index.distributions.iter().filter(|one| names.contains(&&*one.key));
    meant.filter(|one| is_found(&one.location)).collect()
}

/// Where no installer brings CANN the base has to have it.
fn cann(inputs: &Inputs<'_>, index: &BaseIndex, warnings: &mut Vec<String>) {
    let is_installed = inputs.cann.as_ref().is_some_and(|cann| !cann.steps.is_empty());
    let Some(wanted) = inputs.recipe.versions.cann().filter(|_| !is_installed) else { return };
    let base = &inputs.recipe.base.reference;
    if !is_in_base(inputs.base, inputs.index) {
        let way = match is_in_tag(inputs.recipe, "cann") {
            true => "`--set versions.cann=none` says so in the tag",
            false => "set it to `none`",
        };
        warnings.push(format!(
            "{}, and neither the base `{base}` nor an installer has any CANN; {way}",
            claimed(inputs.recipe, "cann", wanted)
        ));
        return;
    }
    let found = versions_of_base(index);
    if !found.is_empty() && !found.iter().any(|version| version == wanted) {
        let claimed = claimed(inputs.recipe, "cann", wanted);
        warnings.push(format!("{claimed}, and the base `{base}` has `{}`", found.join("`, `")));
    }
}

/// What the recipe says of this key, as people see it: in the tag where that has the key.
fn claimed(recipe: &Recipe, key: &str, wanted: &str) -> String {
    match is_in_tag(recipe, key) {
        true => format!("the tag would say {} `{wanted}`", title(key)),
        false => format!("`versions.{key}` is `{wanted}`"),
    }
}

fn is_in_tag(recipe: &Recipe, key: &str) -> bool {
    recipe.tag.keys().any(|placeholder| placeholder == key)
}
