//! The readers of the world's languages on one spliced layer: each must read it whole.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use fmtk::resolve::place;

use super::world::World;
use crate::testbed::{Engine, blob, data, described, field, list, read_json};

/// gunzip, unpigz, Python, Java and, by docker, Go read the largest layer.
pub fn run(world: &World) -> anyhow::Result<()> {
    let (blob, diff_id) = largest_layer(world)?;
    let same = |name: &str, found: &str| {
        ensure!(diff_id == format!("sha256:{found}"), "{name} read another archive: {found}");
        world.say(format!("{name} reads it whole"));
        Ok(())
    };
    // Java's own launcher compiles the one file.
    for (program, script) in
        [("python3", data("gzip_digest.py")), ("java", place::workspace().join("ci/GzipDigest.java"))]
    {
        same(program, world.command(program).args([&script, &blob]).run()?.text())?;
    }
    for program in ["gunzip", "unpigz"] {
        let reader = world.command("bash").args(["-o", "pipefail", "-c", "\"$0\" -c | sha256sum", program]);
        same(program, reader.stdin(&blob)?.run()?.text().trim_end_matches("  -"))?;
    }
    // docker checks every diff id; the daemon here was told not to hand the work to unpigz.
    let docker = world.docker()?;
    let layers = docker.inspect(&world.pulled(docker)?, ".RootFS.Layers")?;
    ensure!(layers.to_string().contains(&diff_id), "docker's image does not have the layer {diff_id}");
    world.say("Go (docker) reads it whole");
    Ok(())
}

/// The blob of the largest layer, MindSpore's, and the digest of its archive.
fn largest_layer(world: &World) -> anyhow::Result<(PathBuf, String)> {
    let digest = world.image()?.digest.to_string();
    let manifest = read_json(&blob(&world.store, &digest))?;
    let config = described(&world.store, &manifest["config"])?;
    let layers = list(&manifest, "layers")?.iter().zip(list(&config["rootfs"], "diff_ids")?);
    let (layer, diff_id) = layers.max_by_key(|(layer, _)| layer["size"].as_u64()).context("there are no layers")?;
    Ok((blob(&world.store, field(layer, "digest")?), diff_id.as_str().context("a layer without a diff id")?.to_owned()))
}
