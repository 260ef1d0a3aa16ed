//! Bases: one for another machine, and one whose layers are compressed as Docker v2 cannot say.

use std::path::Path;

use anyhow::ensure;
use fmtk::sample;
use image_name::Digest;
use serde_json::Value;

use super::world::{Built, World};
use crate::testbed::{blob, copy, described, field, list, manifest, read_json, write};

/// amd64 is refused; zstd becomes gzip and the rest of the image is the same.
pub fn run(world: &World) -> anyhow::Result<()> {
    let folder = world.folder("bad-base")?;
    let store = folder.join("store");
    let layout = |name: &str| format!("oci:{}:{}", folder.join(name).display(), sample::TAG);
    for_amd64(&world.base_layout()?, &folder.join("amd64"))?;
    world.sample_on(&layout("amd64"), &store)?.fails(2)?.says(&["amd64", "arm64"])?;
    world.say("a base for amd64 is refused");

    // skopeo compresses anew only what is not compressed.
    let plain = format!("dir:{}", folder.join("plain").display());
    let copy = || world.command("skopeo").words("copy --quiet");
    copy().args(["--dest-decompress", &world.base()?.to_string(), &plain]).run()?;
    copy().words("--dest-compress --dest-compress-format zstd").args([plain, layout("zstd")]).run()?;
    let layers = manifest(&folder.join("zstd"))?["layers"].take();
    ensure!(field(&layers[0], "mediaType")?.ends_with("zstd"), "skopeo made no zstd");
    let built = Built::by(world.sample_on(&layout("zstd"), &store)?)?;
    let layer = read_json(&blob(&store, &built.digest.to_string()))?["layers"][0].take();
    let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    ensure!(layer["mediaType"] == gzip, "the base's layer is a {}", layer["mediaType"]);
    world.command("gunzip").arg("--test").stdin(&blob(&store, field(&layer, "digest")?))?.run()?;
    world.say("a base with zstd layers is taken");
    Ok(())
}

/// Copies a layout and says in it that it is for amd64.
fn for_amd64(from: &Path, to: &Path) -> anyhow::Result<()> {
    let put = |value: &Value, described: &mut Value| -> anyhow::Result<()> {
        let (text, digest) = (value.to_string(), Digest::of(value.to_string()).to_string());
        (described["digest"], described["size"]) = (digest.as_str().into(), text.len().into());
        write(&blob(to, &digest), text)
    };
    let mut manifest = manifest(from)?;
    let mut config = described(from, &manifest["config"])?;
    config["architecture"] = "amd64".into();
    put(&config, &mut manifest["config"])?;
    for layer in list(&manifest, "layers")? {
        let digest = field(layer, "digest")?;
        copy(&blob(from, digest), &blob(to, digest))?;
    }
    let mut index = read_json(&from.join("index.json"))?;
    index["manifests"][0]["platform"]["architecture"] = "amd64".into();
    put(&manifest, &mut index["manifests"][0])?;
    write(&to.join("index.json"), index.to_string())?;
    copy(&from.join("oci-layout"), &to.join("oci-layout"))
}
