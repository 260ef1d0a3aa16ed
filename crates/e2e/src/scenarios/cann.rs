//! CANN: a stand-in for its installer is run by both engines, cached, refused where it is damaged.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::world::{Project, World, nothing_is_left};
use crate::testbed::{
    CANN, Engine, Invocation, NOWHERE, Snapshot, bytes, cann_fake, cann_fake_of, end_by, field, list, names,
    old_docker, read, recipe, wait_while_running, write,
};

const KIT: &str = "usr/local/Ascend/ascend-toolkit/5.1.RC2";

/// A project whose one package is the installer.
fn project<'w>(world: &'w World, name: &str) -> anyhow::Result<Project<'w>> {
    let project = world.project(name, &recipe(&[("versions.cann", CANN)]))?;
    cann_fake(&world.log, &project.pkg())?;
    Ok(project)
}

fn by_podman(world: &World, build: Invocation) -> anyhow::Result<Invocation> {
    Ok(world.podman()?.as_the_users(build)?.args(["--engine", "podman"]))
}

fn by_docker(host: &str, build: Invocation) -> Invocation {
    build.args(["--engine", "docker"]).env("DOCKER_HOST", host)
}

/// Both engines make the same layers; the second build runs neither; the image has what was installed.
pub fn run(world: &World) -> anyhow::Result<()> {
    let project = project(world, "cann")?;
    let (docker, base) = (world.docker()?, world.base()?);

    let plan = by_podman(world, project.image(&base))?.arg("--dry-run").run()?;
    plan.prints(&["CANN 5.1.RC2", "by podman", "drop    /.dockerenv /dev"])?;
    let archive = project.path("image.tar");
    let first = by_podman(world, project.image(&base))?.words("--format json --output");
    let first = first.arg(format!("docker-archive:{}", archive.display())).arg("--load").run()?;
    first.says(&[&format!("{KIT}/bin/helper"), "into podman, which has its base"])?;
    ensure!(!first.stderr.contains("sending all of it"), "podman was given the base twice:\n{}", first.stderr);
    world.say(format!("podman: {:.1} s", first.seconds));
    let first = first.json()?;
    // Somebody else's surroundings, and a store of their own.
    let other = project.with_store("other");
    let second = by_docker(docker.host(), other.image(&base)).under_umask("0077");
    let second = second.env("TZ", "Asia/Shanghai").env("LC_ALL", "tr_TR.UTF-8").env("LANG", "tr_TR.UTF-8").json()?;
    let of_cann = |json: &Value| -> anyhow::Result<Vec<Value>> {
        let is_cann = |layer: &&Value| field(layer, "content").is_ok_and(|text| text.starts_with("CANN 5.1.RC2"));
        Ok(list(json, "layers")?.iter().filter(is_cann).cloned().collect())
    };
    let (by_podman, by_docker) = (of_cann(&first)?, of_cann(&second)?);
    // Whiteouts, and all the rest.
    ensure!(by_podman.len() == 2, "CANN has other layers: {by_podman:?}");
    ensure!(by_podman == by_docker, "podman: {by_podman:?}\ndocker: {by_docker:?}");
    ensure!(first["digest"] == second["digest"], "the engines made different images");
    nothing_runs(world)?;

    // No engine can be had now, and none is needed.
    let again = self::by_docker(NOWHERE, project.image(&base)).words("--format json").run()?;
    ensure!(again.json()?["digest"] == first["digest"], "the second build made another image");
    world.say(format!("the second build took {:.2} s", again.seconds));
    let plan = project.image(&base).arg("--dry-run").run()?;
    plan.prints(&["      + /opt/outside/kept", "      + /etc/profile", "      - /etc/issue", " te 1.0"])?;
    nothing_is_left(&project.store)?;
    nothing_is_left(&other.store)?;
    in_podman(world, &archive)?;
    fails(world)
}

/// An installer that fails: why, what was run, and where all that it said is.
fn fails(world: &World) -> anyhow::Result<()> {
    let project = world.project("cann-fails", &recipe(&[("versions.cann", CANN)]))?;
    let error = "[Toolkit] [ERROR]: ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists";
    let file = format!("Ascend-cann-toolkit_{CANN}_linux-aarch64.run");
    cann_fake_of(&world.log, &project.pkg(), &file, &format!("#!/bin/sh\necho '{error}'\necho bye\nexit 7\n"))?;
    let failed = by_podman(world, project.image(world.base()?))?.fails(1)?;
    let log = project.store.join("logs/cann-installer.log");
    let run = format!("Ascend-cann-toolkit_{CANN}_linux-aarch64.run --quiet --install");
    failed.says(&[&format!("exit status: 7: {error}\n"), &run, "    bye\n", &log.to_string_lossy()])?;
    ensure!(read(&log)?.ends_with("bye\n"), "the log is not whole");
    nothing_is_left(&project.store)
}

/// A docker that knows no more than 18.09 without its experimental features: no `--platform`, no newer flag.
pub fn old_docker_installs(world: &World) -> anyhow::Result<()> {
    let project = project(world, "cann-old-docker")?;
    let (docker, old) = (world.docker()?, old_docker(&project.path("old"))?);
    let archive = format!("docker-archive:{}", project.path("image.tar").display());
    let build = by_docker(docker.host(), project.image(world.base()?)).path_first(&old);
    let build = build.args(["--load", "--output", &archive]).run()?;
    build.says(&["into docker, which has its base"])?;
    ensure!(!build.stderr.contains("sending all of it"), "docker was given the base twice:\n{}", build.stderr);
    let calls = read(&old.join("calls"))?;
    for call in ["load", "run", "create", "start", "export", "rm", "rmi"] {
        ensure!(calls.lines().any(|one| one == call), "`docker {call}` was not called:\n{calls}");
    }
    let refused = old.join("refused");
    ensure!(!refused.exists(), "18.09 would not have known:\n{}", read(&refused)?);
    world.say(format!("{} calls, each as 18.09 knows it", calls.lines().count()));

    // What it does not know, it refuses.
    let newer = world.command(old.join("docker")).env("DOCKER_HOST", docker.host());
    newer.words("create --platform linux/arm64 scratch").fails(125)?.says(&["experimental"])
}

fn in_podman(world: &World, archive: &Path) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let name = podman.load(archive)?;
    let said = podman.printed(&name, &["cann-version"])?;
    let opp = "/usr/local/Ascend/ascend-toolkit/latest/opp";
    ensure!(said == format!("CANN 5.1.RC2 stand-in at {opp}"), "it says {said}");
    let te = podman.printed(&name, &["python3", "-c", "import te; print(te.__file__)"])?;
    ensure!(te == "/usr/local/lib/python3.9/dist-packages/te.py", "te is `{te}`");

    let files = podman.files(&name)?;
    let in_kit = [("bin/helper", 0o4755), ("bin/cann-version", 0o755), ("opp", 0o550), ("lib64/large.bin", 0o644)];
    let expected = in_kit.map(|(path, mode)| (format!("{KIT}/{path}"), mode)).into_iter().chain([
        ("etc/Ascend/ascend_cann_install.info".to_owned(), 0o644),
        ("opt".to_owned(), 0o711),
        ("usr/local/Ascend/ascend-toolkit/latest".to_owned(), 0o777),
    ]);
    for (path, mode) in expected {
        let entry = files.entries.get(&path).with_context(|| format!("the image has no `/{path}`"))?;
        ensure!(entry.mode == mode && entry.owner == (0, 0), "`/{path}` is {:o} {:?}", entry.mode, entry.owner);
    }
    same(&files, &format!("{KIT}/lib64/libge_runner.so.1"), &format!("{KIT}/compiler/lib64/libge_runner.so"))?;
    same(&files, "bin/true", &format!("{KIT}/bin/true-of-base"))
        .or_else(|_| same(&files, "usr/bin/true", &format!("{KIT}/bin/true-of-base")))?;
    for gone in ["tmp/left", "etc/issue", "tmp/.fmtk-packages", "var/log/ascend_seclog"] {
        ensure!(!files.entries.contains_key(gone), "the image has `/{gone}`");
    }
    let installed = files.entries.keys().filter(|path| path.starts_with("usr/local/Ascend"));
    let unwanted: Vec<&String> =
        installed.filter(|path| path.ends_with(".run") || path.contains("__pycache__")).collect();
    ensure!(unwanted.is_empty(), "the image has {unwanted:?}");
    podman.command().args(["rmi", &name]).run().map(drop)
}

fn same(files: &Snapshot, one: &str, other: &str) -> anyhow::Result<()> {
    let kind = |path: &str| files.entries.get(path).map(|entry| &entry.kind).with_context(|| format!("no `/{path}`"));
    ensure!(kind(one)? == kind(other)?, "`/{one}` and `/{other}` differ");
    Ok(())
}

/// No container and no image of ours is left in either engine.
fn nothing_runs(world: &World) -> anyhow::Result<()> {
    for engine in [world.podman()? as &dyn Engine, world.docker()?] {
        let containers = engine.command().words("ps --all --quiet").run()?;
        ensure!(containers.text().is_empty(), "{} has containers: {}", engine.name(), containers.text());
        let images = engine.command().words("images --format {{.Repository}}").run()?;
        ensure!(!images.stdout.contains("fmtk-base"), "{} has our images: {}", engine.name(), images.text());
    }
    Ok(())
}

/// Installers that are damaged or of another kind than the recipe's are refused before any engine is asked.
pub fn refused(world: &World) -> anyhow::Result<()> {
    let project = world.project("cann-refused", &recipe(&[("versions.cann", CANN)]))?;
    let run = cann_fake(&world.log, &project.pkg())?;
    let (base, whole) = (world.base()?, bytes(&run)?);
    let refuses = |installer: &Path, bytes: &[u8], said: &[&str]| -> anyhow::Result<()> {
        write(installer, bytes)?;
        by_docker(NOWHERE, project.image(&base)).fails(2)?.says(said)
    };
    let (cut, expected) = (whole.len() - 1000, whole.len().to_string());
    refuses(&run, &whole[..cut], &["_linux-aarch64.run", "it is cut off", &expected, &cut.to_string()])?;
    let longer = [&whole[..], b"garbage"].concat();
    refuses(&run, &longer, &["something else was put behind it", &expected])?;
    let mut changed = whole.clone();
    let middle = changed.len() - 500;
    changed[middle] ^= 1;
    refuses(&run, &changed, &["part 1 of its payload is damaged", "CRC"])?;
    refuses(&run, b"#!/bin/sh\necho hello\n", &["not a makeself archive"])?;
    let other = run.with_file_name("Ascend-cann-toolkit_5.1.RC1_linux-x86_64.run");
    fs::remove_file(&run).context("failed to remove the stand-in")?;
    refuses(&other, &whole, &["is CANN `5.1.RC1`", "is for `x86_64`", "--set versions.cann=5.1.RC1"])?;

    // The real one says by itself what `inspect` says of it.
    fs::rename(&other, &run).context("failed to rename the stand-in")?;
    let seen = project.xtask().arg("inspect").arg(&run).json()?;
    ensure!(seen["checked"] == serde_json::json!(["CRC", "MD5", "SHA-256"]), "it was checked by {}", seen["checked"]);
    world.command("sh").arg(&run).arg("--check").run().map(drop)
}

/// ctrl-C while podman gives out the base's files, and while the installer runs: when the prompt is back the container is
/// gone, and so are the image that it was made from and the scratch files. SIGINT for this program alone, as from a script:
/// on a terminal the engine's client has it too.
pub fn interrupted(world: &World) -> anyhow::Result<()> {
    let project = project(world, "cann-interrupted")?;
    for status in ["created", "running"] {
        let mut build = by_podman(world, project.image(world.base()?))?.interruptible().spawn()?;
        let ours = format!("ps --all --quiet --filter label=fmtk.cann --filter status={status}");
        let podman = world.podman()?;
        let is_there = || podman.command().words(&ours).run().is_ok_and(|found| !found.text().is_empty());
        wait_while_running(&mut build, "a container is made", is_there)?;
        let begin = Instant::now();
        ensure!(!end_by(&mut build, "INT")?.success(), "an interrupted build says that it succeeded");
        let seconds = begin.elapsed().as_secs_f64();
        nothing_runs(world).context("the prompt was back too early")?;
        ensure!(names(&project.store.join("tmp"))?.is_empty(), "scratch files are left");
        world.say(format!("{status}: the prompt was back {seconds:.1} s after ctrl-C, and nothing is left"));
    }
    Ok(())
}
