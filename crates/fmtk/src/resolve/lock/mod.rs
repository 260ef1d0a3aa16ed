//! `image.lock`: the inputs of the image by content, so that a build with other bytes is a decision and no accident.
//!
//! The lock is written by `cargo xtask lock` alone. Without one, a build goes on and says that nothing is pinned; so a
//! first build needs no ceremony. With one, a build takes exactly what it lists: a package that is changed, new or gone,
//! and a base that has another digest, are errors, each with both digests. A base that the command's arguments chose
//! in place of the recipe's is another input, which the lock does not speak of: it is noted, not refused.

mod file;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use image_name::Digest;

pub use self::file::{Lock, LockedBase};
use crate::{
    options::Call,
    recipe::{PYPI, Recipe},
    resolve::{packages::Package, place},
    terminal::{
        progress,
        report::{self, Problems},
    },
};

/// The lock of a recipe lies beside it: `image.lock` of `image.toml`. Without a recipe's file, that of the workspace.
pub fn path(recipe: Option<&Path>) -> PathBuf {
    recipe.map_or_else(|| place::workspace().join("image.toml"), Path::to_owned).with_extension("lock")
}

/// Compares what a build is about to use with the lock, where there is one. Gives what a person should know though
/// nothing is wrong; all that is wrong comes as one error.
pub fn verify(
    lock: Option<&Lock>,
    recipe: &Recipe,
    packages: &[Package],
    base: &Digest,
    call: &Call,
) -> anyhow::Result<Vec<String>> {
    let mut problems = Problems::default();
    let reference = recipe.base.reference.to_string();
    if let Some(pin) = recipe.base.digest.filter(|pin| pin != base) {
        let message = format!("base `{reference}` has digest `{base}`, and the recipe pins `{pin}`");
        problems.push(message, Some("change `base.digest` of the recipe if the new base is meant".to_owned()));
    }
    let Some(lock) = lock else {
        problems.into_result()?;
        return Ok(vec!["no `image.lock`: nothing pins the packages and the base; `cargo xtask lock` does".to_owned()]);
    };
    let mut notes = Vec::new();
    // To want nothing of PyPI is said in so many words: a build upon one's own image, which has it all.
    let wanted = |locked: &&Package| locked.kind != PYPI || !recipe.pypi.requirements.is_empty();
    let (checked, left): (Vec<_>, Vec<_>) = lock.packages.iter().partition(wanted);
    let mut differences = packages_apart(checked, packages);
    if !left.is_empty() {
        let left = progress::count(left.len(), "file");
        notes.push(format!("`pypi.requirements` is empty, which leaves {left} of PyPI in `image.lock` unchecked"));
    }
    match &lock.base {
        Some(locked) if recipe.base.overridden && locked.reference != reference => {
            notes.push(format!("base `{reference}` is not the one that `image.lock` pins, and so is not checked"));
        }
        locked => differences.extend(base_apart(locked.as_ref(), &reference, base)),
    }
    let hint = (!differences.is_empty()).then(|| accept(call));
    differences.into_iter().for_each(|message| problems.push(message, None));
    problems.into_result().map_err(|error| report::hinted_if(error, hint))?;
    Ok(notes)
}

/// The command that accepts what is there.
pub fn accept(call: &Call) -> String {
    format!("to accept the change, run `{}`", call.lock)
}

fn base_apart(locked: Option<&LockedBase>, reference: &str, base: &Digest) -> Option<String> {
    let Some(locked) = locked else { return Some(format!("base `{reference}` is not in `image.lock`")) };
    if locked.reference != reference {
        return Some(format!("the base is `{reference}`, and `image.lock` has `{}`", locked.reference));
    }
    let digest = locked.digest;
    (digest != *base).then(|| format!("base `{reference}` has digest `{base}`, and `image.lock` has `{digest}`"))
}

fn packages_apart(locked: Vec<&Package>, packages: &[Package]) -> Vec<String> {
    let mut differences = Vec::new();
    for package in packages {
        let Package { kind, file, sha256, .. } = package;
        differences.extend(match locked.iter().find(|locked| locked.kind == *kind && locked.file == *file) {
            Some(locked) if locked.sha256 == *sha256 => None,
            Some(locked) => Some(format!("`{file}` has digest `{sha256}`, and `image.lock` has `{}`", locked.sha256)),
            None => Some(format!("`{file}` of `{kind}` with digest `{sha256}` is not in `image.lock`")),
        });
    }
    for locked in locked {
        let Package { kind, file, sha256, .. } = locked;
        if !packages.iter().any(|package| package.kind == *kind && package.file == *file) {
            differences
                .push(format!("`{file}` of `{kind}` with digest `{sha256}` is in `image.lock` and was not found"));
        }
    }
    differences
}
