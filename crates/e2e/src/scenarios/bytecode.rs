//! Bytecode beside what pip leaves: this machine's own Python installs the wheels without `--no-compile`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, ensure};
use fmtk::{
    resolve::bytecode::{self, Pool},
    terminal::progress,
};
use image_name::Digest;
use oci_image::{Layer, MTIME, ParentDirs, Store};
use wheel_layer::{InstalledWheel, Layout, WheelFacts};

use super::world::World;
use crate::testbed::{bytes, data, folder, name, paths};

/// Every wheel of the sample that is for any machine and any Python 3: the same files of bytecode with the same code, which
/// this Python takes, and which are the same when they are made again.
pub fn run(world: &World) -> anyhow::Result<()> {
    let here = world.folder("bytecode")?;
    let said = world.command("python3").args(["-c", "import sys; print(*sys.version_info[:2])"]).run()?.stdout;
    let version = said.trim().split_once(' ').context("`python3` does not say its version")?;
    let version = (version.0.parse()?, version.1.parse()?);
    let python = bytecode::python(version).context("`python3` is not found as a Python that compiles")?;
    let is_for_any = |path: &PathBuf| name(path).ends_with("py3-none-any.whl");
    let wheels: Vec<_> = paths(&world.wheels()?)?.into_iter().filter(is_for_any).collect();
    ensure!(!wheels.is_empty(), "no wheel is for any machine and any Python 3");
    let prefix = here.join("pip");
    world.command("python3").args(["-m", "venv"]).arg(&prefix).run()?;
    let pip = world.command(prefix.join("bin/python")).words("-m pip install --quiet --no-index --no-deps");
    pip.words("--ignore-requires-python").args(&wheels).under_umask("0022").run()?;

    let layout = Layout::posix_prefix(&prefix.to_string_lossy(), version, MTIME);
    let layout = Arc::new(Layout { bytecode: Some(python.identity()), ..layout });
    let made = |name: &str| {
        let (started, store) = (Instant::now(), Store::open(&here.join(name))?);
        let pool = Pool::new(&python);
        let layer = |wheel| layers(wheel, &layout, &store, &pool);
        let layers: Vec<Vec<Layer>> = wheels.iter().map(|wheel| layer(wheel)).collect::<anyhow::Result<_>>()?;
        world.say(format!("made in {}, {} did not compile", progress::seconds(started.elapsed()), pool.skipped()));
        Ok::<_, anyhow::Error>((store, layers.concat()))
    };
    let ((store, layers), (_, again)) = (made("store")?, made("again")?);
    ensure!(layers == again, "the same wheels became other layers");
    let root = here.join("ours");
    folder(&root)?;
    for layer in layers {
        let tar =
            world.command("tar").words("--extract --gzip --no-same-owner --file").arg(store.blob_path(&layer.digest));
        tar.arg("--directory").arg(&root).run()?;
    }
    let ours = root.join(prefix.strip_prefix("/")?);
    let compared = world.command("python3").arg(data("bytecode.py")).args([&ours, &prefix]).run()?;
    world.say(format!("{} files of bytecode are as pip's", compared.stdout.trim()));
    Ok(())
}

fn layers(wheel: &Path, layout: &Arc<Layout>, store: &Store, pool: &Pool) -> anyhow::Result<Vec<Layer>> {
    let (facts, digest) = (Arc::new(WheelFacts::read(wheel)?), Digest::of(bytes(wheel)?));
    let installed = InstalledWheel::new(facts, wheel.to_owned(), digest, layout.clone(), |_| None)?;
    Ok(wheel_layer::layers(&[&installed], store, &ParentDirs::new(), 64 << 20, pool)?)
}
