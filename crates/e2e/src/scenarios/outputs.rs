//! Ways out of the store that are no registry.

use anyhow::{Context, ensure};

use super::world::{Built, World};
use crate::testbed::{Engine, Log};

/// An OCI layout that skopeo reads, a docker archive that docker loads, and `--load`.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let image = world.image(log)?;
    let folder = world.folder("outputs")?;
    let layout = format!("oci:{}", folder.join("layout").display());
    let archive = folder.join("image.tar");
    let built = world
        .sample(log, world.store())?
        .args(["--format", "json", "--output", &layout, "--output"])
        .arg(format!("docker-archive:{}", archive.display()))
        .run()?;
    ensure!(Built::of(&built.json()?)? == *image, "an output changed the image");

    let seen = log.command("skopeo").args(["inspect", "--config", &layout]).run()?.json()?;
    ensure!(seen["architecture"] == "arm64", "the layout is for {}", seen["architecture"]);
    let diff_ids = seen["rootfs"]["diff_ids"].clone();

    let docker = world.docker(log)?;
    let loaded = docker.command(log).args(["load", "--input"]).arg(&archive).run()?;
    let name = loaded.stdout.lines().find_map(|line| line.strip_prefix("Loaded image: "));
    let name = name.context("docker loaded no image with a name")?.trim().to_owned();
    ensure!(name.ends_with(&format!("fmtk-ma:{}", image.tag)), "docker loaded it as `{name}`");
    let layers = docker.command(log).args(["image", "inspect", "--format", "{{json .RootFS.Layers}}", &name]).run()?;
    let layers = layers.json()?;
    ensure!(layers == diff_ids, "docker has other layers than the layout: {layers} instead of {diff_ids}");
    log.say(&format!("docker loaded {name}"));

    docker.command(log).args(["rmi", "--force", &name]).run()?;
    world.sample(log, world.store())?.args(["--load", "--engine", "docker"]).env("DOCKER_HOST", docker.host()).run()?;
    docker.command(log).args(["image", "inspect", &name]).run().context("`--load` loaded nothing")?;
    Ok(())
}
