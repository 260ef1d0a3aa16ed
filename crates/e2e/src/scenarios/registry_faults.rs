//! Registries that refuse, do not answer, or cannot be trusted.

use anyhow::ensure;

use super::{
    push::{push, skopeo},
    world::{Built, ORG, TIMESTAMP, World},
};
use crate::testbed::{Access, Log, PASSWORD, RegistryServer, free_port};

/// A tag that another image has is moved only with `--overwrite`.
pub fn tag_exists(world: &World, log: &Log) -> anyhow::Result<()> {
    let first = world.image(log)?;
    let reference = world.pushed(log)?;
    let store = world.folder("tag-exists")?;
    let another = world.sample(log, &store)?.args(["--set", "environment.FMTK_E2E=1", "--format", "json"]).run()?;
    let another = Built::of(&another.json()?)?;
    ensure!(another.tag == first.tag && another.digest != first.digest, "the two images do not share their tag alone");
    let there = || -> anyhow::Result<String> {
        let place = format!("docker://{reference}");
        let found = skopeo(world, log, "inspect").args(["--format", "{{.Digest}}", &place]).run()?;
        Ok(found.text().to_owned())
    };
    let host = world.registry(log)?.host();
    let push_other = || {
        let command = world.xtask_in(log, &store).args(["push", "--org", ORG, "--insecure", "--registry", &host]);
        command.args(["--timestamp", TIMESTAMP])
    };
    let refused = push_other().finish()?;
    ensure!(!refused.status.success(), "the tag was moved without a word");
    refused.says(&[&first.digest.to_string(), &another.digest.to_string(), "--overwrite"])?;
    ensure!(there()? == first.digest.to_string(), "a refused push moved the tag");

    push_other().arg("--overwrite").run()?;
    ensure!(there()? == another.digest.to_string(), "`--overwrite` did not move the tag");
    push(world, log)?.arg("--overwrite").run()?;
    ensure!(there()? == first.digest.to_string(), "`--overwrite` did not move the tag back");
    Ok(())
}

/// Nothing listens; and organisations that no registry would take, refused before anyone is asked.
pub fn down(world: &World, log: &Log) -> anyhow::Result<()> {
    world.image(log)?;
    let host = free_port()?.to_string();
    let push_to = |org: &str| {
        let command = world.xtask(log).args(["push", "--org", org, "--insecure", "--registry", &host]);
        command.args(["--timestamp", TIMESTAMP])
    };
    let failed = push_to(ORG).fails(1)?;
    failed.says(&[&host, "refused"])?;
    for org in ["Mindxsdk", "mindx.sdk", "1mindxsdk", "mindxsdk-", "mind--xsdk", ""] {
        let refused = push_to(org).fails(2)?;
        ensure!(refused.stderr.contains("--org"), "`{org}` was refused without naming the flag:\n{}", refused.stderr);
    }
    Ok(())
}

/// The password is wrong; then there is none.
pub fn password(world: &World, log: &Log) -> anyhow::Result<()> {
    world.image(log)?;
    let server = world.registry(log)?;
    let wrong = world.folder("wrong-password")?;
    let secret = "not the password";
    server.login(&wrong, secret)?;
    let none = world.folder("no-password")?;
    for folder in [&wrong, &none] {
        let failed = push(world, log)?.env("DOCKER_CONFIG", folder).fails(1)?;
        failed.says(&[&server.host(), "wants a login", "hint: ", "cargo xtask login --registry "])?;
        for said in [secret, PASSWORD] {
            ensure!(!failed.stderr.contains(said) && !failed.stdout.contains(said), "a password was printed");
        }
    }
    Ok(())
}

/// A certificate that nobody vouches for.
pub fn certificate(world: &World, log: &Log) -> anyhow::Result<()> {
    world.image(log)?;
    let server = RegistryServer::start(log, &world.folder("self-signed")?, Access::SelfSigned)?;
    let push_to = |organisation: &str| {
        let command = world.xtask(log).args(["push", "--org", organisation, "--registry", &server.host()]);
        command.args(["--timestamp", TIMESTAMP])
    };
    let failed = push_to("untrusted").fails(1)?;
    failed.says(&[&server.host(), "certificate", "--ca"])?;
    log.say("an untrusted certificate is refused");
    push_to("trusted").arg("--ca").arg(server.certificate()).run()?;
    push_to("anyone").arg("--insecure").run()?;
    // The name is in no DNS; the address is given.
    let port = server.host().rsplit(':').next().unwrap_or_default().to_owned();
    world
        .xtask(log)
        .args([
            "push",
            "--org",
            "resolved",
            "--registry",
            &format!("registry.example:{port}"),
            "--resolve",
            "127.0.0.1",
        ])
        .args(["--timestamp", TIMESTAMP, "--ca"])
        .arg(server.certificate())
        .run()?;
    Ok(())
}
