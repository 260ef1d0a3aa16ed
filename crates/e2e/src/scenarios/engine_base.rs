//! A base that docker or podman has: taken out once, the same from both, pinned, and refused where it is not what it
//! should be.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    doctor_fix::state,
    world::{Project, TIMESTAMP, World, nothing_is_left},
};
use crate::testbed::{Engine, Invocation, NOWHERE, recipe, write};

/// A recipe of nothing but the base, and commands that may ask docker and podman.
struct Bed<'w> {
    world: &'w World,
    project: Project<'w>,
    name: String,
}

impl Bed<'_> {
    fn asking(&self, command: Invocation) -> anyhow::Result<Invocation> {
        Ok(self.world.podman()?.as_the_users(command)?.env("DOCKER_HOST", self.world.docker()?.host()))
    }

    fn image(&self, base: &str) -> anyhow::Result<Invocation> {
        self.asking(self.project.image(base).words("--format json"))
    }
}

pub fn run(world: &World) -> anyhow::Result<()> {
    let bed = Bed { world, project: world.project("engine-base", &recipe(&[]))?, name: world.base_image()? };
    let (docker, podman) = (world.docker()?, world.podman()?);
    docker.pull(&bed.name, &world.login_folder())?;
    podman.pull(&bed.name, &world.login_folder())?;

    let by_docker = format!("docker-daemon:{}", bed.name);
    let first = bed.image(&by_docker)?.run()?;
    first.says(&["copying `", "out of docker, once"])?;
    let image = first.json()?;
    let again = bed.image(&by_docker)?.run()?;
    ensure!(!again.stderr.contains("out of docker, once"), "the base was copied out of docker twice");
    ensure!(again.json()? == image, "the second build made another image");
    world.say(format!("docker: {:.1} s, then {:.1} s", first.seconds, again.seconds));

    // The id is that of the config: what the one engine gave serves for the other's.
    let by_podman = format!("podman:{}", bed.name);
    let other = bed.image(&by_podman)?.run()?.json()?;
    ensure!(other["digest"] == image["digest"], "podman's base makes another image than docker's");
    // Taken from podman itself too.
    let other = bed.project.with_store("other");
    let taken = bed.asking(other.image(&by_podman).words("--format json"))?.run()?;
    taken.says(&["copying `", "out of podman, once"])?;
    ensure!(taken.json()?["digest"] == image["digest"], "podman streams another image than docker");
    world.say(format!("podman: {:.1} s", taken.seconds));
    nothing_is_left(&bed.project.store)?;
    nothing_is_left(&other.store)?;

    // All that the image consists of is in the store: a push asks no engine.
    let push = world.push_to(&bed.project.store, "engine", world.host()?).arg("--insecure");
    let pushed = push.env("DOCKER_HOST", NOWHERE).json()?;
    ensure!(pushed["digest"] == image["digest"], "`push` pushed another image: {pushed}");
    as_an_archive(&bed, &image)?;
    pinned(&bed)?;
    refused(&bed)
}

/// The same archive in a file is the same base, for `inspect` too.
fn as_an_archive(bed: &Bed<'_>, image: &Value) -> anyhow::Result<()> {
    let archive = bed.project.path("saved.tar");
    bed.world.docker()?.command().words("save --output").arg(&archive).arg(&bed.name).run()?;
    let of_file = bed.image(&format!("docker-archive:{}", archive.display()))?.run()?.json()?;
    ensure!(of_file["digest"] == image["digest"], "`docker save` into a file makes another image");
    let inspect = |subject: &str| bed.asking(bed.project.xtask().args(["inspect", subject]))?.json();
    let of_file = inspect(&archive.display().to_string())?;
    let of_docker = inspect(&format!("docker-daemon:{}", bed.name))?;
    ensure!(of_file["digest"] == of_docker["digest"], "`inspect` tells them apart: {of_file}\n{of_docker}");
    ensure!(of_docker["architecture"] == "arm64", "`inspect` says {of_docker}");
    Ok(())
}

/// The lock knows the base by its content: another image of the same name is refused.
fn pinned(bed: &Bed<'_>) -> anyhow::Result<()> {
    let docker = bed.world.docker()?;
    docker.command().args(["tag", &bed.name, "moving:1"]).run()?;
    write(&bed.project.path("image.toml"), recipe(&[("base.reference", "docker-daemon:moving:1")]))?;
    let ours = |name: &str| bed.asking(bed.project.command(name).words("--format json"));
    let image = || anyhow::Ok(ours("image")?.args(["--timestamp", TIMESTAMP]));
    ours("lock")?.run()?;
    image()?.run()?;
    let well = ours("doctor")?.words("--org o --registry 127.0.0.1:9").fails(1)?.json()?;
    ensure!(state(&well, "base")? == "good" && state(&well, "lock")? == "good", "doctor says {well}");

    let container = docker.create(&bed.name)?;
    docker.command().args(["commit", "--change", "LABEL a=b", &container, "moving:1"]).run()?;
    docker.command().args(["rm", &container]).run()?;
    image()?.fails(2)?.says(&["moving:1", "sha256:", "cargo xtask lock"])?;
    fs::remove_file(bed.project.path("image.lock")).context("no lock was written")
}

/// No engine, no such image, one for another machine.
fn refused(bed: &Bed<'_>) -> anyhow::Result<()> {
    let gone = bed.image(&format!("docker-daemon:{}", bed.name))?.env("DOCKER_HOST", NOWHERE).fails(1)?;
    gone.says(&["docker does not answer", "systemctl start docker", "podman:"])?;
    for (engine, scheme) in [("docker", "docker-daemon"), ("podman", "podman")] {
        let missing = bed.image(&format!("{scheme}:localhost/none:1"))?.fails(2)?;
        missing.says(&[&format!("{engine} has no image `localhost/none:1`"), &format!("`{engine} images`")])?;
    }
    let empty = bed.project.path("empty.tar");
    write(&empty, [0; 10240])?;
    bed.world.docker()?.command().arg("import").arg(&empty).arg("host:1").run()?;
    if cfg!(target_arch = "aarch64") {
        return Ok(());
    }
    let foreign = bed.image("docker-daemon:host:1")?.fails(2)?;
    foreign.says(&["is for linux/amd64, not for linux/arm64", "pull --platform linux/arm64"])
}
