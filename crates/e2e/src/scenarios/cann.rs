//! CANN: a stand-in for its installer is run by both engines, cached, refused where it is damaged.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    sample_image::nothing_is_left,
    world::{TIMESTAMP, World},
};
use crate::testbed::{
    Docker, Engine, Invocation, Log, OldDocker, Podman, Snapshot, cann_double, end_by, recipe, wait_until,
    wait_while_running,
};

const VERSION: &str = "5.1.RC2";
const KIT: &str = "usr/local/Ascend/ascend-toolkit/5.1.RC2";

/// A folder with the recipe and the packages, and builds from it.
struct Place<'a> {
    world: &'a World,
    folder: PathBuf,
    run: PathBuf,
}

impl<'a> Place<'a> {
    fn new(world: &'a World, log: &Log, name: &str) -> anyhow::Result<Self> {
        let folder = world.folder(name)?;
        let pkg = world.folder(&format!("{name}/pkg"))?;
        let run = cann_double(log, &pkg, VERSION)?;
        let text = recipe(&[]).replace("cann = \"none\"", &format!("cann = \"{VERSION}\""));
        let path = folder.join("image.toml");
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(Self { world, folder, run })
    }

    fn image<'l>(&self, log: &'l Log, store: &str) -> anyhow::Result<Invocation<'l>> {
        let base = self.world.base(log)?.to_string();
        let build = self.world.xtask_in(log, &self.folder.join(store)).arg("image").arg("--recipe");
        let build = build.arg(self.folder.join("image.toml")).arg("--pkg").arg(self.folder.join("pkg"));
        Ok(build.args(["--base", &base, "--timestamp", TIMESTAMP]))
    }

    fn by_podman<'l>(&self, log: &'l Log, store: &str, podman: &Podman) -> anyhow::Result<Invocation<'l>> {
        Ok(podman.as_the_users(self.image(log, store)?)?.args(["--engine", "podman"]))
    }

    fn by_docker<'l>(&self, log: &'l Log, store: &str, docker: &Docker) -> anyhow::Result<Invocation<'l>> {
        Ok(self.image(log, store)?.args(["--engine", "docker"]).env("DOCKER_HOST", docker.host()))
    }
}

/// Both engines make the same layers; the second build runs neither; the image has what was installed.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let place = Place::new(world, log, "cann")?;
    let (podman, docker) = (world.podman(log)?, world.docker(log)?);

    let plan = place.by_podman(log, "podman", podman)?.arg("--dry-run").run()?;
    ensure!(plan.stdout.contains("CANN 5.1.RC2") && plan.stdout.contains("by podman"), "{}", plan.stdout);
    ensure!(plan.stdout.contains("drop    /.dockerenv /dev"), "the list is not in the plan:\n{}", plan.stdout);
    let archive = place.folder.join("image.tar");
    let first = place.by_podman(log, "podman", podman)?;
    let first =
        first.args(["--format", "json", "--output"]).arg(format!("docker-archive:{}", archive.display())).run()?;
    first.says(&["usr/local/Ascend/ascend-toolkit/5.1.RC2/bin/helper"])?;
    log.say(&format!("podman: {:.1} s", first.time.as_secs_f64()));
    // Somebody else's surroundings, and a store of their own.
    let second = place.by_docker(log, "docker", docker)?.args(["--format", "json"]).under_umask("0077");
    let second = second.env("TZ", "Asia/Shanghai").env("LC_ALL", "tr_TR.UTF-8").env("LANG", "tr_TR.UTF-8").run()?;
    log.say(&format!("docker: {:.1} s", second.time.as_secs_f64()));
    let (first, second) = (first.json()?, second.json()?);
    let of_cann = |json: &Value| {
        let layers = json["layers"].as_array().cloned().unwrap_or_default();
        layers
            .into_iter()
            .filter(|layer| layer["content"].as_str().is_some_and(|text| text.starts_with("CANN 5.1.RC2")))
            .collect::<Vec<Value>>()
    };
    // Whiteouts, and all the rest.
    ensure!(of_cann(&first).len() == 2, "CANN has other layers: {:?}", of_cann(&first));
    ensure!(of_cann(&first) == of_cann(&second), "podman: {:?}\ndocker: {:?}", of_cann(&first), of_cann(&second));
    ensure!(first["digest"] == second["digest"], "the engines made different images");
    nothing_runs(log, podman, docker)?;

    // No engine can be had now, and none is needed.
    let again = place
        .image(log, "podman")?
        .args(["--engine", "docker", "--format", "json"])
        .env("DOCKER_HOST", "unix:///nowhere")
        .run()?;
    ensure!(again.json()?["digest"] == first["digest"], "the second build made another image");
    log.say(&format!("the second build took {:.2} s", again.time.as_secs_f64()));
    let plan = place.image(log, "podman")?.arg("--dry-run").run()?;
    for kept in ["      + /opt/outside/kept", "      + /etc/profile", "      - /etc/issue", " te 1.0"] {
        ensure!(plan.stdout.contains(kept), "the plan does not say `{kept}`:\n{}", plan.stdout);
    }
    for store in ["podman", "docker"] {
        nothing_is_left(&place.folder.join(store))?;
    }
    in_podman(log, podman, &archive)
}

/// A docker that knows no more than 18.09 without its experimental features: no `--platform`, no newer flag.
pub fn old_docker(world: &World, log: &Log) -> anyhow::Result<()> {
    let place = Place::new(world, log, "cann-old-docker")?;
    let docker = world.docker(log)?;
    let old = OldDocker::new(&place.folder.join("old"))?;
    let archive = place.folder.join("image.tar");
    let build = old.first_on_path(place.by_docker(log, "store", docker)?)?;
    build.arg("--load").arg("--output").arg(format!("docker-archive:{}", archive.display())).run()?;
    let calls = old.calls()?;
    for call in ["load", "run", "create", "start", "export", "rm", "rmi"] {
        ensure!(calls.iter().any(|one| one == call), "`docker {call}` was not called: {calls:?}");
    }
    let refused = old.refused()?;
    ensure!(refused.is_empty(), "18.09 would not have known: {refused:?}");
    log.say(&format!("{} calls, each as 18.09 knows it", calls.len()));

    // What it does not know, it refuses.
    let newer = old.command(log, docker).args(["create", "--platform", "linux/arm64", "scratch"]).fails(125)?;
    newer.says(&["experimental"])?;
    Ok(())
}

fn in_podman(log: &Log, podman: &Podman, archive: &Path) -> anyhow::Result<()> {
    let loaded = podman.command(log).args(["load", "--input"]).arg(archive).run()?;
    let name = loaded.stdout.lines().find_map(|line| line.strip_prefix("Loaded image: "));
    let name = name.context("podman loaded no image with a name")?.trim();
    let said = podman.run(log, name, &[], &["cann-version"])?;
    let opp = "/usr/local/Ascend/ascend-toolkit/latest/opp";
    ensure!(said.text() == format!("CANN 5.1.RC2 stand-in at {opp}"), said.unexpected());
    let te = podman.run(log, name, &[], &["python3", "-c", "import te; print(te.__file__)"])?;
    ensure!(te.text() == "/usr/local/lib/python3.9/dist-packages/te.py", te.unexpected());

    let files = podman.files(log, name)?;
    let is = |path: &str, mode: u32| -> anyhow::Result<()> {
        let entry = files.entries.get(path).with_context(|| format!("the image has no `/{path}`"))?;
        ensure!(entry.mode == mode && entry.owner == (0, 0), "`/{path}` is {:o} {:?}", entry.mode, entry.owner);
        Ok(())
    };
    for (path, mode) in
        [("bin/helper", 0o4755), ("bin/cann-version", 0o755), ("opp", 0o550), ("lib64/large.bin", 0o644)]
    {
        is(&format!("{KIT}/{path}"), mode)?;
    }
    is("etc/Ascend/ascend_cann_install.info", 0o644)?;
    is("opt", 0o711)?;
    is("usr/local/Ascend/ascend-toolkit/latest", 0o777)?;
    same(&files, &format!("{KIT}/lib64/libge_runner.so.1"), &format!("{KIT}/compiler/lib64/libge_runner.so"))?;
    same(&files, "bin/true", &format!("{KIT}/bin/true-of-base"))
        .or_else(|_| same(&files, "usr/bin/true", &format!("{KIT}/bin/true-of-base")))?;
    for gone in ["tmp/left", "etc/issue", "tmp/.fmtk-packages", "var/log/ascend_seclog"] {
        ensure!(!files.entries.contains_key(gone), "the image has `/{gone}`");
    }
    let compiled = files.entries.keys().filter(|path| path.starts_with("usr/local/Ascend"));
    let unwanted: Vec<&String> =
        compiled.filter(|path| path.ends_with(".run") || path.contains("__pycache__")).collect();
    ensure!(unwanted.is_empty(), "the image has {unwanted:?}");
    podman.command(log).args(["rmi", name]).run()?;
    Ok(())
}

fn same(files: &Snapshot, one: &str, other: &str) -> anyhow::Result<()> {
    let kind = |path: &str| files.entries.get(path).map(|entry| &entry.kind).with_context(|| format!("no `/{path}`"));
    ensure!(kind(one)? == kind(other)?, "`/{one}` and `/{other}` differ");
    Ok(())
}

/// No container and no image of ours is left in either engine.
fn nothing_runs(log: &Log, podman: &Podman, docker: &Docker) -> anyhow::Result<()> {
    let engines: [&dyn Engine; 2] = [podman, docker];
    for engine in engines {
        let containers = engine.command(log).args(["ps", "--all", "--quiet"]).run()?;
        ensure!(containers.text().is_empty(), "{} has containers: {}", engine.name(), containers.text());
        let images = engine.command(log).args(["images", "--format", "{{.Repository}}"]).run()?;
        ensure!(!images.stdout.contains("fmtk-base"), "{} has our images: {}", engine.name(), images.text());
    }
    Ok(())
}

/// Installers that are damaged or of another kind than the recipe's are refused before any engine is asked.
pub fn refused(world: &World, log: &Log) -> anyhow::Result<()> {
    let place = Place::new(world, log, "cann-refused")?;
    let whole = fs::read(&place.run).context("failed to read the stand-in")?;
    let build = |said: &[&str]| -> anyhow::Result<()> {
        let build = place.image(log, "store")?.args(["--engine", "docker"]).env("DOCKER_HOST", "unix:///nowhere");
        build.fails(2)?.says(said)
    };
    let write = |bytes: &[u8]| fs::write(&place.run, bytes).context("failed to write the stand-in");

    write(&whole[..whole.len() - 1000])?;
    let (expected, found) = (whole.len().to_string(), (whole.len() - 1000).to_string());
    build(&["_linux-aarch64.run", "it is cut off", &expected, &found])?;
    write(&[&whole[..], b"garbage"].concat())?;
    build(&["something else was put behind it", &expected])?;
    let mut changed = whole.clone();
    let middle = changed.len() - 500;
    changed[middle] ^= 1;
    write(&changed)?;
    build(&["part 1 of its payload is damaged", "CRC"])?;
    write(b"#!/bin/sh\necho hello\n")?;
    build(&["it is no archive of makeself"])?;

    let other = place.run.with_file_name("Ascend-cann-toolkit_5.1.RC1_linux-x86_64.run");
    fs::rename(&place.run, &other).context("failed to rename the stand-in")?;
    fs::write(&other, &whole).context("failed to write the stand-in")?;
    build(&["is CANN `5.1.RC1`", "is for `x86_64`", "--set versions.cann=5.1.RC1"])?;

    // The real one says by itself what `inspect` says of it.
    fs::rename(&other, &place.run).context("failed to rename the stand-in")?;
    let store = place.folder.join("store");
    let seen = world.xtask_in(log, &store).args(["inspect", "--format", "json"]).arg(&place.run).run()?.json()?;
    ensure!(seen["checked"] == serde_json::json!(["CRC", "MD5", "SHA-256"]), "it was checked by {}", seen["checked"]);
    log.command("sh").arg(&place.run).arg("--check").run()?;
    Ok(())
}

/// ctrl-C while podman gives out the base's files, and while the installer runs: the container goes, and so does the image
/// that it was made from. SIGINT for this program alone, as from a script: on a terminal the engine's client has it too.
pub fn interrupted(world: &World, log: &Log) -> anyhow::Result<()> {
    let place = Place::new(world, log, "cann-interrupted")?;
    for status in ["created", "running"] {
        interrupt(world, log, &place, status)?;
    }
    Ok(())
}

fn interrupt(world: &World, log: &Log, place: &Place<'_>, status: &str) -> anyhow::Result<()> {
    let (podman, docker) = (world.podman(log)?, world.docker(log)?);
    let plain = [std::ffi::OsStr::new("--default-signal=INT")];
    let mut build = place.by_podman(log, "store", podman)?.under("env", &plain).spawn()?;
    let status = format!("status={status}");
    let ours = ["ps", "--all", "--quiet", "--filter", "label=fmtk.cann", "--filter", &status];
    let containers = || podman.command(log).args(ours).run();
    let is_there = || containers().is_ok_and(|found| !found.text().is_empty());
    wait_while_running(&mut build, "a container is made", is_there)?;
    ensure!(!end_by(&mut build, "INT")?.success(), "an interrupted build says that it succeeded");
    let begin = Instant::now();
    wait_until("the container is gone", || Ok(nothing_runs(log, podman, docker).is_ok()))?;
    log.say(&format!("gone {:.1} s after ctrl-C", begin.elapsed().as_secs_f64()));
    Ok(())
}
