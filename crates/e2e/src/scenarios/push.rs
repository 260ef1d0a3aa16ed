//! The image in a real registry.

use anyhow::{Context, ensure};
use image_name::Digest;
use serde_json::Value;

use super::world::{Built, ORG, TIMESTAMP, World};
use crate::testbed::{Containerd, Engine, PASSWORD, USER, blob, field, list};

/// Push with a password; what skopeo then sees; a second push; the list of images.
pub fn run(world: &World) -> anyhow::Result<()> {
    let image = world.image()?;
    let reference = world.pushed()?;
    seen_by_skopeo(world, &reference, &image.digest)?;

    let again = world.push()?.json()?;
    let url = format!("{ORG}/fmtk-ma:{}", image.tag);
    ensure!(again["user_image_url"] == url, "`push` printed another address than `{url}`: {again}");
    ensure!(again["digest"] == image.digest.to_string(), "`push` printed another digest: {again}");
    ensure!(again["bytes_sent"] == 0, "the second push sent bodies: {again}");
    ensure!(images(world, ORG)?.contains(&image.tag), "`images` does not list the image");
    listed_in_order(world, &reference, image)
}

fn images(world: &World, org: &str) -> anyhow::Result<String> {
    Ok(world.xtask().args(["images", "--insecure", "--org", org, "--registry", &world.host()?]).run()?.stdout)
}

/// Under more tags: the newest first, those of others last, each with its digest.
fn listed_in_order(world: &World, reference: &str, image: &Built) -> anyhow::Result<()> {
    let at = |timestamp: &str| image.tag.replace(TIMESTAMP, timestamp);
    let tags = [at("20230101000000"), image.tag.clone(), at("20210101000000"), "latest".to_owned()];
    for tag in [1, 3, 2, 0].map(|number: usize| &tags[number]) {
        let copy = world.command("skopeo").words("copy --quiet --src-tls-verify=false --dest-tls-verify=false");
        let copy = copy.arg("--authfile").arg(world.login_folder().join("config.json"));
        let to = format!("docker://{}/listed/fmtk-ma:{tag}", world.host()?);
        copy.args([format!("docker://{reference}"), to]).run()?;
    }
    let listed = images(world, "listed")?;
    let expected = tags.map(|tag| format!("listed/fmtk-ma:{tag}"));
    let found: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(found == expected, "`images` lists {found:?}");
    let digests = listed.lines().filter(|line| line.contains(&image.digest.short())).count();
    ensure!(digests == expected.len(), "not every image has its digest:\n{listed}");
    Ok(())
}

/// The base lies in the same registry: the image is built without its layers and they are mounted by the push.
pub fn mounted_base(world: &World) -> anyhow::Result<()> {
    let (base, store) = (world.base_image()?, world.folder("mounted-base")?);
    let built = Built::by(world.sample_on(&base, &store)?.arg("--insecure"))?;
    let raw = world.skopeo_inspect(&base, &["--raw"])?.json()?;
    let layer = blob(&store, field(&raw["layers"][0], "digest")?);
    ensure!(!layer.exists(), "the base's layer was kept in the store");

    let report = world.push_to(&store, "mounted", world.host()?).arg("--insecure").json()?;
    let mounted = report["mounted"].as_u64().context("`push` did not say what it mounted")?;
    ensure!(mounted >= 1, "no blob was mounted: {report}");
    let reference = format!("{}/mounted/fmtk-ma:{}", world.host()?, built.tag);
    seen_by_skopeo(world, &reference, &built.digest)
}

/// In OCI's format, first as it was built, then with layers in zstd.
pub fn oci(world: &World) -> anyhow::Result<()> {
    let (image, podman) = (world.image()?, world.podman()?);
    let containerd = Containerd::start(&world.log, &world.folder("containerd")?)?;
    for compression in ["gzip", "zstd"] {
        let push = world.push_to(&world.store, compression, world.host()?).arg("--insecure");
        let report = push.words("--media-types oci --compression").arg(compression).json()?;
        let digest = field(&report, "digest")?;
        let built = image.digest.to_string();
        ensure!(report["built_digest"] == built && digest != built, "`push` told other digests: {report}");

        let reference = format!("{}/{compression}/fmtk-ma:{}", world.host()?, image.tag);
        let raw = world.skopeo_inspect(&reference, &["--raw"])?;
        let found = Digest::of(raw.stdout.as_bytes());
        ensure!(found.to_string() == digest, "the registry has manifest {found} instead of {digest}");
        let manifest = raw.json()?;
        let kind = &manifest["mediaType"];
        ensure!(kind == "application/vnd.oci.image.manifest.v1+json", "the manifest is a {kind}");
        of_compression(&manifest, &report, compression)?;

        let options = ["--plain-http".to_owned(), "--user".to_owned(), format!("{USER}:{PASSWORD}")];
        let program = ["python3", "-c", "import mindpet; print(mindpet.__file__)"];
        let pulled = containerd.pull(&reference, &options)?;
        ensure!(pulled == digest, "containerd pulled {pulled} instead of {digest}");
        podman.pull(&reference, &world.login_folder())?;
        let printed = podman.printed(&reference, &program)?;
        ensure!(printed.ends_with("mindpet/__init__.py"), "mindpet is `{printed}`");
        world.say(format!("containerd read it with layers in {compression}, and podman ran it"));
    }
    Ok(())
}

/// The base's layers are gzip, and those above it are what was asked for.
fn of_compression(manifest: &Value, report: &Value, compression: &str) -> anyhow::Result<()> {
    for (layer, said) in list(manifest, "layers")?.iter().zip(list(report, "layers")?) {
        let wanted = if said["of_base"] == true { "gzip" } else { compression };
        let kind = &layer["mediaType"];
        ensure!(*kind == format!("application/vnd.oci.image.layer.v1.tar+{wanted}"), "a layer is a {kind}: {said}");
    }
    Ok(())
}

fn seen_by_skopeo(world: &World, reference: &str, digest: &Digest) -> anyhow::Result<()> {
    let raw = world.skopeo_inspect(reference, &["--raw"])?;
    let found = Digest::of(raw.stdout.as_bytes());
    ensure!(found == *digest, "the registry has manifest {found} instead of {digest}");
    let manifest = raw.json()?;
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    ensure!(manifest["mediaType"] == kind, "the manifest is a {}", manifest["mediaType"]);
    for layer in list(&manifest, "layers")? {
        let kind = &layer["mediaType"];
        ensure!(kind == "application/vnd.docker.image.rootfs.diff.tar.gzip", "a layer is a {kind}");
    }
    let config = world.skopeo_inspect(reference, &["--config"])?.json()?;
    let is_right = config["architecture"] == "arm64" && config["os"] == "linux";
    ensure!(is_right, "the image is for another platform: {config}");
    let created = &config["created"];
    ensure!(created == "2022-10-28T18:13:25Z", "the image was created {created}, not when its tag says");
    Ok(())
}
