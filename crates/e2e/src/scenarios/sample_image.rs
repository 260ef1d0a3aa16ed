//! The sample image: fetched, planned, built, and not built twice.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};

use super::world::{Built, World};
use crate::testbed::Log;

/// Fetch and build; the second build makes nothing anew and says the same.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let folder = world.wheels(log)?;
    let wheels = files(&folder)?.into_keys().filter(|name| name.ends_with(".whl")).count();
    ensure!(wheels >= 14, "`{}` holds {wheels} wheels; the sample has 14", folder.display());
    let image = world.image(log)?;
    let tag = "py_3.9-ms_1.8.1_cann_none-debian_11-aarch64-d910-20221028181325";
    ensure!(image.tag == tag, "the tag is `{}` instead of `{tag}`", image.tag);
    nothing_is_left(world.store())?;

    let blobs = world.store().join("blobs/sha256");
    let before = files(&blobs)?;
    let again = world.sample(log, world.store())?.args(["--format", "json"]).run()?;
    ensure!(Built::of(&again.json()?)? == *image, "the second build made another image");
    ensure!(files(&blobs)? == before, "the second build wrote blobs");
    log.say(&format!(
        "{wheels} wheels, {} blobs; the second build took {:.2} s",
        before.len(),
        again.time.as_secs_f64()
    ));
    Ok(())
}

/// The plan is printed twice the same, with no digest that only a build knows, and nothing is written.
pub fn dry_run(world: &World, log: &Log) -> anyhow::Result<()> {
    world.image(log)?;
    let before = files(&world.store().join("blobs/sha256"))?;
    let mut plans = Vec::new();
    for format in ["human", "human", "json"] {
        let plan = world.sample(log, world.store())?.args(["--dry-run", "--format", format]).run()?;
        plans.push(plan.stdout);
    }
    ensure!(plans[0] == plans[1], "two plans of one input differ:\n{}\n--\n{}", plans[0], plans[1]);
    for wheel in ["mindspore", "mindpet", "numpy"] {
        ensure!(plans[0].contains(wheel) && plans[2].contains(wheel), "the plan does not name `{wheel}`");
    }
    let plan: serde_json::Value = serde_json::from_str(&plans[2]).context("the plan for machines is no JSON")?;
    ensure!(files(&world.store().join("blobs/sha256"))? == before, "a dry run wrote blobs");

    let built = world.sample(log, world.store())?.args(["--format", "json"]).run()?.json()?;
    let layers = |of: &serde_json::Value| of["layers"].as_array().cloned().context("there are no layers");
    let planned = layers(&plan)?.into_iter().find(|layer| layer["name"] == "mindspore-ascend");
    let of_mindspore = |layer: &serde_json::Value| layer["content"].to_string().contains("mindspore-ascend ");
    let built = layers(&built)?.iter().filter(|layer| of_mindspore(layer)).count();
    let planned = planned.context("the plan has no MindSpore")?["pieces"].clone();
    ensure!(built > 1 && planned == built, "planned {planned} layers of MindSpore, and {built} were built");
    Ok(())
}

/// Nothing half-written lies in the store.
pub fn nothing_is_left(store: &Path) -> anyhow::Result<()> {
    let left = files(&store.join("tmp"))?;
    ensure!(left.is_empty(), "left in the store's `tmp`: {:?}", left.keys());
    Ok(())
}

/// Names in a folder, with lengths and times: whatever is written anew differs.
pub fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, (u64, std::time::SystemTime)>> {
    let failed = || format!("failed to list `{}`", folder.display());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let meta = entry.metadata().with_context(failed)?;
        found.insert(
            entry.file_name().to_string_lossy().into_owned(),
            (meta.len(), meta.modified().with_context(failed)?),
        );
    }
    Ok(found)
}
