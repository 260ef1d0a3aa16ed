//! The image in docker and podman: pulled, run for arm64, and the base inside it as it was.

use anyhow::{Context, ensure};

use super::world::World;
use crate::testbed::Engine;

/// An engine pulls and runs the image.
pub fn runs(world: &World, engine: &dyn Engine) -> anyhow::Result<()> {
    let image = world.pulled(engine)?;
    let printed = |program: &[&str]| engine.printed(&image, program);
    let machine = printed(&["uname", "-m"])?;
    ensure!(machine == "aarch64", "it runs on `{machine}`");
    let mindpet = printed(&["python3", "-c", "import mindpet; print(mindpet.__file__)"])?;
    ensure!(mindpet.ends_with("mindpet/__init__.py"), "mindpet is `{mindpet}`");
    world.say("imported mindpet");

    // Without CANN it cannot go further; that it goes so far proves Python, architecture and wheels.
    let mindspore = engine.container(&image, &[], &["python3", "-c", "import mindspore"])?.finish()?;
    ensure!(!mindspore.status.success(), "MindSpore was imported without CANN");
    mindspore.says(&["ImportError: libge_runner.so"])?;
    world.say("imported mindspore, as far as CANN's first library");

    let help = printed(&["mindpet", "--help"])?;
    ensure!(help.contains("finetune"), "`mindpet --help` says {help}");
    for program in ["fmtk-launch", "fmk-patch"] {
        let version = printed(&[program, "--version"])?;
        ensure!(version.contains(program), "`{program} --version` says {version}");
    }
    let user = printed(&["id", "-un"])?;
    ensure!(user == "ma-user", "it runs as `{user}`");
    let home = printed(&["sh", "-c", "cd && pwd && touch a && mkdir b && rm -r a b && touch /tmp/c"])?;
    ensure!(home == "/home/ma-user", "its home is `{home}`");
    Ok(())
}

/// An engine sees the base as it was.
pub fn base_untouched(world: &World, engine: &dyn Engine) -> anyhow::Result<()> {
    let (image, base) = (world.pulled(engine)?, world.base_image()?);
    engine.pull(&base, &world.login_folder())?;
    let (before, after) = (engine.files(&base)?, engine.files(&image)?);
    for (path, mode, owner) in [("home/ma-user", 0o750, (1000, 100)), ("tmp", 0o1777, (0, 0)), ("root", 0o700, (0, 0))]
    {
        let entry = before.entries.get(path).with_context(|| format!("the base has no `/{path}`"))?;
        ensure!((entry.mode, entry.owner) == (mode, owner), "the base's `/{path}` is not what a real base has");
    }
    let changed = before.differences(&after).filter(|one| one.here.is_some());
    let changed: Vec<String> = changed.map(|one| one.to_string()).collect();
    ensure!(changed.is_empty(), "{} paths of the base changed:\n    {}", changed.len(), changed.join("\n    "));
    world.say(format!("{} paths of the base are as they were, of {}", before.entries.len(), after.entries.len()));
    Ok(())
}
