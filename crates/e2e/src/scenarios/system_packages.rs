//! `[system]`: a real wheel that needs C++ upon a real Debian that has none, with the package from Debian's archive.

use std::fs;

use anyhow::{Context, ensure};
use fmtk::{
    sample::{self, BOOKWORM, PackageSet},
    terminal::progress::Progress,
};
use image_name::Digest;
use oci_image::Store;

use super::world::{Built, Project, TIMESTAMP, World};
use crate::testbed::{Engine, bytes, names, write};

/// A tokenizer in C++.
const WHEEL: &str = "sentencepiece==0.2.0";
const PACKAGE: &str = "libstdc++6";

pub fn run(world: &World) -> anyhow::Result<()> {
    let store = Store::open(&world.store).context("no shared store")?;
    let PackageSet { suite, roots, mut packages } = BOOKWORM.packages()?;
    packages.retain(|package| package.name != PACKAGE);
    let base = sample::ensure_base_of(&store, PackageSet { suite, roots, packages }, &Progress::new(true))?.to_string();
    let settings = |system: &str| {
        let own = BOOKWORM.recipe().join("\n").replace('=', " = \"").replace('\n', "\"\n");
        format!(
            "bytecode = \"off\"\nscripts = \"keep\"\n{own}\"\nversions.cann = \"none\"\nversions.mindspore = \"2.7.1\"\n\
             packages.cann.required = false\n\
             packages.moxing.required = false\npackages.tuning-kit.required = false\nbase.reference = \"{base}\"\n\
             pypi.requirements = [\"{WHEEL}\"]\npypi.constraints = []\nlaunch.front = false\nsystem.packages = {system}\n"
        )
    };
    let project = world.project("system-packages", &settings("[]"))?;
    project.command("fetch").run()?;
    let image = || project.command("image").args(["--timestamp", TIMESTAMP]);
    image().fails(2)?.says(&["needs `libstdc++.so.6`", &format!("--set 'system.packages=[\"{PACKAGE}\"]'")])?;

    write(&project.path("image.toml"), settings(&format!("[\"{PACKAGE}\"]")))?;
    image().fails(2)?.says(&[&format!("`{PACKAGE}` of `system.packages` not fetched"), "cargo xtask fetch"])?;
    project
        .command("fetch")
        .run()?
        .says(&["reading the index of Debian bookworm", "fetched 1 package of Debian bookworm"])?;
    // Neither a mirror nor an index.
    let offline = || project.command("fetch").env("PIP_NO_INDEX", "1").env("HTTP_PROXY", "http://127.0.0.1:9");
    offline().run()?.says(&["everything is already in", "1 package of Debian bookworm"])?;
    project.command("lock").run()?;
    let lock = bytes(&project.path("image.lock"))?;
    ensure!(String::from_utf8_lossy(&lock).contains("kind = \"system\""), "the lock does not pin the package");
    let built = Built::by(image())?;
    world.say(format!("{PACKAGE} is a layer of {}", built.tag));
    in_container(world, &project, &built)?;
    same_elsewhere(&project, &built)?;
    pinned(&project)
}

/// The module loads without ld.so's cache of the new library; dpkg has the package as one that it installed itself.
fn in_container(world: &World, project: &Project<'_>, built: &Built) -> anyhow::Result<()> {
    let archive = project.path("image.tar");
    project
        .command("image")
        .args(["--timestamp", TIMESTAMP, "--output"])
        .arg(format!("docker-archive:{}", archive.display()))
        .run()?;
    let podman = world.podman()?;
    let name = podman.load(&archive)?;
    ensure!(name.ends_with(&built.tag), "another image was loaded: {name}");
    let import = "import sentencepiece; print(sentencepiece.__version__)";
    let version = podman.printed(&name, &["/usr/bin/python3", "-c", import])?;
    ensure!(WHEEL.ends_with(version.trim()), "sentencepiece {version}");
    let status = podman.printed(&name, &["dpkg", "-s", PACKAGE])?;
    ensure!(status.contains("\nStatus: install ok installed\n"), "dpkg -s: {status}");
    let owner = podman.printed(&name, &["dpkg", "-S", "/usr/lib/aarch64-linux-gnu/libstdc++.so.6"])?;
    ensure!(owner.starts_with(&format!("{PACKAGE}:arm64:")), "dpkg -S: {owner}");
    let audit = podman.printed(&name, &["dpkg", "--audit"])?;
    ensure!(audit.is_empty(), "dpkg --audit: {audit}");
    // Documents are left out; all else has the digest that the package says.
    let verified = podman.container(&name, &[], &["dpkg", "--verify", PACKAGE])?.finish()?;
    let wrong: Vec<&str> = verified.stdout.lines().filter(|line| !line.contains("/usr/share/doc/")).collect();
    ensure!(wrong.is_empty(), "dpkg --verify: {wrong:?}");
    // A cache that was made before the library came, as that of a base with `ldconfig`, does not hide it.
    let stale = "cd /usr/lib/aarch64-linux-gnu && mkdir /tmp/c && mv libstdc++.so.6* /tmp/c && /sbin/ldconfig && \
                 mv /tmp/c/* . && ! /sbin/ldconfig -p | grep libstdc++ && /usr/bin/python3 -c 'import sentencepiece'";
    podman.container(&name, &["--user", "0"], &["/bin/sh", "-c", stale])?.run()?;
    podman.command().args(["rmi", &name]).run().map(drop)
}

/// Another store makes the same image of the same files.
fn same_elsewhere(project: &Project<'_>, built: &Built) -> anyhow::Result<()> {
    let other = project.with_store("other");
    let again = Built::by(other.command("image").args(["--timestamp", TIMESTAMP]))?;
    fs::remove_dir_all(&other.store).context("no other store")?;
    ensure!(again == *built, "another store makes another image");
    Ok(())
}

/// A file that is not the one of the lock is refused, and a fetch brings that back.
fn pinned(project: &Project<'_>) -> anyhow::Result<()> {
    let folder = project.pkg().join("system");
    let deb = names(&folder)?.into_iter().find(|name| name.ends_with(".deb")).context("no package was fetched")?;
    write(&folder.join(&deb), "another")?;
    let image = || project.command("image").args(["--timestamp", TIMESTAMP]);
    image().fails(2)?.says(&["gone or changed", &deb])?;
    project.command("fetch").run()?.says(&["fetched 1 package"])?;
    // As if another was fetched before the lock came.
    let record = folder.join("fetched.json");
    let mut fetched: serde_json::Value = serde_json::from_slice(&bytes(&record)?)?;
    fetched["files"][&deb] = serde_json::json!({"size": 7, "sha256": Digest::of("another")});
    write(&record, fetched.to_string())?;
    write(&folder.join(&deb), "another")?;
    image().fails(2)?.says(&["image.lock", "to fetch the pinned packages, run `cargo xtask fetch"])?;
    project.command("fetch").run()?.says(&["fetched 1 package"])?;
    image().run()?;
    Ok(())
}
