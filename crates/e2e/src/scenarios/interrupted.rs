//! Builds that are cut off: by ctrl-C, by a full disk. What was is as it was, and the next build finishes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

use super::world::{World, nothing_is_left};
use crate::testbed::{copy_folder, end_by, folder, names, wait_while_running};

/// SIGINT while a layer is being written.
pub fn ctrl_c(world: &World) -> anyhow::Result<()> {
    let store = with_base(world, &world.folder("ctrl-c")?)?;
    let tmp = store.join("tmp");
    let mut build = world.sample(&store)?.interruptible().spawn()?;
    // 4 MB of a layer: in the middle of MindSpore's, the first and largest by far.
    wait_while_running(&mut build, "a layer is begun", || largest(&tmp) > 4_000_000)?;
    let status = end_by(&mut build, "INT")?;
    ensure!(!status.success(), "an interrupted build says that it succeeded");
    world.say(format!("interrupted: {status}"));
    let opened = oci_image::Store::open(&store).context("the store does not open")?;
    for name in names(&store.join("blobs/sha256"))? {
        let digest = format!("sha256:{name}").parse().with_context(|| format!("a blob called `{name}`"))?;
        opened.read_blob(&digest, u64::MAX - 1).with_context(|| format!("a blob was left half-written: `{name}`"))?;
    }

    // What was written within the last minute is let be, in case someone is just about to lock it.
    for name in names(&tmp)? {
        world.command("touch").args(["-d", "1 hour ago"]).arg(tmp.join(name)).run()?;
    }
    world.is_the_sample(world.sample(&store)?)?;
    nothing_is_left(&store)
}

/// A store on a file system with too little disk space, which then grows.
pub fn full_disk(world: &World) -> anyhow::Result<()> {
    let mount = world.folder("full-disk")?;
    let mount_with = |options: &str| world.command("mount").words("-t tmpfs -o").arg(options).arg("tmpfs").arg(&mount);
    mount_with("size=90m").run()?;
    let store = with_base(world, &mount.join("store"))?;
    let failed = world.sample(&store)?.fails(1)?;
    failed.says(&["error: failed to ", "No space left on device", "hint: free disk space", "--store DIR"])?;
    nothing_is_left(&store)?;
    world.say("the full disk was told; now it grows");
    mount_with("remount,size=1g").run()?;
    world.is_the_sample(world.sample(&store)?)?;
    nothing_is_left(&store)?;
    world.command("umount").arg(&mount).run().map(drop)
}

/// A store that has the sample's base already, so that the build comes to its layers at once.
fn with_base(world: &World, store: &Path) -> anyhow::Result<PathBuf> {
    let base = world.base_layout()?;
    oci_image::Store::open(store).with_context(|| format!("no store in `{}`", store.display()))?;
    let place = store.join(base.strip_prefix(&world.store).context("the base is not in the store")?);
    folder(place.parent().unwrap_or(store))?;
    copy_folder(&world.log, &base, &place)?;
    Ok(store.to_owned())
}

/// Length of the largest file in a folder, bytes; files come and go there.
fn largest(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).max().unwrap_or(0)
}
