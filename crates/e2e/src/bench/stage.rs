//! What the measurements share: servers of their own, the base in the registry, the two wheels, the meter.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use fmtk::{
    resolve::{packages, place},
    sample,
    terminal::progress::Progress,
};
use image_name::ImageRef;
use oci_image::Store;

use super::meter::{Measure, Meter};
use crate::testbed::{self, Access, Docker, Invocation, Log, RegistryServer, Workplace, recipe, wheel, write};

/// Everything that a measurement needs. Servers end and folders go with it: the fields are dropped in this order.
#[derive(Debug)]
pub struct Stage {
    /// How often each figure is measured.
    pub rounds: usize,
    /// Where output goes.
    pub log: Log,
    /// Takes anything from anyone.
    pub registry: RegistryServer,
    /// With unpigz where it is installed, as people have it.
    pub docker: Docker,
    /// The built program.
    pub program: PathBuf,
    /// The package folder: MindSpore and mindpet alone.
    pub packages: PathBuf,
    /// The recipe of an image of those two.
    pub recipe: PathBuf,
    base: ImageRef,
    meter: Meter,
    workplace: Workplace,
}

impl Stage {
    /// Sets everything up.
    pub fn new(rounds: usize, pkg: Option<&Path>) -> anyhow::Result<Self> {
        let workplace = Workplace::new()?;
        let log = Log::create(&place::workspace().join("target/bench"), "image")?;
        let program = testbed::program()?;
        log.say("setting up: base, wheels, registry, docker, meter");
        let store = Store::open(&workplace.path().join("setup"))?;
        let base = sample::ensure_base(&store, &Progress::new(true))?;

        let fetched = match pkg {
            Some(path) => std::path::absolute(path).context("no working folder")?,
            None => {
                let path = workplace.folder("fetched")?;
                let command = log.command(&program).arg("--store").arg(store.root()).dir(&place::workspace());
                command.args(["fetch", "--sample", "--pkg"]).arg(&path).run()?;
                path
            }
        };
        let packages = workplace.folder("packages")?;
        for prefix in ["mindspore_ascend-", "mindpet-"] {
            let wheel = wheel(&packages::pypi_folder(&fetched), prefix)?;
            let name = wheel.file_name().context("a wheel without a name")?;
            fs::copy(&wheel, packages.join(name)).with_context(|| format!("failed to copy `{}`", wheel.display()))?;
        }
        let recipe_file = workplace.path().join("image.toml");
        let text = recipe(&[("mindspore", "mindspore_ascend-*.whl"), ("mindpet", "mindpet-*.whl")]);
        write(&recipe_file, text)?;

        let registry = RegistryServer::start(&log, &workplace.folder("registry")?, Access::Anyone)?;
        let docker = Docker::start(&log, &workplace.folder("docker")?, false)?;
        let meter = Meter::build(&log, workplace.path())?;
        Ok(Self { rounds, log, registry, docker, program, packages, recipe: recipe_file, base, meter, workplace })
    }

    /// A folder of this name below the run's own, made anew.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.workplace.fresh(name)
    }

    /// The wheel of MindSpore.
    pub fn mindspore(&self) -> anyhow::Result<PathBuf> {
        wheel(&self.packages, "mindspore_ascend-")
    }

    /// The wheel of mindpet.
    pub fn mindpet(&self) -> anyhow::Result<PathBuf> {
        wheel(&self.packages, "mindpet-")
    }

    /// The base in the registry, as docker, buildah and we are told it.
    pub fn base(&self) -> String {
        format!("{}/base/python:3.9", self.registry.host())
    }

    /// Empties the registry and gives it the base. What whoever came before has left to the disk is written first, so
    /// that nobody pays for it who comes next.
    pub fn empty_registry(&mut self) -> anyhow::Result<()> {
        self.registry.empty(&self.log)?;
        self.log
            .command("skopeo")
            .args(["copy", "--quiet", "--dest-tls-verify=false", "--preserve-digests"])
            .arg(self.base.to_string())
            .arg(format!("docker://{}", self.base()))
            .run()?;
        self.log.command("sync").run()?;
        Ok(())
    }

    /// Runs a program by the meter. Gives what it took and what it printed.
    pub fn measure(&self, command: Invocation<'_>) -> anyhow::Result<(Measure, String)> {
        self.meter.measure(command)
    }

    /// What the meter says of the floor for this wheel.
    pub fn floor(&self, wheel: &Path) -> anyhow::Result<serde_json::Value> {
        self.meter.floor(&self.log, wheel)
    }
}
