//! How long it takes to import MindSpore, with our compiled modules beside the sources and without: the same wheels, made
//! layers by us and unpacked, for the Python and the processor of this machine.

use std::sync::Arc;

use anyhow::{Context, bail};
use fmtk::resolve::bytecode::{self, Pool, Release};
use oci_image::{MTIME, Store};
use wheel_layer::{Layout, NoCompiler};

use super::{
    rounds::Bench,
    row::{Bar, Row},
};
use crate::testbed::{layers, paths, unpack};

/// It is imported without an NPU and without CANN.
const PACKAGES: [&str; 2] = ["mindspore==2.7.1", "numpy<2"];
const IMPORT: &str = "import time; begin = time.perf_counter(); import mindspore; print(time.perf_counter() - begin)";

pub fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let said = bench.command("python3").args(["-c", "import sys; print(*sys.version_info[:3])"]).run()?.stdout;
    let numbers: Vec<u32> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [major, minor, micro] = numbers[..] else { bail!("`python3` does not say its version") };
    let release = Release(major, minor, micro);
    let python = bytecode::host(release).context("`python3` is not found as a Python that compiles")?;
    let wheels = bench.folder("import-wheels")?;
    let pip = bench.command(&python).words("-m pip download --quiet --only-binary :all: --dest").arg(&wheels);
    pip.args(PACKAGES).run()?;
    let wheels = paths(&wheels)?;
    let store = Store::open(&bench.path("import-store"))?;
    let site = |name: &str, compiled: bool| {
        let root = bench.path(name);
        let plain = Layout::posix_prefix("/usr", (major, minor), MTIME);
        let layout = Layout { bytecode: compiled.then(|| release.identity()), ..plain };
        let made = match compiled {
            true => layers(&wheels, &Arc::new(layout.clone()), &store, &Pool::on_host(&python, release))?,
            false => layers(&wheels, &Arc::new(layout.clone()), &store, &NoCompiler)?,
        };
        unpack(&bench.log, &store, &made, &root)?;
        Ok::<_, anyhow::Error>(root.join(layout.purelib.trim_start_matches('/')))
    };
    let (compiled, plain) = (site("import-compiled", true)?, site("import-plain", false)?);
    let [with, without] = bench.in_turns("import", ["compiled", "not compiled"], |which, _| {
        let site = if which == "compiled" { &compiled } else { &plain };
        let import = bench.command(&python).args(["-c", IMPORT]).env("PYTHONPATH", site);
        // As for a job that may not write beside the sources.
        let said = import.env("PYTHONDONTWRITEBYTECODE", "1").run()?;
        let last = said.text().lines().last().and_then(|seconds| seconds.parse().ok());
        last.context("it printed no time")
    })?;
    Ok(vec![Row::timed("import of MindSpore 2.7, compiled", &with, "not compiled", &without, Bar::Faster(1.8))])
}
