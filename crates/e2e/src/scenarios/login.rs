//! Logging in to a registry with a password, and using what was stored.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, ensure};

use super::{push::push, world::World};
use crate::testbed::{Finished, Log, PASSWORD, read, script, write};

/// What docker left in the file before; none of it is ours to change.
const BEFORE: &str = "{\n  \"detachKeys\": \"ctrl-e,e\",\n  \"auths\": {}\n}";

/// A helper that keeps logins in a file, as docker's own keep them in keychains.
const HELPER: &str = "#!/bin/sh\ncase $1 in\nstore) cat > \"$0.kept\" ;;\nget) cat \"$0.kept\" ;;\nesac\n";

/// A wrong password, the console's line, a helper; and a push with each that was stored.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    world.image(log)?;
    let host = world.registry(log)?.host();
    let folder = world.folder("login-stored")?;
    let file = folder.join("config.json");
    write(&file, BEFORE)?;
    let line = |password: &str| format!("Run this:\r\nsudo docker login -u tester -p '{password}' {host}\r\n");
    let login = |input: String| {
        world.xtask(log).args(["login", "--insecure"]).env("DOCKER_CONFIG", &folder).input(input).finish()
    };

    let wrong = login(line("hunter2"))?;
    ensure!(wrong.status.code() == Some(1), "a wrong password was taken");
    wrong.says(&[&host, "refused", "nothing was stored"])?;
    silent(&wrong, "hunter2")?;
    ensure!(read(&file)? == BEFORE, "a refused login changed `config.json`");

    let right = login(line(PASSWORD))?;
    ensure!(right.status.success(), "{}", right.unexpected());
    right.says(&["logged in", "config.json"])?;
    silent(&right, PASSWORD)?;
    let text = read(&file)?;
    ensure!(
        text.starts_with("{\n  \"detachKeys\": \"ctrl-e,e\",\n  \"auths\": {\n"),
        "the file lost its layout: {text}"
    );
    let mode = fs::metadata(&file).context("no `config.json`")?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "`config.json` has mode {mode:o}");
    push(world, log)?.env("DOCKER_CONFIG", &folder).run()?;
    let place = format!("docker://{host}/mindxsdk/fmtk-ma");
    log.command("skopeo").args(["list-tags", "--tls-verify=false", "--authfile"]).arg(&file).arg(&place).run()?;

    let folder = world.folder("login-helper")?;
    let helper = folder.join("docker-credential-e2e");
    script(&helper, HELPER)?;
    write(&folder.join("config.json"), "{\"credsStore\":\"e2e\"}")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let command = world.xtask(log).args(["login", "--insecure", "--username", "tester", "--registry", &host]);
    let kept = command.env("DOCKER_CONFIG", &folder).env("PATH", &path).input(PASSWORD).run()?;
    kept.says(&["docker-credential-e2e"])?;
    silent(&kept, PASSWORD)?;
    let text = read(&folder.join("config.json"))?;
    ensure!(!text.contains("\"auth\""), "the password is in `config.json` though a helper keeps it: {text}");
    push(world, log)?.env("DOCKER_CONFIG", &folder).env("PATH", &path).run()?;
    Ok(())
}

/// The address is written into an app_config, and only once the image is there.
pub fn app_config(world: &World, log: &Log) -> anyhow::Result<()> {
    let tag = &world.image(log)?.tag;
    let folder = world.folder("app-config")?;
    let file = folder.join("app_config.yaml");
    let before = "# job\r\nscenario:\r\n  modelarts:\r\n    user_image_url: 'old'  # set by push\r\n    other: 1";
    write(&file, before)?;
    let with = |file: &Path| anyhow::Ok(push(world, log)?.arg("--app-config").arg(file));
    let shown = with(&file)?.arg("--dry-run").run()?;
    ensure!(
        shown.stdout.contains(&format!("+    user_image_url: 'mindxsdk/fmtk-ma:{tag}'")),
        "no diff: {}",
        shown.stdout
    );
    ensure!(read(&file)? == before, "`--dry-run` changed the file");
    with(&file)?.run()?;
    let expected = before.replace("'old'", &format!("'mindxsdk/fmtk-ma:{tag}'"));
    ensure!(read(&file)? == expected, "the file is not what it should be:\n{}", read(&file)?);

    let bad = folder.join("bad.yaml");
    write(&bad, "scenario:\n  modelarts: {user_image_url: [a]}\n")?;
    let refused = with(&bad)?.fails(2)?;
    refused.says(&["bad.yaml", "line 2"])?;
    ensure!(!refused.stderr.contains("pushing"), "the upload was begun before the file was looked at");
    Ok(())
}

fn silent(finished: &Finished, secret: &str) -> anyhow::Result<()> {
    ensure!(!finished.stdout.contains(secret) && !finished.stderr.contains(secret), "a password was printed");
    Ok(())
}
