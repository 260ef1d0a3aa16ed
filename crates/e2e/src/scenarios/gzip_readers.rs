//! The readers of the world's languages on one spliced layer: each must read it whole.

use std::fs::File;

use anyhow::{Context, ensure};

use super::world::World;
use fmtk::resolve::place;

use crate::testbed::{Engine, Log};

/// gunzip, unpigz, Python, Java and, by docker, Go read the largest layer.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let (blob, diff_id) = largest_layer(world, log)?;
    let hash = "import gzip,hashlib,sys\n\
        h=hashlib.sha256()\n\
        f=gzip.open(sys.argv[1]) if len(sys.argv)>1 else sys.stdin.buffer\n\
        for c in iter(lambda: f.read(1<<20), b''): h.update(c)\n\
        print(h.hexdigest())";
    let java = place::workspace().join("ci/GzipDigest.java");
    // Java's own launcher compiles the one file.
    let readers = [
        ("Python", log.command("python3").args(["-c", hash]).arg(&blob)),
        ("Java", log.command("java").arg(java).arg(&blob)),
    ];
    for (name, reader) in readers {
        let found = reader.run()?;
        ensure!(found.text() == diff_id, "{name} read another archive: {}", found.text());
        log.say(&format!("{name} reads it whole"));
    }
    for (program, arguments) in [("gunzip", ["-c"]), ("unpigz", ["-c"])] {
        let file = File::open(&blob).with_context(|| format!("failed to open `{}`", blob.display()))?;
        let mut reader = log.command(program).args(arguments).stdin(file).stream()?;
        let digest = digest(reader.stdout.take().context("no pipe")?)?;
        let status = reader.wait().context("failed to wait")?;
        ensure!(status.success() && digest == diff_id, "{program} read another archive: {digest}, {status}");
        log.say(&format!("{program} reads it whole"));
    }
    // docker checks every diff id; the daemon here was told not to hand the work to unpigz.
    let image = world.pushed(log)?;
    let docker = world.docker(log)?;
    docker.pull(log, &image, &world.login_folder())?;
    let layers = docker.command(log).args(["image", "inspect", "--format", "{{json .RootFS.Layers}}", &image]).run()?;
    ensure!(layers.text().contains(&diff_id), "docker's image does not have the layer {diff_id}");
    log.say("Go (docker) reads it whole");
    Ok(())
}

fn digest(mut reader: impl std::io::Read) -> anyhow::Result<String> {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer).context("failed to read from the pipe")? {
            0 => return Ok(image_name::Digest::from_bytes(hash.finalize().into()).hex()),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// The blob of the largest layer, MindSpore's, and the digest of its archive in hex.
fn largest_layer(world: &World, log: &Log) -> anyhow::Result<(std::path::PathBuf, String)> {
    let image = world.image(log)?;
    let blob = |digest: &str| -> anyhow::Result<std::path::PathBuf> {
        let hex = digest.strip_prefix("sha256:").context("not a SHA-256 digest")?;
        Ok(world.store().join("blobs/sha256").join(hex))
    };
    let read = |digest: &str| -> anyhow::Result<serde_json::Value> {
        let path = blob(digest)?;
        let bytes = std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not JSON", path.display()))
    };
    let manifest = read(&image.digest.to_string())?;
    let config = read(manifest["config"]["digest"].as_str().context("the manifest names no config")?)?;
    let layers = manifest["layers"].as_array().context("the manifest names no layers")?;
    let (index, layer) = layers
        .iter()
        .enumerate()
        .max_by_key(|(_, layer)| layer["size"].as_u64())
        .context("the manifest names no layers")?;
    let diff_id = config["rootfs"]["diff_ids"][index].as_str().and_then(|id| id.strip_prefix("sha256:"));
    let digest = layer["digest"].as_str().context("a layer without a digest")?;
    Ok((blob(digest)?, diff_id.context("a layer without a diff id")?.to_owned()))
}
