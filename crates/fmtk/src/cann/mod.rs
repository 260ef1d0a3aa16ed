//! CANN: each of its installers is run in a container of what lies below it, what it wrote becomes layers, and what its
//! `set_env.sh` sets becomes variables. Done once for an installer and what is below; the store remembers the rest.

mod changes;
mod environment;
mod executor;
mod layers;
mod script;

use std::path::{Path, PathBuf};

use anyhow::Context;
use image_name::Digest;
use oci_image::{LAYER_FORMAT, Layer, ParentDirs, Store};
use serde::{Deserialize, Serialize};
use wheel_layer::is_outlined;

use crate::{
    recipe::Cann,
    resolve::packages::{Installer, Package},
};

#[cfg(test)]
pub use changes::tests::entries;
pub use environment::{NNAL_HOME, NNAL_SET_ENV, Sourced, Variables};
pub use executor::{Kept, install};

/// Raised where the same installer upon the same base would give other layers.
const VERSION: u32 = 2;
const KIND: &str = "cann";
/// Raised where the same scripts would give other variables.
const ENVIRONMENT_VERSION: u32 = 1;
const ENVIRONMENT: &str = "cann-environment";

/// Where it is installed; what it writes elsewhere and is kept is listed.
pub const ROOTS: [&str; 2] = ["/usr/local/Ascend", "/etc/Ascend"];
/// What the variables of CANN 5 lead to.
pub const LATEST: &str = "/usr/local/Ascend/ascend-toolkit/latest";

/// What is to be installed upon a base.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    pub base: Digest,
    /// Owners, modes and times of the base's folders, where it was inspected.
    pub dirs: Option<&'a ParentDirs>,
    pub cann: &'a Cann,
    /// Bottom to top, each with the compressed bytes above which a layer of it is split.
    pub installers: Vec<(&'a Installer, u64)>,
    /// Whose variables are learned in the end, where any are.
    pub sourced: Option<Sourced>,
    /// The variables of the base.
    pub variables: Variables,
}

/// What the store has of a job: of each installer, and in the end.
pub type Known = (Vec<Option<Installed>>, Option<Variables>);

impl Job<'_> {
    /// The keys of the installers' layers, and that of the variables.
    fn keys(&self) -> anyhow::Result<(Vec<CannKey<'_>>, String)> {
        let Self { base, dirs, cann, installers, sourced, .. } = self;
        let (mut keys, mut below) = (Vec::new(), *base);
        for (installer, max_layer) in installers {
            let sha256 = installer.package.sha256;
            let key = CannKey { sha256, below, is_inspected: dirs.is_some(), cann, max_layer: *max_layer };
            below = Digest::of(key.text()?);
            keys.push(key);
        }
        let options = serde_json::to_string(&(sourced, cann.cxx_abi, &cann.keep_env, environment::TABLE))?;
        Ok((keys, format!("{ENVIRONMENT_VERSION} {below} {options}")))
    }

    /// What the store has of it.
    pub fn known(&self, store: &Store) -> anyhow::Result<Known> {
        let (keys, of_variables) = self.keys()?;
        let installed = keys.iter().map(|key| cached(store, key)).collect::<anyhow::Result<_>>()?;
        Ok((installed, if self.sourced.is_some() { store.record(ENVIRONMENT, &of_variables)? } else { None }))
    }

    /// The packages of which nothing is known.
    pub fn missing(&self, installed: &[Option<Installed>]) -> Vec<&Package> {
        let all = self.installers.iter().zip(installed);
        all.filter(|(_, known)| known.is_none()).map(|((installer, _), _)| &installer.package).collect()
    }

    /// Whether that is all of it.
    pub fn is_whole(&self, (installed, variables): &Known) -> bool {
        installed.iter().all(Option::is_some) && self.sourced.is_some() == variables.is_some()
    }
}

/// All that the layers of an installer depend on.
#[derive(Debug, Clone)]
struct CannKey<'a> {
    sha256: Digest,
    /// What lies below: the base, or the key of the installer that was run before.
    below: Digest,
    /// Whether times of the base's folders are known.
    is_inspected: bool,
    /// How it is run, what is dropped, what is a wheel.
    cann: &'a Cann,
    /// Compressed bytes above which a layer is split.
    max_layer: u64,
}

/// What an installer wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The layers, bottom to top.
    pub layers: Vec<Layer>,
    /// How many files, folders and links are in them.
    pub entries: u64,
    /// Wheels among them that are to be installed.
    pub wheels: Vec<CannWheel>,
    /// Absolute paths that are kept though they are outside of [`ROOTS`].
    pub outside: Vec<String>,
    /// Files that run with the rights of their owner or group.
    pub setid: Vec<String>,
    pub removed: Vec<String>,
    pub latest: bool,
    /// The folders in the layers.
    pub dirs: ParentDirs,
}

/// A wheel in the installed tree; a copy of it is in the store as a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CannWheel {
    /// Absolute path in the image.
    pub path: String,
    pub sha256: Digest,
    pub size: u64,
}

impl CannKey<'_> {
    fn text(&self) -> anyhow::Result<String> {
        let Self { sha256, below, is_inspected, cann, max_layer } = self;
        let options = serde_json::to_string(&(cann.of_installers(), max_layer, is_inspected, script::OPTIONS))?;
        Ok(format!("{VERSION} {LAYER_FORMAT} {sha256} {below} {options}"))
    }
}

/// What the store remembers, if all of it is still there.
fn cached(store: &Store, key: &CannKey<'_>) -> anyhow::Result<Option<Installed>> {
    let installed: Option<Installed> = store.record(KIND, &key.text()?)?;
    let is_known = |wheel: &CannWheel| {
        let file_name = Path::new(&wheel.path).file_name().unwrap_or_default().to_string_lossy();
        store.has(&wheel.sha256, wheel.size) || is_outlined(store, &file_name, &wheel.sha256)
    };
    Ok(installed.filter(|installed| {
        installed.layers.iter().all(|layer| layer.is_in(store)) && installed.wheels.iter().all(is_known)
    }))
}

fn remember(store: &Store, key: &CannKey<'_>, installed: &Installed) -> anyhow::Result<()> {
    store.put_record(KIND, &key.text()?, installed).context("failed to remember what CANN's installer wrote")
}

/// A wheel of the store under its own name, which says what it is for. Two that are the same are one. Of one that is only
/// known behind the store, the name alone is given.
pub fn named(store: &Store, wheel: &CannWheel) -> anyhow::Result<PathBuf> {
    let name = Path::new(&wheel.path).file_name().context("a wheel without a name")?;
    let folder = store.root().join("wheels").join(wheel.sha256.hex());
    let file = folder.join(name);
    let failed = || format!("failed to write `{}`", file.display());
    if !store.has(&wheel.sha256, wheel.size) {
        return Ok(file);
    }
    if !std::fs::metadata(&file).is_ok_and(|meta| meta.len() == wheel.size) {
        std::fs::create_dir_all(&folder).with_context(failed)?;
        let blob = store.blob_path(&wheel.sha256);
        let half = store.scratch()?;
        let half = half.path().join("wheel");
        // A link costs nothing; where the file system has none, a copy. The name appears when all of it is there.
        std::fs::hard_link(&blob, &half).or_else(|_| std::fs::copy(&blob, &half).map(drop)).with_context(failed)?;
        std::fs::rename(&half, &file).with_context(failed)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::recipe::{Overrides, Recipe};

    /// Raised by a release, every user's installer would run once more.
    #[test]
    fn the_key_of_the_manual_s_toolkit_stays() {
        let recipe = Recipe::parse("", "image.toml", Path::new("/"), Overrides::default()).unwrap();
        let (sha256, below) = (Digest::of("toolkit"), Digest::of("base"));
        let key = CannKey { sha256, below, is_inspected: false, cann: &recipe.cann, max_layer: 1 << 26 };
        expect!["sha256:f1e595f4294e72c0428d16350a129388d10c0c68baca3dc146f15877d3581ad3"]
            .assert_eq(&Digest::of(key.text().unwrap()).to_string());
    }
}
