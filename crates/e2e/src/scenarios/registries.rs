//! Debian's registry with each kind of login, and over HTTPS with a certificate of an authority of our own.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use image_name::Digest;
use wheel_fake::FakeWheel;

use super::world::{Built, Project, World};
use crate::testbed::{Access, Invocation, PASSWORD, RegistryServer, USER, bytes, recipe};

const BASE: &str = "repository:base/python:pull";
const PULL: &str = "repository:o/fmtk-ma:pull";
const PUSH: &str = "repository:o/fmtk-ma:pull,push";

pub fn run(world: &World) -> anyhow::Result<()> {
    let project = world.project("registries", &recipe(&[("packages.alpha.glob", "alpha-*.whl")]))?;
    FakeWheel::new("alpha").write(&project.pkg())?;
    for access in [Access::Anyone, Access::Password, Access::Token] {
        let name = format!("{access:?}");
        let server = RegistryServer::start(&world.log, &world.folder(&format!("registries/{name}"))?, access)?;
        // A store for each, so that the base's layer is in none of them.
        round_trip(world, &project.with_store(format!("store-{name}")), &server, access).context(name)?;
    }
    Ok(())
}

/// Log in, build upon a base in the registry, be refused, push, push again, read.
fn round_trip(world: &World, project: &Project<'_>, server: &RegistryServer, access: Access) -> anyhow::Result<()> {
    let (host, has_login, is_https) = (server.host(), access != Access::Anyone, access == Access::Token);
    let folder = |name: &str| world.folder(&format!("registries/{access:?}-{name}"));
    let (login, wrong, none) = (folder("login")?, folder("wrong")?, folder("none")?);
    let ours = |command: Invocation| {
        let command = command.env("DOCKER_CONFIG", &login);
        if is_https { command.arg("--ca").arg(server.certificate()) } else { command }
    };
    // Least privilege: no token is asked for more than its request needs.
    let asked = |what: &str, expected: &[&str]| {
        let expected: BTreeSet<_> = expected.iter().filter(|_| is_https).map(|&scopes| scopes.to_owned()).collect();
        let found = server.scopes_asked();
        ensure!(found == expected, "{what} asked for tokens with the scopes {found:?} instead of {expected:?}");
        Ok(())
    };
    if has_login {
        let stored = project.xtask().args(["login", "--username", USER, "--registry", &host]);
        ours(stored).input(PASSWORD).run()?;
        asked("`login`", &[""])?;
    }
    // skopeo takes any certificate here: our client is the one under test.
    let skopeo = |from: &str, to: &str| {
        let copy = world.command("skopeo").words("copy --quiet --preserve-digests --src-tls-verify=false");
        let copy = copy.arg("--dest-tls-verify=false").env("REGISTRY_AUTH_FILE", login.join("config.json"));
        copy.args([from, to]).run()
    };
    let base = format!("{host}/base/python:3.9");
    skopeo(&world.base()?.to_string(), &format!("docker://{base}"))?;

    server.scopes_asked();
    let built = Built::by(ours(project.image(&base)))?;
    asked("`image`", &[BASE])?;
    let push = || world.push_to(&project.store, "o", &host);
    if has_login {
        server.login(&wrong, "not the password")?;
        for (folder, why) in [(&wrong, "what is stored was refused"), (&none, "none is stored")] {
            let refused = ours(push()).env("DOCKER_CONFIG", folder).fails(1)?;
            refused.says(&[&host, "wants a login", why, "hint: ", "cargo xtask login --registry "])?;
            refused.keeps_silent_about(&["not the password", PASSWORD])?;
        }
    }
    if is_https {
        push().env("DOCKER_CONFIG", &login).fails(1)?.says(&[&host, "certificate", "--ca"])?;
    }
    server.scopes_asked();
    let report = ours(push()).json()?;
    ensure!(report["digest"] == built.digest.to_string(), "`push` printed another digest: {report}");
    ensure!(report["mounted"].as_u64().is_some_and(|mounted| mounted >= 1), "nothing was mounted: {report}");
    asked("`push`", &[PUSH, &format!("{PUSH} {BASE}")])?;
    let again = ours(push()).json()?;
    ensure!(again["bytes_sent"] == 0, "the second push sent bodies: {again}");
    asked("a second `push`", &[PUSH])?;

    let image = format!("{host}/o/fmtk-ma:{}", built.tag);
    let inspected = ours(project.xtask().args(["inspect", &image])).json()?;
    ensure!(inspected["digest"] == built.digest.to_string(), "`inspect` read another image: {inspected}");
    asked("`inspect`", &[PULL])?;
    // Another client reads all of it, and checks each blob.
    let folder = world.fresh("registries/read")?;
    skopeo(&format!("docker://{image}"), &format!("dir:{}", folder.display()))?;
    let read = Digest::of(bytes(&folder.join("manifest.json"))?);
    ensure!(read == built.digest, "skopeo read {read} instead of {}", built.digest);
    world.say(format!("{access:?}: pulled, pushed, mounted and read"));
    Ok(())
}
