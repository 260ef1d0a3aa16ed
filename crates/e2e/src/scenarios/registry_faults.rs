//! Registries that refuse, do not answer, or cannot be trusted.

use anyhow::{Context, ensure};
use registry_fake::{FakeRegistry, Options, Partial};

use super::world::{Built, ORG, World};
use crate::testbed::{Access, Cut, Faults, Line, RegistryServer};

/// Where nothing listens: no port that is merely free, which any other server may be given meanwhile, but "discard".
const NOBODY: &str = "127.0.0.1:9";

/// A tag that another image has is moved only with `--overwrite`.
pub fn tag_exists(world: &World) -> anyhow::Result<()> {
    let (first, reference) = (world.image()?, world.pushed()?);
    let store = world.folder("tag-exists")?;
    let another = Built::by(world.sample(&store)?.args(["--set", "environment.FMTK_E2E=1"]))?;
    ensure!(another.tag == first.tag && another.digest != first.digest, "the two images do not share their tag alone");
    let is_there = |image: &Built, what: &str| {
        let found = world.skopeo_inspect(&reference, &["--format", "{{.Digest}}"])?;
        ensure!(found.text() == image.digest.to_string(), "{what}");
        Ok(())
    };
    let push = || anyhow::Ok(world.push_to(&store, ORG, world.host()?).arg("--insecure"));
    let refused = push()?.finish()?;
    ensure!(!refused.status.success(), "the tag was moved without a word");
    refused.says(&[&first.digest.to_string(), &another.digest.to_string(), "--overwrite"])?;
    is_there(first, "a refused push moved the tag")?;
    push()?.arg("--overwrite").run()?;
    is_there(&another, "`--overwrite` did not move the tag")?;
    world.push()?.arg("--overwrite").run()?;
    is_there(first, "`--overwrite` did not move the tag back")
}

/// Nothing listens; and organisations that no registry would take, refused before anyone is asked.
pub fn down(world: &World) -> anyhow::Result<()> {
    world.image()?;
    let push_to = |org: &str| world.push_to(&world.store, org, NOBODY).arg("--insecure");
    push_to(ORG).fails(1)?.says(&[NOBODY, "refused"])?;
    for org in ["Mindxsdk", "mindx.sdk", "1mindxsdk", "mindxsdk-", "mind--xsdk", ""] {
        push_to(org).fails(2)?.says(&["--org"])?;
    }
    Ok(())
}

/// All connections are cut every 50 MB. Small layers arrive at a registry that forgets what was cut, larger ones at one
/// that keeps what it has; and where neither is so, the push stops and says which layers would arrive.
pub fn bad_line(world: &World) -> anyhow::Result<()> {
    const EVERY: u64 = 50_000_000;
    let faults = Faults { cut: Cut::AllEvery(EVERY), ..Faults::default() };
    let image = |max_layer: &str| {
        let store = world.folder(&format!("bad-line/{}", max_layer.replace(' ', "-")))?;
        let setting = format!("layout.max_layer={max_layer}");
        let image = world.sample_on(&world.base()?.to_string(), &store)?.args(["--set", &setting]);
        let layers = image.words("--format json").run()?.json()?;
        let layers = layers["layers"].as_array().context("an image without layers")?.iter();
        anyhow::Ok((store, layers.filter_map(|layer| layer["blob"]["size"].as_u64()).sum::<u64>()))
    };
    let ((small, small_size), (large, large_size)) = (image("16 MiB")?, image("64 MiB")?);
    let times = |line: &Line, size: u64| line.passed().sent as f64 / size as f64;

    let server = RegistryServer::start(&world.log, &world.folder("bad-line/registry")?, Access::Anyone)?;
    let line = Line::start(server.address(), faults)?;
    world.push_to(&small, "small", line.host()).run()?;
    let sent = times(&line, small_size);
    world.say(format!("layers of 16 MiB: {sent:.2} times the image's {small_size} bytes, {} cuts", line.passed().cuts));
    // `bench push` holds it to 1.6 on a quiet machine; here others may be at work, and buffers are full when the line is cut.
    ensure!(sent <= 2.0, "{sent:.2} times the image was sent");
    // Straight from the registry.
    let tag = &world.image()?.tag;
    let folder = format!("dir:{}", world.folder("bad-line/read")?.display());
    let image = format!("docker://{}/small/fmtk-ma:{tag}", server.host());
    world.command("skopeo").words("copy --quiet --src-tls-verify=false").args([&image, &folder]).run()?;

    let line = Line::start(server.address(), faults)?;
    let failed = world.push_to(&large, "large", line.host()).fails(1)?;
    failed.says(&["is cut sooner than blob", "hint: ", "max_layer = \"32 MiB\""])?;
    let sent = times(&line, large_size);
    world.say(format!("layers of 64 MiB: given up after {sent:.2} times the image, {} cuts", line.passed().cuts));
    ensure!(sent < 2.4, "{sent:.2} times the image was sent in vain");

    let keeps = FakeRegistry::with(Options { partial: Partial::Bytes, ..Options::default() });
    let line = Line::start(keeps.host().parse().context("an address")?, faults)?;
    world.push_to(&large, "kept", line.host()).run()?;
    let sent = times(&line, large_size);
    world.say(format!("where bytes are kept: {sent:.2} times the image, {} cuts", line.passed().cuts));
    // 1.05 in `bench push`.
    ensure!(sent <= 1.25, "{sent:.2} times the image was sent");
    Ok(())
}

/// A certificate that nobody vouches for.
pub fn certificate(world: &World) -> anyhow::Result<()> {
    world.image()?;
    let server = RegistryServer::start(&world.log, &world.folder("self-signed")?, Access::SelfSigned)?;
    let push_to = |org: &str, host: &str| world.push_to(&world.store, org, host);
    let host = server.host();
    push_to("untrusted", &host).fails(1)?.says(&[&host, "certificate", "--ca"])?;
    world.say("an untrusted certificate is refused");
    push_to("trusted", &host).arg("--ca").arg(server.certificate()).run()?;
    push_to("anyone", &host).arg("--insecure").run()?;
    // The name is in no DNS; the address is given.
    let named = host.replace("127.0.0.1", "registry.example");
    push_to("resolved", &named).words("--resolve 127.0.0.1 --ca").arg(server.certificate()).run().map(drop)
}
