//! The sample's base: what mmdebstrap makes of the same packages, save for a table of differences, and the same for
//! every user.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use anyhow::{Context, ensure};
use fmtk::sample;
use image_name::ImageRef;
use oci_image::{Platform, UnpackError, is_within, open_layout, read_layer};

use super::world::World;
use crate::testbed::{Engine, Log, Snapshot, mmdebstrap};

/// Where both may differ: a path with all below it, and why.
const DIFFERENCES: [(&str, &str); 26] = [
    ("dev", "devices are the container runtime's"),
    ("etc/alternatives/awk", "update-alternatives was not run there"),
    ("etc/alternatives/rmt", "update-alternatives was not run there"),
    ("etc/apt", "mmdebstrap's own configuration"),
    ("etc/dpkg/origins/default", "base-files' script makes it"),
    ("etc/fstab", "mmdebstrap makes it"),
    ("etc/group", "base-passwd's script makes it"),
    ("etc/hostname", "the build machine's"),
    ("etc/inputrc", "readline-common's script makes it"),
    ("etc/localtime", "tzdata's script makes it"),
    ("etc/nsswitch.conf", "libc-bin's script makes it"),
    ("etc/passwd", "base-passwd's script makes it"),
    ("etc/profile", "base-files' script makes it"),
    ("etc/resolv.conf", "the build machine's"),
    ("etc/timezone", "tzdata's script makes it"),
    ("home/ma-user", "the platform's user"),
    ("proc", "mounted by the container runtime"),
    ("root", "base-files' script fills it"),
    ("sys", "mounted by the container runtime"),
    ("usr/bin/awk", "update-alternatives was not run there"),
    ("usr/bin/python", "jobs boot by this name"),
    ("usr/sbin/rmt", "update-alternatives was not run there"),
    ("usr/share", "manuals, translations and doubled time zones are left out"),
    ("var/cache/apt", "nothing is cached"),
    ("var/lib", "dpkg's database; mmdebstrap leaves it empty for unconfigured packages"),
    ("var/log", "nothing was logged"),
];

/// Below `usr/share`, only these may be missing.
const LEFT_OUT: [&str; 7] = ["doc", "info", "lintian", "locale", "man", "zoneinfo/posix", "zoneinfo/right"];

/// mmdebstrap's tree, another user's base, and dpkg inside.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let ImageRef::Layout { dir, .. } = world.base(log)? else { anyhow::bail!("the sample's base is no layout") };
    let ours = snapshot(&dir)?;
    let folder = world.folder("mmdebstrap")?;
    mmdebstrap(log, &folder)?.run()?;
    let theirs = File::open(folder.join("base.tar")).context("mmdebstrap made no archive")?;
    let theirs = Snapshot::read(theirs)?;
    let used = differences(&ours, &theirs)?;
    log.say(&format!("{} paths; they differ from mmdebstrap's in {} places of the table", ours.entries.len(), used));

    same_for_another_user(log, world, &dir)?;
    dpkg_knows(log, world)
}

fn snapshot(layout: &Path) -> anyhow::Result<Snapshot> {
    let (base, source) = open_layout(layout, Some(sample::TAG), &Platform::linux_arm64())?;
    let [layer] = &base.layers[..] else { anyhow::bail!("the base has {} layers", base.layers.len()) };
    let mut read = None;
    read_layer(&source, layer, None, |stream| {
        read = Some(Snapshot::read(stream));
        Ok::<_, UnpackError>(())
    })?;
    read.context("the layer was not read")?
}

/// How many rows of the table were needed; all must be.
fn differences(ours: &Snapshot, theirs: &Snapshot) -> anyhow::Result<usize> {
    let paths: BTreeSet<&String> = ours.entries.keys().chain(theirs.entries.keys()).collect();
    let differ = paths.into_iter().filter(|path| ours.entries.get(*path) != theirs.entries.get(*path));
    let (mut used, mut unknown) = (BTreeSet::new(), Vec::new());
    for path in differ {
        let shared = path.strip_prefix("usr/share/");
        let may = shared.is_none_or(|rest| {
            !ours.entries.contains_key(path.as_str()) && LEFT_OUT.iter().any(|folder| is_within(rest, folder))
        });
        match DIFFERENCES.iter().find(|(folder, _)| may && is_within(path, folder)) {
            Some((folder, _)) => drop(used.insert(*folder)),
            None => unknown.push(format!(
                "{path}: {:?}\n      mmdebstrap: {:?}",
                ours.entries.get(path),
                theirs.entries.get(path)
            )),
        }
    }
    ensure!(unknown.is_empty(), "{} paths differ from mmdebstrap's:\n    {}", unknown.len(), unknown.join("\n    "));
    let idle: Vec<&str> = DIFFERENCES.iter().map(|(path, _)| *path).filter(|path| !used.contains(path)).collect();
    ensure!(idle.is_empty(), "rows of the table that no path needs: {idle:?}");
    Ok(used.len())
}

/// Another user, umask, time zone and folder: the same layout, byte for byte.
fn same_for_another_user(log: &Log, world: &World, dir: &Path) -> anyhow::Result<()> {
    const NOBODY: u32 = 65534;
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
    let folder = folder.context("no temporary folder")?;
    let (program, recipe, store) =
        (folder.path().join("xtask"), folder.path().join("image.toml"), folder.path().join("store"));
    fs::copy(world.program(), &program).context("failed to copy the program")?;
    fs::write(&recipe, "").context("failed to write a recipe")?;
    fs::create_dir(&store).context("failed to create a folder")?;
    chown(&store, Some(NOBODY), Some(NOBODY)).context("failed to give a folder away")?;
    let image = log.command(&program).arg("--store").arg(&store).under_umask("0077");
    let image =
        image.args(["image", "--sample", "--dry-run", "--set", "pypi.requirements=[]", "--recipe"]).arg(&recipe);
    let image = image.arg("--pkg").arg(folder.path().join("pkg")).dir(folder.path()).env("TZ", "Asia/Shanghai");
    let ids = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"].map(std::ffi::OsStr::new);
    image.env("HOME", "/nonexistent").under("setpriv", &ids).run()?;
    let made = fs::read_dir(store.join("samples")).context("no base was made")?.next().context("no base was made")?;
    let index = |dir: &Path| fs::read(dir.join("index.json")).context("a layout has no index");
    ensure!(index(&made?.path())? == index(dir)?, "another user's base has another digest");
    log.say("another user makes the same base");
    Ok(())
}

/// dpkg itself, in a container of the image, knows every package and misses no file but those left out.
fn dpkg_knows(log: &Log, world: &World) -> anyhow::Result<()> {
    let image = world.pushed(log)?;
    let podman = world.podman(log)?;
    podman.pull(log, &image, &world.login_folder())?;
    let packages = sample::PackageSet::pinned()?.packages;
    let installed =
        podman.run(log, &image, &[], &["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n"])?;
    for package in &packages {
        let line = format!("ii  {} {}", package.name, package.version);
        ensure!(installed.stdout.lines().any(|found| found == line), "no line `{line}`: {}", installed.unexpected());
    }
    ensure!(installed.stdout.lines().count() == packages.len(), installed.unexpected());
    let audit = podman.run(log, &image, &[], &["dpkg", "--audit"])?;
    ensure!(audit.status.success() && audit.text().is_empty(), audit.unexpected());
    let verified = podman.run(log, &image, &[], &["dpkg", "--verify"])?;
    let is_left_out = |line: &&str| {
        let shared = line.split_once(" /usr/share/");
        shared.is_some_and(|(_, rest)| LEFT_OUT.iter().any(|folder| rest.starts_with(folder)))
    };
    let wrong: Vec<&str> = verified.stdout.lines().filter(|line| !is_left_out(line)).collect();
    ensure!(wrong.is_empty(), "dpkg --verify: {wrong:?}");
    log.say(&format!("dpkg knows {} packages and misses no file", packages.len()));
    Ok(())
}
