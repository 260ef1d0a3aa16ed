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

use std::path::{Path, PathBuf};

use image_name::Digest;

pub use self::file::{Lock, LockedBase, LockedRequest};
use crate::{
    options::Call,
    recipe::{PYPI, Recipe},
    resolve::{
        fetch::{self, FileRecord, Pins},
        packages::Package,
        place,
    },
    terminal::{
        progress,
        report::{self, Problems, WithHint},
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
    let mut pinned = Problems::default();
    let reference = recipe.base.reference.to_string();
    if let Some(pin) = recipe.base.digest.filter(|pin| pin != base) {
        let message = format!("base `{reference}` has digest `{base}`, and the recipe pins `{pin}`");
        pinned.push(message, Some("change `base.digest` of the recipe if the new base is meant".to_owned()));
    }
    let (name, mut differences) = (&call.lock_file, Differences::default());
    let pinned = pinned.into_result();
    let Some(lock) = lock else {
        pinned?;
        return Ok(vec![format!("no `{name}`: nothing pins the packages and the base; `{}` does", call.lock)]);
    };
    let mut notes = Vec::new();
    // To want nothing of PyPI is said in so many words: a build upon one's own image, which has it all.
    let wanted = |locked: &&Package| locked.kind != PYPI || !recipe.pypi.requirements.is_empty();
    let (checked, left): (Vec<_>, Vec<_>) = lock.packages.iter().partition(wanted);
    packages_apart(name, checked, packages, &mut differences);
    if !left.is_empty() {
        let left = progress::count(left.len(), "file");
        notes.push(format!("`pypi.requirements` is empty, which leaves {left} of PyPI in `{name}` unchecked"));
    }
    match &lock.base {
        Some(locked) if recipe.base.overridden && locked.reference != reference => {
            notes.push(format!("base `{reference}` is not the one that `{name}` pins, and so is not checked"));
        }
        locked => differences.all.extend(base_apart(name, locked.as_ref(), &reference, base)),
    }
    differences.moves = !moved(lock, &Lock::of(recipe, packages, *base)).all.is_empty();
    report::both(pinned, differences.into_result(call))?;
    Ok(notes)
}

/// In what inputs are not those of the lock.
#[derive(Default)]
pub struct Differences {
    all: Vec<String>,
    /// Whether a wheel of PyPI is another, or gone, which `fetch` can bring back.
    of_pypi: bool,
    /// Whether something that is pinned has other bytes, which `lock` accepts only if told to.
    moves: bool,
}

impl Differences {
    /// The error that holds them, if there are any, with the commands that undo and accept them.
    pub fn into_result(self, call: &Call) -> anyhow::Result<()> {
        let mut problems = Problems::default();
        self.all.into_iter().for_each(|message| problems.push(message, None));
        let accept = accept(call, self.moves);
        problems.into_result().hint(match self.of_pypi {
            true => format!("to get the wheels of PyPI that are pinned, run `{}`; {accept}", call.fetch),
            false => accept,
        })
    }
}

/// The command that accepts what is there, where that moves pins or not.
pub fn accept(call: &Call, moves: bool) -> String {
    let upgrade = if moves { " --upgrade" } else { "" };
    format!("to accept the change, run `{}{upgrade}`", call.lock)
}

/// What a fetch for this recipe takes from the lock.
pub fn pins(lock: &Lock, recipe: &Recipe) -> Pins {
    let of_pypi = lock.packages.iter().filter(|package| package.kind == PYPI);
    let exact = lock.pypi == Some(LockedRequest::of(recipe));
    let target = recipe.python.target();
    let is_allowed = |package: &&Package| match fetch::version_of(&package.file) {
        Some((name, version)) => exact || recipe.pypi.refusing(&name, &version, &target).next().is_none(),
        None => false,
    };
    let file = |one: &Package| (one.file.clone(), FileRecord { size: one.size, sha256: one.sha256 });
    Pins { files: of_pypi.filter(is_allowed).map(file).collect(), exact, upgrade: false }
}

/// What of the old lock the new one would move: other bytes for the same base or package. What is new in the recipe,
/// or gone from it, moves nothing.
pub fn moved(old: &Lock, new: &Lock) -> Differences {
    // One file of a kind, but of PyPI one for each distribution; of the vendor's scripts each is a kind of its own.
    let subject = |package: &Package| match fetch::version_of(&package.file) {
        Some((name, _)) if package.kind == PYPI => name,
        _ if package.file.ends_with(".py") => package.file.clone(),
        _ => String::new(),
    };
    let mut moved = Differences { moves: true, ..Differences::default() };
    for package in &new.packages {
        let same = |other: &&Package| other.kind == package.kind && subject(other) == subject(package);
        for other in old.packages.iter().filter(same).filter(|other| other.sha256 != package.sha256) {
            let Package { file, sha256, .. } = package;
            moved.of_pypi |= package.kind == PYPI;
            moved.all.push(format!(
                "`{file}` has digest `{sha256}`, and pinned is `{}` with `{}`",
                other.file, other.sha256
            ));
        }
    }
    // Where the recipe asks PyPI for the same as before, no wheel of it is to go.
    let of_pypi = old.packages.iter().filter(|package| package.kind == PYPI && old.pypi == new.pypi);
    for gone in of_pypi.filter(|old| !new.packages.iter().any(|new| new.kind == PYPI && subject(new) == subject(old))) {
        moved.of_pypi = true;
        moved.all.push(format!("`{}` with digest `{}` is pinned and was not found", gone.file, gone.sha256));
    }
    if let (Some(old), Some(new)) = (&old.base, &new.base)
        && old.reference == new.reference
        && old.digest != new.digest
    {
        moved.all.push(format!("base `{}` has digest `{}`, and pinned is `{}`", new.reference, new.digest, old.digest));
    }
    moved
}

fn base_apart(name: &str, locked: Option<&LockedBase>, reference: &str, base: &Digest) -> Option<String> {
    let Some(locked) = locked else { return Some(format!("base `{reference}` is not in `{name}`")) };
    if locked.reference != reference {
        return Some(format!("the base is `{reference}`, and `{name}` has `{}`", locked.reference));
    }
    let digest = locked.digest;
    (digest != *base).then(|| format!("base `{reference}` has digest `{base}`, and `{name}` has `{digest}`"))
}

fn packages_apart(name: &str, locked: Vec<&Package>, packages: &[Package], differences: &mut Differences) {
    for package in packages {
        let Package { kind, file, sha256, .. } = package;
        differences.all.extend(match locked.iter().find(|locked| locked.kind == *kind && locked.file == *file) {
            Some(locked) if locked.sha256 == *sha256 => None,
            Some(locked) => Some(format!("`{file}` has digest `{sha256}`, and `{name}` has `{}`", locked.sha256)),
            None => Some(format!("`{file}` of `{kind}` with digest `{sha256}` is not in `{name}`")),
        });
    }
    for locked in locked {
        let Package { kind, file, sha256, .. } = locked;
        let found = packages.iter().find(|package| package.kind == *kind && package.file == *file);
        differences.of_pypi |= kind == PYPI && found.is_none_or(|found| found.sha256 != *sha256);
        if found.is_none() {
            differences
                .all
                .push(format!("`{file}` of `{kind}` with digest `{sha256}` is in `{name}` and was not found"));
        }
    }
}
