//! Builds that are cut off: by ctrl-C, by a full disk. What was is as it was, and the next build finishes.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use image_name::ImageRef;

use super::{
    sample_image::{files, nothing_is_left},
    world::{Built, World},
};
use crate::testbed::Log;

/// SIGINT while a layer is being written.
pub fn ctrl_c(world: &World, log: &Log) -> anyhow::Result<()> {
    let expected = world.image(log)?;
    let store = with_base(world, log, &world.folder("ctrl-c")?)?;
    // Whoever starts us in the background of a script may have had SIGINT ignored, which is inherited.
    let plain = [OsStr::new("--default-signal=INT")];
    let mut build = world.sample(log, &store)?.under("env", &plain).spawn()?;
    let begin = Instant::now();
    // 4 MB of a layer: in the middle of MindSpore's, the first and largest by far.
    while largest(&store.join("tmp")) < 4_000_000 {
        if let Some(status) = build.try_wait().context("failed to look after the build")? {
            bail!("the build ended with {status} before it could be interrupted");
        }
        ensure!(begin.elapsed() < Duration::from_secs(60), "no layer was begun in 60 s");
        std::thread::yield_now();
    }
    log.command("kill").args(["-INT", &build.id().to_string()]).run()?;
    let status = build.wait().context("failed to wait for the build")?;
    ensure!(!status.success(), "an interrupted build says that it succeeded");
    log.say(&format!("interrupted after {:.2} s: {status}", begin.elapsed().as_secs_f64()));
    let opened = oci_image::Store::open(&store).context("the store does not open")?;
    for name in files(&store.join("blobs/sha256"))?.keys() {
        let digest = format!("sha256:{name}").parse().with_context(|| format!("a blob called `{name}`"))?;
        opened.read_blob(&digest, u64::MAX - 1).with_context(|| format!("a blob was left half-written: `{name}`"))?;
    }

    // What was written within the last minute is let be, in case someone is just about to lock it.
    for name in files(&store.join("tmp"))?.keys() {
        log.command("touch").args(["-d", "1 hour ago"]).arg(store.join("tmp").join(name)).run()?;
    }
    let built = world.sample(log, &store)?.args(["--format", "json"]).run()?;
    ensure!(Built::of(&built.json()?)? == *expected, "the build after the interrupted one made another image");
    nothing_is_left(&store)
}

/// A store on a file system with too little room, which then grows.
pub fn full_disk(world: &World, log: &Log) -> anyhow::Result<()> {
    let expected = world.image(log)?;
    let mount = world.folder("full-disk")?;
    log.command("mount").args(["-t", "tmpfs", "-o", "size=90m", "tmpfs"]).arg(&mount).run()?;
    let store = with_base(world, log, &mount.join("store"))?;
    let failed = world.sample(log, &store)?.fails(1)?;
    failed.says(&["error: failed to ", "No space left on device", "hint: make disk space", "--store DIR"])?;
    nothing_is_left(&store)?;
    log.say("the full disk was told; now it grows");
    log.command("mount").args(["-o", "remount,size=1g"]).arg(&mount).run()?;
    let built = world.sample(log, &store)?.args(["--format", "json"]).run()?;
    ensure!(Built::of(&built.json()?)? == *expected, "the build after the failed one made another image");
    nothing_is_left(&store)?;
    log.command("umount").arg(&mount).run()?;
    Ok(())
}

/// A store that has the sample's base already, so that the build comes to its layers at once.
fn with_base(world: &World, log: &Log, folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let base = world.base(log)?;
    let ImageRef::Layout { dir, .. } = &base else { bail!("`{}` is no layout", base) };
    oci_image::Store::open(folder).with_context(|| format!("no store in `{}`", folder.display()))?;
    let from = dir.strip_prefix(world.store()).context("the base is not in the store")?;
    copy(dir, &folder.join(from))?;
    Ok(folder.to_owned())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let failed = || format!("failed to copy `{}`", from.display());
    fs::create_dir_all(to).with_context(failed)?;
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(failed)?;
        }
    }
    Ok(())
}

/// Length of the largest file in a folder, bytes; files come and go there.
fn largest(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).max().unwrap_or(0)
}
