//! What scenarios share: the program under test, its store, the packages, the image, registries and engines.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use fmtk::{resolve::place, sample};
use image_name::{Digest, ImageRef};
use oci_image::Store;

use super::lazy::Lazy;
use crate::testbed::{Access, Docker, Invocation, Log, PASSWORD, Podman, RegistryServer, Workplace, program};

/// Timestamp of every image here.
pub const TIMESTAMP: &str = "20221028181325";
/// Organisation that images are pushed to.
pub const ORG: &str = "mindxsdk";

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its tag.
    pub tag: String,
    /// Digest of its manifest.
    pub digest: Digest,
}

/// Shared by all scenarios of a run. Servers end and folders go with it: the fields are dropped in this order, and the
/// folder last.
#[derive(Debug)]
pub struct World {
    registry: Lazy<RegistryServer>,
    docker: Lazy<Docker>,
    podman: Lazy<Podman>,
    packages: Lazy<PathBuf>,
    image: Lazy<Built>,
    program: PathBuf,
    store: PathBuf,
    logs: PathBuf,
    pkg: Option<PathBuf>,
    workplace: Workplace,
}

impl World {
    /// A world around this very program. Without `store` it has a fresh one.
    pub fn new(store: Option<&Path>, pkg: Option<&Path>) -> anyhow::Result<Self> {
        let workplace = Workplace::new()?;
        let absolute = |path: &Path| std::path::absolute(path).context("no working folder");
        let store = match store {
            Some(path) => absolute(path)?,
            None => workplace.path().join("store"),
        };
        Ok(Self {
            registry: Lazy::default(),
            docker: Lazy::default(),
            podman: Lazy::default(),
            packages: Lazy::default(),
            image: Lazy::default(),
            program: program()?,
            store,
            logs: place::workspace().join("target/e2e"),
            pkg: pkg.map(absolute).transpose()?,
            workplace,
        })
    }

    /// Where the logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The store of the shared image.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// The program under test.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A folder of this name below the run's own.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.workplace.folder(name)
    }

    /// The program under test with the shared store.
    pub fn xtask<'a>(&self, log: &'a Log) -> Invocation<'a> {
        self.xtask_in(log, &self.store)
    }

    /// The program under test with another store, without what the caller's environment may tell it.
    pub fn xtask_in<'a>(&self, log: &'a Log, store: &Path) -> Invocation<'a> {
        let mut command = log.command(&self.program).arg("--store").arg(store).dir(&place::workspace());
        for name in ["FMTK_STORE", "timestamp", "org_name", "DOCKER_BUILD_PATH", "DOCKER_HOST"] {
            command = command.env_remove(name);
        }
        // Engines that run under emulation beside other tests may be slow.
        command.env("DOCKER_CONFIG", self.login_folder()).env("FMTK_ENGINE_LIMIT", "120")
    }

    /// `image --sample` with the shared packages and timestamp.
    pub fn sample<'a>(&self, log: &'a Log, store: &Path) -> anyhow::Result<Invocation<'a>> {
        let command = self.xtask_in(log, store).args(["image", "--sample", "--timestamp", TIMESTAMP]);
        Ok(command.arg("--pkg").arg(self.packages(log)?))
    }

    /// The package folder, as `fetch` leaves it: the sample's wheels and what they require are in its `pypi`.
    pub fn packages(&self, log: &Log) -> anyhow::Result<&Path> {
        let packages = self.packages.get(|| {
            if let Some(folder) = &self.pkg {
                return Ok(folder.clone());
            }
            let folder = self.folder("pkg")?;
            self.xtask(log).args(["fetch", "--sample", "--pkg"]).arg(&folder).run()?;
            Ok(folder)
        });
        packages.map(PathBuf::as_path).context("the packages could not be fetched")
    }

    /// The folder of the wheels themselves.
    pub fn wheels(&self, log: &Log) -> anyhow::Result<PathBuf> {
        Ok(fmtk::resolve::packages::pypi_folder(self.packages(log)?))
    }

    /// The sample's base in the shared store.
    pub fn base(&self, log: &Log) -> anyhow::Result<ImageRef> {
        self.image(log)?;
        let store = Store::open(&self.store).context("no shared store")?;
        ensure!(sample::is_made(&store)?, "the shared store has no base of the sample");
        sample::reference(&store)
    }

    /// `--base` in place of the sample's own, and what the recipe must say of it.
    pub fn base_options(&self, log: &Log, reference: &str) -> anyhow::Result<Vec<String>> {
        let mut options = vec!["--base".to_owned(), reference.to_owned()];
        self.base(log)?;
        for setting in sample::RECIPE {
            options.extend(["--set".to_owned(), setting.to_owned()]);
        }
        Ok(options)
    }

    /// The sample image, in the shared store.
    pub fn image(&self, log: &Log) -> anyhow::Result<&Built> {
        let image = self.image.get(|| {
            let built = self.sample(log, &self.store)?.args(["--format", "json"]).run()?;
            Built::of(&built.json()?)
        });
        image.context("the sample image could not be built")
    }

    /// The registry that wants a password.
    pub fn registry(&self, log: &Log) -> anyhow::Result<&RegistryServer> {
        self.registry.get(|| {
            let server = RegistryServer::start(log, &self.folder("registry")?, Access::Password)?;
            server.login(&self.login_folder(), PASSWORD)?;
            Ok(server)
        })
    }

    /// The folder of the password for that registry, as `DOCKER_CONFIG` names it.
    pub fn login_folder(&self) -> PathBuf {
        self.workplace.path().join("login")
    }

    /// The image in that registry: `host/org/repository:tag`.
    pub fn pushed(&self, log: &Log) -> anyhow::Result<String> {
        let image = self.image(log)?;
        let host = self.registry(log)?.host();
        self.xtask(log)
            .args(["push", "--org", ORG, "--insecure", "--registry", &host, "--timestamp", TIMESTAMP])
            .run()?;
        Ok(format!("{host}/{ORG}/fmtk-ma:{}", image.tag))
    }

    /// docker, with Go's gzip reader.
    pub fn docker(&self, log: &Log) -> anyhow::Result<&Docker> {
        self.docker.get(|| Docker::start(log, &self.folder("docker")?, true))
    }

    /// podman.
    pub fn podman(&self, log: &Log) -> anyhow::Result<&Podman> {
        self.podman.get(|| Podman::open(log, &self.folder("podman")?))
    }
}

impl Built {
    /// Reads what `image --format json` prints.
    pub fn of(json: &serde_json::Value) -> anyhow::Result<Self> {
        let field = |name: &str| {
            json[name].as_str().map(str::to_owned).with_context(|| format!("`image` printed no `{name}`: {json}"))
        };
        let digest = field("digest")?;
        Ok(Self { tag: field("tag")?, digest: digest.parse().with_context(|| format!("`{digest}` is no digest"))? })
    }
}
