//! The image to be tried: one of the store, which is loaded where the engine lacks it, or one that the engine has.

use anyhow::{Context, anyhow, bail, ensure};
use oci_image::{Format, Image, MAX_CONFIG, Store};

use crate::{
    engine::{self, Answer, Way},
    options::RegistryArgs,
    recipe::Recipe,
    record::{self, BuildRecord},
    resolve::{base::Fallback, place},
    ship::{intact, lazy::LazyBase},
    terminal::{progress::Progress, report::WithHint, shell},
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

    /// Its id in the engine; none where that is to be given the image by [`Found::load`], which the store has whole.
    pub fn known(&self, way: &Way, store: &Store) -> anyhow::Result<Option<String>> {
        let program = way.program;
        match self {
            // An engine knows an image by the digest of its config. One that has another name for it is given it again.
            Self::Store(record) => match way.image("{{.Id}}", &record.config.digest.hex())? {
                Answer::Said(id) => Ok(Some(id)),
                _ => intact::check(record, store).map(|()| None),
            },
            Self::Engine(name) => {
                let missing = || format!("`{name}` is neither in the store nor does {program} have it");
                let seen = match way.image("{{.Id}} {{.Architecture}}", name)? {
                    Answer::Said(seen) => seen,
                    answer => {
                        let hint = meant(name, &record::all(store)?, program);
                        return Err(answer.error()).with_context(missing).hint(hint).input();
                    }
                };
                let (id, machine) = seen.split_once(' ').unwrap_or((&seen, ""));
                let check = || {
                    ensure!(machine == "arm64", "`{name}` is an image for {machine}, not for arm64");
                    Ok(())
                };
                check().input()?;
                Ok(Some(id.to_owned()))
            }
        }
    }

    /// Gives the image to the engine, and its id there.
    pub fn load(
        &self,
        way: &Way,
        store: &Store,
        args: &RegistryArgs,
        recipe: &Recipe,
        progress: &Progress,
    ) -> anyhow::Result<String> {
        let name = self.name();
        let Self::Store(record) = self else { bail!("`{name}` is not in the store") };
        progress.line(&format!("loading {name} into {}, once", way.program));
        let base = LazyBase::new(record, args, &recipe.registry, store, progress);
        engine::load(way, &image(record, store)?, &Fallback { store, other: &base }, &name)
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

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn built(timestamp: &str) -> BuildRecord {
        let digest = format!("sha256:{}", "0".repeat(64));
        let tag = format!("py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-{timestamp}");
        let record = json!({
            "repository": "fmtk-ma",
            "tag": tag,
            "timestamp": timestamp,
            "digest": digest,
            "media_type": "",
            "manifest_size": 0,
            "config": { "mediaType": "", "digest": digest, "size": 0 },
            "layers": [],
            "base": { "reference": "oci:a", "digest": digest },
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_mistyped_name_is_told_the_nearest_or_all() {
        let built = [built("20221028181325"), built("20221109000000")];
        let meant = |name: &str| meant(name, &built, "podman");
        assert_eq!(meant("20221028181352"), "did you mean `20221028181325`?");
        let tag = built[1].tag.to_string();
        assert_eq!(meant(&tag.replace("euler", "eluer")), format!("did you mean `{tag}`?"));
        expect!["did you mean `fmtk-ma:py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-20221109000000`?; `podman pull fmtk-mas:py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-20221109000000` fetches what a registry has"]
            .assert_eq(&meant(&format!("fmtk-mas:{tag}")));
        expect!["built are: `py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-20221109000000`, `py_3.9-ms_1.9.0_cann_none-euler_2.8.3-aarch64-d910-20221028181325`; `podman pull no-such-image:1` fetches what a registry has"]
            .assert_eq(&meant("no-such-image:1"));
        assert!(meant("a b:1").contains("`podman pull 'a b:1'`"));
        assert_eq!(super::meant("x", &[], "docker"), "nothing was built yet: run `cargo xtask image`");
    }
}
