//! The same inputs give the same digest, wherever and however often they are built.

use std::os::unix::fs::symlink;

use anyhow::{Context, ensure};

use super::world::{Built, TIMESTAMP, World, nothing_is_left};

/// Another store, umask, time zone, language and working folder.
pub fn run(world: &World) -> anyhow::Result<()> {
    let elsewhere = world.folder("elsewhere")?;
    // The same packages by another path.
    symlink(world.packages()?, elsewhere.join("packages")).context("failed to link the packages")?;
    // A process can set its own umask only; a shell does it for ours.
    let there = world.xtask_in(&elsewhere.join("store")).under_umask("0077");
    let there = there
        .args(["image", "--sample", "--timestamp", TIMESTAMP, "--pkg", "packages", "--set", "bytecode=off"])
        .dir(&elsewhere);
    let there = there.env("TZ", "Asia/Shanghai").env("LC_ALL", "tr_TR.UTF-8").env("LANG", "tr_TR.UTF-8");
    world.is_the_sample(there)?;
    world.say(format!("{} here and there", world.image()?.digest));
    Ok(())
}

/// Two processes build into one fresh store at the same time.
pub fn two_at_once(world: &World) -> anyhow::Result<()> {
    let expected = world.image()?;
    let store = world.folder("two-at-once")?;
    let build = || world.sample(&store)?.words("--format json").stream();
    for build in [build()?, build()?] {
        let output = build.wait_with_output().context("failed to wait for a build")?;
        ensure!(output.status.success(), "one of two builds ended with {}", output.status);
        let json = serde_json::from_slice(&output.stdout).context("a build printed no JSON")?;
        ensure!(Built::of(&json)? == *expected, "one of two builds made another image: {json}");
    }
    nothing_is_left(&store)
}
