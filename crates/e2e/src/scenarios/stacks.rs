//! Stacks of today out of PyPI's real wheels: built as `--sample --stack` builds them, and run under emulation.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use fmtk::{
    sample::{self, BOOKWORM},
    terminal::progress::Progress,
};
use image_name::ImageRef;
use oci_image::Store;
use serde_json::Value;

use super::{
    try_job::CODE,
    world::{Built, TIMESTAMP, World},
};
use crate::testbed::{Engine, Finished, Invocation, copy_folder, data, folder, list, read, write};

/// Ranks of PyTorch 2.7 on two nodes add up over gloo, started by the launcher and by torchrun; torch_npu lacks the driver's
/// library and no other.
pub fn torch(world: &World) -> anyhow::Result<()> {
    Stack { name: "torch-2.7", set: &[] }.runs(world, |stack, image| stack.adds_up(world, image, "2.7.1"))
}

/// PyTorch 2.10 is imported, and its torch_npu lacks the same library.
pub fn newer_torch(world: &World) -> anyhow::Result<()> {
    let program = "import torch\nprint(torch.__version__, torch.ones(2) + 1)\nimport torch_npu";
    Stack { name: "torch-2.10", set: &[] }.runs(world, |_, image| {
        let options = ["--env", "TORCH_DEVICE_BACKEND_AUTOLOAD=0"];
        let done = world.podman()?.container(image, &options, &["python3", "-c", program])?.fails(1)?;
        done.prints(&["2.10.0+cpu tensor([2., 2.])"])?;
        done.says(&["ImportError: libhccl.so: cannot open shared object file"])
    })
}

/// MindSpore 2.10 computes on the CPU.
pub fn mindspore(world: &World) -> anyhow::Result<()> {
    Stack { name: "mindspore-2.10", set: &[] }.runs(world, |stack, image| stack.multiplies(world, image, "2.10.0"))
}

/// MindSpore 2.7 is built as it was planned, of another release than the stack's; that 2.10 runs is enough.
pub fn older_mindspore(world: &World) -> anyhow::Result<()> {
    let stack = Stack { name: "mindspore-2.7", set: &["versions.mindspore=2.7.1"] };
    let store = store(world, stack.name)?;
    let built = stack.image(world, &store)?.json()?;
    let plan = stack.image(world, &store)?.arg("--dry-run").json()?;
    ensure!(plan["tag"] == built["tag"], "{} was planned, and {} built", plan["tag"], built["tag"]);
    let planned = list(&plan, "layers")?.iter().find(|layer| layer["name"] == "mindspore");
    let of_mindspore = |layer: &&Value| layer["content"].to_string().contains("mindspore 2.7.1");
    let count = list(&built, "layers")?.iter().filter(of_mindspore).count();
    let planned = &planned.context("the plan has no MindSpore")?["pieces"];
    ensure!(count > 1 && *planned == count, "planned {planned} layers of MindSpore, and {count} were built");
    remove(&store)
}

/// A stack, and what is set beside it.
struct Stack {
    name: &'static str,
    set: &'static [&'static str],
}

impl Stack {
    /// Builds it upon the sample's base in this store.
    fn image(&self, world: &World, store: &Path) -> anyhow::Result<Invocation> {
        let build = world.xtask_in(store).words("image --sample --stack").arg(self.name).arg("--pkg");
        let build = build.arg(world.stack_packages()?).args(self.set.iter().flat_map(|set| ["--set", set]));
        Ok(build.args(["--timestamp", TIMESTAMP]))
    }

    /// Builds it in a store of its own, loads it into podman, and has `run` run it. All of it is removed again.
    fn runs(&self, world: &World, run: impl FnOnce(&Self, &str) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (podman, store) = (world.podman()?, store(world, self.name)?);
        // Emulated imports take half as long with bytecode.
        let build = self.image(world, &store)?.args(["--set", "bytecode=auto", "--load", "--engine", "podman"]);
        let done = podman.as_the_users(build)?.words("--format json").run()?;
        let built = Built::of(&done.json()?)?;
        world.say(format!("{}: {:.1} s", built.tag, done.seconds));
        remove(&store)?;

        let image = format!("localhost/fmtk-ma:{}", built.tag);
        let result = run(self, &image);
        podman.command().args(["rmi", "--force", &image]).run()?;
        result
    }

    fn adds_up(&self, world: &World, image: &str, version: &str) -> anyhow::Result<()> {
        let said = |done: &Finished, size: u32, text: &str| {
            (0..size).try_for_each(|rank| done.says(&[&format!("torch {version}+cpu: rank {rank} of {size}{text}")]))
        };
        let done = self.job(world, "example", image)?.words("--framework torch").run()?;
        said(&done, 4, ", uid 1000, sum [10.0, 10.0, 10.0, 10.0]")?;
        let report = done.json()?;
        for node in 0..2 {
            let expected = [2 * node, 2 * node + 1].map(|rank| Some(rank as u64));
            let ranks = list(&report["nodes"][node], "ranks")?;
            let found: Vec<Option<u64>> = ranks.iter().map(|rank| rank["rank"].as_u64()).collect();
            ensure!(found == expected, "node {node} had the ranks {found:?}");
        }
        world.say(format!("the example added up on two nodes in {:.1} s", done.seconds));

        let code = world.folder("torchrun-code")?;
        write(&code.join("all_reduce.py"), &read(&data("all_reduce.py"))?)?;
        let torchrun = self.job(world, "torchrun", image)?.arg("--code").arg(&code);
        let torchrun = torchrun.words("-- fmtk-launch run --per-node --devices 0 --code-dir").arg(CODE);
        let done = torchrun.words("-- torchrun all_reduce.py").run()?;
        // One rank a node: each import takes twenty seconds of a core here.
        said(&done, 2, " as 1000: [3.0, 3.0, 3.0, 3.0]")?;
        done.says(&["torch_npu: libhccl.so: cannot open shared object file"])?;
        world.say(format!("ranks of torchrun added up on two nodes in {:.1} s", done.seconds));
        Ok(())
    }

    /// A job of 2 nodes with 2 devices each on a platform without a rank table.
    fn job(&self, world: &World, name: &str, image: &str) -> anyhow::Result<Invocation> {
        let out = world.path("stack-jobs").join(self.name).join(name);
        let job = world.xtask().words("try --no-table --nodes 2 --devices 2 --engine podman --format json --out");
        world.podman()?.as_the_users(job.arg(out).arg(image))
    }

    fn multiplies(&self, world: &World, image: &str, version: &str) -> anyhow::Result<()> {
        let program = read(&data("matmul.py"))?;
        let done = world.podman()?.container(image, &[], &["python3", "-c", &program])?.run()?;
        done.prints(&[&format!("mindspore {version} as 1000: [[6.0, 6.0], [6.0, 6.0]]")])?;
        world.say(format!("computed in {:.1} s", done.seconds));
        Ok(())
    }
}

/// A store of this name with nothing but the base of the stacks' sample.
pub fn store(world: &World, name: &str) -> anyhow::Result<PathBuf> {
    let shared = Store::open(&world.store).context("no shared store")?;
    let base = sample::ensure_base(&shared, BOOKWORM, &Progress::new(true))?;
    let ImageRef::Layout { dir, .. } = base else { bail!("`{base}` is not a layout") };
    let store = world.path("stacks").join(name);
    // It alone: another scenario may be making one beside it.
    let place = store.join(dir.strip_prefix(&world.store).context("the base is not in the store")?);
    folder(place.parent().unwrap_or(&store))?;
    copy_folder(&world.log, &dir, &place)?;
    Ok(store)
}

/// Frees the disk for the scenarios to come.
pub fn remove(store: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(store).with_context(|| format!("failed to remove `{}`", store.display()))
}
