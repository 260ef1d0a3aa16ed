//! How long a job takes to import MindSpore, with compiled modules beside the sources and without, in an image that is
//! the same otherwise. Where this machine is not arm64, both are measured under emulation.

use std::path::Path;

use anyhow::Context;
use fmtk::resolve::packages::Folders;

use super::{
    image::Image,
    row::{Bar, Row},
};
use crate::testbed::{Engine, field};

/// The stack whose MindSpore is imported without an NPU and without CANN.
const STACK: &str = "mindspore-2.7";
const IMPORT: &str = "import time; begin = time.perf_counter(); import mindspore; print(time.perf_counter() - begin)";

pub fn run(image: &Image, pkg: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let (bench, docker) = (&image.bench, &image.docker);
    let packages = bench.packages(pkg)?;
    let store = bench.folder("import-store")?;
    if !Folders::of(packages.clone(), None, Some(STACK)).pypi.is_dir() {
        bench.xtask_in(&store).args(["fetch", "--sample", "--stack", STACK, "--pkg"]).arg(&packages).run()?;
    }
    let loaded = |bytecode: &str, timestamp: &str| -> anyhow::Result<String> {
        let build = bench.xtask_in(&store).args(["image", "--sample", "--stack", STACK, "--timestamp", timestamp]);
        let build = build.args(["--set", &format!("bytecode={bytecode}"), "--load", "--engine", "docker"]);
        let built = build.arg("--pkg").arg(&packages).env("DOCKER_HOST", docker.host()).json()?;
        Ok(field(&built, "image")?.to_owned())
    };
    let (compiled, plain) = (loaded("on", "20230101000001")?, loaded("off", "20230101000000")?);
    let [with, without] = bench.in_turns("import", [&compiled, &plain], |image, _| {
        // As for a job that may not write beside the sources.
        let options = ["--env", "PYTHONDONTWRITEBYTECODE=1"];
        let said = docker.container(image, &options, &["python3", "-c", IMPORT])?.run()?;
        said.text().lines().last().and_then(|seconds| seconds.parse().ok()).context("the import printed no time")
    })?;
    Ok(vec![Row::timed("import of MindSpore 2.7, compiled", &with, "not compiled", &without, Bar::Faster(1.8))])
}
