//! Packages that must be refused: by name, before anything is built, and all at once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use wheel_double::{WheelDouble, x86_64_library};

use super::{sample_image::nothing_is_left, world::World};
use crate::testbed::{Invocation, Log, recipe};

/// What is wrong, the wheels that have it, and what must be said.
struct Case {
    name: &'static str,
    make: fn(&Path, &Path) -> anyhow::Result<()>,
    said: &'static [&'static str],
}

const fn case(name: &'static str, make: fn(&Path, &Path) -> anyhow::Result<()>, said: &'static [&'static str]) -> Case {
    Case { name, make, said }
}

const CASES: &[Case] = &[
    case("no package", |_, _| Ok(()), &["`alpha-*.whl`"]),
    case(
        "two packages for one glob",
        |folder, _| {
            WheelDouble::new("alpha").write(folder)?;
            WheelDouble::new("alpha").tag("py2.py3-none-any").write(folder)?;
            Ok(())
        },
        &["alpha-1.0-py3-none-any.whl", "alpha-1.0-py2.py3-none-any.whl"],
    ),
    case("truncated wheel", |folder, real| damaged(folder, real, |bytes| bytes.truncate(40_000)), &["alpha-1.0"]),
    case("corrupt wheel", |folder, real| damaged(folder, real, |bytes| bytes[20_000] ^= 0x55), &["alpha-1.0"]),
    case(
        "RECORD mismatch",
        |folder, _| WheelDouble::new("alpha").lying_record().write(folder).map(drop),
        &["alpha-1.0-py3-none-any.whl", "alpha.py", "RECORD"],
    ),
    case(
        "RECORD mismatch in two wheels",
        |folder, _| {
            WheelDouble::new("alpha").lying_record().write(folder)?;
            WheelDouble::new("beta").lying_record().write(folder).map(drop)
        },
        &["alpha-1.0-py3-none-any.whl", "beta-1.0-py3-none-any.whl", "alpha.py", "beta"],
    ),
    case(
        "code for x86-64 in a wheel for any machine",
        |folder, _| WheelDouble::new("alpha").file("alpha/fast.so", &x86_64_library()).write(folder).map(drop),
        &["alpha-1.0-py3-none-any.whl", "alpha/fast.so", "x86"],
    ),
    case(
        "wheel for another machine",
        |folder, _| WheelDouble::new("alpha").tag("cp39-cp39-manylinux2014_x86_64").write(folder).map(drop),
        &["alpha-1.0-cp39-cp39-manylinux2014_x86_64.whl", "aarch64"],
    ),
    case(
        "wheel for another Python",
        |folder, _| WheelDouble::new("alpha").tag("cp38-cp38-manylinux2014_aarch64").write(folder).map(drop),
        &["alpha-1.0-cp38-cp38-manylinux2014_aarch64.whl", "cp38"],
    ),
    case(
        "wheel for a newer glibc",
        |folder, _| WheelDouble::new("alpha").tag("cp39-cp39-manylinux_2_39_aarch64").write(folder).map(drop),
        &["alpha-1.0-cp39-cp39-manylinux_2_39_aarch64.whl", "2.39", "2.31"],
    ),
    case(
        "one path in two wheels with different bytes",
        |folder, _| {
            WheelDouble::new("alpha").file("shared.py", b"A = 1\n").write(folder)?;
            WheelDouble::new("beta").file("shared.py", b"A = 2\n").write(folder)?;
            Ok(())
        },
        &["shared.py", "alpha", "beta"],
    ),
    case(
        "an entry that leads out",
        |folder, _| {
            WheelDouble::new("alpha").file("../../../../etc/passwd", b"root::0:0::/:\n").write(folder).map(drop)
        },
        &["alpha-1.0-py3-none-any.whl", "../../../../etc/passwd"],
    ),
];

/// Every case is refused with exit code 2 in words that name file and fault, and leaves nothing.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let real = mindpet(&world.wheels(log)?)?;
    let mut failures = Vec::new();
    for case in CASES {
        let folder = world.folder(&format!("bad/{}", case.name.replace(' ', "-")))?;
        (case.make)(&folder, &real)?;
        let both = case.said.contains(&"beta");
        let build = build(world, log, &folder, if both { &["alpha", "beta"] } else { &["alpha"] })?;
        let outcome = build.fails(2).and_then(|failed| {
            ensure!(!failed.stderr.contains("panicked"), "it panicked:\n{}", failed.stderr);
            ensure!(failed.stderr.lines().any(|line| line.starts_with("error: ")), "no `error:` line");
            failed.says(case.said)?;
            nothing_is_left(&folder.join("store"))
        });
        match outcome {
            Ok(()) => log.say(&format!("refused: {}", case.name)),
            Err(error) => failures.push(format!("{}: {error:#}", case.name)),
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

/// A requirement that nothing satisfies is an error, or with `--allow-missing` a warning; markers are those of the
/// target.
pub fn requirements(world: &World, log: &Log) -> anyhow::Result<()> {
    let folder = world.folder("requirements")?;
    WheelDouble::new("alpha")
        .requires("nowhere>=2; python_version < '4' and platform_machine == 'aarch64'")
        .requires("elsewhere; sys_platform == 'win32'")
        .requires("extras; extra == 'all'")
        .requires("Beta<1")
        .write(&folder)?;
    WheelDouble::new("beta").write(&folder)?;

    let refused = build(world, log, &folder, &["alpha", "beta"])?.fails(2)?;
    refused.says(&["nowhere", "alpha", "--allow-missing"])?;
    // Version 1.0 of beta is there, which is too new.
    ensure!(
        refused.stderr.to_lowercase().contains("beta<1"),
        "the version that is there was taken:\n{}",
        refused.stderr
    );
    for name in ["elsewhere", "extras"] {
        ensure!(!refused.stderr.contains(name), "`{name}` is not required here:\n{}", refused.stderr);
    }
    let allowed = build(world, log, &folder, &["alpha", "beta"])?.arg("--allow-missing").run()?;
    allowed.says(&["warning: ", "nowhere"])
}

/// A build of wheels of these kinds, from a recipe of its own, on the sample's base, into a store of its own.
fn build<'a>(world: &World, log: &'a Log, folder: &Path, kinds: &[&str]) -> anyhow::Result<Invocation<'a>> {
    let base = world.base(log)?;
    let globs: Vec<String> = kinds.iter().map(|kind| format!("{kind}-*.whl")).collect();
    let packages: Vec<(&str, &str)> = kinds.iter().copied().zip(globs.iter().map(String::as_str)).collect();
    let path = folder.join("image.toml");
    let text = recipe(&packages);
    fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    let build = world.xtask_in(log, &folder.join("store")).arg("image").arg("--recipe").arg(&path);
    Ok(build.arg("--pkg").arg(folder).arg("--base").arg(base.to_string()))
}

/// The real wheel, damaged, under the name of the package that is looked for.
fn damaged(folder: &Path, real: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
    let mut bytes = fs::read(real).with_context(|| format!("failed to read `{}`", real.display()))?;
    ensure!(bytes.len() > 50_000, "`{}` is too short to be damaged in its middle", real.display());
    damage(&mut bytes);
    let path = folder.join("alpha-1.0-py3-none-any.whl");
    fs::write(&path, bytes).with_context(|| format!("failed to write `{}`", path.display()))
}

fn mindpet(packages: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(packages).with_context(|| format!("failed to list `{}`", packages.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let is_mindpet =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mindpet-"));
    paths.find(is_mindpet).with_context(|| format!("no mindpet in `{}`", packages.display()))
}
