//! Logging in to a registry with a password, and using what was stored.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, ensure};

use super::world::World;
use crate::testbed::{PASSWORD, read, script, write};

/// What docker left in the file before; none of it is ours to change.
const BEFORE: &str = "{\n  \"detachKeys\": \"ctrl-e,e\",\n  \"auths\": {}\n}";

/// A helper that keeps logins in a file, as docker's own keep them in keychains.
const HELPER: &str = "#!/bin/sh\ncase $1 in\nstore) cat > \"$0.kept\" ;;\nget) cat \"$0.kept\" ;;\nesac\n";

/// A wrong password, the console's line, a helper; and a push with each that was stored.
pub fn run(world: &World) -> anyhow::Result<()> {
    world.image()?;
    let (host, folder) = (world.host()?, world.folder("login-stored")?);
    let file = folder.join("config.json");
    write(&file, BEFORE)?;
    let login = |password: &str| {
        let line = format!("Run this:\r\nsudo docker login -u tester -p '{password}' {host}\r\n");
        world.xtask().words("login --insecure").env("DOCKER_CONFIG", &folder).input(line)
    };

    let wrong = login("hunter2").fails(1)?;
    wrong.says(&[&host, "refused", "nothing was stored"])?;
    wrong.keeps_silent_about(&["hunter2"])?;
    ensure!(read(&file)? == BEFORE, "a refused login changed `config.json`");

    let right = login(PASSWORD).run()?;
    right.says(&["logged in", "config.json"])?;
    right.keeps_silent_about(&[PASSWORD])?;
    let text = read(&file)?;
    let layout = "{\n  \"detachKeys\": \"ctrl-e,e\",\n  \"auths\": {\n";
    ensure!(text.starts_with(layout), "the file lost its layout: {text}");
    let mode = fs::metadata(&file).context("no `config.json`")?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "`config.json` has mode {mode:o}");
    world.push()?.env("DOCKER_CONFIG", &folder).run()?;
    let tags = world.command("skopeo").words("list-tags --tls-verify=false --authfile").arg(&file);
    tags.arg(format!("docker://{host}/mindxsdk/fmtk-ma")).run()?;

    let folder = world.folder("login-helper")?;
    script(&folder.join("docker-credential-e2e"), HELPER)?;
    write(&folder.join("config.json"), "{\"credsStore\":\"e2e\"}")?;
    let login = world.xtask().words("login --insecure --username tester --registry").arg(&host);
    let kept = login.env("DOCKER_CONFIG", &folder).path_first(&folder).input(PASSWORD).run()?;
    kept.says(&["docker-credential-e2e"])?;
    kept.keeps_silent_about(&[PASSWORD])?;
    let text = read(&folder.join("config.json"))?;
    ensure!(!text.contains("\"auth\""), "the password is in `config.json` though a helper keeps it: {text}");
    world.push()?.env("DOCKER_CONFIG", &folder).path_first(&folder).run().map(drop)
}

/// The address is written into an app_config, and only once the image is there.
pub fn app_config(world: &World) -> anyhow::Result<()> {
    let tag = &world.image()?.tag;
    let folder = world.folder("app-config")?;
    let file = folder.join("app_config.yaml");
    let before = "# job\r\nscenario:\r\n  modelarts:\r\n    user_image_url: 'old'  # set by push\r\n    other: 1";
    write(&file, before)?;
    let push = |file: &Path| anyhow::Ok(world.push()?.arg("--app-config").arg(file));
    let shown = push(&file)?.arg("--dry-run").run()?;
    shown.prints(&[&format!("+    user_image_url: 'mindxsdk/fmtk-ma:{tag}'")])?;
    ensure!(read(&file)? == before, "`--dry-run` changed the file");
    push(&file)?.run()?;
    let expected = before.replace("'old'", &format!("'mindxsdk/fmtk-ma:{tag}'"));
    ensure!(read(&file)? == expected, "the file is not what it should be:\n{}", read(&file)?);

    let bad = folder.join("bad.yaml");
    write(&bad, "scenario:\n  modelarts: {user_image_url: [a]}\n")?;
    let refused = push(&bad)?.fails(2)?;
    refused.says(&["bad.yaml", "line 2"])?;
    ensure!(!refused.stderr.contains("pushing"), "the upload was begun before the file was looked at");
    Ok(())
}
