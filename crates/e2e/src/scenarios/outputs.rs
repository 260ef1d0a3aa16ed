//! Ways out of the store that are no registry.

use anyhow::{Context, ensure};

use super::world::World;
use crate::testbed::{Containerd, Engine, field};

/// An OCI layout that skopeo, umoci and containerd read, a docker archive that docker loads, and `--load`.
pub fn run(world: &World) -> anyhow::Result<()> {
    let (docker, folder) = (world.docker()?, world.folder("outputs")?);
    let layout = format!("oci:{}", folder.join("layout").display());
    let archive = folder.join("image.tar");
    let outputs = ["--output".to_owned(), layout.clone(), "--output".to_owned()];
    let build = world.sample(&world.store)?.args(outputs);
    let built = world.is_the_sample(build.arg(format!("docker-archive:{}", archive.display())))?.json()?;

    let tagged = format!("{layout}:{}", world.image()?.tag);
    let found = world.command("skopeo").args(["inspect", &tagged]).run()?.json()?;
    let (found, said) = (field(&found, "Digest")?, field(&built, "layout_digest")?);
    ensure!(found == said, "the layout's manifest is {found}, `image` said {said}");
    let bundle = folder.join("bundle");
    let unpack = world.command("umoci").args(["unpack", "--rootless", "--image", tagged.trim_start_matches("oci:")]);
    unpack.arg(&bundle).run()?;
    ensure!(bundle.join("rootfs/usr/local/bin/fmtk-launch").is_file(), "umoci unpacked no launcher");

    let containerd = Containerd::start(&world.log, &world.folder("containerd")?)?;
    let found = containerd.import(&folder.join("layout"), &world.image()?.tag)?;
    ensure!(found == said, "containerd imported {found}, `image` said {said}");

    let seen = world.command("skopeo").args(["inspect", "--config", &layout]).run()?.json()?;
    ensure!(seen["architecture"] == "arm64", "the layout is for {}", seen["architecture"]);
    let diff_ids = &seen["rootfs"]["diff_ids"];

    let name = docker.load(&archive)?;
    ensure!(name.ends_with(&format!("fmtk-ma:{}", world.image()?.tag)), "docker loaded it as `{name}`");
    let layers = docker.inspect(&name, ".RootFS.Layers")?;
    ensure!(layers == *diff_ids, "docker has other layers than the layout: {layers} instead of {diff_ids}");
    world.say(format!("docker loaded {name}"));

    docker.command().args(["rmi", "--force", &name]).run()?;
    world.sample(&world.store)?.words("--load --engine docker").env("DOCKER_HOST", docker.host()).run()?;
    docker.command().args(["image", "inspect", &name]).run().context("`--load` loaded nothing").map(drop)
}
