//! `fetch` with pip itself, from a folder of small wheels or from PyPI: what a lock names, and what has no wheel.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use oci_image::Digest;
use wheel_fake::FakeWheel;

use super::world::{Project, World};
use crate::testbed::{Invocation, bytes, names, recipe, write};

const ALPHA: &str = "alpha-1.0-py3-none-any.whl";
const OLD: &str = "beta-1.0-py3-none-any.whl";
const NEW: &str = "beta-2.0-py3-none-any.whl";

/// A lock brings its very wheels, to whoever has it; after a change of the recipe its versions; and none on request.
pub fn locked(world: &World) -> anyhow::Result<()> {
    let (project, index) = (project(world, "fetch-locked", "['beta<2']")?, world.folder("fetch-locked/index")?);
    FakeWheel::new("alpha").requires("beta").write(&index)?;
    for version in ["1.0", "2.0"] {
        FakeWheel::new("beta").version(version).write(&index)?;
    }
    let fetch = || pip(project.command("fetch"), &index);
    fetch().run()?;
    ensure!(fetched(&project)? == [ALPHA, OLD], "the constraint did not hold");
    lock(&project, &index)?;
    // A clone of it has no packages yet.
    let clone = || fs::remove_dir_all(project.pkg().join("pypi")).context("nothing was fetched");
    clone()?;
    fetch().run()?.says(&["pip downloads 2 wheels of `image.lock`"])?;
    ensure!(fetched(&project)? == [ALPHA, OLD], "these are not the wheels of the lock");
    write(&project.path("image.toml"), text("[]"))?;
    clone()?;
    fetch().run()?;
    ensure!(fetched(&project)? == [ALPHA, OLD], "what the recipe still allows did not stay");
    fetch().arg("--upgrade").run()?;
    ensure!(fetched(&project)? == [ALPHA, NEW], "the newest was not taken");
    // Another file of the same name is not the one that is pinned.
    write(&project.path("image.toml"), text("['beta<2']"))?;
    FakeWheel::new("beta").file("more.py", b"").write(&index)?;
    fetch().fails(1)?.says(&["`image.lock` pins the versions", "--upgrade"])?;
    ensure!(fetched(&project)? == [ALPHA, NEW], "a fetch that failed left other wheels");
    Ok(())
}

/// What has its source alone is named, and a wheel of it that lies there by hand is what pip takes.
pub fn source_alone(world: &World) -> anyhow::Result<()> {
    let (project, index) = (project(world, "fetch-source", "[]")?, world.folder("fetch-source/index")?);
    for version in ["1.0", "2.0"] {
        FakeWheel::new("alpha").version(version).requires("beta").write(&index)?;
    }
    write(&index.join("beta-1.0.tar.gz"), "a source distribution")?;
    let fetch = || pip(project.command("fetch"), &index);
    fetch().fails(1)?.says(&["`beta` has no wheel for Python 3.9 on aarch64", "pip wheel --no-deps beta"])?;
    let own = project.pkg().join("pypi").join(OLD);
    FakeWheel::new("beta").write(&project.pkg().join("pypi"))?;
    let before = bytes(&own)?;
    fetch().run()?;
    ensure!(fetched(&project)? == ["alpha-2.0-py3-none-any.whl", OLD], "pip did not take the wheel that is there");
    ensure!(bytes(&own)? == before, "the wheel that somebody put there was replaced");
    Ok(())
}

/// What has its source alone is built where that is asked for, to the same bytes each time, if it is pure Python.
pub fn pure_sources(world: &World) -> anyhow::Result<()> {
    let (project, index) = (project(world, "fetch-pure", "['beta<2']")?, world.folder("fetch-pure/index")?);
    FakeWheel::new("alpha").requires("beta").write(&index)?;
    // Wheels of versions that do not satisfy it.
    FakeWheel::new("beta").version("2.0").write(&index)?;
    let source = |tag: &str| source_distribution(world, &index, tag);
    source("py3-none-any")?;
    let fetch = || pip(project.command("fetch"), &index);
    fetch().fails(1)?.says(&["that satisfies `beta` and `beta<2`, only its source", "--build-pure`"])?;
    fetch().arg("--build-pure").run()?;
    ensure!(fetched(&project)? == [ALPHA, OLD], "the source was not built");
    let of_lock = project.pkg().join("pypi");
    lock(&project, &of_lock)?;
    fs::remove_dir_all(&of_lock).context("nothing was fetched")?;
    fetch().fails(1)?.says(&["`beta` has no wheel", "--build-pure`"])?;
    // Seconds later, by somebody whose files are closed to others.
    fetch().arg("--build-pure").env("PYTHONHASHSEED", "7").under_umask("0077").run()?;
    ensure!(fetched(&project)? == [ALPHA, OLD], "these are not the wheels of the lock");
    fs::remove_dir_all(&of_lock).context("nothing was fetched")?;
    fs::remove_file(project.path("image.lock")).context("there was no lock")?;
    source("cp39-cp39-linux_aarch64")?;
    let compiled = "`beta` is not pure Python: the wheel built from its source has the tags `cp39-cp39-linux_aarch64`";
    fetch().arg("--build-pure").fails(2)?.says(&[compiled, "hint: on an aarch64 machine"])?;
    ensure!(fetched(&project)?.is_empty(), "a fetch that failed left wheels");
    Ok(())
}

/// Of PyPI: `omegaconf` wants a version of ANTLR's runtime that has its source alone, built by setuptools.
pub fn pure_source_of_pypi(world: &World) -> anyhow::Result<()> {
    let recipe = recipe(&[("pypi.requirements", "['omegaconf==2.3.0']"), ("pypi.constraints", "[]")]);
    let project = world.project("fetch-pypi-source", &recipe)?;
    project.command("fetch").fails(1)?.says(&["`antlr4-python3-runtime==4.9.*`", "--build-pure`"])?;
    let built = project.pkg().join("pypi/antlr4_python3_runtime-4.9.3-py3-none-any.whl");
    let build = || {
        project.command("fetch").arg("--build-pure").run()?;
        bytes(&built)
    };
    let first = build()?;
    fs::remove_dir_all(project.pkg().join("pypi")).context("nothing was fetched")?;
    ensure!(first == build()?, "the wheel was other bytes when it was built again");
    Ok(())
}

/// The source of `beta` 1.0, which builds itself to a wheel with these tags: its times, modes and order are those of pip's
/// environment.
fn source_distribution(world: &World, index: &Path, tag: &str) -> anyhow::Result<()> {
    let folder = index.with_file_name("source");
    let source = folder.join("beta-1.0");
    write(&source.join("PKG-INFO"), "Metadata-Version: 2.1\nName: beta\nVersion: 1.0\n")?;
    let build = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";
    write(&source.join("pyproject.toml"), build)?;
    write(&source.join("backend.py"), format!("TAG = '{tag}'\n{}", include_str!("fetch/backend.py")))?;
    let tar = world.command("tar").words("--create --gzip --file").arg(index.join("beta-1.0.tar.gz"));
    tar.arg("--directory").arg(&folder).arg("beta-1.0").run().map(drop)
}

fn text(constraints: &str) -> String {
    recipe(&[("pypi.requirements", "['alpha']"), ("pypi.constraints", constraints)])
}

fn project<'w>(world: &'w World, name: &str, constraints: &str) -> anyhow::Result<Project<'w>> {
    world.project(name, &text(constraints))
}

/// The command with this folder for all of pip's indexes.
fn pip(command: Invocation, index: &Path) -> Invocation {
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", index)
}

fn fetched(project: &Project<'_>) -> anyhow::Result<Vec<String>> {
    let mut wheels = names(&project.pkg().join("pypi"))?;
    wheels.retain(|name| name.ends_with(".whl"));
    wheels.sort();
    Ok(wheels)
}

/// Writes the lock that `lock` would, which needs a base besides.
fn lock(project: &Project<'_>, index: &Path) -> anyhow::Result<()> {
    let mut text =
        "version = 1\n[pypi]\npython = '3.9'\nglibc = '2.31'\nrequirements = ['alpha']\nconstraints = ['beta<2']\n"
            .to_owned();
    for file in [ALPHA, OLD] {
        let bytes = bytes(&index.join(file))?;
        let (size, sha256) = (bytes.len(), Digest::of(bytes));
        text += &format!("[[package]]\nkind = 'pypi'\nfile = '{file}'\nsize = {size}\nsha256 = '{sha256}'\n");
    }
    write(&project.path("image.lock"), text)
}
