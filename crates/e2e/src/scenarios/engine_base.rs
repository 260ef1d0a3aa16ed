//! A base that docker or podman has: taken out once, the same from both, pinned, and refused where it is not what it
//! should be.

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    engines::base_image,
    sample_image::nothing_is_left,
    world::{TIMESTAMP, World},
};
use crate::testbed::{Engine, Invocation, Log, recipe};

/// A recipe of nothing but the base, and what is done with it.
struct Place<'a> {
    world: &'a World,
    folder: PathBuf,
}

impl Place<'_> {
    /// A command of ours that may ask docker and podman.
    fn command<'l>(&self, log: &'l Log, name: &str) -> anyhow::Result<Invocation<'l>> {
        let store = self.folder.join("store");
        let command = self.world.podman(log)?.as_the_users(self.world.xtask_in(log, &store).arg(name))?;
        Ok(command.env("DOCKER_HOST", self.world.docker(log)?.host()))
    }

    fn with_recipe<'l>(&self, log: &'l Log, name: &str, base: &str) -> anyhow::Result<Invocation<'l>> {
        let command = self.command(log, name)?.args(["--base", base, "--format", "json", "--pkg"]);
        Ok(command.arg(&self.folder).arg("--recipe").arg(self.folder.join("image.toml")))
    }

    fn image<'l>(&self, log: &'l Log, base: &str) -> anyhow::Result<Invocation<'l>> {
        Ok(self.with_recipe(log, "image", base)?.args(["--timestamp", TIMESTAMP]))
    }
}

/// Both engines.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let place = Place { world, folder: world.folder("engine-base")? };
    let text = recipe(&[]);
    fs::write(place.folder.join("image.toml"), text).context("failed to write a recipe")?;
    let (docker, podman) = (world.docker(log)?, world.podman(log)?);
    let name = base_image(world, log)?;
    let engines: [&dyn Engine; 2] = [docker, podman];
    for engine in engines {
        engine.pull(log, &name, &world.login_folder())?;
    }

    let by_docker = format!("docker-daemon:{name}");
    let first = place.image(log, &by_docker)?.run()?;
    first.says(&["taking", "out of docker, once"])?;
    let image = first.json()?;
    let again = place.image(log, &by_docker)?.run()?;
    ensure!(!again.stderr.contains("taking"), "the base was taken out of docker twice");
    ensure!(again.json()? == image, "the second build made another image");
    log.say(&format!("docker: {:.1} s, then {:.1} s", first.time.as_secs_f64(), again.time.as_secs_f64()));

    // The id is that of the config: what the one engine gave serves for the other's.
    let by_podman = place.image(log, &format!("podman:{name}"))?.run()?;
    ensure!(by_podman.json()?["digest"] == image["digest"], "podman's base makes another image than docker's");
    // Taken from podman itself too.
    let other = Place { world, folder: world.folder("engine-base/podman")? };
    fs::copy(place.folder.join("image.toml"), other.folder.join("image.toml")).context("failed to copy a recipe")?;
    let taken = other.image(log, &format!("podman:{name}"))?.run()?;
    taken.says(&["taking", "out of podman, once"])?;
    ensure!(taken.json()?["digest"] == image["digest"], "podman streams another image than docker");
    log.say(&format!("podman: {:.1} s", taken.time.as_secs_f64()));
    for place in [&place, &other] {
        nothing_is_left(&place.folder.join("store"))?;
    }

    // All that the image consists of is in the store: a push asks no engine.
    let push = place.command(log, "push")?.args(["--org", "engine", "--insecure", "--format", "json"]);
    let push = push.args(["--timestamp", TIMESTAMP, "--registry", &world.registry(log)?.host()]);
    let pushed = push.env("DOCKER_HOST", "unix:///nowhere").run()?.json()?;
    ensure!(pushed["digest"] == image["digest"], "`push` pushed another image: {pushed}");
    as_an_archive(&place, log, &name, &image)?;
    pinned(&place, log, &name)?;
    refused(&place, log, &name)
}

/// The same archive in a file is the same base, for `inspect` too.
fn as_an_archive(place: &Place<'_>, log: &Log, name: &str, image: &Value) -> anyhow::Result<()> {
    let archive = place.folder.join("saved.tar");
    place.world.docker(log)?.command(log).args(["save", "--output"]).arg(&archive).arg(name).run()?;
    let of_file = place.image(log, &format!("docker-archive:{}", archive.display()))?.run()?.json()?;
    ensure!(of_file["digest"] == image["digest"], "`docker save` into a file makes another image");
    let inspect = |subject: &str| place.command(log, "inspect")?.args(["--format", "json", subject]).run()?.json();
    let (of_file, of_docker) = (inspect(&archive.display().to_string())?, inspect(&format!("docker-daemon:{name}"))?);
    ensure!(of_file["digest"] == of_docker["digest"], "`inspect` tells them apart: {of_file}\n{of_docker}");
    ensure!(of_docker["architecture"] == "arm64", "`inspect` says {of_docker}");
    Ok(())
}

/// The lock knows the base by its content: another image of the same name is refused.
fn pinned(place: &Place<'_>, log: &Log, name: &str) -> anyhow::Result<()> {
    let docker = place.world.docker(log)?;
    docker.command(log).args(["tag", name, "moving:1"]).run()?;
    let recipe = place.folder.join("image.toml");
    let text = fs::read_to_string(&recipe).context("failed to read the recipe")?;
    fs::write(&recipe, format!("base.reference = \"docker-daemon:moving:1\"\n{text}")).context("failed to write")?;
    let ours = |name: &str| -> anyhow::Result<Invocation<'_>> {
        let command = place.command(log, name)?.args(["--format", "json", "--pkg"]).arg(&place.folder);
        Ok(command.arg("--recipe").arg(&recipe))
    };
    ours("lock")?.run()?;
    ours("image")?.args(["--timestamp", TIMESTAMP]).run()?;
    let well = ours("doctor")?.args(["--org", "o", "--registry", "127.0.0.1:9"]).fails(1)?.json()?;
    let state = |findings: &Value, check: &str| {
        let all = findings.as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["check"] == check).map(|one| one["state"].clone()).unwrap_or_default()
    };
    ensure!(state(&well, "base") == "good" && state(&well, "lock") == "good", "doctor says {well}");

    let created = docker.command(log).args(["create", "--network", "none", "--platform", "linux/arm64", name]).run()?;
    let container = created.text().lines().last().unwrap_or_default();
    docker.command(log).args(["commit", "--change", "LABEL a=b", container, "moving:1"]).run()?;
    docker.command(log).args(["rm", container]).run()?;
    ours("image")?.args(["--timestamp", TIMESTAMP]).fails(2)?.says(&["moving:1", "sha256:", "cargo xtask lock"])?;
    fs::remove_file(place.folder.join("image.lock")).context("no lock was written")?;
    Ok(())
}

/// No engine, no such image, one for another machine.
fn refused(place: &Place<'_>, log: &Log, name: &str) -> anyhow::Result<()> {
    let by_docker = format!("docker-daemon:{name}");
    let gone = place.image(log, &by_docker)?.env("DOCKER_HOST", "unix:///nowhere").fails(1)?;
    gone.says(&["docker does not answer", "systemctl start docker", "podman:"])?;
    for engine in ["docker", "podman"] {
        let scheme = if engine == "docker" { "docker-daemon" } else { engine };
        let missing = place.image(log, &format!("{scheme}:localhost/none:1"))?.fails(2)?;
        missing.says(&[&format!("{engine} has no image `localhost/none:1`"), &format!("`{engine} images`")])?;
    }
    let empty = place.folder.join("empty.tar");
    fs::write(&empty, [0; 10240]).context("failed to write an archive")?;
    place.world.docker(log)?.command(log).arg("import").arg(&empty).arg("host:1").run()?;
    let foreign = place.image(log, "docker-daemon:host:1")?;
    if cfg!(target_arch = "aarch64") {
        return Ok(());
    }
    foreign.fails(2)?.says(&["is for linux/amd64, not for linux/arm64", "pull --platform linux/arm64"])
}
