//! The container engines of this machine; CANN's installer and `--load` need one.

use std::{path::Path, process::Command};

use anyhow::{Context, anyhow, ensure};

use crate::{args::Engine, report::WithHint};

/// The program that serves the choice: docker where its daemon answers, else podman.
pub fn program(choice: Engine) -> anyhow::Result<&'static str> {
    let answers = |program: &str| {
        // `version` of docker asks the daemon too; without one it fails.
        let asked = Command::new(program).args(["version", "--format", "{{.Server.Version}}"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let there =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    match choice {
        Engine::Docker if answers("docker") => Ok("docker"),
        Engine::Docker => Err(anyhow!("docker does not answer"))
            .hint("start its daemon (`systemctl start docker`) or choose `--engine podman`"),
        Engine::Podman if there("podman") => Ok("podman"),
        Engine::Podman => Err(anyhow!("podman is not installed")).hint("install podman or choose `--engine docker`"),
        Engine::Auto if answers("docker") => Ok("docker"),
        Engine::Auto if there("podman") => Ok("podman"),
        Engine::Auto => Err(anyhow!("neither a docker daemon answers nor is podman installed"))
            .hint("install podman or docker; `--load` can be replaced by `--output docker-archive:FILE`, CANN's installer has to be run"),
    }
}

/// Loads a docker archive.
pub fn load(program: &str, archive: &Path) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(["load", "--input"])
        .arg(archive)
        .output()
        .with_context(|| format!("failed to run {program}"))?;
    ensure!(output.status.success(), "`{program} load` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(())
}
