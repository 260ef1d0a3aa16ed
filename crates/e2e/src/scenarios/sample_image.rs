//! The sample image: fetched, planned, built, and not built twice.

use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

use anyhow::{Context, ensure};

use super::world::{World, nothing_is_left};
use crate::testbed::{list, names, paths};

/// Layers that any release makes of these wheels, whose versions the sample pins: one that made others would have every
/// user push and pull them once more.
const LAYERS: [(&str, &str); 4] = [
    ("mindspore-ascend 1.8.1 (1 of 3)", "sha256:f22408b4c4513aa31d3bf0c4c3c51c9438a7f336283a6a2753ad7dddfafff4e1"),
    ("mindspore-ascend 1.8.1 (2 of 3)", "sha256:853382d1a189ed7c298d63dbef1c7cd4687e9b2a9f5b96d3c16e04b1d20b7a56"),
    ("mindspore-ascend 1.8.1 (3 of 3)", "sha256:04d269e6e3a922e7eda5ba2d6bf07f5888f95d5d3f704556a5bbcc7b99ae44ad"),
    ("mindpet 1.0.4", "sha256:c1441ff37be31dd9e2600121b7ffd06abe3a2df8662edb10e90a450e145c6648"),
];

/// Fetch and build; the second build makes nothing anew and says the same. Its layers are those of earlier releases.
pub fn run(world: &World) -> anyhow::Result<()> {
    let folder = world.wheels()?;
    let wheels = names(&folder)?.iter().filter(|name| name.ends_with(".whl")).count();
    ensure!(wheels >= 14, "`{}` holds {wheels} wheels; the sample has 14", folder.display());
    let image = world.image()?;
    let tag = "py_3.9-ms_1.8.1_cann_none-debian_11-aarch64-d910-20221028181325";
    ensure!(image.tag == tag, "the tag is `{}` instead of `{tag}`", image.tag);
    nothing_is_left(&world.store)?;

    let before = blobs(world)?;
    let again = world.is_the_sample(world.sample(&world.store)?)?;
    ensure!(blobs(world)? == before, "the second build wrote blobs");
    let built = again.json()?;
    for (content, digest) in LAYERS {
        let layer = list(&built, "layers")?.iter().find(|layer| layer["content"] == content);
        let found = layer.with_context(|| format!("no layer is of {content}"))?["blob"]["digest"].as_str();
        ensure!(found == Some(digest), "the layer of {content} is {}", found.unwrap_or_default());
    }
    world.say(format!("{wheels} wheels, {} blobs; the second build took {:.2} s", before.len(), again.seconds));
    Ok(())
}

/// The plan is printed twice the same, with no digest that only a build knows, and nothing is written.
pub fn dry_run(world: &World) -> anyhow::Result<()> {
    world.image()?;
    let before = blobs(world)?;
    let plan = |format: &str| world.sample(&world.store)?.args(["--dry-run", "--format", format]).run();
    let (one, two, json) = (plan("human")?, plan("human")?, plan("json")?);
    ensure!(one.stdout == two.stdout, "two plans of one input differ:\n{}\n--\n{}", one.stdout, two.stdout);
    for plan in [&one, &json] {
        plan.prints(&["mindspore", "mindpet", "numpy"])?;
    }
    ensure!(blobs(world)? == before, "a dry run wrote blobs");

    let (plan, built) = (json.json()?, world.sample(&world.store)?.json()?);
    let planned = list(&plan, "layers")?.iter().find(|layer| layer["name"] == "mindspore-ascend");
    let planned = &planned.context("the plan has no MindSpore")?["pieces"];
    let is_mindspore = |layer: &&serde_json::Value| layer["content"].to_string().contains("mindspore-ascend ");
    let built = list(&built, "layers")?.iter().filter(is_mindspore).count();
    ensure!(built > 1 && *planned == built, "planned {planned} layers of MindSpore, and {built} were built");
    Ok(())
}

/// The store's blobs with lengths and times: whatever is written anew differs.
fn blobs(world: &World) -> anyhow::Result<BTreeMap<PathBuf, (u64, SystemTime)>> {
    let of = |path: PathBuf| {
        let meta = path.metadata().with_context(|| format!("failed to look at `{}`", path.display()))?;
        Ok((path, (meta.len(), meta.modified()?)))
    };
    paths(&world.store.join("blobs/sha256"))?.into_iter().map(of).collect()
}
