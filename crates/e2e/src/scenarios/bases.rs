//! Bases that people have, made of the sample's: one like CANN's own image, and one like ModelArts' with conda.

use std::path::Path;

use anyhow::ensure;
use fmtk::sample::BOOKWORM;
use oci_image::Store;

use super::{
    cann_parts::OLDER,
    stacks::{self, remove},
    world::{Built, Project, World},
};
use crate::testbed::{Engine, Invocation, PLATFORM, blob, data, field, list, read_json};

/// Where CANN's image has its Python.
const OF_CANN: &str = "/usr/local/python3.11.10";
/// Where ModelArts' has it.
const OF_CONDA: &str = "/home/ma-user/anaconda3/envs/PyTorch-2.7.1";
/// What CANN's image starts programs by: neither `exec` nor a command of Kubernetes goes through it.
const ENTRY_POINT: &str = "ENTRYPOINT [\"/bin/bash\", \"-c\", \"source /usr/local/Ascend/ascend-toolkit/set_env.sh && \
                           source /usr/local/Ascend/nnal/atb/set_env.sh --cxx_abi=1 && exec \\\"$@\\\"\", \"--\"]";
/// The toolkit's variables, which its config has.
const HOMES: [&str; 2] = [
    "ENV ASCEND_TOOLKIT_HOME=/usr/local/Ascend/ascend-toolkit/latest",
    "ENV ASCEND_HOME_PATH=/usr/local/Ascend/ascend-toolkit/latest",
];

/// Of a base like CANN's own nothing need be said: its Python and its system are found, the user is added, and CANN stays
/// as it is, with all its variables for whatever runs in the container.
pub fn of_cann(world: &World) -> anyhow::Result<()> {
    let (podman, project) = (world.podman()?, world.project("base-of-cann", "")?);
    let packages = project.path("cann");
    OLDER.toolkit(&packages, world)?;
    OLDER.ops(&packages, world)?;
    OLDER.nnal(&packages, world, "first")?;
    let base = "localhost/cann:8.3.rc1-910b-debian12-py3.11";
    let path = format!("ENV PATH={OF_CANN}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let libraries = "ENV LD_LIBRARY_PATH=/usr/local/Ascend/driver/lib64:/usr/local/Ascend/ascend-toolkit/latest/lib64";
    let python = "ENV PYTHONPATH=/usr/local/Ascend/ascend-toolkit/latest/python/site-packages";
    let config = [&path, libraries, python, HOMES[0], HOMES[1], ENTRY_POINT];
    made(world, &project, "base_of_cann.sh", OF_CANN, base, &config)?;

    let stack = |command: &str| {
        let command = project.xtask().args([command, "--stack", "torch-2.7", "--pkg"]).arg(world.stack_packages()?);
        by_podman_upon(world, command, base)
    };
    stack("fetch")?.run()?;
    let done = stack("image")?.words("--load --engine podman --format json").run()?;
    done.says(&["note: from the base: ", OF_CANN, "versions.os = \"debian_12\"", "user = { name = \"ma-user\" }"])?;
    let built = Built::of(&done.json()?)?;
    world.say(format!("{}: {:.1} s", built.tag, done.seconds));
    let start = "pytorch_2.7.1-cann_8.3.RC1-py_3.11-debian_12-aarch64-d910b-";
    ensure!(built.tag.starts_with(start), "the tag is `{}`", built.tag);
    let manifest = read_json(&blob(&project.store, &built.digest.to_string()))?;
    // The base's own two: the sample's, and what was installed upon it.
    for layer in list(&manifest, "layers")?.iter().skip(2) {
        let tar = world.command("tar").args(["--list", "--gzip", "--file"]);
        let files = tar.arg(blob(&project.store, field(layer, "digest")?)).run()?.stdout;
        let of_cann = files.lines().find(|path| path.starts_with("usr/local/Ascend"));
        ensure!(of_cann.is_none(), "`{}` is laid over CANN", of_cann.unwrap_or_default());
    }
    remove(&project.store)?;

    let image = format!("localhost/fmtk-ma:{}", built.tag);
    let run = podman.command().words("run --detach --name of-cann --network none --platform").arg(PLATFORM);
    run.args(podman.run_options(&image)?).args([&image, "sleep", "infinity"]).run()?;
    let result = within(world);
    podman.command().words("rm --force --time 0 of-cann").run()?;
    podman.command().args(["rmi", "--force", &image, base]).run()?;
    result
}

/// What `exec` finds in the container upon CANN's base.
fn within(world: &World) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let exec = |program: &[&str]| podman.command().words("exec of-cann").args(program).run();
    let (home, atb) = ("/usr/local/Ascend/ascend-toolkit/latest", "/usr/local/Ascend/nnal/atb/latest/atb/cxx_abi_1");
    exec(&["env"])?.prints(&[
        &format!("ASCEND_HOME_PATH={home}"),
        &format!("ASCEND_TOOLKIT_HOME={home}"),
        &format!("PATH={OF_CANN}/bin:"),
        &format!("PYTHONPATH={home}/python/site-packages"),
        &format!("ATB_HOME_PATH={atb}"),
        &format!("LD_LIBRARY_PATH={atb}/lib:/usr/local/Ascend/driver/lib64:{home}/lib64"),
    ])?;
    exec(&["id"])?.prints(&["uid=1000(ma-user) gid=100(users)"])?;
    let program = "import os, sys, numpy, stand_in; open(os.path.expanduser('~/a'), 'w'); print(sys.prefix)";
    exec(&["python3", "-c", program])?.prints(&[OF_CANN])?;
    world.say("`exec` has the user, the Python and the variables");
    Ok(())
}

/// Wheels go into the environment of conda; of what they replace nothing is left, nor what conda knows of it.
pub fn of_conda(world: &World) -> anyhow::Result<()> {
    let recipe = "stack = \"torch-2.7\"\nbytecode = \"off\"\n[pypi]\nrequirements = [\"six==1.17.0\"]\n";
    let (podman, project) = (world.podman()?, world.project("base-of-conda", recipe)?);
    OLDER.toolkit(&project.path("cann"), world)?;
    let base = "localhost/pytorch_ascend:pytorch_2.7.1-cann_8.3.rc1-py_3.11";
    made(world, &project, "base_of_conda.sh", OF_CONDA, base, &[HOMES[0], HOMES[1], "USER ma-user"])?;

    by_podman_upon(world, project.command("fetch"), base)?.run()?;
    let build = by_podman_upon(world, project.command("image"), base)?;
    let done = build.words("--load --engine podman --format json").run()?;
    done.says(&["note: from the base: ", OF_CONDA])?;
    let built = Built::of(&done.json()?)?;
    world.say(format!("{}: {:.1} s", built.tag, done.seconds));
    remove(&project.store)?;

    let image = format!("localhost/fmtk-ma:{}", built.tag);
    let program = "import importlib.metadata as all, os, six, sys\n\
                   print(six.__version__, all.version('six'), six.__file__, os.getuid(), os.getgid())\n\
                   print(*sorted(os.listdir(sys.prefix + '/conda-meta')))\n\
                   print(*sorted(name for name in os.listdir(os.path.dirname(six.__file__)) if name.startswith('six')))";
    let python = format!("{OF_CONDA}/bin/python3");
    let found = podman.printed(&image, &[&python, "-B", "-c", program]);
    podman.command().args(["rmi", "--force", &image, base]).run()?;
    let expected = format!(
        "1.17.0 1.17.0 {OF_CONDA}/lib/python3.11/site-packages/six.py 1000 100\n\
         torch-2.7.1-py311_0.json torch_npu-2.7.1-py311_0.json\n\
         six-1.17.0.dist-info six.py"
    );
    let found = found?;
    ensure!(found == expected, "in the environment there is\n{found}");
    Ok(())
}

/// Has the sample's base run a script of `data/` as root, with the folder of the Python to be, and names the outcome.
fn made(
    world: &World,
    project: &Project<'_>,
    script: &str,
    prefix: &str,
    base: &str,
    config: &[&str],
) -> anyhow::Result<()> {
    let podman = world.podman()?;
    let store = stacks::store(world, script)?;
    let (sample, archive) = (BOOKWORM.reference(&Store::open(&store)?)?.to_string(), project.path("sample.tar"));
    let target = format!("docker-archive:{}:localhost/sample:bookworm", archive.display());
    world.command("skopeo").args(["copy", "--quiet", &sample, &target]).run()?;
    let sample = &podman.load(&archive)?;
    remove(&store)?;
    let volume = |from: &Path, to: &str| format!("--volume={}:{to}:ro", from.display());
    let run = podman.command().words("run --name base --network none --platform").arg(PLATFORM);
    let run = run.args(podman.run_options(sample)?).arg(volume(&project.path("cann"), "/packages"));
    let run = run.arg(volume(&data(""), "/data")).args([sample, "bash", &format!("/data/{script}"), prefix]);
    let done = run.run().and_then(|done| {
        let changes = config.iter().flat_map(|change| ["--change", change]);
        podman.command().args(["commit", "--quiet"]).args(changes).args(["base", base]).run()?;
        Ok(done.seconds)
    });
    podman.command().words("rm --force base").run()?;
    world.say(format!("{base}: {:.1} s", done?));
    Ok(())
}

/// A command with the base out of the tests' podman.
fn by_podman_upon(world: &World, command: Invocation, base: &str) -> anyhow::Result<Invocation> {
    Ok(world.podman()?.as_the_users(command)?.args(["--base", &format!("podman:{base}")]))
}
