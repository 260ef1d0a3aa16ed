//! Whether the Python that jobs run finds what is installed for it.

use oci_image::{BaseIndex, Interpreter};

use super::{Inputs, config};
use crate::{recipe::Python, terminal::report::Problems};

/// Refuses a folder for wheels into which no Python of the base looks, and warns of one of which that can't be told.
pub(super) fn site(inputs: &Inputs<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    let Some(index) = inputs.index.filter(|_| !inputs.wheels.is_empty()) else { return };
    let python = &inputs.recipe.python;
    // That there is none at all is said elsewhere.
    let of_recipe = |one: &&Interpreter| one.version == python.version;
    let Some(interpreter) = index.interpreter(python.interpreter.as_str()).filter(of_recipe) else { return };
    let (base, called, folder) = (&inputs.recipe.base.reference, &python.interpreter, &python.site_packages);
    let real = index.real_path(folder.as_str());
    let is_there = index.dirs.contains_key(&real);
    let sites = index.sites(interpreter);
    let at = sites.iter().flatten().position(|site| *site == real);
    if at.is_some() || is_on(inputs, index, "PYTHONPATH", &real) {
        shadowed(inputs, index, &sites.unwrap_or_default()[..at.unwrap_or(0)], warnings);
        return prefix(inputs, index, warnings);
    }
    let wheels_go = format!("wheels would go to `{folder}` of the base `{base}`");
    let others: Vec<&Interpreter> = index.interpreters.iter().filter(|one| looks_into(index, one, &real)).collect();
    let of_its_version = others.iter().find(|other| other.version == python.version);
    match (sites, of_its_version) {
        (_, Some(other)) => {
            warnings.push(format!("{wheels_go}, which `{}` searches, but `{called}` probably does not", other.path))
        }
        // A `.pth` file or `sitecustomize` may lead there.
        (_, None) if is_there && others.is_empty() => {
            warnings.push(format!("{wheels_go}, but `{called}` may not search there: it is not the folder of a Python"))
        }
        (None, None) => {
            warnings.push(format!("{wheels_go}, which does not exist; where `{called}` searches is unknown"))
        }
        (Some(sites), None) => {
            // The first is pip's, whether it is there yet or not.
            let known = sites.iter().enumerate().filter(|(at, site)| *at == 0 || index.dirs.contains_key(*site));
            let list = known.map(|(_, site)| format!("`{site}`")).collect::<Vec<_>>().join(", ");
            let hint = sites.first().map(|site| way_out(index, python, site));
            let message = format!("{wheels_go}, but its `{called}` does not search there; it searches {list}");
            problems.push(message, hint);
        }
    }
}

/// Warns of the base's copies of what wheels bring, in the folders that Python looks into `before` theirs.
fn shadowed(inputs: &Inputs<'_>, index: &BaseIndex, before: &[String], warnings: &mut Vec<String>) {
    for old in index.distributions.iter().filter(|old| before.contains(&old.location)) {
        if inputs.wheels.iter().any(|wheel| wheel.facts.key() == old.key) {
            let (name, version, location) = (&old.name, &old.version, &old.location);
            warnings.push(format!(
                "jobs would still import {name} {version} of the base: Python searches its `{location}` before `{}`",
                inputs.recipe.python.site_packages
            ));
        }
    }
}

fn looks_into(index: &BaseIndex, python: &Interpreter, folder: &str) -> bool {
    index.sites(python).is_some_and(|sites| sites.iter().any(|site| site == folder))
}

/// The keys to set so that wheels go to this folder.
fn way_out(index: &BaseIndex, python: &Python, site: &str) -> String {
    let prefix = BaseIndex::prefix_of_site(site);
    let default = format!("/lib/python{}.{}/site-packages", python.version.0, python.version.1);
    let follows = |prefix: &str, site: &str| format!("{prefix}{default}") == site;
    if follows(python.prefix.as_str(), python.site_packages.as_str()) && follows(prefix, site) {
        return format!("set `python.prefix` to `{prefix}`");
    }
    match index.has_dir(python.prefix.as_str()) {
        true => format!("set `python.site_packages` to `{site}`"),
        false => format!("set `python.site_packages` to `{site}`, and `python.prefix` to `{prefix}`"),
    }
}

/// Commands and data of wheels go below the prefix.
fn prefix(inputs: &Inputs<'_>, index: &BaseIndex, warnings: &mut Vec<String>) {
    let prefix = &inputs.recipe.python.prefix;
    let commands = prefix.join("bin");
    // A base need not have `/usr/local` for its shell to look there.
    if !index.has_dir(prefix.as_str()) && !is_on(inputs, index, "PATH", commands.as_str()) {
        let base = &inputs.recipe.base.reference;
        warnings.push(format!(
            "commands of wheels would go to `{commands}`, and the base `{base}` has no `{prefix}` (`python.prefix`)"
        ));
    }
}

/// Whether this variable of the image's environment names the folder.
pub(super) fn is_on(inputs: &Inputs<'_>, index: &BaseIndex, variable: &str, folder: &str) -> bool {
    let all = inputs.base.config.env().into_iter().chain(config::variables(inputs));
    let Some((_, value)) = all.filter(|(name, _)| name == variable).reduce(|_, later| later) else { return false };
    value.split(':').any(|path| !path.is_empty() && index.real_path(path) == index.real_path(folder))
}
