//! Bytecode beside what pip leaves: this machine's own Python installs the wheels without `--no-compile`. And whoever
//! compiles for the base's release, this machine or the base, makes the same image.

use std::{path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Context, bail, ensure};
use fmtk::{
    resolve::bytecode::{self, Pool, Release},
    sample::{self, BOOKWORM},
    terminal::progress::{self, Progress},
};
use oci_image::{MTIME, Store};
use wheel_layer::Layout;

use super::world::{Built, Project, World, nothing_is_left};
use crate::testbed::{Engine, Finished, Invocation, NOWHERE, copy, data, layers, name, paths, recipe, unpack};

/// Every wheel of the sample that is for any machine and any Python 3: the same files of bytecode with the same code, which
/// this Python takes, and which are the same when they are made again.
pub fn run(world: &World) -> anyhow::Result<()> {
    let here = world.folder("bytecode")?;
    let said = world.command("python3").args(["-c", "import sys; print(*sys.version_info[:3])"]).run()?.stdout;
    let numbers: Vec<u32> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [major, minor, micro] = numbers[..] else { bail!("`python3` does not say its version") };
    let (version, release) = ((major, minor), Release(major, minor, micro));
    let python = bytecode::host(release).context("`python3` is not found as a Python that compiles")?;
    let other = Pool::on_host(&python, Release(major, minor, micro + 1)).check();
    ensure!(other.is_err(), "a Python compiles for another release than its own");
    let wheels = wheels(world)?;
    let prefix = here.join("pip");
    world.command("python3").args(["-m", "venv"]).arg(&prefix).run()?;
    let pip = world.command(prefix.join("bin/python")).words("-m pip install --quiet --no-index --no-deps");
    pip.words("--ignore-requires-python").args(&wheels).under_umask("0022").run()?;

    let layout = Layout::posix_prefix(&prefix.to_string_lossy(), version, MTIME);
    let layout = Arc::new(Layout { bytecode: Some(release.identity()), ..layout });
    let made = |name: &str| {
        let (started, store) = (Instant::now(), Store::open(&here.join(name))?);
        let pool = Pool::on_host(&python, release);
        let layers = layers(&wheels, &layout, &store, &pool)?;
        world.say(format!("made in {}, {} did not compile", progress::seconds(started.elapsed()), pool.skipped()));
        Ok::<_, anyhow::Error>((store, layers))
    };
    let ((store, made), (_, again)) = (made("store")?, made("again")?);
    ensure!(made == again, "the same wheels became other layers");
    let root = here.join("ours");
    unpack(&world.log, &store, &made, &root)?;
    let ours = root.join(prefix.strip_prefix("/")?);
    let compared = world.command("python3").arg(data("bytecode.py")).args([&ours, &prefix]).run()?;
    world.say(format!("{} files of bytecode are as pip's", compared.stdout.trim()));
    Ok(())
}

/// Wheels for any machine and any Python 3.
fn wheels(world: &World) -> anyhow::Result<Vec<PathBuf>> {
    let is_for_any = |path: &PathBuf| name(path).ends_with("py3-none-any.whl");
    let wheels: Vec<_> = paths(&world.wheels()?)?.into_iter().filter(is_for_any).collect();
    ensure!(!wheels.is_empty(), "no wheel is for any machine and any Python 3");
    Ok(wheels)
}

/// This machine's Python and the base's of the same release make the same image; where neither is needed, neither is
/// asked, and where neither is there, the image has no bytecode or is not made.
pub fn ways(world: &World) -> anyhow::Result<()> {
    let base = sample::ensure_base(&Store::open(&world.store)?, BOOKWORM, &Progress::new(true))?;
    let of_base = BOOKWORM.recipe();
    let wheels = wheels(world)?;
    let names: Vec<String> = wheels.iter().map(|wheel| name(wheel)).collect();
    let kinds = (1..).zip(&names).map(|(number, name)| (format!("packages.kind{number}.glob"), name.as_str()));
    let kinds: Vec<(String, &str)> = kinds.collect();
    let mut changes: Vec<(&str, &str)> = of_base.iter().filter_map(|setting| setting.split_once('=')).collect();
    changes.extend(kinds.iter().map(|(key, name)| (key.as_str(), *name)));
    changes.extend([("bytecode", "auto"), ("versions.mindspore", "2.7.2")]);
    let project = world.project("bytecode-ways", &recipe(&changes))?;
    for wheel in &wheels {
        copy(wheel, &project.pkg().join(name(wheel)))?;
    }
    let image = |project: &Project<'_>| project.image(&base).words("--allow-missing --format json");
    let of = |done: &Finished| Built::of(&done.json()?);

    // Debian 12 has the release of the sample's base of Debian 12.
    let host = image(&project).words("--engine docker").env("DOCKER_HOST", NOWHERE).run()?;
    let program = host.stderr.split_once("compiled for Python ").and_then(|(_, rest)| rest.split('`').nth(1));
    let program = program.context("this machine has no Python of the base's release, as Debian 12 has")?.to_owned();
    host.says(&["note: modules are compiled for Python 3.11."])?;
    // Nobody compiles now, and nobody has to.
    let hidden = |build: Invocation| {
        let script = "mount --bind /bin/false \"$1\" && shift && exec \"$@\"";
        build.under("unshare", &["--mount", "sh", "-c", script, "sh", &program])
    };
    let nobody = |project: &Project<'_>| hidden(image(project).words("--engine docker").env("DOCKER_HOST", NOWHERE));
    let again = nobody(&project).run()?;
    ensure!(of(&again)? == of(&host)?, "another image was made of the same layers");
    ensure!(!again.stderr.contains("compiled"), "somebody was asked to compile:\n{}", again.stderr);

    let other = project.with_store("other");
    let podman = world.podman()?;
    let by_base = hidden(podman.as_the_users(image(&other))?.words("--engine podman")).run()?;
    by_base.says(&["by the base's own Python in podman"])?;
    ensure!(of(&by_base)? == of(&host)?, "the base's Python made another image than this machine's");
    world.say(format!(
        "on this machine in {:.1} s, by the base in {:.1} s: the same image",
        host.seconds, by_base.seconds
    ));
    let left = podman.command().words("ps --all --quiet --filter label=fmtk.bytecode").run()?.stdout;
    ensure!(left.is_empty(), "containers are left: {left}");
    nothing_is_left(&other.store)?;

    let without = nobody(&project.with_store("without")).run()?;
    without.says(&["warning: modules are not compiled", "install Python 3.11.", "`--set bytecode=off`"])?;
    ensure!(of(&without)? != of(&host)?, "an image without bytecode is the one with it");
    nobody(&project.with_store("refused")).words("--set bytecode=on").fails(1)?.says(&["failed to compile the modules"])
}
