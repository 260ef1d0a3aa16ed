//! The same inputs give the same digest, wherever and however often they are built.

use std::os::unix::fs::symlink;

use anyhow::{Context, ensure};

use super::{
    sample_image::nothing_is_left,
    world::{Built, World},
};
use crate::testbed::Log;

/// Another store, umask, time zone, language and working folder.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let here = world.image(log)?;
    let packages = world.packages(log)?;
    let elsewhere = world.folder("elsewhere")?;
    // The same packages by another path.
    let link = elsewhere.join("packages");
    symlink(packages, &link).with_context(|| format!("failed to link `{}`", link.display()))?;
    let program = world.xtask_in(log, &elsewhere.join("store"));
    // A process can set its own umask only; a shell does it for ours.
    let there = program
        .under_umask("0077")
        .args(["image", "--sample", "--format", "json", "--timestamp", super::world::TIMESTAMP, "--pkg"])
        .arg("packages")
        .env("TZ", "Asia/Shanghai")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("LANG", "tr_TR.UTF-8")
        .dir(&elsewhere)
        .run()?;
    let there = Built::of(&there.json()?)?;
    ensure!(there == *here, "built elsewhere it is `{}`, here `{}`", there.digest, here.digest);
    log.say(&format!("{} here and there", here.digest));
    Ok(())
}

/// Two processes build into one fresh store at the same time.
pub fn two_at_once(world: &World, log: &Log) -> anyhow::Result<()> {
    let expected = world.image(log)?;
    let store = world.folder("two-at-once")?;
    let mut builds = Vec::new();
    for _ in 0..2 {
        builds.push(world.sample(log, &store)?.args(["--format", "json"]).stream()?);
    }
    for build in builds {
        let output = build.wait_with_output().context("failed to wait for a build")?;
        ensure!(output.status.success(), "one of two builds ended with {}", output.status);
        let json = serde_json::from_slice(&output.stdout).context("a build printed no JSON")?;
        ensure!(Built::of(&json)? == *expected, "one of two builds made another image: {json}");
    }
    nothing_is_left(&store)
}
