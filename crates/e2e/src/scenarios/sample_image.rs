//! The sample image: fetched, planned, built, and not built twice.

use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

use anyhow::{Context, ensure};

use super::world::{World, nothing_is_left};
use crate::testbed::{list, names, paths};

/// Fetch and build; the second build makes nothing anew and says the same.
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
