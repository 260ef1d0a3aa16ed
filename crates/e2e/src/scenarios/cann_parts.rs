//! CANN of several packages, of both generations: stand-ins for toolkit, operators and nnal are installed each upon the
//! other, their variables are learned, and what does not belong together is refused.

use std::{fs, path::Path};

use anyhow::{Context, ensure};

use super::world::{Project, World, nothing_is_left};
use crate::testbed::{
    Engine, Finished, Invocation, NOWHERE, PLATFORM, cann_fake_of, cann_package, cann_package_script, read, recipe,
};

/// What no image, plan or output may have.
const SECRETS: [&str; 2] = ["hunter2", "REPOSITORY_PASSWORD"];

/// A version of CANN, what its operators are called, and where its home and `set_env.sh` are.
pub struct Generation {
    pub version: &'static str,
    ops: &'static str,
    home: &'static str,
    set_env: &'static str,
}

pub const OLDER: Generation = Generation {
    version: "8.3.RC1",
    ops: "Ascend-cann-kernels-910b",
    home: "/usr/local/Ascend/ascend-toolkit/latest",
    set_env: "/usr/local/Ascend/ascend-toolkit/set_env.sh",
};
const NEWER: Generation = Generation {
    version: "8.5.0",
    ops: "Ascend-cann-910b-ops",
    home: "/usr/local/Ascend/cann",
    set_env: "/usr/local/Ascend/cann/set_env.sh",
};

impl Generation {
    fn settings(&self) -> [(&str, &str); 3] {
        [
            ("versions.cann", self.version),
            ("versions.chip", "d910b"),
            ("environment.LD_LIBRARY_PATH", "/own:${LD_LIBRARY_PATH}"),
        ]
    }

    fn file(&self, name: &str) -> String {
        format!("{name}_{}_linux-aarch64.run", self.version)
    }

    /// Makes its toolkit in a folder.
    pub fn toolkit(&self, folder: &Path, world: &World) -> anyhow::Result<()> {
        let file = self.file("Ascend-cann-toolkit");
        cann_package(&world.log, folder, &file, ["toolkit", self.version, "", "first"]).map(drop)
    }

    /// Makes its operators.
    pub fn ops(&self, folder: &Path, world: &World) -> anyhow::Result<()> {
        cann_package(&world.log, folder, &self.file(self.ops), ["ops", self.version, "910b", "add"]).map(drop)
    }

    /// Makes its nnal, with this text in it.
    pub fn nnal(&self, folder: &Path, world: &World, text: &str) -> anyhow::Result<()> {
        let file = self.file("Ascend-cann-nnal");
        cann_package(&world.log, folder, &file, ["nnal", self.version, "", text]).map(drop)
    }
}

fn by_podman(world: &World, build: Invocation) -> anyhow::Result<Invocation> {
    Ok(world.podman()?.as_the_users(build)?.args(["--engine", "podman"]).env("DOCKER_HOST", NOWHERE))
}

/// Whether the output of a build says that it ran the package of this name.
fn ran(build: &Finished, name: &str) -> bool {
    build.stderr.lines().any(|line| line.contains("running `") && line.contains(name))
}

pub fn run(world: &World) -> anyhow::Result<()> {
    let older = installs(world, &OLDER)?;
    installs(world, &NEWER)?;
    changes(world, &older)?;
    of_base(world)?;
    apart(world)?;
    fails(world)
}

/// All three are installed and found by a program that no shell and no entry point started.
fn installs<'w>(world: &'w World, generation: &Generation) -> anyhow::Result<Project<'w>> {
    let Generation { version, home, .. } = generation;
    let project = world.project(&format!("cann-{version}"), &recipe(&generation.settings()))?;
    generation.toolkit(&project.pkg(), world)?;
    generation.ops(&project.pkg(), world)?;
    generation.nnal(&project.pkg(), world, "first")?;
    let plan = by_podman(world, project.image(world.base()?))?.arg("--dry-run").run()?;
    let [of_ops, of_nnal] = ["ops", "nnal"].map(|kind| format!("CANN {version} {kind}"));
    plan.prints(&[&format!("CANN {version}  "), &of_ops, &of_nnal, "+ the variables that its set_env.sh sets"])?;

    let archive = project.path("image.tar");
    let output = format!("docker-archive:{}", archive.display());
    let built = by_podman(world, project.image(world.base()?))?.words("--format json --output").arg(output).run()?;
    world.say(format!("CANN {version}: {:.1} s", built.seconds));
    for package in ["Ascend-cann-toolkit", generation.ops, "Ascend-cann-nnal"] {
        ensure!(ran(&built, package), "`{package}` was not run:\n{}", built.stderr);
    }
    built.keeps_silent_about(&SECRETS)?;
    let log = read(&project.store.join("logs/cann-installer.log"))?;
    ensure!(log.contains("nnal") && !log.contains("hunter2"), "the log of the last installer is\n{log}");

    let podman = world.podman()?;
    let name = podman.load(&archive)?;
    let env = podman.printed(&name, &["env"])?;
    let (driver, atb) = ("/usr/local/Ascend/driver/lib64", "/usr/local/Ascend/nnal/atb/latest/atb/cxx_abi_1");
    let libraries =
        format!("/own:{atb}/lib:{home}/lib64:{home}/lib64/plugin/opskernel:{driver}:{driver}/common:{driver}/driver");
    for (variable, value) in [
        ("ASCEND_HOME_PATH", (*home).to_owned()),
        ("ASCEND_TOOLKIT_HOME", (*home).to_owned()),
        ("ASCEND_OPP_PATH", format!("{home}/opp")),
        ("ASCEND_AICPU_PATH", (*home).to_owned()),
        ("TOOLCHAIN_HOME", format!("{home}/toolkit")),
        ("PYTHONPATH", format!("{home}/python/site-packages")),
        ("LD_LIBRARY_PATH", libraries),
        ("ATB_HOME_PATH", atb.to_owned()),
        ("ATB_WORKSPACE_MEM_ALLOC_GLOBAL", "0".to_owned()),
        ("LCCL_DETERMINISTIC", "0".to_owned()),
    ] {
        ensure!(env.lines().any(|line| line == format!("{variable}={value}")), "no {variable}={value} in\n{env}");
    }
    for unwanted in ["hunter2", "STAND_IN_OWN", "LOG_PATH", "SHLVL"] {
        ensure!(!env.contains(unwanted), "`{unwanted}` is in\n{env}");
    }
    let said = podman.printed(&name, &["cann-version"])?;
    ensure!(said == format!("CANN {version} first"), "it says {said}");
    podman.printed(&name, &["python3", "-c", "import stand_in"])?;
    let kernel = format!("{home}/opp/built-in/op_impl/ai_core/tbe/kernel/ascend910b/add.o");
    podman.printed(&name, &["cat", &kernel, &format!("{atb}/lib/libatb.so")])?;
    podman.command().args(["rmi", &name]).run()?;
    nothing_is_left(&project.store)?;
    Ok(project)
}

/// What changes is run again, and nothing below it.
fn changes(world: &World, project: &Project<'_>) -> anyhow::Result<()> {
    let base = world.base()?;
    let other = project.with_store("other");
    let image = || project.image(&base);
    let first = image().env("DOCKER_HOST", NOWHERE).args(["--engine", "docker"]).json()?;
    fs::remove_file(project.pkg().join(OLDER.file("Ascend-cann-nnal"))).context("there is no nnal")?;
    OLDER.nnal(&project.pkg(), world, "second")?;
    let again = by_podman(world, image().words("--format json"))?.run()?;
    ensure!(ran(&again, "Ascend-cann-nnal"), "another nnal was not run:\n{}", again.stderr);
    ensure!(!ran(&again, "toolkit") && !ran(&again, "kernels"), "more than nnal was run:\n{}", again.stderr);
    world.say(format!("another nnal: {:.1} s", again.seconds));
    let again = again.json()?;
    ensure!(again["digest"] != first["digest"], "another nnal makes the same image");

    // In an empty store and by the other engine, all is run in one go, and gives the same.
    let docker = other.image(&base).args(["--engine", "docker"]).env("DOCKER_HOST", world.docker()?.host());
    let all = docker.json()?;
    ensure!(all["digest"] == again["digest"], "step by step another image is made: {all}\n{again}");

    // For variables no installer is run.
    let kept = by_podman(world, image().args(["--set", "cann.keep_env=['STAND_IN_OWN']", "--dry-run"]))?;
    kept.run()?;
    let kept = by_podman(world, image().args(["--set", "cann.keep_env=['STAND_IN_OWN']", "--set", "cann.cxx_abi=0"]))?;
    let kept = kept.run()?;
    ensure!(!kept.stderr.contains("running `"), "an installer was run:\n{}", kept.stderr);
    let set = ["--set", "cann.keep_env=['STAND_IN_OWN']", "--set", "cann.cxx_abi=0", "--dry-run"];
    let plan = project.image(&base).args(set).env("DOCKER_HOST", NOWHERE).args(["--engine", "docker"]).run()?;
    plan.prints(&["STAND_IN_OWN=kept", "cxx_abi_0/lib"])?;
    plan.keeps_silent_about(&["hunter2"])?;
    let left_out = project.image(&base).args(["--set", "environment.ATB_HOME_PATH=false", "--dry-run"]).run()?;
    ensure!(!left_out.stdout.contains("env     ATB_HOME_PATH"), "it is not left out:\n{}", left_out.stdout);
    left_out.prints(&["env     ATB_WORKSPACE_MEM_ALLOC_GLOBAL=0"])
}

/// A base that has CANN keeps its own. If only its entry point sets the variables, they become the image's.
fn of_base(world: &World) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let project =
        world.project("cann-of-base", &recipe(&[("versions.cann", NEWER.version), ("versions.chip", "d910b")]))?;
    let pkg = project.path("toolkit");
    let file = NEWER.file("Ascend-cann-toolkit");
    cann_package(&world.log, &pkg, &file, ["toolkit", NEWER.version, "", "of the base"])?;
    let plain = world.base_image()?;
    podman.pull(&plain, &world.login_folder())?;
    let install = format!("sh /packages/{file} --quiet --install --install-path=/usr/local/Ascend --install-for-all");
    let run = podman.command().words("run --name own-cann --network none --platform").arg(PLATFORM);
    let run = run.args(podman.run_options(&plain)?).arg("--volume").arg(format!("{}:/packages:ro", pkg.display()));
    run.args([&plain, "sh", "-c", &install]).run()?;
    let entry_point =
        format!("ENTRYPOINT [\"/bin/bash\", \"-c\", \". {} && exec \\\"$@\\\"\", \"entry\"]", NEWER.set_env);
    let commit = |name: &str, changes: &[&str]| {
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        podman.command().args(["commit", "--quiet"]).args(changes).args(["own-cann", name]).run()
    };
    commit("localhost/by-entry-point:1", &[&entry_point])?;
    commit("localhost/by-variables:1", &["ENV ASCEND_HOME_PATH=/its/own"])?;
    podman.command().words("rm own-cann").run()?;

    let image = |name: &str| by_podman(world, project.image(format!("podman:localhost/{name}:1")));
    let before = image("by-entry-point")?.arg("--dry-run").run()?;
    before.prints(&["the build sources its `set_env.sh` once with podman"])?;
    let learned = image("by-entry-point")?.run()?;
    learned.says(&["learned CANN's variables"])?;
    learned.keeps_silent_about(&SECRETS)?;
    let plan = image("by-entry-point")?.arg("--dry-run").run()?;
    plan.prints(&[
        "env     ASCEND_HOME_PATH=/usr/local/Ascend/cann\n",
        "env     LD_LIBRARY_PATH=/usr/local/Ascend/cann/lib64:",
    ])?;
    let again = image("by-entry-point")?.run()?;
    ensure!(!again.stderr.contains("learned"), "they were learned twice:\n{}", again.stderr);
    let own = image("by-variables")?.arg("--dry-run").run()?;
    ensure!(!own.stdout.contains("ASCEND_") && !own.stdout.contains("LD_LIBRARY_PATH"), "more is set:\n{}", own.stdout);

    // Its own toolkit and another.
    NEWER.toolkit(&project.pkg(), world)?;
    let twice = image("by-entry-point")?.fails(2)?;
    twice.says(&["has CANN `8.5.0`", "would be installed beside it", "packages.cann.required=false"])
}

/// Packages that do not belong together are refused before any engine is asked.
fn apart(world: &World) -> anyhow::Result<()> {
    let project = world.project("cann-apart", &recipe(&OLDER.settings()))?;
    OLDER.toolkit(&project.pkg(), world)?;
    let refuses = |said: &[&str]| -> anyhow::Result<()> {
        let build = project.image(world.base()?).args(["--engine", "docker"]).env("DOCKER_HOST", NOWHERE);
        build.fails(2)?.says(said)
    };
    let earlier = Generation { version: "8.2.RC1", ..OLDER };
    earlier.ops(&project.pkg(), world)?;
    refuses(&[
        "`Ascend-cann-kernels-910b_8.2.RC1_linux-aarch64.run` is of CANN `8.2.RC1`, and the toolkit is `8.3.RC1`",
    ])?;
    fs::remove_file(project.pkg().join(earlier.file(OLDER.ops))).context("there are no operators")?;
    let other = OLDER.file("Atlas-A3-cann-kernels");
    cann_package(&world.log, &project.pkg(), &other, ["ops", OLDER.version, "a3", "add"])?;
    refuses(&["has operators for `a3`, and `versions.chip` is `d910b`", "--set versions.chip=a3"])?;
    OLDER.ops(&project.pkg(), world)?;
    refuses(&["operators for several chips", "leave those for `910b`"])
}

/// A `set_env.sh` that fails is an error with what it said; what is installed need not be installed again.
fn fails(world: &World) -> anyhow::Result<()> {
    let project =
        world.project("cann-set-env", &recipe(&[("versions.cann", OLDER.version), ("versions.chip", "d910b")]))?;
    let text = cann_package_script(["toolkit", OLDER.version, "", "x"])?;
    let failing = text.replace("driver=/usr/local/Ascend/driver/lib64\n", "echo no driver in sight; exit 3\n");
    ensure!(failing != text, "the stand-in has another set_env.sh");
    cann_fake_of(&world.log, &project.pkg(), &OLDER.file("Ascend-cann-toolkit"), &failing)?;
    let image = || by_podman(world, project.image(world.base()?));
    let failed = image()?.fails(1)?;
    failed.says(&["`set_env.sh` failed", "status 3", "no driver in sight", "ASCEND_HOME_PATH"])?;
    let again = image()?.fails(1)?;
    ensure!(!ran(&again, "toolkit"), "the toolkit was installed again:\n{}", again.stderr);
    let by_hand =
        image()?.args(["--set", "environment.ASCEND_HOME_PATH=/usr/local/Ascend/ascend-toolkit/latest"]).run()?;
    ensure!(!ran(&by_hand, "toolkit"), "the toolkit was installed again:\n{}", by_hand.stderr);
    nothing_is_left(&project.store)
}
