//! The sample's base: what mmdebstrap makes of the same packages, save for a table of differences, and the same for
//! every user.

use std::{
    collections::BTreeSet,
    fs::{File, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use anyhow::{Context, ensure};
use fmtk::sample;
use oci_image::is_within;

use super::world::World;
use crate::testbed::{Engine, Snapshot, bytes, field, folder, layer_files, list, manifest, mmdebstrap, paths, write};

/// Where both may differ: a path with all below it, and why.
const DIFFERENCES: &str = include_str!("../../data/base_differences.txt");

/// Below `usr/share`, only these may be missing.
const LEFT_OUT: [&str; 7] = ["doc", "info", "lintian", "locale", "man", "zoneinfo/posix", "zoneinfo/right"];

/// mmdebstrap's tree, another user's base, and dpkg inside.
pub fn run(world: &World) -> anyhow::Result<()> {
    let layout = world.base_layout()?;
    let manifest = manifest(&layout)?;
    let [layer] = &list(&manifest, "layers")?[..] else { anyhow::bail!("the base has several layers: {manifest}") };
    let ours = layer_files(&world.log, &layout, field(layer, "digest")?)?;
    let folder = world.folder("mmdebstrap")?;
    mmdebstrap(&world.log, &folder)?.run()?;
    let theirs = File::open(folder.join("base.tar")).context("mmdebstrap made no archive")?;
    let used = differences(&ours, &Snapshot::read(theirs)?)?;
    world.say(format!("{} paths; they differ from mmdebstrap's in {used} places of the table", ours.entries.len()));

    same_for_another_user(world, &layout)?;
    dpkg_knows(world)
}

/// How many rows of the table were needed; all must be.
fn differences(ours: &Snapshot, theirs: &Snapshot) -> anyhow::Result<usize> {
    let folders: Vec<&str> = DIFFERENCES.lines().filter_map(|row| Some(row.split_once(": ")?.0)).collect();
    let (mut used, mut unknown) = (BTreeSet::new(), Vec::new());
    for one in ours.differences(theirs) {
        let shared = one.path.strip_prefix("usr/share/");
        let may = shared.is_none_or(|rest| one.here.is_none() && LEFT_OUT.iter().any(|folder| is_within(rest, folder)));
        match folders.iter().find(|folder| may && is_within(one.path, folder)) {
            Some(folder) => drop(used.insert(*folder)),
            None => unknown.push(format!("ours and mmdebstrap's {one}")),
        }
    }
    ensure!(unknown.is_empty(), "{} paths differ from mmdebstrap's:\n    {}", unknown.len(), unknown.join("\n    "));
    let idle: Vec<&&str> = folders.iter().filter(|folder| !used.contains(*folder)).collect();
    ensure!(idle.is_empty(), "rows of the table that no path needs: {idle:?}");
    Ok(used.len())
}

/// Another user, umask, time zone and folder: the same layout, byte for byte.
fn same_for_another_user(world: &World, layout: &Path) -> anyhow::Result<()> {
    const NOBODY: u32 = 65534;
    let place = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
    let place = place.context("no temporary folder")?;
    let [program, recipe, store, pkg] = ["xtask", "image.toml", "store", "pkg"].map(|name| place.path().join(name));
    // By a process of its own, as a script is written.
    world.command("cp").args([&world.program, &program]).run()?;
    write(&recipe, "")?;
    folder(&store)?;
    chown(&store, Some(NOBODY), Some(NOBODY)).context("failed to give a folder away")?;
    let image = world.command(&program).arg("--store").arg(&store).under_umask("0077");
    let image = image.words("image --sample --dry-run --set pypi.requirements=[] --recipe").arg(&recipe);
    let image = image.arg("--pkg").arg(&pkg).dir(place.path()).env("TZ", "Asia/Shanghai").env("HOME", "/nonexistent");
    image.under("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).run()?;
    let [made] = &paths(&store.join("samples"))?[..] else { anyhow::bail!("not one base was made") };
    let is_same = bytes(&made.join("index.json"))? == bytes(&layout.join("index.json"))?;
    ensure!(is_same, "another user's base has another digest");
    world.say("another user makes the same base");
    Ok(())
}

/// dpkg itself, in a container of the image, knows every package and misses no file but those left out.
fn dpkg_knows(world: &World) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let image = world.pulled(podman)?;
    let packages = sample::BULLSEYE.packages()?.packages;
    let format = "${db:Status-Abbrev} ${Package} ${Version}\n";
    let installed = podman.printed(&image, &["dpkg-query", "-W", "-f", format])?;
    for package in &packages {
        let line = format!("ii  {} {}", package.name, package.version);
        ensure!(installed.lines().any(|found| found == line), "no line `{line}`:\n{installed}");
    }
    ensure!(installed.lines().count() == packages.len(), "dpkg knows more:\n{installed}");
    let audit = podman.printed(&image, &["dpkg", "--audit"])?;
    ensure!(audit.is_empty(), "dpkg --audit: {audit}");
    let verified = podman.container(&image, &[], &["dpkg", "--verify"])?.finish()?;
    let is_left_out = |line: &&str| {
        let shared = line.split_once(" /usr/share/");
        shared.is_some_and(|(_, rest)| LEFT_OUT.iter().any(|folder| rest.starts_with(folder)))
    };
    let wrong: Vec<&str> = verified.stdout.lines().filter(|line| !is_left_out(line)).collect();
    ensure!(wrong.is_empty(), "dpkg --verify: {wrong:?}");
    world.say(format!("dpkg knows {} packages and misses no file", packages.len()));
    Ok(())
}
