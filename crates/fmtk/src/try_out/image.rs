//! The image to be tried: one of the store, which is loaded where the engine lacks it, or one that the engine has.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use oci_image::Store;

use crate::{
    engine::{self, Answer, EngineCommand},
    options::RegistryArgs,
    recipe::Recipe,
    record::{self, BuildRecord},
    resolve::base::Fallback,
    ship::{intact, lazy::Elsewhere},
    terminal::{progress::Progress, report::WithHint, shell},
};

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriedImage {
    /// Built by us.
    Store(Box<BuildRecord>),
    /// By this name in the engine, or nowhere.
    Engine(String),
}

impl TriedImage {
    /// The image of this name: a tag or timestamp in the store, with or without the repository, else a reference of the
    /// engine's. Without a name, the last one built from the recipe in this file.
    pub fn new(name: Option<&str>, recipe: &Path, store: &Store) -> anyhow::Result<Self> {
        let record = match name {
            None => Some(BuildRecord::latest(store, recipe)?),
            Some(name) => BuildRecord::named(store, name)?,
        };
        let by_name = || Self::Engine(name.unwrap_or_default().to_owned());
        Ok(record.map_or_else(by_name, |record| Self::Store(Box::new(record))))
    }

    pub fn name(&self) -> String {
        match self {
            Self::Store(record) => record.name(),
            Self::Engine(name) => name.clone(),
        }
    }

    /// Its id in the engine; none where that is to be given the image by [`Self::load`], which the store has whole.
    pub fn known(&self, way: &EngineCommand, store: &Store) -> anyhow::Result<Option<String>> {
        let name = match self {
            // An engine knows an image by the digest of its config. One that has another name for it is given it again.
            Self::Store(record) => {
                return match way.image("{{.Id}}", &record.config.digest.hex())? {
                    Answer::Said(id) => Ok(Some(id)),
                    _ => intact::check(record, store).map(|()| None),
                };
            }
            Self::Engine(name) => name,
        };
        let said = match way.image("{{.Id}} {{.Architecture}}", name)? {
            Answer::Said(said) => said,
            answer => {
                return Err(answer.error())
                    .with_context(|| format!("`{name}` is neither in the store nor in {}", way.program))
                    .hint(meant(name, &record::all(store)?, way.program))
                    .input();
            }
        };
        match said.split_once(' ').unwrap_or((&said, "")) {
            (id, "arm64") => Ok(Some(id.to_owned())),
            (_, machine) => Err(anyhow!("`{name}` is an image for {machine}, not for arm64")).input(),
        }
    }

    /// Gives the image to the engine, and its id there.
    pub fn load(
        &self,
        way: &EngineCommand,
        store: &Store,
        args: &RegistryArgs,
        recipe: &Recipe,
        progress: &Progress,
    ) -> anyhow::Result<String> {
        let name = self.name();
        let Self::Store(record) = self else { bail!("`{name}` is not in the store") };
        progress.line(&format!("loading {name} into {}, once", way.program));
        let elsewhere = Elsewhere::new(record, args, &recipe.registry, store, progress);
        engine::load(way, &record.image(store)?, &Fallback { store, other: &elsewhere }, &name, progress)
            .map_err(|error| record.explained(error, store))
    }
}

/// Which image was meant by a name that none has.
fn meant(name: &str, built: &[BuildRecord], program: &str) -> String {
    let there = record::meant(name, built);
    match name.contains([':', '/']) {
        true => format!("{there}; `{program} pull {}` fetches what a registry has", shell::word(name)),
        false => there,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::record::tests::example;

    #[test]
    fn a_name_that_may_be_a_registrys_is_told_how_it_is_pulled_too() {
        let built = [example("a", "20221028181325")];
        let meant = |name: &str| meant(name, &built, "podman");
        assert_eq!(meant("20221028181352"), "did you mean `20221028181325`?");
        expect!["did you mean `fmtk-ma:a-20221028181325`?; `podman pull fmtk-mas:a-20221028181325` fetches what a registry has"]
            .assert_eq(&meant("fmtk-mas:a-20221028181325"));
        expect!["built images: `a-20221028181325`; `podman pull 'no image:1'` fetches what a registry has"]
            .assert_eq(&meant("no image:1"));
    }
}
