//! The image in a real registry.

use anyhow::{Context, ensure};
use image_name::Digest;

use super::{
    engines::base_image,
    world::{Built, ORG, TIMESTAMP, World},
};
use crate::testbed::{Invocation, Log};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Push with a password; what skopeo then sees; a second push; the list of images.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let image = world.image(log)?.clone();
    let reference = world.pushed(log)?;
    seen_by_skopeo(world, log, &reference, &image.digest)?;

    let again = push(world, log)?.args(["--format", "json"]).run()?.json()?;
    let url = format!("{ORG}/fmtk-ma:{}", image.tag);
    ensure!(again["user_image_url"] == url, "`push` printed another address than `{url}`: {again}");
    ensure!(again["digest"] == image.digest.to_string(), "`push` printed another digest: {again}");
    let sent = again["bytes_sent"].as_u64().context("`push` did not say what it sent")?;
    ensure!(sent == 0, "the second push sent {sent} bytes of bodies");

    let listed = world
        .xtask(log)
        .args(["images", "--org", ORG, "--insecure", "--registry", &world.registry(log)?.host()])
        .run()?;
    ensure!(listed.stdout.contains(&image.tag), "`images` does not list the image:\n{}", listed.stdout);
    listed_in_order(world, log, &reference, &image)
}

/// Under more tags: the newest first, those of others last, each with its digest.
fn listed_in_order(world: &World, log: &Log, reference: &str, image: &Built) -> anyhow::Result<()> {
    let path = format!("{}/listed/fmtk-ma", world.registry(log)?.host());
    let at = |timestamp: &str| image.tag.replace(TIMESTAMP, timestamp);
    let tags = [at("20230101000000"), image.tag.clone(), at("20210101000000"), "latest".to_owned()];
    let authfile = world.login_folder().join("config.json");
    for tag in [1, 3, 2, 0].map(|number: usize| &tags[number]) {
        log.command("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", "--authfile"])
            .arg(&authfile)
            .args([format!("docker://{reference}"), format!("docker://{path}:{tag}")])
            .run()?;
    }
    let images = world.xtask(log).args(["images", "--org", "listed", "--insecure"]);
    let listed = images.args(["--registry", &world.registry(log)?.host()]).run()?.stdout;
    let expected = tags.map(|tag| format!("listed/fmtk-ma:{tag}"));
    let found: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(found == expected, "`images` lists {found:?}");
    let digests = listed.lines().filter(|line| line.contains(&image.digest.short())).count();
    ensure!(digests == expected.len(), "not every image has its digest:\n{listed}");
    Ok(())
}

/// The base lies in the same registry: the image is built without its layers and they are mounted by the push.
pub fn mounted_base(world: &World, log: &Log) -> anyhow::Result<()> {
    let base = base_image(world, log)?;
    let store = world.folder("mounted-base")?;
    let built = world
        .sample(log, &store)?
        .args(["--insecure", "--format", "json"])
        .args(world.base_options(log, &base)?)
        .run()?;
    let built = Built::of(&built.json()?)?;
    let raw = skopeo(world, log, "inspect").args(["--raw", &format!("docker://{base}")]).run()?.json()?;
    let layer = raw["layers"][0]["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    let blob = store.join("blobs/sha256").join(layer.context("the base has no layer")?);
    ensure!(!blob.exists(), "the base's layer was kept in the store");

    let report = world
        .xtask_in(log, &store)
        .args(["push", "--org", "mounted", "--insecure", "--registry", &world.registry(log)?.host()])
        .args(["--timestamp", TIMESTAMP, "--format", "json"])
        .run()?
        .json()?;
    let mounted = report["mounted"].as_u64().context("`push` did not say what it mounted")?;
    ensure!(mounted >= 1, "no blob was mounted: {report}");
    let reference = format!("{}/mounted/fmtk-ma:{}", world.registry(log)?.host(), built.tag);
    seen_by_skopeo(world, log, &reference, &built.digest)
}

/// `push` of the shared image, to the registry that wants a password.
pub fn push<'a>(world: &World, log: &'a Log) -> anyhow::Result<Invocation<'a>> {
    let host = world.registry(log)?.host();
    let command = world.xtask(log).args(["push", "--org", ORG, "--insecure", "--registry", &host]);
    Ok(command.args(["--timestamp", TIMESTAMP]))
}

/// skopeo for that registry.
pub fn skopeo<'a>(world: &World, log: &'a Log, subcommand: &str) -> Invocation<'a> {
    let auth = world.login_folder().join("config.json");
    log.command("skopeo").args([subcommand, "--tls-verify=false", "--authfile"]).arg(auth)
}

fn seen_by_skopeo(world: &World, log: &Log, reference: &str, digest: &Digest) -> anyhow::Result<()> {
    let place = format!("docker://{reference}");
    let raw = skopeo(world, log, "inspect").args(["--raw", &place]).run()?;
    let found = Digest::of(raw.stdout.as_bytes());
    ensure!(found == *digest, "the registry has manifest {found} instead of {digest}");
    let manifest = raw.json()?;
    ensure!(manifest["mediaType"] == DOCKER_MANIFEST, "the manifest is a {}", manifest["mediaType"]);
    for layer in manifest["layers"].as_array().context("a manifest without layers")? {
        let kind = &layer["mediaType"];
        ensure!(kind == "application/vnd.docker.image.rootfs.diff.tar.gzip", "a layer is a {kind}");
    }
    let config = skopeo(world, log, "inspect").args(["--config", &place]).run()?.json()?;
    ensure!(
        config["architecture"] == "arm64" && config["os"] == "linux",
        "the image is for another platform: {config}"
    );
    let created = &config["created"];
    ensure!(created == "2022-10-28T18:13:25Z", "the image was created {created}, not when its tag says");
    Ok(())
}
