//! A machine that has nothing but the recipe, its lock and one changed wheel takes all else from the image pushed last.

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};
use oci_image::Digest;
use serde_json::Value;
use wheel_fake::FakeWheel;

use super::world::{Built, Project, World};
use crate::testbed::{CANN, Invocation, NOWHERE, cann_fake, list, paths, read, recipe, write};

const ORG: &str = "cached";
const LATER: &str = "20230101000000";
/// Bytes that may go either way besides manifests, configs and the changed wheel.
const MOST: u64 = 1_000_000;

/// 3 MB that do not compress.
fn noise() -> Vec<u8> {
    (0..100_000_u32).flat_map(|number| *Digest::of(number.to_le_bytes()).as_bytes()).collect()
}

fn kit(project: &Project<'_>, version: &'static str) -> anyhow::Result<()> {
    for old in paths(&project.pkg())?.into_iter().filter(|path| path.to_string_lossy().contains("/kit-")) {
        fs::remove_file(&old).context("failed to remove the old kit")?;
    }
    FakeWheel::new("kit").version(version).file("kit/version.py", version.as_bytes()).write(&project.pkg()).map(drop)
}

/// No program of an engine is found, and none answers.
fn without_engine(build: Invocation) -> Invocation {
    build.env("DOCKER_HOST", NOWHERE).args(["--engine", "docker"])
}

fn push(project: &Project<'_>, image: &Built) -> Invocation {
    project.xtask().arg("push").arg(&image.tag).arg("--recipe").arg(project.path("image.toml"))
}

pub fn run(world: &World) -> anyhow::Result<()> {
    let (base, host) = (world.base_image()?, world.host()?);
    let text = |org: &str| {
        let settings = [
            ("versions.cann", CANN),
            ("base.reference", &base),
            ("registry.host", &host),
            ("registry.org", org),
            ("packages.large.glob", "large-*.whl"),
            ("packages.kit.glob", "kit-*.whl"),
        ];
        recipe(&settings)
    };
    let full = world.project("cache-full", &text(ORG))?;
    cann_fake(&world.log, &full.pkg())?;
    FakeWheel::new("large").file("large.bin", &noise()).write(&full.pkg())?;
    kit(&full, "1.0")?;
    let image = |project: &Project<'_>, timestamp: &str| project.command("image").args(["--timestamp", timestamp]);
    full.command("lock").run()?;
    let first = world.podman()?.as_the_users(image(&full, super::world::TIMESTAMP))?.args(["--engine", "podman"]);
    let first = Built::by(first)?;
    push(&full, &first).run()?;

    // Another kit, on a machine that has it alone.
    kit(&full, "2.0")?;
    full.command("lock").arg("--upgrade").run()?;
    let empty = world.project("cache-empty", &text(ORG))?;
    fs::copy(full.path("image.lock"), empty.path("image.lock")).context("no lock")?;
    kit(&empty, "2.0")?;
    let log = RegistryLog::now(world)?;
    let plan = without_engine(image(&empty, LATER)).args(["--dry-run"]).run()?;
    plan.prints(&[&format!("= from {host}/{ORG}/fmtk-ma:{}", first.tag)])?;
    let built = without_engine(image(&empty, LATER)).words("--format json").run()?;
    built.says(&["large 1.0", &format!("from {host}/{ORG}/fmtk-ma:{}", first.tag)])?;
    ensure!(!built.stderr.contains("inspecting the base"), "the base was streamed:\n{}", built.stderr);
    let json = built.json()?;
    let second = Built::of(&json)?;
    let pushed = push(&empty, &second).json()?;
    let (sent, received) = (pushed["bytes_sent"].as_u64().context("nothing said of bytes")?, log.blobs(&json)?);
    world.say(format!("{sent} bytes were sent and {received} received, besides manifests and configs"));
    ensure!(sent < MOST && received < MOST, "{sent} bytes sent, {received} received");
    let again = Built::by(without_engine(image(&full, LATER)))?;
    ensure!(again == second, "a full store makes {}, an empty one {}", again.digest, second.digest);

    // What is to be written needs the layers themselves.
    let archive = format!("docker-archive:{}", empty.path("image.tar").display());
    without_engine(image(&empty, LATER)).args(["--output", &archive]).run()?;
    // Another prefix for wheels makes other layers, for which the packages have to be here.
    let moved = without_engine(image(&empty, LATER)).args(["--set", "layout.owner=0:0"]).fails(2)?;
    moved.says(&["large-1.0-py3-none-any.whl` is not here", "are not in", "hint: "])?;
    without_engine(image(&empty, LATER)).arg("--no-cache-from").fails(2)?.says(&["no `large` package"])?;
    let other = format!("{host}/other/fmtk-ma:{}", first.tag);
    let refused = without_engine(image(&empty, LATER)).args(["--cache-from", &other]).fails(2)?;
    refused.says(&[&other, &format!("only from images of `{host}/{ORG}`")])?;
    let none = format!("{host}/{ORG}/fmtk-ma:none");
    // The kit's layer came from the registry too, so it is missing until it is built; then nobody is asked.
    let down = || without_engine(image(&full, LATER)).args(["--cache-from", &none, "--set", "labels.x=y"]).run();
    down()?.says(&[&format!("layers of {none} can't be taken: ")])?;
    let second = down()?;
    ensure!(!second.stderr.contains("can't be taken"), "a machine that has everything asked:\n{}", second.stderr);
    lies(world, &full)
}

/// A record that names another layer than its wheel gives is found by `verify`.
fn lies(world: &World, full: &Project<'_>) -> anyhow::Result<()> {
    let verify = |tag: &str| full.command("verify").arg(tag).env("DOCKER_HOST", NOWHERE);
    let image = |timestamp: &str| full.command("image").args(["--timestamp", timestamp]);
    let (honest, lying) = ("20230101000001", "20230101000002");
    let built = Built::by(image(honest))?;
    push(full, &built).run()?;
    verify(&built.tag).run()?.prints(&["is what the packages here give"])?;
    // The store of whoever pushes says that the large wheel became the kit's layer.
    let other = full.with_store("lying");
    world.command("cp").arg("--recursive").arg(&full.store).arg(&other.store).run()?;
    let records = paths(&other.store.join("records/wheel-layers"))?;
    let read = |path: &PathBuf| -> anyhow::Result<Value> { Ok(serde_json::from_str(&read(path)?)?) };
    let size = |value: &Value| value[0]["size"].as_u64().unwrap_or_default();
    let all = records.iter().map(|path| Ok((path, read(path)?))).collect::<anyhow::Result<Vec<_>>>()?;
    let (large, _) = all.iter().max_by_key(|(_, value)| size(value)).context("no layers")?;
    let (_, kit) = all.iter().min_by_key(|(_, value)| size(value)).context("no layers")?;
    write(large, kit.to_string())?;
    let of_liar = other.command("image").args(["--timestamp", lying]);
    let liar = Built::by(of_liar)?;
    push(&other, &liar).run()?;
    verify(&liar.tag).fails(1)?.says(&["(`large 1.0`) is sha256:"])
}

/// What the registry was asked for since.
struct RegistryLog<'w> {
    world: &'w World,
    begin: usize,
}

impl<'w> RegistryLog<'w> {
    fn now(world: &'w World) -> anyhow::Result<Self> {
        let begin = world.registry()?.logged()?.len();
        Ok(Self { world, begin })
    }

    /// Bytes of layers of this image that it gave out, by its access log: `"GET /v2/…/blobs/DIGEST HTTP/1.1" 200 BYTES`.
    fn blobs(&self, image: &Value) -> anyhow::Result<u64> {
        let text = self.world.registry()?.logged()?;
        let layers = list(image, "layers")?;
        let is_layer =
            |line: &str| layers.iter().any(|layer| line.contains(layer["blob"]["digest"].as_str().unwrap_or("?")));
        let gets = text[self.begin..].lines().filter(|line| line.contains("\"GET /v2/") && is_layer(line));
        let size = |line: &str| line.split("\" 200 ").nth(1)?.split(' ').next()?.parse::<u64>().ok();
        Ok(gets.filter_map(size).sum())
    }
}
