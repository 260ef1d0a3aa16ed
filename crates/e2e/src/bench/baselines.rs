//! docker and buildah, building the image of the same files the way people do.

use std::path::{Path, PathBuf};

use super::image::Image;
use crate::testbed::{Engine, Invocation, PLATFORM, copy_folder, pip, write};

/// Unpacks wheels as pip does, into one folder.
pub fn unpack(image: &Image, wheels: &[PathBuf], target: &Path) -> anyhow::Result<()> {
    let (major, minor) = image.python;
    let pip = pip(&image.bench.log, "install").words(
        "--no-index --no-deps --no-compile --upgrade --implementation cp --platform linux_aarch64 \
         --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
         --root-user-action=ignore",
    );
    let pip = pip.arg(format!("--python-version={major}.{minor}"));
    let pip = [format!("cp{major}{minor}"), "abi3".to_owned(), "none".to_owned()]
        .into_iter()
        .fold(pip, |pip, abi| pip.args(["--abi", &abi]));
    pip.arg("--target").arg(target).args(wheels).run().map(drop)
}

/// Writes a Dockerfile that copies these folders of the context, one layer each, to where pip puts things in the sample's
/// base.
pub fn dockerfile(image: &Image, context: &Path, base: &str, folders: &[&str]) -> anyhow::Result<()> {
    let (major, minor) = image.python;
    let copy = |folder: &&str| format!("COPY {folder}/ /usr/local/lib/python{major}.{minor}/dist-packages/\n");
    let copies: String = folders.iter().map(copy).collect();
    write(&context.join("Dockerfile"), format!("FROM {base}\n{copies}"))
}

/// Seconds of `docker build` and `docker push`. The client may be newer than the daemon and lack buildx, so the build
/// is the daemon's own.
pub fn docker(image: &Image, context: &Path, tag: &str, cached: bool) -> anyhow::Result<f64> {
    let name = format!("{}/bench/docker:{tag}", image.registry.host());
    let build = image.docker.build().args(["--quiet", "--platform", PLATFORM, "--tag", &name]);
    let build = if cached { build } else { build.arg("--no-cache") }.arg(context).run()?;
    let push = image.docker.command().args(["push", "--quiet", &name]).run()?;
    Ok(build.seconds + push.seconds)
}

/// Has docker fetch the base, before any clock starts.
pub fn docker_base(image: &Image) -> anyhow::Result<()> {
    image.docker.command().args(["pull", "--quiet", "--platform", PLATFORM, &image.base()]).run().map(drop)
}

/// docker as people write it, as the careful write it, and at its very best: what it is called, its context, and the
/// module of mindpet in it that changes.
pub fn contexts(image: &Image) -> anyhow::Result<[(&'static str, PathBuf, PathBuf); 3]> {
    let (bench, folder) = (&image.bench, image.bench.fresh("rebuild-contexts")?);
    let (spore, pet) = (folder.join("mindspore"), folder.join("mindpet"));
    unpack(image, &[image.mindspore()?], &spore)?;
    unpack(image, &[image.mindpet()?], &pet)?;
    let context = |name: &str, base: &str, copied: &[(&Path, &str)]| {
        let context = bench.fresh(&format!("rebuild-contexts/{name}"))?;
        copied.iter().try_for_each(|(from, to)| copy_folder(&bench.log, from, &context.join(to)))?;
        let mut folders: Vec<&str> = copied.iter().map(|(_, to)| *to).collect();
        folders.dedup();
        dockerfile(image, &context, base, &folders)?;
        anyhow::Ok(context)
    };
    let one = context("one", &image.base(), &[(&spore, "site"), (&pet.join("."), "site")])?;
    let each = context("each", &image.base(), &[(&spore, "mindspore"), (&pet, "mindpet")])?;
    // Without BuildKit the whole context goes to the daemon each time; an image of its own for MindSpore avoids that.
    let below = context("below", &image.base(), &[(&spore, "mindspore")])?;
    docker(image, &below, "below", false)?;
    let below = format!("{}/bench/docker:below", image.registry.host());
    let small = context("small", &below, &[(&pet, "mindpet")])?;
    let module = |folder: PathBuf| folder.join("mindpet/__init__.py");
    Ok([
        ("docker, one COPY", one.clone(), module(one.join("site"))),
        ("docker, a COPY a wheel", each.clone(), module(each.join("mindpet"))),
        ("docker, a COPY a wheel, small context", small.clone(), module(small.join("mindpet"))),
    ])
}

#[derive(Debug)]
pub struct Buildah {
    folder: PathBuf,
}

impl Buildah {
    pub fn new(image: &Image) -> anyhow::Result<Self> {
        let buildah = Self { folder: image.bench.fresh("buildah")? };
        let pull = buildah.command(image).words("pull --quiet --tls-verify=false --arch arm64");
        pull.arg(image.base()).run()?;
        Ok(buildah)
    }

    fn command(&self, image: &Image) -> Invocation {
        let command = image.bench.command("buildah").arg("--root").arg(self.folder.join("root"));
        command.arg("--runroot").arg(self.folder.join("run"))
    }

    /// Seconds of a build without a cache and a push.
    pub fn build_and_push(&self, image: &Image, context: &Path, tag: &str) -> anyhow::Result<f64> {
        let name = format!("{}/bench/buildah:{tag}", image.registry.host());
        let build = self.command(image).words("build --quiet --no-cache --isolation chroot --tls-verify=false");
        let build = build.args(["--platform", PLATFORM, "--tag", &name]).arg(context).run()?;
        let push = self.command(image).words("push --quiet --tls-verify=false").arg(&name).run()?;
        self.command(image).words("rmi --force").arg(&name).run()?;
        Ok(build.seconds + push.seconds)
    }
}
