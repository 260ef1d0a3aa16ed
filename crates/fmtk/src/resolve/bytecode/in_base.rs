//! The base's own Python compiles, in a container for each core.

use anyhow::Context;
use oci_image::{Lock, Store};

use super::{
    Release,
    pool::{HASH_SEED, KEPT, Pool, arguments},
};
use crate::{
    engine,
    recipe::Recipe,
    resolve::{
        base::{self, OpenImage},
        containers::{Containers, Network},
    },
    terminal::progress::Progress,
};

/// What the engine has as long as this is kept.
struct Kept {
    // Dropped in this order: the name of the image is free before its lock is.
    containers: Containers,
    _lock: Lock,
}

/// Processes of the base's Python, run by this engine. An engine that has the base by another name (`is_there`) is not
/// given its layers again.
pub fn in_base(
    release: Release,
    recipe: &Recipe,
    opened: &OpenImage,
    (program, is_there): (&'static str, bool),
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Pool> {
    let lock = store.lock("bytecode")?;
    let name = format!("localhost/fmtk-python:{}", engine::here(store));
    let count = side_by_side::cores();
    let containers = Containers::new("bytecode", count, std::slice::from_ref(&name), 0, program, store, progress)?;
    progress.line(&format!("loading the base into {program}, to compile modules by its Python"));
    let image = base::as_image(store, opened, &[])?;
    let source = base::Fallback { store, other: opened };
    let there = if is_there { image.layers.len() } else { 0 };
    let id = engine::load_upon(there, &containers.way, &image, &source, &name, progress)?;
    // The environment of the base may change what Python does; what its program needs to start is left.
    let kept = opened.base.config.env().into_iter().filter(|(name, _)| name == KEPT);
    let kept = kept.map(|(name, value)| format!("{name}={value}"));
    let interpreter = recipe.python.interpreter.as_str().to_owned();
    let command: Vec<String> = ["/usr/bin/env", "-i", HASH_SEED]
        .map(str::to_owned)
        .into_iter()
        .chain(kept)
        .chain([interpreter])
        .chain(arguments(release))
        .collect();
    let options = ["--interactive", "--user", "0:0", "--workdir", "/"].map(str::to_owned);
    for number in 0..count {
        containers.create(number, Network::Own, &options, &id, &command)?;
    }
    let kept = Kept { containers, _lock: lock };
    let pool = Pool::new(format!("the base's Python in {program}"), move |number| kept.containers.converse(number));
    pool.check().context("failed to run the base's Python")?;
    Ok(pool)
}
