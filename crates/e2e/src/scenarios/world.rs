//! What scenarios share: the program under test, its store, the packages, the image, registries and engines.

use std::{
    fmt::Display,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::{Context, anyhow, bail, ensure};
use fmtk::{
    sample::{self, BULLSEYE},
    terminal::interrupt,
};
use image_name::{Digest, ImageRef};
use oci_image::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::testbed::{
    Access, Docker, Engine, Finished, Invocation, PASSWORD, Podman, RegistryServer, Workplace, field, write,
};

/// Timestamp of every image here.
pub const TIMESTAMP: &str = "20221028181325";
pub const ORG: &str = "mindxsdk";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub tag: String,
    pub digest: Digest,
}

impl Built {
    /// Builds it, and reads what `image --format json` prints.
    pub fn by(image: Invocation) -> anyhow::Result<Self> {
        Self::of(&image.json()?)
    }

    /// Reads what `image --format json` has printed.
    pub fn of(json: &Value) -> anyhow::Result<Self> {
        Ok(Self { tag: field(json, "tag")?.to_owned(), digest: field(json, "digest")?.parse()? })
    }
}

/// Made when it is first asked for, while all others who ask wait; a failure is told to all of them, and not tried again.
type Shared<T> = OnceLock<Result<T, String>>;

fn shared<T>(cell: &Shared<T>, make: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<&T> {
    cell.get_or_init(|| make().map_err(|error| format!("{error:#}"))).as_ref().map_err(|text| anyhow!(text.clone()))
}

/// What all worlds of a run have in common, which any of them may use at any time: the store, which is made for that, and
/// what nobody changes once it is there.
#[derive(Debug)]
pub struct Commons {
    packages: Shared<PathBuf>,
    image: Shared<Built>,
    store: PathBuf,
    pkg: Option<PathBuf>,
    folder: TempDir,
}

impl Commons {
    /// Without `store` it is a fresh one.
    pub fn new(store: Option<&Path>, pkg: Option<&Path>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("fmtk-").tempdir_in("/var/tmp");
        let folder = folder.context("failed to create a folder in `/var/tmp`")?;
        let ours = folder.path().to_owned();
        interrupt::before_end(Arc::new(move || drop(fs::remove_dir_all(&ours))));
        let absolute = |path: &Path| std::path::absolute(path).context("no working folder");
        Ok(Self {
            packages: Shared::new(),
            image: Shared::new(),
            store: store.map_or_else(|| Ok(folder.path().join("store")), absolute)?,
            pkg: pkg.map(absolute).transpose()?,
            folder,
        })
    }
}

/// Where one scenario after the other runs: the engines, the registry and the folder are its own, so that names of
/// containers, images and files are nobody else's. Servers end and the folder goes with it: the fields are dropped in this
/// order, and the folder last.
#[derive(Debug)]
pub struct World {
    registry: Shared<RegistryServer>,
    docker: Shared<Docker>,
    podman: Shared<Podman>,
    pub store: PathBuf,
    commons: Arc<Commons>,
    workplace: Workplace,
}

impl Deref for World {
    type Target = Workplace;

    fn deref(&self) -> &Workplace {
        &self.workplace
    }
}

impl World {
    /// One whose first log is called so.
    pub fn new(commons: &Arc<Commons>, log: &str) -> anyhow::Result<Self> {
        Ok(Self {
            registry: Shared::new(),
            docker: Shared::new(),
            podman: Shared::new(),
            store: commons.store.clone(),
            commons: Arc::clone(commons),
            workplace: Workplace::new("e2e", log)?,
        })
    }

    /// Removes what a scenario has made for itself, so that a run takes no more disk than its largest scenario. What is
    /// still written to, by a shell that was told to end for example, goes with all the rest.
    pub fn clear(&self) {
        if let Err(error) = self.clear_but(&["registry", "docker", "podman", "login"]) {
            self.say(format!("{error:#}"));
        }
    }

    /// A folder with this recipe, packages and a store of its own.
    pub fn project(&self, name: &str, recipe: &str) -> anyhow::Result<Project<'_>> {
        self.folder(&format!("{name}/pkg"))?;
        let folder = self.folder(name)?;
        let project = Project { world: self, store: folder.join("store"), folder };
        write(&project.path("image.toml"), recipe)?;
        Ok(project)
    }

    pub fn xtask(&self) -> Invocation {
        self.xtask_in(&self.store)
    }

    /// The program under test with another store.
    pub fn xtask_in(&self, store: &Path) -> Invocation {
        let command = self.workplace.xtask_in(store);
        // Engines that run under emulation beside other tests may be slow.
        command.env("DOCKER_CONFIG", self.login_folder()).env("FMTK_ENGINE_LIMIT", "120")
    }

    /// `image --sample` with the shared packages and timestamp.
    pub fn sample(&self, store: &Path) -> anyhow::Result<Invocation> {
        let command = self.xtask_in(store).args(["image", "--sample", "--timestamp", TIMESTAMP]);
        // The same on machines that have the sample's Python and on those that have not.
        let command = command.args(["--set", "bytecode=off"]);
        Ok(command.arg("--pkg").arg(self.packages()?))
    }

    /// An error unless this build makes the sample image.
    pub fn is_the_sample(&self, build: Invocation) -> anyhow::Result<Finished> {
        let done = build.words("--format json").run()?;
        let (built, expected) = (Built::of(&done.json()?)?, self.image()?);
        ensure!(built == *expected, "another image was built: {} instead of {}", built.digest, expected.digest);
        Ok(done)
    }

    /// The package folder, as `fetch` leaves it: the sample's wheels and what they require are in its `pypi`.
    pub fn packages(&self) -> anyhow::Result<&Path> {
        let packages = shared(&self.commons.packages, || {
            if let Some(folder) = &self.commons.pkg {
                return Ok(folder.clone());
            }
            let folder = self.commons.folder.path().join("pkg");
            self.xtask().words("fetch --sample --pkg").arg(&folder).run()?;
            Ok(folder)
        });
        packages.map(PathBuf::as_path).context("the packages could not be fetched")
    }

    /// The package folder of the stacks, into which `image --sample --stack` fetches what it lacks.
    pub fn stack_packages(&self) -> anyhow::Result<PathBuf> {
        self.commons.pkg.clone().map_or_else(|| self.folder("stack-pkg"), Ok)
    }

    pub fn wheels(&self) -> anyhow::Result<PathBuf> {
        Ok(fmtk::resolve::packages::Folders::of(self.packages()?.to_owned(), None, None).pypi)
    }

    pub fn image(&self) -> anyhow::Result<&Built> {
        let image = shared(&self.commons.image, || Built::by(self.sample(&self.store)?));
        image.context("the sample image could not be built")
    }

    /// The sample's base in the shared store, as `--base` names it.
    pub fn base(&self) -> anyhow::Result<ImageRef> {
        self.image()?;
        let store = Store::open(&self.store).context("no shared store")?;
        ensure!(sample::is_made(&store, BULLSEYE)?, "the shared store has no base of the sample");
        BULLSEYE.reference(&store)
    }

    pub fn base_layout(&self) -> anyhow::Result<PathBuf> {
        match self.base()? {
            ImageRef::Layout { dir, .. } => Ok(dir),
            base => bail!("`{base}` is not a layout"),
        }
    }

    /// The sample on a base in place of its own, and what the recipe must say of it.
    pub fn sample_on(&self, base: &str, store: &Path) -> anyhow::Result<Invocation> {
        let settings = BULLSEYE.recipe().into_iter().flat_map(|setting| ["--set".to_owned(), setting]);
        Ok(self.sample(store)?.args(["--base", base]).args(settings))
    }

    /// That base in the registry, copied there by skopeo, byte for byte.
    pub fn base_image(&self) -> anyhow::Result<String> {
        let base = format!("{}/base/python:3.9", self.registry()?.host());
        let copy = self.command("skopeo").words("copy --quiet --dest-tls-verify=false --preserve-digests");
        let copy = copy.arg("--dest-authfile").arg(self.login_folder().join("config.json"));
        copy.arg(self.base()?.to_string()).arg(format!("docker://{base}")).run()?;
        Ok(base)
    }

    /// The registry that wants a password.
    pub fn registry(&self) -> anyhow::Result<&RegistryServer> {
        shared(&self.registry, || {
            let server = RegistryServer::start(&self.log, &self.folder("registry")?, Access::Password)?;
            server.login(&self.login_folder(), PASSWORD)?;
            Ok(server)
        })
    }

    pub fn host(&self) -> anyhow::Result<String> {
        Ok(self.registry()?.host())
    }

    /// The folder of the password for that registry, as `DOCKER_CONFIG` names it.
    pub fn login_folder(&self) -> PathBuf {
        self.path("login")
    }

    /// `push` of the image in a store to a registry.
    pub fn push_to(&self, store: &Path, org: &str, host: impl Display) -> Invocation {
        let push = self.xtask_in(store).args(["push", "--org", org, "--registry", &host.to_string()]);
        push.args(["--timestamp", TIMESTAMP])
    }

    /// `push` of the shared image to the registry that wants a password.
    pub fn push(&self) -> anyhow::Result<Invocation> {
        Ok(self.push_to(&self.store, ORG, self.host()?).arg("--insecure"))
    }

    /// The image in that registry: `host/org/repository:tag`.
    pub fn pushed(&self) -> anyhow::Result<String> {
        let image = self.image()?;
        self.push()?.run()?;
        Ok(format!("{}/{ORG}/fmtk-ma:{}", self.host()?, image.tag))
    }

    /// The same name, and the engine has pulled it.
    pub fn pulled(&self, engine: &dyn Engine) -> anyhow::Result<String> {
        let image = self.pushed()?;
        engine.pull(&image, &self.login_folder())?;
        Ok(image)
    }

    /// What skopeo says of an image in that registry.
    pub fn skopeo_inspect(&self, image: &str, options: &[&str]) -> anyhow::Result<Finished> {
        let inspect = self.command("skopeo").words("inspect --tls-verify=false --authfile");
        inspect.arg(self.login_folder().join("config.json")).args(options).arg(format!("docker://{image}")).run()
    }

    /// docker, with Go's gzip reader.
    pub fn docker(&self) -> anyhow::Result<&Docker> {
        shared(&self.docker, || Docker::start(&self.log, &self.folder("docker")?, true))
    }

    pub fn podman(&self) -> anyhow::Result<&Podman> {
        shared(&self.podman, || Podman::open(&self.log, &self.folder("podman")?))
    }
}

/// A folder with a recipe `image.toml`, packages in `pkg` and a store of its own.
#[derive(Debug, Clone)]
pub struct Project<'w> {
    world: &'w World,
    folder: PathBuf,
    pub store: PathBuf,
}

impl Project<'_> {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn pkg(&self) -> PathBuf {
        self.path("pkg")
    }

    /// The same with another store: one of this name in its folder, or any by its whole path.
    pub fn with_store(&self, store: impl AsRef<Path>) -> Self {
        Self { store: self.folder.join(store), ..self.clone() }
    }

    pub fn xtask(&self) -> Invocation {
        self.world.xtask_in(&self.store)
    }

    /// A command about its recipe and packages.
    pub fn command(&self, subcommand: &str) -> Invocation {
        self.command_of(subcommand, "image.toml")
    }

    /// The same about another recipe in its folder.
    pub fn command_of(&self, subcommand: &str, recipe: &str) -> Invocation {
        let command = self.xtask().arg(subcommand).arg("--recipe").arg(self.path(recipe));
        command.arg("--pkg").arg(self.pkg())
    }

    /// `image` upon this base.
    pub fn image(&self, base: impl Display) -> Invocation {
        self.command("image").args(["--timestamp", TIMESTAMP, "--base", &base.to_string()])
    }
}

/// An error unless nothing half-written lies in a store.
pub fn nothing_is_left(store: &Path) -> anyhow::Result<()> {
    let left = crate::testbed::names(&store.join("tmp"))?;
    ensure!(left.is_empty(), "left in the store's `tmp`: {left:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_made_once_and_fails_for_all() {
        let (good, bad) = (Shared::new(), Shared::<u8>::new());
        assert_eq!(*shared(&good, || Ok(1)).unwrap(), 1);
        assert_eq!(*shared(&good, || Ok(2)).unwrap(), 1);
        assert_eq!(shared(&bad, || Err(anyhow!("broken"))).unwrap_err().to_string(), "broken");
        assert_eq!(shared(&bad, || Ok(1)).unwrap_err().to_string(), "broken");
    }
}
