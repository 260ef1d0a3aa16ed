//! The image to be tried: one of the store, which is loaded where the engine lacks it, or one that the engine has.

use anyhow::{Context, anyhow, ensure};
use oci_image::{Format, Image, MAX_CONFIG, Store};

use crate::{
    args::RegistryArgs,
    base::{Fallback, LazyBase},
    engine::{self, AskError, Way},
    intact, place,
    progress::Progress,
    recipe::Recipe,
    record::BuildRecord,
    report::WithHint,
};

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Built by us.
    Store(Box<BuildRecord>),
    /// By this name in the engine, or nowhere.
    Engine(String),
}

impl Found {
    /// The image of this name: a tag or timestamp in the store, with or without the repository, else a reference of the
    /// engine's. Without a name, the last one built from this workspace.
    pub fn new(name: Option<&str>, store: &Store) -> anyhow::Result<Self> {
        let Some(name) = name else {
            return Ok(Self::Store(Box::new(BuildRecord::latest(store, &place::workspace())?)));
        };
        let found = BuildRecord::named(store, name)?;
        Ok(found.map_or_else(|| Self::Engine(name.to_owned()), |record| Self::Store(Box::new(record))))
    }

    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Self::Store(record) => record.name(),
            Self::Engine(name) => name.clone(),
        }
    }

    /// Its id in the engine, which is given the image where it lacks it.
    pub fn load(
        &self,
        way: &Way,
        store: &Store,
        args: &RegistryArgs,
        recipe: &Recipe,
        progress: &Progress,
    ) -> anyhow::Result<String> {
        let (program, name) = (way.program, self.name());
        let record = match self {
            Self::Store(record) => record,
            Self::Engine(_) => {
                let missing = || format!("`{name}` is neither in the store nor does {program} have it");
                let seen = match way.image("{{.Id}} {{.Architecture}}", &name) {
                    Err(error @ AskError::Failed { .. }) => {
                        return Err(error)
                            .with_context(missing)
                            .hint(format!("`{program} pull {name}` fetches it"))
                            .input();
                    }
                    seen => seen.map_err(AskError::hinted)?,
                };
                let (id, machine) = seen.split_once(' ').unwrap_or((&seen, ""));
                let check = || {
                    ensure!(machine == "arm64", "`{name}` is an image for {machine}, not for arm64");
                    Ok(())
                };
                check().input()?;
                return Ok(id.to_owned());
            }
        };
        // An engine knows an image by the digest of its config. One that has another name for it is given it again.
        match way.image("{{.Id}}", &record.config.digest.hex()) {
            Err(AskError::Failed { .. }) => {}
            known => return known.map_err(AskError::hinted),
        }
        progress.line(&format!("loading {name} into {program}, once"));
        intact::check(record, store)?;
        let base = record.base.reference.parse()?;
        let base = LazyBase::new(base, record, args, &recipe.registry, store, progress);
        engine::load(way, &image(record, store)?, &Fallback { store, other: &base }, &name)
            .map_err(|error| record.explained(error, store))
    }
}

/// The image of a record.
fn image(record: &BuildRecord, store: &Store) -> anyhow::Result<Image> {
    let config = store
        .read_blob(&record.config.digest, MAX_CONFIG)
        .with_context(|| format!("the config of `{}` is not in the store", record.name()))
        .hint(record.again())?;
    let format = [Format::DockerV2, Format::Oci].into_iter().find(|format| format.manifest() == record.media_type);
    Ok(Image {
        format: format.ok_or_else(|| anyhow!("manifests of type `{}` are not known", record.media_type))?,
        manifest: record.manifest(store)?,
        digest: record.digest,
        config,
        config_descriptor: record.config.clone(),
        layers: record.layers.iter().map(|layer| layer.blob.clone()).collect(),
    })
}
