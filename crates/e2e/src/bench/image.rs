//! An image of two wheels, to be built and pushed by us and by others: servers of their own, the base, the packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use fmtk::{resolve::packages, sample, terminal::progress::Progress};
use image_name::ImageRef;
use oci_image::Store;
use serde_json::Value;

use super::{meter::Measure, rounds::Bench};
use crate::testbed::{Access, Docker, RegistryServer, copy, field, list, name, recipe, wheel, write};

/// Everything that a measurement needs. Servers end and folders go with it: the fields are dropped in this order.
#[derive(Debug)]
pub struct Image {
    /// Takes anything from anyone.
    pub registry: RegistryServer,
    /// With unpigz where it is installed, as people have it.
    pub docker: Docker,
    /// MindSpore and mindpet alone.
    packages: PathBuf,
    /// The recipe of an image of those two.
    recipe: PathBuf,
    base: ImageRef,
    pub bench: Bench,
}

#[derive(Debug)]
pub struct Run {
    pub build: Measure,
    pub push: Measure,
    pushed: Value,
}

impl Image {
    pub fn new(bench: Bench, pkg: Option<&Path>) -> anyhow::Result<Self> {
        let store = Store::open(&bench.path("setup"))?;
        let base = sample::ensure_base(&store, sample::BULLSEYE, &Progress::new(true))?;
        let fetched = bench.packages(pkg)?;
        if pkg.is_none() {
            bench.xtask_in(store.root()).words("fetch --sample --pkg").arg(&fetched).run()?;
        }
        let packages = bench.folder("packages")?;
        for prefix in ["mindspore_ascend-", "mindpet-"] {
            let wheel = wheel(&packages::Folders::of(fetched.clone(), None, None).pypi, prefix)?;
            copy(&wheel, &packages.join(name(&wheel)))?;
        }
        let globs = [("mindspore", "mindspore_ascend-*.whl"), ("mindpet", "mindpet-*.whl")];
        let globs = globs.map(|(kind, glob)| (format!("packages.{kind}.glob"), glob));
        let recipe_file = bench.path("image.toml");
        write(&recipe_file, recipe(&globs.each_ref().map(|(key, glob)| (key.as_str(), *glob))))?;
        let registry = RegistryServer::start(&bench.log, &bench.folder("registry")?, Access::Anyone)?;
        let docker = Docker::start(&bench.log, &bench.folder("docker")?, false)?;
        Ok(Self { registry, docker, packages, recipe: recipe_file, base, bench })
    }

    pub fn mindspore(&self) -> anyhow::Result<PathBuf> {
        wheel(&self.packages, "mindspore_ascend-")
    }

    pub fn mindpet(&self) -> anyhow::Result<PathBuf> {
        wheel(&self.packages, "mindpet-")
    }

    /// The base in the registry, as docker, buildah and we are told it.
    pub fn base(&self) -> String {
        format!("{}/base/python:3.9", self.registry.host())
    }

    /// Empties the registry and gives it the base. What whoever came before has left to the disk is written first, so
    /// that nobody pays for it who comes next.
    pub fn empty_registry(&self) -> anyhow::Result<()> {
        self.registry.empty()?;
        let copy = self.bench.command("skopeo").words("copy --quiet --dest-tls-verify=false --preserve-digests");
        copy.arg(self.base.to_string()).arg(format!("docker://{}", self.base())).run()?;
        self.bench.command("sync").run().map(drop)
    }

    /// Builds into `store` and pushes, with all checks on.
    pub fn build_and_push(&self, store: &Path, timestamp: &str) -> anyhow::Result<Run> {
        let image = self.bench.xtask_in(store).arg("image").arg("--recipe").arg(&self.recipe);
        // Their dependencies are not part of the comparison.
        let image = image.arg("--pkg").arg(&self.packages).args(["--allow-missing", "--base", &self.base()]);
        let (build, _) = self.bench.measure(image.args(["--format", "json", "--timestamp", timestamp]))?;
        let push = self.bench.xtask_in(store).words("push --org bench --registry").arg(self.registry.host());
        let (push, pushed) = self.bench.measure(push.args(["--format", "json", "--timestamp", timestamp]))?;
        let pushed = serde_json::from_str(&pushed).context("`push` printed no JSON")?;
        Ok(Run { build, push, pushed })
    }
}

impl Run {
    pub fn seconds(&self) -> f64 {
        self.build.seconds + self.push.seconds
    }

    pub fn pushed_bytes(&self, name: &str) -> anyhow::Result<f64> {
        self.pushed[name].as_f64().with_context(|| format!("`push` did not say `{name}`"))
    }

    /// Bytes of bodies besides the layer of mindpet, which is all that changed: config and manifest.
    pub fn besides_mindpet(&self) -> anyhow::Result<f64> {
        let is_mindpet = |layer: &&Value| field(layer, "content").is_ok_and(|text| text.contains("mindpet"));
        let pet = list(&self.pushed, "layers")?.iter().find(is_mindpet);
        let size = pet.and_then(|layer| layer["blob"]["size"].as_f64()).context("`push` named no layer of mindpet")?;
        let bodies = self.pushed_bytes("bytes_sent")?;
        ensure!(bodies >= size, "the push sent {bodies} bytes, less than mindpet's layer of {size}: nothing changed");
        Ok(bodies - size)
    }
}
