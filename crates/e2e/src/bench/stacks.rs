//! Stacks of today: PyTorch with transformers beside docker and buildah, MindSpore's largest wheel beside the floor, and a
//! plan beside uv's resolution.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use wheel_layer::Target;

use super::{
    building,
    image::{Image, stack_recipe},
    rounds::Bench,
    row::{Bar, Row, Unit, median},
};
use crate::testbed::{wheel, write};

/// The stack of PyTorch, and what its image has besides.
const TORCH: &str = "torch-2.7";
const BESIDES: &str = "transformers";

/// What can be measured of stacks by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// PyTorch with transformers, everything anew, beside docker and buildah
    Cold,
    /// A plan with everything in the store, beside `uv pip compile`
    Plan,
    /// The layer of MindSpore 2.10 beside the floor
    Layer,
}

/// Measures all parts, or those that were named.
pub fn run(bench: Bench, pkg: Option<&Path>, only: &[Part]) -> anyhow::Result<Vec<Row>> {
    let is_asked = |part: Part| only.is_empty() || only.contains(&part);
    let mut rows = Vec::new();
    if is_asked(Part::Layer) {
        rows.extend(layer(&bench, pkg)?);
    }
    if is_asked(Part::Cold) || is_asked(Part::Plan) {
        let image = Image::of_stack(bench, TORCH, BESIDES, pkg)?;
        image.bench.say(format!("{} wheels", image.wheels()?.len()));
        if is_asked(Part::Cold) {
            let figure = format!("cold build + push, {} wheels of PyTorch", image.wheels()?.len());
            rows.extend(building::cold(&image, &figure, [15.0, 8.0])?);
        }
        if is_asked(Part::Plan) {
            rows.extend(plan(&image)?);
        }
    }
    Ok(rows)
}

/// The wheel of MindSpore 2.10, of which most is machine code.
fn layer(bench: &Bench, pkg: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let packages = bench.packages(pkg)?;
    let fetch = bench.xtask_in(&bench.path("setup")).words("fetch --sample --stack mindspore-2.10 --pkg");
    fetch.arg(&packages).run()?;
    let wheel = wheel(&packages.join("pypi/mindspore-2.10"), "mindspore-")?;
    building::layer(bench, &wheel, &Target::aarch64((3, 11), (2, 36)), "layer of the MindSpore 2.10 wheel")
}

/// A plan of what has been built before, and what uv takes to resolve the same requirements for the same Python out of its
/// cache.
fn plan(image: &Image) -> anyhow::Result<Vec<Row>> {
    let bench = &image.bench;
    let uv = uv(bench)?;
    let requirements = bench.path("requirements.in");
    let pypi = stack_recipe(TORCH)?.pypi;
    // To uv a constraint of what is required is a requirement too.
    let of_stack = pypi.requirements.iter().chain(&pypi.constraints).map(ToString::to_string);
    let lines: Vec<String> = of_stack.chain([BESIDES.to_owned()]).collect();
    write(&requirements, lines.join("\n"))?;
    let (store, cache) = (bench.folder("plan-store")?, bench.folder("uv-cache")?);
    image.empty_registry()?;
    image.build_and_push(&store, "20230101000000")?;
    let measure = |who: &str, _: usize| {
        let command = match who {
            "ours" => image.command(&store, "image").args(["--dry-run", "--allow-missing", "--base", &image.base()]),
            _ => {
                let uv = bench.command(&uv).words("pip compile --quiet --python-version 3.11 --cache-dir").arg(&cache);
                uv.words("--python-platform aarch64-manylinux_2_28").arg(&requirements)
            }
        };
        Ok(bench.measure(command)?.0.seconds)
    };
    for who in ["ours", "uv pip compile"] {
        measure(who, 0)?;
    }
    let [ours, theirs] = bench.in_turns("plan", ["ours", "uv pip compile"], measure)?;
    let theirs = median(&theirs);
    let bar = Bar::AtMost(f64::max(1.0, 0.2 * theirs));
    let figure = "plan of a stack, everything cached";
    Ok(vec![Row::beside(figure, median(&ours), "uv pip compile", theirs, Unit::Seconds, bar)])
}

/// uv, as PyPI has it.
fn uv(bench: &Bench) -> anyhow::Result<PathBuf> {
    let folder = bench.path("uv");
    bench.command("python3").args(["-m", "venv"]).arg(&folder).run()?;
    bench.command(folder.join("bin/pip")).words("install --quiet uv").run()?;
    Ok(folder.join("bin/uv"))
}
