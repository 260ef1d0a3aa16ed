//! Bases: one for another machine, and one whose layers are compressed as Docker v2 cannot say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use fmtk::sample;
use image_name::{Digest, ImageRef};
use serde_json::Value;

use super::world::{Built, World};
use crate::testbed::Log;

/// amd64 is refused; zstd becomes gzip and the rest of the image is the same.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let base = world.base(log)?;
    let ImageRef::Layout { dir: layout, .. } = &base else { bail!("`{base}` is no layout") };
    let folder = world.folder("bad-base")?;

    let amd64 = folder.join("amd64");
    for_amd64(layout, &amd64)?;
    let refused = world
        .sample(log, &folder.join("store"))?
        .args(world.base_options(log, &format!("oci:{}:{}", amd64.display(), sample::TAG))?)
        .fails(2)?;
    refused.says(&["amd64", "arm64"])?;
    log.say("a base for amd64 is refused");

    // skopeo compresses anew only what is not compressed.
    let plain = format!("dir:{}", folder.join("plain").display());
    let zstd = folder.join("zstd");
    let from = base.to_string();
    let to = format!("oci:{}:{}", zstd.display(), sample::TAG);
    log.command("skopeo").args(["copy", "--quiet", "--dest-decompress", &from, &plain]).run()?;
    log.command("skopeo")
        .args(["copy", "--quiet", "--dest-compress", "--dest-compress-format", "zstd", &plain, &to])
        .run()?;
    let (_, manifest) = manifest(&zstd)?;
    ensure!(
        manifest["layers"][0]["mediaType"].as_str().is_some_and(|kind| kind.ends_with("zstd")),
        "skopeo made no zstd"
    );
    let built = world
        .sample(log, &folder.join("store"))?
        .args(["--format", "json"])
        .args(world.base_options(log, &to)?)
        .run()?;
    let built = Built::of(&built.json()?)?;
    let image: Value = read(&folder.join("store"), &built.digest.to_string())?;
    let layer = &image["layers"][0];
    let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    ensure!(layer["mediaType"] == gzip, "the base's layer is a {}", layer["mediaType"]);
    let blob = blob(&folder.join("store"), layer["digest"].as_str().context("a layer without digest")?)?;
    let packed = fs::File::open(&blob).with_context(|| format!("failed to open `{}`", blob.display()))?;
    log.command("gunzip").arg("--test").stdin(packed).run()?;
    log.say("a base with zstd layers is taken");
    Ok(())
}

/// Copies a layout and says in it that it is for amd64.
fn for_amd64(from: &Path, to: &Path) -> anyhow::Result<()> {
    let (_, mut manifest) = manifest(from)?;
    let digest = manifest["config"]["digest"].as_str().context("a manifest without config")?.to_owned();
    let mut config: Value = read(from, &digest)?;
    config["architecture"] = "amd64".into();

    let blobs = to.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("failed to create `{}`", blobs.display()))?;
    let write = |path: &Path, value: &Value| -> anyhow::Result<(String, usize)> {
        let text = value.to_string();
        let digest = Digest::of(&text);
        let path = if path.is_dir() { path.join(digest.hex()) } else { path.to_owned() };
        fs::write(&path, &text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok((digest.to_string(), text.len()))
    };
    for layer in manifest["layers"].as_array().context("a manifest without layers")? {
        let digest = layer["digest"].as_str().context("a layer without digest")?;
        let (source, target) = (blob(from, digest)?, blob(to, digest)?);
        fs::copy(&source, &target).with_context(|| format!("failed to copy `{}`", source.display()))?;
    }
    let (digest, size) = write(&blobs, &config)?;
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = size.into();
    let (digest, size) = write(&blobs, &manifest)?;
    let mut index: Value = read_file(&from.join("index.json"))?;
    index["manifests"][0]["digest"] = digest.into();
    index["manifests"][0]["size"] = size.into();
    index["manifests"][0]["platform"]["architecture"] = "amd64".into();
    write(&to.join("index.json"), &index)?;
    fs::copy(from.join("oci-layout"), to.join("oci-layout")).context("failed to copy `oci-layout`")?;
    Ok(())
}

/// The digest and the text of the first manifest of a layout.
fn manifest(layout: &Path) -> anyhow::Result<(String, Value)> {
    let index = read_file(&layout.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().context("a layout without manifest")?.to_owned();
    let manifest = read(layout, &digest)?;
    Ok((digest, manifest))
}

fn read(layout: &Path, digest: &str) -> anyhow::Result<Value> {
    read_file(&blob(layout, digest)?)
}

fn read_file(path: &Path) -> anyhow::Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not JSON", path.display()))
}

/// Where a blob lies: a layout and the store keep them alike.
fn blob(root: &Path, digest: &str) -> anyhow::Result<PathBuf> {
    let hex = digest.strip_prefix("sha256:").with_context(|| format!("`{digest}` is no SHA-256 digest"))?;
    Ok(root.join("blobs/sha256").join(hex))
}
