//! `image.lock`: the inputs of the image by content, so that a build with other bytes is a decision and no accident.
//!
//! The lock is written by `cargo xtask lock` alone, which moves what it has pinned only with `--upgrade`. Without a lock,
//! a build goes on and says that nothing is pinned; so a first build needs no ceremony. With one, a build takes exactly
//! what it lists: a package that is changed, new or gone, and a base that has another digest, are errors, each with both
//! digests; and a fetch brings what it lists. A base that the command's arguments chose in place of the recipe's is
//! another input, which the lock does not speak of: it is noted, not refused.

mod file;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use image_name::Digest;

pub use self::file::{Lock, LockedBase, LockedRequest};
use crate::{
    options::{Call, lock_name},
    recipe::{PYPI, Recipe, SYSTEM},
    resolve::{
        fetch::{self, FileRecord, Pins},
        packages::Package,
        place, scripts,
    },
    terminal::{
        progress,
        report::{self, Problems, WithHint},
    },
};

/// The lock of a recipe lies beside it: `image.lock` of `image.toml`. Without a recipe's file, that of the workspace.
pub fn path(recipe: Option<&Path>, stack: Option<&str>) -> PathBuf {
    let file = recipe.map_or_else(|| place::workspace().join("image.toml"), Path::to_owned);
    file.with_file_name(lock_name(recipe, stack))
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
    let mut pinned = Problems::default();
    let reference = recipe.base.reference.to_string();
    if let Some(pin) = recipe.base.digest.filter(|pin| pin != base) {
        let message = format!("base `{reference}` has digest `{base}`, and the recipe pins `{pin}`");
        pinned.push(message, Some("change `base.digest` of the recipe if the new base is meant".to_owned()));
    }
    let pinned = pinned.into_result();
    let name = &call.lock_file;
    let Some(lock) = lock else {
        pinned?;
        return Ok(vec![format!("no `{name}`: packages and base are not pinned; `{}` pins them", call.lock)]);
    };
    let (mut lock, found, mut notes) = (lock.clone(), Lock::of(recipe, packages, *base), Vec::new());
    // To want nothing of PyPI is said in so many words: a build upon one's own image, which has it all.
    if recipe.pypi.requirements.is_empty() {
        let left = lock.packages.extract_if(.., |locked| locked.kind == PYPI).count();
        if left > 0 {
            let left = progress::count(left, "file");
            notes.push(format!("`pypi.requirements` is empty, which leaves {left} of PyPI in `{name}` unchecked"));
        }
    }
    if recipe.base.overridden && lock.base.as_ref().is_some_and(|locked| locked.reference != reference) {
        notes.push(format!("base `{reference}` is not the one that `{name}` pins, and so is not checked"));
        lock.base.clone_from(&found.base);
    }
    report::both(pinned, refused(differences(&lock, &found, recipe, name), call))?;
    Ok(notes)
}

/// Refuses to lock `new` inputs if that moved what is pinned.
pub fn moves_nothing(old: &Lock, new: &Lock, recipe: &Recipe, call: &Call) -> anyhow::Result<()> {
    let mut differences = differences(old, new, recipe, &call.lock_file);
    differences.retain(|difference| difference.moves);
    refused(differences, call)
}

/// All of these as one error, with the commands that undo and accept them.
fn refused(differences: Vec<Difference>, call: &Call) -> anyhow::Result<()> {
    let accept = accept(call, differences.iter().any(|difference| difference.moves));
    let hint = match differences.iter().any(|difference| difference.can_be_fetched) {
        true => format!("to fetch the pinned packages, run `{}`; {accept}", call.fetch),
        false => accept,
    };
    let mut problems = Problems::default();
    differences.into_iter().for_each(|difference| problems.push(difference.message, None));
    problems.into_result().hint(hint)
}

/// The command that accepts what is there, where that moves pins or not.
pub fn accept(call: &Call, moves: bool) -> String {
    let upgrade = if moves { " --upgrade" } else { "" };
    format!("to accept the change, run `{}{upgrade}`", call.lock)
}

/// What a fetch for this recipe takes from the lock.
pub fn pins(lock: &Lock, recipe: &Recipe) -> Pins {
    let of_pypi = lock.packages.iter().filter(|package| package.kind == PYPI);
    // A merge may have lost the wheel of a requirement.
    let is_whole = fetch::unmet(recipe, of_pypi.clone().map(|package| &package.file)).is_empty();
    let exact = is_whole && lock.pypi == Some(LockedRequest::of(recipe));
    let target = recipe.python.target();
    let is_allowed = |package: &&Package| match fetch::version_of(&package.file) {
        Some((name, version)) => exact || recipe.pypi.refusing(&name, &version, &target).next().is_none(),
        None => false,
    };
    let file = |one: &Package| (one.file.clone(), FileRecord { size: one.size, sha256: one.sha256 });
    Pins { files: of_pypi.filter(is_allowed).map(file).collect(), exact, ..Pins::default() }
}

/// The packages of the base's distribution that it names.
pub fn system_pins(lock: Option<&Lock>) -> BTreeSet<Digest> {
    let packages = lock.into_iter().flat_map(|lock| &lock.packages);
    packages.filter(|package| package.kind == SYSTEM).map(|package| package.sha256).collect()
}

/// Something in which inputs are not those of a lock.
struct Difference {
    message: String,
    /// Whether `fetch` can bring back what is pinned: another is here of what PyPI or `[system]` has, or a wheel of PyPI
    /// is gone, and the recipe still allows it.
    can_be_fetched: bool,
    /// Whether what is pinned has other bytes, or is gone though it is still asked for: `lock` accepts that only if told
    /// to. What is new in the recipe, or gone from it, moves nothing.
    moves: bool,
}

fn differences(old: &Lock, new: &Lock, recipe: &Recipe, name: &str) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |message, can_be_fetched, moves| differences.push(Difference { message, can_be_fetched, moves });
    let pins = pins(old, recipe).files;
    let is_pin = |locked: &Package| locked.kind == PYPI && pins.contains_key(&locked.file);
    for package in &new.packages {
        let Package { kind, file, sha256, .. } = package;
        match counterpart(old, package) {
            Some(locked) if locked.sha256 == *sha256 && locked.file == *file => {}
            Some(locked) => {
                let other = if locked.file == *file { String::new() } else { format!("`{}` with ", locked.file) };
                let message = format!("`{file}` has digest `{sha256}`, and `{name}` has {other}`{}`", locked.sha256);
                differ(message, is_pin(locked) || kind == SYSTEM, locked.sha256 != *sha256);
            }
            None => differ(format!("`{file}` of `{kind}` with digest `{sha256}` is not in `{name}`"), false, false),
        }
    }
    for gone in old.packages.iter().filter(|locked| counterpart(new, locked).is_none()) {
        let Package { kind, file, sha256, .. } = gone;
        let message = format!("`{file}` of `{kind}` with digest `{sha256}` is in `{name}` and was not found");
        differ(message, is_pin(gone), kind == PYPI && old.pypi == new.pypi);
    }
    match (&old.base, &new.base) {
        (Some(old), Some(new)) if old.reference != new.reference => {
            let message = format!("the base is `{}`, and `{name}` has `{}`", new.reference, old.reference);
            differ(message, false, false);
        }
        (Some(old), Some(LockedBase { reference, digest })) if old.digest != *digest => {
            let message = format!("base `{reference}` has digest `{digest}`, and `{name}` has `{}`", old.digest);
            differ(message, false, true);
        }
        (None, Some(new)) => differ(format!("base `{}` is not in `{name}`", new.reference), false, false),
        _ => {}
    }
    differences
}

/// What a lock has in the place of a package.
fn counterpart<'a>(lock: &'a Lock, package: &Package) -> Option<&'a Package> {
    lock.packages.iter().find(|other| subject(other) == subject(package))
}

/// Of what a lock has one: a file of a kind, but of PyPI one for each distribution, of the system's one
/// for each name, and each of the vendor's scripts.
fn subject(package: &Package) -> (&str, String) {
    let of_kind = match fetch::version_of(&package.file) {
        Some((name, _)) if package.kind == PYPI => name,
        // `NAME_VERSION_ARCHITECTURE.deb`.
        _ if package.kind == SYSTEM => package.file.split('_').next().unwrap_or_default().to_owned(),
        _ if package.kind == scripts::KIND => package.file.clone(),
        _ => String::new(),
    };
    (&package.kind, of_kind)
}
