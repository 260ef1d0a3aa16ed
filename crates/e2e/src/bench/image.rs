//! An image to be built and pushed by us and by others: servers of their own, the base, the packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use fmtk::{
    recipe::{Recipe, stacks},
    resolve::packages,
    sample::{self, BOOKWORM, BULLSEYE, SampleBase},
    terminal::progress::Progress,
};
use image_name::ImageRef;
use oci_image::Store;
use serde_json::Value;

use super::{meter::Measure, rounds::Bench};
use crate::testbed::{
    Access, Docker, Invocation, RegistryServer, copy, field, list, name, paths, recipe, wheel, write,
};

/// Everything that a measurement needs. Servers end and folders go with it: the fields are dropped in this order.
#[derive(Debug)]
pub struct Image {
    /// Takes anything from anyone.
    pub registry: RegistryServer,
    /// With unpigz where it is installed, as people have it.
    pub docker: Docker,
    /// Folder of its packages.
    packages: PathBuf,
    /// Folder of its wheels.
    wheels: PathBuf,
    recipe: PathBuf,
    /// The stack that the recipe lies on, if it is not the manual's.
    stack: Option<&'static str>,
    base: ImageRef,
    /// Major and minor number of its Python.
    pub python: (u32, u32),
    pub bench: Bench,
}

/// The recipe of a stack alone.
pub fn stack_recipe(name: &str) -> anyhow::Result<Recipe> {
    stacks::find(name).map_err(anyhow::Error::msg)?.recipe()
}

#[derive(Debug)]
pub struct Run {
    pub build: Measure,
    pub push: Measure,
    pushed: Value,
}

impl Image {
    /// MindSpore and mindpet alone upon the sample's base, as the manual has them.
    pub fn manual(bench: Bench, pkg: Option<&Path>) -> anyhow::Result<Self> {
        let fetched = bench.packages(pkg)?;
        if pkg.is_none() {
            bench.xtask_in(&bench.path("setup")).words("fetch --sample --pkg").arg(&fetched).run()?;
        }
        let packages = bench.folder("packages")?;
        for prefix in ["mindspore_ascend-", "mindpet-"] {
            let wheel = wheel(&packages::Folders::of(fetched.clone(), None, None).pypi, prefix)?;
            copy(&wheel, &packages.join(name(&wheel)))?;
        }
        let globs = [("mindspore", "mindspore_ascend-*.whl"), ("mindpet", "mindpet-*.whl")];
        let globs = globs.map(|(kind, glob)| (format!("packages.{kind}.glob"), glob));
        let recipe = recipe(&globs.each_ref().map(|(key, glob)| (key.as_str(), *glob)));
        Self::new(bench, BULLSEYE, [packages.clone(), packages], (None, &recipe))
    }

    /// A stack and another requirement upon the sample's base.
    pub fn of_stack(bench: Bench, stack: &'static str, besides: &str, pkg: Option<&Path>) -> anyhow::Result<Self> {
        let mut text = "bytecode = \"off\"\nversions.cann = \"none\"\n".to_owned();
        BOOKWORM.recipe().iter().filter_map(|setting| setting.split_once('=')).for_each(|(key, value)| {
            text.push_str(&format!("{key} = \"{value}\"\n"));
        });
        let requirements = stack_recipe(stack)?.pypi.requirements;
        let requirements: Vec<String> = requirements.iter().map(|one| format!("'{one}', ")).collect();
        text.push_str(&format!("pypi.requirements = [{}'{besides}']\n", requirements.concat()));
        let packages = bench.packages(pkg)?;
        let wheels = packages::Folders::of(packages.clone(), None, Some(stack)).pypi;
        let image = Self::new(bench, BOOKWORM, [packages, wheels], (Some(stack), &text))?;
        image.command(&image.bench.path("setup"), "fetch").run()?;
        Ok(image)
    }

    fn new(
        bench: Bench,
        base: &SampleBase,
        [packages, wheels]: [PathBuf; 2],
        (stack, recipe): (Option<&'static str>, &str),
    ) -> anyhow::Result<Self> {
        let store = Store::open(&bench.path("setup"))?;
        let reference = sample::ensure_base(&store, base, &Progress::new(true))?;
        let recipe_file = bench.path("image.toml");
        write(&recipe_file, recipe)?;
        let registry = RegistryServer::start(&bench.log, &bench.folder("registry")?, Access::Anyone)?;
        let docker = Docker::start(&bench.log, &bench.folder("docker")?, false)?;
        let (base, python) = (reference, base.python);
        Ok(Self { registry, docker, packages, wheels, recipe: recipe_file, stack, base, python, bench })
    }

    /// A command about its recipe and packages.
    pub fn command(&self, store: &Path, subcommand: &str) -> Invocation {
        let command = self.bench.xtask_in(store).arg(subcommand).arg("--recipe").arg(&self.recipe);
        command.arg("--pkg").arg(&self.packages).args(self.stack.iter().flat_map(|stack| ["--stack", stack]))
    }

    /// All its wheels.
    pub fn wheels(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(paths(&self.wheels)?.into_iter().filter(|path| name(path).ends_with(".whl")).collect())
    }

    pub fn mindspore(&self) -> anyhow::Result<PathBuf> {
        wheel(&self.wheels, "mindspore_ascend-")
    }

    pub fn mindpet(&self) -> anyhow::Result<PathBuf> {
        wheel(&self.wheels, "mindpet-")
    }

    /// The base in the registry, as docker, buildah and we are told it.
    pub fn base(&self) -> String {
        let (major, minor) = self.python;
        format!("{}/base/python:{major}.{minor}", self.registry.host())
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
        // Their dependencies are not part of the comparison.
        let image = self.command(store, "image").args(["--allow-missing", "--base", &self.base()]);
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
