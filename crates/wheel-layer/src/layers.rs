//! Layers of wheels: from the store, or made.

use std::{collections::HashSet, path::Path};

use oci_image::{Digest, LAYER_FORMAT, Layer, ParentDirs, Store};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    Layout, Target, WheelError, WheelFacts, conflicts,
    install::{Installation, install},
    write::{Source, write},
};

/// Raised where a wheel's entries become others or it is refused, so that layers made before are not taken.
const VERSION: u32 = 4;

/// How wheels become layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Compressed bytes above which another layer is begun. A file larger than that has a layer to itself.
    pub max_layer: u64,
}

impl Default for Options {
    /// 512 MiB a layer: a registry that can't resume an upload costs at most that much twice.
    fn default() -> Self {
        Self { max_layer: 512 << 20 }
    }
}

/// A wheel that becomes a layer.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its facts.
    pub facts: &'a WheelFacts,
    /// Where it lies.
    pub path: &'a Path,
    /// SHA-256 of its bytes, the caller's word.
    pub digest: &'a Digest,
}

/// All that the bytes of the layers depend on.
#[derive(Serialize)]
struct Key<'a> {
    version: u32,
    format: u32,
    wheel: Wheels<'a>,
    /// With those parent folders only that lie above files of the wheels.
    layout: Layout,
    python: (u32, u32),
    options: &'a Options,
}

/// One wheel is written as its digest, several as a list: what is known of single wheels stays known.
#[derive(Serialize)]
#[serde(untagged)]
enum Wheels<'a> {
    One(&'a Digest),
    Several(Vec<&'a Digest>),
}

impl WheelFacts {
    /// The layers of the wheel at `path`, whose contents have this digest and these facts: [`shared_layers`] of one.
    pub fn layers(
        &self,
        store: &Store,
        path: &Path,
        digest: &Digest,
        layout: &Layout,
        target: &Target,
        options: &Options,
    ) -> Result<Vec<Layer>, WheelError> {
        shared_layers(&[Member { facts: self, path, digest }], store, layout, target, options)
    }
}

/// The layers that these wheels share: from the store where it has them, else made. Mostly it is one layer, more where
/// `options` ask for it. Files come wheel by wheel in the order given; another order makes other layers. A file that
/// several wheels have alike is there once, each folder once a layer.
///
/// Sizes, CRCs and the hashes of RECORD are checked on the way; wheels that do not pass, or can't both be installed,
/// have no layers; of one that is damaged only behind its first piece, pieces may stay in the store as blobs that nothing
/// knows. [`WheelFacts::check`] and [`crate::conflicts`] are for the caller to ask first: they say more.
///
/// It takes two threads while it works, for each of up to four layers that it makes at once. Calls for other wheels may
/// run side by side.
pub fn shared_layers(
    wheels: &[Member<'_>],
    store: &Store,
    layout: &Layout,
    target: &Target,
    options: &Options,
) -> Result<Vec<Layer>, WheelError> {
    let mut sources = Vec::with_capacity(wheels.len());
    for Member { facts, path, .. } in wheels {
        let damaged = |fault| WheelError::Archive { wheel: path.to_path_buf(), fault };
        sources.push(Source { path, plan: install(facts, layout, target).map_err(damaged)? });
    }
    let parents = parents_of(sources.iter().map(|source| &source.plan), &layout.parents);
    let key = Key {
        version: VERSION,
        format: LAYER_FORMAT,
        wheel: match wheels {
            [one] => Wheels::One(one.digest),
            several => Wheels::Several(several.iter().map(|wheel| wheel.digest).collect()),
        },
        layout: Layout { parents, ..layout.clone() },
        python: target.python,
        options,
    };
    let key = serde_json::to_string(&key).unwrap_or_else(|_| unreachable!("the key is plain data"));
    if let Some(layers) = cached(store, &key)? {
        return Ok(layers);
    }
    // Whoever makes the same layer at the same time waits here, and then finds it made. 256 locks for all wheels.
    let shard = Sha256::digest(key.as_bytes())[0];
    let _lock = store.lock(&format!("wheel-layer-{shard:02x}"))?;
    if let Some(layers) = cached(store, &key)? {
        return Ok(layers);
    }
    // Of what two wheels put at one path the upper layer's would silently win. What one wheel puts there twice goes as
    // with pip, which the plan of its installation has seen to; what meets only behind a link of the base, and a file
    // where it has a folder, `write` refuses.
    if wheels.len() > 1 {
        let placed = wheels.iter().zip(&sources).map(|(wheel, source)| (wheel.facts, &source.plan));
        let conflicts = conflicts::among(placed);
        if !conflicts.is_empty() {
            return Err(WheelError::Conflicts { conflicts });
        }
    }
    let layers = write(&sources, store, layout, options.max_layer)?;
    store.put_record("wheel-layers", &key, &layers)?;
    Ok(layers)
}

/// Those of the base's folders that lie above files of the wheels.
fn parents_of<'a>(plans: impl Iterator<Item = &'a Installation<'a>>, parents: &ParentDirs) -> ParentDirs {
    let mut folders = HashSet::new();
    for plan in plans {
        let placed = plan.placed.iter().map(|placed| placed.path.as_str());
        let made = plan.generated.iter().map(|made| made.path.as_str());
        for path in placed.chain(made) {
            let mut folder = path;
            while let Some((above, _)) = folder.rsplit_once('/')
                && folders.insert(above)
            {
                folder = above;
            }
        }
    }
    parents
        .iter()
        .filter(|(path, _)| folders.contains(path.as_str()))
        .map(|(path, attr)| (path.clone(), *attr))
        .collect()
}

/// Layers made before, if all of their blobs are still there.
fn cached(store: &Store, key: &str) -> Result<Option<Vec<Layer>>, WheelError> {
    let layers: Option<Vec<Layer>> = store.record("wheel-layers", key)?;
    Ok(layers.filter(|layers| layers.iter().all(|layer| store.has(&layer.digest, layer.size))))
}
