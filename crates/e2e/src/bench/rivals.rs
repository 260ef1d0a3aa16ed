//! docker and buildah, building the image of the same files the way people do.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;

use super::stage::Stage;
use crate::testbed::{Engine, Invocation};

/// Where pip puts things in the sample's base.
const SITE: &str = "/usr/local/lib/python3.9/dist-packages/";

/// Unpacks a wheel as pip does, into a folder of its own.
pub fn unpack(stage: &Stage, wheel: &Path, target: &Path) -> anyhow::Result<()> {
    stage
        .log
        .command("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--upgrade"])
        .args(["--only-binary=:all:", "--python-version", "3.9", "--implementation", "cp", "--abi", "cp39"])
        .args(["--platform", "linux_aarch64", "--root-user-action=ignore", "--target"])
        .arg(target)
        .arg(wheel)
        .run()?;
    Ok(())
}

/// Writes a Dockerfile that copies these folders of the context, one layer each.
pub fn dockerfile(context: &Path, base: &str, folders: &[&str]) -> anyhow::Result<()> {
    let mut text = format!("FROM {base}\n");
    for folder in folders {
        text.push_str(&format!("COPY {folder}/ {SITE}\n"));
    }
    let path = context.join("Dockerfile");
    fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

/// Seconds of `docker build` and `docker push`. The client may be newer than the daemon and lack buildx, so the build
/// is the daemon's own.
pub fn docker(stage: &Stage, context: &Path, tag: &str, cached: bool) -> anyhow::Result<f64> {
    let image = format!("{}/bench/docker:{tag}", stage.registry.host());
    let mut build = stage.docker.command(&stage.log).env("DOCKER_BUILDKIT", "0");
    build = build.args(["build", "--quiet", "--platform", "linux/arm64", "--tag", &image]);
    if !cached {
        build = build.arg("--no-cache");
    }
    let begin = Instant::now();
    build.arg(context).run()?;
    stage.docker.command(&stage.log).args(["push", "--quiet", &image]).run()?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Has docker fetch the base, before any clock starts.
pub fn docker_base(stage: &Stage) -> anyhow::Result<()> {
    stage.docker.command(&stage.log).args(["pull", "--quiet", "--platform", "linux/arm64", &stage.base()]).run()?;
    Ok(())
}

/// buildah with a storage of its own.
#[derive(Debug)]
pub struct Buildah {
    folder: PathBuf,
}

impl Buildah {
    /// buildah that has the base already.
    pub fn new(stage: &Stage) -> anyhow::Result<Self> {
        let buildah = Self { folder: stage.fresh("buildah")? };
        buildah
            .command(stage)
            .args(["pull", "--quiet", "--tls-verify=false", "--arch", "arm64", &stage.base()])
            .run()?;
        Ok(buildah)
    }

    /// Its command line up to the subcommand.
    pub fn command<'a>(&self, stage: &'a Stage) -> Invocation<'a> {
        let place = |name: &str| self.folder.join(name);
        stage.log.command("buildah").arg("--root").arg(place("root")).arg("--runroot").arg(place("run"))
    }

    /// Seconds of a build without a cache and a push.
    pub fn build_and_push(&self, stage: &Stage, context: &Path, tag: &str) -> anyhow::Result<f64> {
        let image = format!("{}/bench/buildah:{tag}", stage.registry.host());
        let begin = Instant::now();
        self.command(stage)
            .args(["build", "--quiet", "--no-cache", "--isolation", "chroot", "--platform", "linux/arm64"])
            .args(["--tls-verify=false", "--tag", &image])
            .arg(context)
            .run()?;
        self.command(stage).args(["push", "--quiet", "--tls-verify=false", &image]).run()?;
        let seconds = begin.elapsed().as_secs_f64();
        self.command(stage).args(["rmi", "--force", &image]).run()?;
        Ok(seconds)
    }
}
