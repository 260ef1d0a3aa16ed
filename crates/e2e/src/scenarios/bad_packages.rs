//! Packages that must be refused: by name, before anything is built, and all at once.

use std::path::Path;

use anyhow::{bail, ensure};
use elf_fake::{X86_64, library_for};
use wheel_fake::FakeWheel;

use super::world::{Project, World, nothing_is_left};
use crate::testbed::{bytes, recipe, wheel, write};

/// What is wrong; makes the wheels that have it, in a folder and of a real wheel; and what must be said.
type Case = (&'static str, fn(&Path, &Path) -> anyhow::Result<()>, &'static [&'static str]);

const CASES: &[Case] = &[
    ("no package", |_, _| Ok(()), &["`alpha-*.whl`"]),
    (
        "two packages for one glob",
        |folder, _| {
            FakeWheel::new("alpha").write(folder)?;
            alpha(folder, |wheel| wheel.tag("py2.py3-none-any"))
        },
        &["alpha-1.0-py3-none-any.whl", "alpha-1.0-py2.py3-none-any.whl"],
    ),
    ("truncated wheel", |folder, real| damaged(folder, real, |bytes| bytes.truncate(40_000)), &["alpha-1.0"]),
    ("corrupt wheel", |folder, real| damaged(folder, real, |bytes| bytes[20_000] ^= 0x55), &["alpha-1.0"]),
    (
        "RECORD mismatch",
        |folder, _| alpha(folder, FakeWheel::lying_record),
        &["alpha-1.0-py3-none-any.whl", "alpha.py", "RECORD"],
    ),
    (
        "RECORD mismatch in two wheels",
        |folder, _| {
            FakeWheel::new("beta").lying_record().write(folder)?;
            alpha(folder, FakeWheel::lying_record)
        },
        &["alpha-1.0-py3-none-any.whl", "beta-1.0-py3-none-any.whl", "alpha.py", "beta"],
    ),
    (
        "code for x86-64 in a wheel for any machine",
        |folder, _| alpha(folder, |wheel| wheel.file("alpha/fast.so", &library_for(X86_64))),
        &["alpha-1.0-py3-none-any.whl", "alpha/fast.so", "x86"],
    ),
    (
        "wheel for another machine",
        |folder, _| alpha(folder, |wheel| wheel.tag("cp39-cp39-manylinux2014_x86_64")),
        &["alpha-1.0-cp39-cp39-manylinux2014_x86_64.whl", "aarch64"],
    ),
    (
        "wheel for another Python",
        |folder, _| alpha(folder, |wheel| wheel.tag("cp38-cp38-manylinux2014_aarch64")),
        &["alpha-1.0-cp38-cp38-manylinux2014_aarch64.whl", "cp38"],
    ),
    (
        "wheel for a newer glibc",
        |folder, _| alpha(folder, |wheel| wheel.tag("cp39-cp39-manylinux_2_39_aarch64")),
        &["alpha-1.0-cp39-cp39-manylinux_2_39_aarch64.whl", "2.39", "2.31"],
    ),
    (
        "one path in two wheels with different bytes",
        |folder, _| {
            FakeWheel::new("beta").file("shared.py", b"A = 2\n").write(folder)?;
            alpha(folder, |wheel| wheel.file("shared.py", b"A = 1\n"))
        },
        &["shared.py", "alpha", "beta"],
    ),
    (
        "an entry that leads out",
        |folder, _| alpha(folder, |wheel| wheel.file("../../../../etc/passwd", b"root::0:0::/:\n")),
        &["alpha-1.0-py3-none-any.whl", "../../../../etc/passwd"],
    ),
];

/// Every case is refused with exit code 2 in words that name file and fault, and leaves nothing.
pub fn run(world: &World) -> anyhow::Result<()> {
    let real = wheel(&world.wheels()?, "mindpet-")?;
    let mut failures = Vec::new();
    for (name, make, said) in CASES {
        let kinds: &[&str] = if said.contains(&"beta") { &["alpha", "beta"] } else { &["alpha"] };
        let project = project(world, &format!("bad/{}", name.replace(' ', "-")), kinds)?;
        make(&project.pkg(), &real)?;
        let outcome = project.image(world.base()?).fails(2).and_then(|failed| {
            ensure!(!failed.stderr.contains("panicked"), "it panicked:\n{}", failed.stderr);
            ensure!(failed.stderr.lines().any(|line| line.starts_with("error: ")), "no `error:` line");
            failed.says(said)?;
            nothing_is_left(&project.store)
        });
        match outcome {
            Ok(()) => world.say(format!("refused: {name}")),
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

/// A requirement that nothing satisfies is an error, or with `--allow-missing` a warning; markers are those of the
/// target.
pub fn requirements(world: &World) -> anyhow::Result<()> {
    let project = project(world, "requirements", &["alpha", "beta"])?;
    FakeWheel::new("alpha")
        .requires("nowhere>=2; python_version < '4' and platform_machine == 'aarch64'")
        .requires("elsewhere; sys_platform == 'win32'")
        .requires("extras; extra == 'all'")
        .requires("Beta<1")
        .write(&project.pkg())?;
    FakeWheel::new("beta").write(&project.pkg())?;

    let refused = project.image(world.base()?).fails(2)?;
    refused.says(&["nowhere", "alpha", "--allow-missing"])?;
    let said = &refused.stderr;
    // Version 1.0 of beta is there, which is too new.
    ensure!(said.to_lowercase().contains("beta<1"), "the version that is there was taken:\n{said}");
    for name in ["elsewhere", "extras"] {
        ensure!(!said.contains(name), "`{name}` is not required here:\n{said}");
    }
    project.image(world.base()?).arg("--allow-missing").run()?.says(&["warning: ", "nowhere"])
}

/// A project of wheels of these kinds.
fn project<'w>(world: &'w World, name: &str, kinds: &[&str]) -> anyhow::Result<Project<'w>> {
    let globs = kinds.iter().map(|kind| (format!("packages.{kind}.glob"), format!("{kind}-*.whl")));
    let globs: Vec<(String, String)> = globs.collect();
    let settings: Vec<(&str, &str)> = globs.iter().map(|(key, glob)| (key.as_str(), glob.as_str())).collect();
    world.project(name, &recipe(&settings))
}

fn alpha(folder: &Path, change: impl FnOnce(FakeWheel) -> FakeWheel) -> anyhow::Result<()> {
    change(FakeWheel::new("alpha")).write(folder)?;
    Ok(())
}

/// The real wheel, damaged, under the name of the package that is looked for.
fn damaged(folder: &Path, real: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
    let mut bytes = bytes(real)?;
    ensure!(bytes.len() > 50_000, "`{}` is too short to be damaged in its middle", real.display());
    damage(&mut bytes);
    write(&folder.join("alpha-1.0-py3-none-any.whl"), bytes)
}
