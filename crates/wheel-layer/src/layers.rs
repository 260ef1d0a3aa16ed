//! Layers of wheels: from the store, or made.

use std::collections::BTreeMap;

use image_name::Digest;
use oci_image::{LAYER_FORMAT, Layer, ParentDirs, Store};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{Compiler, InstalledWheel, Layout, WheelError, conflicts, write::write};

/// Raised where a wheel's entries become others or it is refused, so that layers made before are not taken.
const VERSION: u32 = 5;

/// All that the bytes of the layers depend on.
#[derive(Serialize)]
struct Key<'a> {
    version: u32,
    format: u32,
    wheels: Vec<&'a Digest>,
    layout: &'a Layout,
    links: BTreeMap<&'a String, &'a String>,
    /// Files of which wheel, by its number, another's are there for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overwritten: Vec<(usize, &'a str)>,
    /// Which of the wheels are not held against their RECORD.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unbelieved: Vec<usize>,
    /// Those parent folders only that lie above files of the wheels.
    parents: &'a ParentDirs,
    max_layer: u64,
}

/// The layers that these wheels share, which are installed by one layout: from the store where it has them, else made.
/// Above `max_layer` compressed bytes another layer is begun; a file larger than that has one to itself. Files come
/// wheel by wheel in the order given; another order makes other layers. A file that several wheels have alike is there
/// once, each folder once a layer, with the attributes that the base gives it in `parents`.
///
/// Sizes, CRCs and the hashes of RECORD are checked on the way; wheels that do not pass, or can't both be installed,
/// have no layers; of one that is damaged only behind its first piece, pieces may stay in the store as blobs that nothing
/// knows. The checks of [`crate::WheelFacts`] and [`crate::conflicts`] are for the caller to ask first: they say more.
///
/// `compiler` makes the bytecode where the layout asks for it, one source on each core; what does not compile has none.
///
/// It takes two threads while it works, for each of up to four layers that it makes at once. Calls for other wheels may
/// run side by side.
pub fn layers(
    wheels: &[&InstalledWheel],
    store: &Store,
    parents: &ParentDirs,
    max_layer: u64,
    compiler: &dyn Compiler,
) -> Result<Vec<Layer>, WheelError> {
    let Some(InstalledWheel { layout, .. }) = wheels.first() else { return Ok(Vec::new()) };
    let parents = above(wheels, parents);
    let key = key(wheels, layout, &parents, max_layer);
    if let Some(layers) = cached(store, &key)? {
        return Ok(layers);
    }
    // Whoever makes the same layer at the same time waits here, and then finds it made. 256 locks for all wheels.
    let shard = Sha256::digest(key.as_bytes())[0];
    let _lock = store.lock(&format!("wheel-layer-{shard:02x}"))?;
    if let Some(layers) = cached(store, &key)? {
        return Ok(layers);
    }
    // Of what two wheels put at one path the upper layer's would silently win.
    let conflicts = if wheels.len() > 1 { conflicts(wheels) } else { Vec::new() };
    if !conflicts.is_empty() {
        let conflicts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        return Err(WheelError::Refused(format!("the wheels can't share a layer: {}", conflicts.join("; "))));
    }
    let layers = write(wheels, store, layout, &parents, max_layer, compiler)?;
    store.put_record("wheel-layers", &key, &layers)?;
    Ok(layers)
}

/// These layers where the store has them, so that [`layers`] makes none.
pub fn made(
    wheels: &[&InstalledWheel],
    store: &Store,
    parents: &ParentDirs,
    max_layer: u64,
) -> Result<Option<Vec<Layer>>, WheelError> {
    let Some(InstalledWheel { layout, .. }) = wheels.first() else { return Ok(Some(Vec::new())) };
    cached(store, &key(wheels, layout, &above(wheels, parents), max_layer))
}

/// The folders above files of these wheels.
fn above(wheels: &[&InstalledWheel], parents: &ParentDirs) -> ParentDirs {
    let is_above = |path: &String| wheels.iter().any(|wheel| wheel.folders.contains(path));
    let above = parents.iter().filter(|(path, _)| is_above(path));
    above.map(|(path, attr)| (path.clone(), *attr)).collect()
}

/// What layers are known by.
fn key(wheels: &[&InstalledWheel], layout: &Layout, parents: &ParentDirs, max_layer: u64) -> String {
    let key = Key {
        version: VERSION,
        format: LAYER_FORMAT,
        wheels: wheels.iter().map(|wheel| &wheel.digest).collect(),
        layout,
        links: wheels.iter().flat_map(|wheel| &wheel.links).filter(|(from, to)| from != to).collect(),
        overwritten: wheels
            .iter()
            .enumerate()
            .flat_map(|(of, wheel)| wheel.overwritten().map(move |path| (of, path)))
            .collect(),
        unbelieved: (0..wheels.len()).filter(|of| !wheels[*of].believes_record).collect(),
        parents,
        max_layer,
    };
    serde_json::to_string(&key).unwrap_or_else(|_| unreachable!("the key is plain data"))
}

/// Layers made before, if all of their blobs are still there or behind the store.
fn cached(store: &Store, key: &str) -> Result<Option<Vec<Layer>>, WheelError> {
    let layers: Option<Vec<Layer>> = store.record("wheel-layers", key)?;
    Ok(layers.filter(|layers| layers.iter().all(|layer| layer.is_in(store))))
}
