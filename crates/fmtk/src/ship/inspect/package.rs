//! What a package is, without running or unpacking it.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context;
use oci_image::{Store, StoreError};
use serde_json::{Value, json};
use wheel_layer::WheelFacts;

use super::Rows;
use crate::{
    recipe::{Distribution, Recipe},
    resolve::{
        fetch, packages,
        wheels::{self, InstallerName},
    },
    terminal::{
        progress::{bytes, count},
        report::WithHint,
    },
};

/// A wheel: what it holds and whether it fits the recipe.
pub fn wheel(file: &Path, recipe: &Recipe, store: &Store) -> anyhow::Result<(Rows, Value)> {
    let (size, sha256) = wheels::digest(store, file).input()?;
    let facts = WheelFacts::read(file).input()?;
    let target = recipe.python.target();
    let is_allowed = |names: &BTreeSet<Distribution>| names.iter().any(|name| name.as_str() == facts.key());
    let foreign = facts.foreign_code().filter(|_| !is_allowed(&recipe.allow.elf));
    let record = if is_allowed(&recipe.allow.wrong_record) { Vec::new() } else { facts.check_record() };
    let problems = [facts.check(&target), record, Vec::from_iter(foreign)].concat();
    let unpacked: u64 = facts.files.iter().map(|entry| entry.size).sum();
    let commands: Vec<&String> = facts.commands.iter().map(|one| &one.name).collect();
    let machines: BTreeSet<String> = facts.elf.iter().map(|(_, elf)| elf.to_string()).collect();
    let mut rows = vec![
        ("wheel", format!("{} {}", facts.name, facts.version)),
        ("file", name_of(file)),
        ("sha256", sha256.hex()),
        ("size", format!("{}, {}, {} unpacked", bytes(size), count(facts.files.len(), "file"), bytes(unpacked))),
    ];
    rows.extend(facts.requires_python.iter().map(|python| ("python", python.clone())));
    rows.extend(facts.requires_dist.iter().map(|requirement| ("requires", requirement.clone())));
    rows.extend(commands.iter().map(|command| ("command", (*command).clone())));
    for machine in &machines {
        let files = facts.elf.iter().filter(|(_, elf)| elf.to_string() == *machine).count();
        rows.push(("code", format!("{} for {machine}", count(files, "file"))));
    }
    if let Some(fetched) = fetch::digest_when_fetched(file).filter(|fetched| *fetched != sha256) {
        rows.push(("changed", format!("since it was fetched; its sha256 was {}", fetched.hex())));
    }
    rows.extend(facts.renamed(&target).map(|note| ("note", note)));
    rows.extend(verdict(&problems, "the recipe's target"));
    let json = json!({
        "name": facts.name,
        "version": facts.version,
        "sha256": sha256,
        "size": size,
        "files": facts.files.len(),
        "unpacked": unpacked,
        "requires_python": facts.requires_python,
        "requires_dist": facts.requires_dist,
        "commands": commands,
        "machines": machines,
        "problems": problems,
    });
    Ok((rows, json))
}

/// CANN's installer: what its head and its name say, and whether it fits the recipe.
pub fn installer(file: &Path, recipe: &Recipe, store: &Store) -> anyhow::Result<(Rows, Value)> {
    let (size, sha256) = wheels::digest(store, file).input()?;
    let name = name_of(file);
    let read = match packages::installer(store, file, &sha256) {
        Err(error) if error.is::<StoreError>() => return Err(error),
        read => read
            .with_context(|| format!("`{}` can't be used", file.display()))
            .input()
            .hint("copy the file again from its source")?,
    };
    let named = name.parse::<InstallerName>();
    let problems: Vec<String> =
        packages::name_conflicts(recipe, &name, None).into_iter().map(|(problem, _)| problem).collect();
    let mut rows = vec![("installer", format!(" {}", read.label)), ("file", name.clone()), ("sha256", sha256.hex())];
    if let Ok(InstallerName { kind, chip, version, arch }) = &named {
        rows.extend(kind.map(|kind| ("kind", kind.to_owned())));
        rows.extend(chip.clone().map(|chip| ("chip", chip)));
        rows.push(("version", version.clone()));
        rows.extend(arch.clone().map(|arch| ("arch", arch)));
    }
    let (script, payload) = (bytes(read.offset), bytes(read.payload()));
    let compression = read.compression.as_deref().unwrap_or("unknown compression");
    let sums = read.sums();
    let checked = if sums.is_empty() { "length; it carries no sums".to_owned() } else { sums.join(", ") };
    rows.push(("size", format!("{}: script {script}, payload {payload} ({compression})", bytes(size))));
    rows.push(("checked", checked));
    rows.extend(verdict(&problems, "the recipe"));
    let json = json!({
        "file": name,
        "label": read.label,
        "kind": named.as_ref().ok().map(|named| named.kind),
        "chip": named.as_ref().ok().map(|named| &named.chip),
        "version": named.as_ref().ok().map(|named| &named.version),
        "arch": named.as_ref().ok().map(|named| &named.arch),
        "sha256": sha256,
        "size": size,
        "offset": read.offset,
        "parts": read.parts,
        "compression": read.compression,
        "checked": sums,
        "problems": problems,
    });
    Ok((rows, json))
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What conflicts with the recipe, or that nothing does.
fn verdict(problems: &[String], target: &str) -> Rows {
    match problems.is_empty() {
        true => vec![("fits", target.to_owned())],
        false => problems.iter().map(|problem| ("problem", problem.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::recipe::Overrides;
    use elf_fake::{NPU, X86_64, library_for};
    use wheel_fake::FakeWheel;

    #[test]
    fn a_wheel_shows_what_it_is_and_what_conflicts_with_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let recipe = Recipe::parse("", "image.toml", folder.path(), Overrides::default()).unwrap();
        let fake = FakeWheel::new("alpha").requires("beta>=2");
        let fake = fake.file("alpha/fast.so", &library_for(X86_64)).file("alpha/kernel.o", &library_for(NPU));
        let (rows, json) = wheel(&fake.write(folder.path()).unwrap(), &recipe, &store).unwrap();
        expect![[r#"
            wheel    alpha 1.0
            file     alpha-1.0-py3-none-any.whl
            sha256   f141556c827839e9b329b61c9a3d31e19a424c492405fb2edeb7dc75c0b198a4
            size     1.5 kB, 6 files, 809 B unpacked
            requires beta>=2
            code     1 file for 64-bit Ascend NPU
            code     1 file for 64-bit x86-64
            problem  code in 1 file is not for aarch64: `alpha/fast.so` (64-bit x86-64)
        "#]]
        .assert_eq(&super::super::text(rows));
        assert_eq!((&json["name"], &json["requires_dist"]), (&json!("alpha"), &json!(["beta>=2"])));
    }

    /// Damaged without a change of its size, it looked as good as before.
    #[test]
    fn a_wheel_that_changed_since_it_was_fetched_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let recipe = Recipe::parse("", "image.toml", folder.path(), Overrides::default()).unwrap();
        let file = FakeWheel::new("alpha").write(folder.path()).unwrap();
        let known = json!({ "size": 5, "sha256": oci_image::Digest::of("other") });
        let record = json!({ "request": null, "files": { "alpha-1.0-py3-none-any.whl": known } });
        std::fs::write(folder.path().join("fetched.json"), record.to_string()).unwrap();
        let (rows, _) = wheel(&file, &recipe, &store).unwrap();
        let (_, said) = rows.iter().find(|(name, _)| *name == "changed").unwrap();
        assert!(said.starts_with("since it was fetched; its sha256 was d9298a10"), "{said}");
    }
}
