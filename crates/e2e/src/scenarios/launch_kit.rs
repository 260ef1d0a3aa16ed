//! Jobs of the manual in a built image, unchanged: the launch kit's boot file, and the vendor's scripts, patched. These are
//! the real relative's, brought into the shape of the vendor's; the tuning kit is its real successor.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use fmk_patch::{Backup, Edits, patch_file};
use fmtk::resolve::{front, scripts::FOLDER, tools};

use super::world::{Project, World};
use crate::testbed::{
    Engine, Invocation, copy, data, end_by, field, folder, own_files, paths, rank_table, read, recipe, script,
    unpack_relative, wait_while_running, wheel, write,
};

/// The modules of the relative on PyPI that the launcher is made of. The vendor's have them beside each other in a folder.
const MODULES: [&str; 5] = ["common", "fmk", "manager", "rank_table", "sdr"];
const WHEELS: [&str; 3] = ["mindpet", "click", "pyyaml"];
/// What the base has where the launch kit's boot file is.
const OLD_SHIM: &str = "raise SystemExit('the old launcher was called')\n";
const TK: &str = "#!/bin/sh\nexec mindpet \"$@\"\n";
/// What both ranks print.
const TRAINED: [&str; 2] = ["trained 0 of 2 by 1000 True True True", "trained 1 of 2 by 1000 True True True"];

/// What the tuning kit is given.
const PATHS: [(&str, &str); 3] =
    [("boot_file_path", "/job/code/train.py"), ("data_path", "/job/data"), ("output_path", "/job/out")];

/// What the platform sets. The relative takes a job's name from the first.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("BATCH_JOB_ID", "modelarts-job-1"),
    ("MA_VJ_NAME", "ma-job-1"),
    ("MA_CURRENT_INSTANCE_NAME", "job-0"),
    ("MA_CURRENT_HOST_IP", "10.0.0.1"),
];

/// Builds the image of the manual in small, once for each way to start ranks, and boots jobs in it.
pub fn run(world: &World) -> anyhow::Result<()> {
    let project = project(world)?;
    let native = image(world, &project, "native", "20221028181401")?;
    let said = world.docker()?.container(&native, &[], &["cat", front::PATH, front::KEPT])?.run()?.stdout;
    ensure!(said == format!("{}{OLD_SHIM}", front::TEXT), "the image has for entry-point shims:\n{said}");
    world.say("the image has our launcher.py, and the base's as launcher.py.vendor");

    // Exactly as the manual has it, and a parameter that nobody knows.
    let mut boot = vec!["python".to_owned(), front::PATH.to_owned(), "--task_type=finetune".to_owned()];
    boot.extend(["--code_path=/job/code", "--log_path=/job/logs", "--backend=x"].map(str::to_owned));
    boot.extend(PATHS.map(|(name, path)| format!("--{name}={path}")));
    let job = Job::new(world, &project, "native")?;
    let done = job.boot(&native, &boot)?.run()?;
    done.says(&["`--backend=x` is not a parameter", "SUCCEEDED", "all 2 ranks of this server succeeded"])?;
    job.check("out/modelarts-job-1/node_0", "mount/log")?;
    job.check("out/modelarts-job-1/node_0", "logs/modelarts-job-1/mxLaunchKit/node_0")?;
    world.say(format!("launcher.py with ranks of our own: {:.1} s", done.seconds));
    let wrong: Vec<String> = boot.iter().map(|word| word.replace("/job/code", "/job/nowhere")).collect();
    job.boot(&native, &wrong)?.fails(2)?.says(&["`code_path`: `/job/nowhere` does not exist"])?;
    world.say("a wrong path ends it with 2");

    let scripts = image(world, &project, "scripts", "20221028181402")?;
    let job = Job::new(world, &project, "scripts")?;
    let done = job.boot(&scripts, &boot)?.run()?;
    done.says(&["starting the vendor's scripts", "the vendor's scripts succeeded"])?;
    job.check("out/modelarts-job-1/node_0", "mount/log")?;
    job.check("out/modelarts-job-1/node_0", "logs/modelarts-job-1/mxLaunchKit/node_0")?;
    world.say(format!("launcher.py with ranks by the patched scripts: {:.1} s", done.seconds));

    // Without the launch kit nobody sets MODEL_TASK_CWD: then it is where the scripts were called.
    let job = Job::new(world, &project, "direct")?;
    let mut boot =
        ["python", &format!("{FOLDER}/run_ascend910.py"), "tk", "finetune", "--quiet"].map(str::to_owned).to_vec();
    boot.extend(PATHS.into_iter().flat_map(|(name, path)| [format!("--{name}"), path.to_owned()]));
    let done = job.boot(&native, &boot)?.run()?;
    job.check("out", "mount/log")?;
    world.say(format!("run_ascend910.py as the boot command: {:.1} s", done.seconds));

    full_disk(world, &native)?;
    on_this_machine(world, &project)
}

/// A log folder without disk space is told, and is nothing to the ranks.
fn full_disk(world: &World, image: &str) -> anyhow::Result<()> {
    let script = "i=0; while [ $i -lt 4000 ]; do echo line $i of many that fill the disk; i=$((i+1)); done; exit 4";
    let options = ["--tmpfs", "/mount/log:size=64k,mode=1777", "--env", "MA_MOUNT_PATH=/mount"];
    let program = ["fmtk-launch", "run", "--devices", "0", "--report", "/dev/stdout", "--", "sh", "-c", script];
    let done = world.docker()?.container(image, &options, &program)?.fails(4)?;
    done.prints(&["[rank 0] line 3999 of many"])?;
    done.says(&["No space left on device"])?;
    world.say("a full disk below the logs: the rank's own code, all lines on the console");
    Ok(())
}

/// The scripts below our launcher with this machine's Python: a failure's code comes out, a stop reaches the ranks.
fn on_this_machine(world: &World, project: &Project<'_>) -> anyhow::Result<()> {
    let done =
        Job::new(world, project, "fails")?.by_scripts("[ $RANK_ID = 1 ] || exec sleep 1000; exit 9")?.fails(9)?;
    done.says(&["FAILED with exit code 9", "the vendor's scripts (host "])?;
    world.say(format!("ranks by the scripts, one fails: its code after {:.1} s", done.seconds));

    let job = Job::new(world, project, "stopped")?;
    let mut child = job.by_scripts("touch $MA_MOUNT_PATH/up_$RANK_ID; exec sleep 1000")?.spawn()?;
    let up = ["mount/up_0", "mount/up_1"].map(|name| job.path(name));
    wait_while_running(&mut child, "the ranks are up", || up.iter().all(|it| it.exists()))?;
    // Ranks that were not told would be there for 1,000 s.
    let code = end_by(&mut child, "TERM")?.code();
    ensure!(code == Some(143), "a stop ended with {code:?}");
    world.say("ranks by the scripts, stopped: 143");
    Ok(())
}

/// What images are built from: a base with the vendor's kit and scripts, the tuning kit's wheels, a recipe.
fn project(world: &World) -> anyhow::Result<Project<'_>> {
    let globs = WHEELS.map(|kind| (format!("packages.{kind}.glob"), format!("{kind}-*.whl")));
    let mut settings: Vec<(&str, &str)> = globs.iter().map(|(key, glob)| (key.as_str(), glob.as_str())).collect();
    settings.push(("scripts", "auto"));
    let text = recipe(&settings) + &own_files("tk", "/usr/local/bin/tk", "0755");
    let project = world.project("launch-kit", &text)?.with_store(&world.store);
    vendors_shape(world, &project)?;
    write(&project.path("launcher.py"), OLD_SHIM)?;
    write(&project.path("tk"), TK)?;
    let files = own_files("ascend910", FOLDER, "0640") + &own_files("launcher.py", front::PATH, "0640");
    write(&project.path("base.toml"), recipe(&[("launch.front", "false")]) + &files)?;
    let base = project.command_of("image", "base.toml").args(["--timestamp", "20221028181400", "--output"]);
    base.arg(vendors_base(&project)).args(["--base", &world.base()?.to_string()]).run()?;
    for kind in WHEELS {
        let wheel = wheel(&world.wheels()?, &format!("{kind}-"))?;
        copy(&wheel, &project.pkg().join(wheel.file_name().unwrap_or_default()))?;
    }
    Ok(project)
}

/// That base, as `--base` names it.
fn vendors_base(project: &Project<'_>) -> String {
    format!("oci:{}", project.path("base").display())
}

/// Builds the image with ranks started by either, and loads it into docker; its name.
fn image(world: &World, project: &Project<'_>, ranks: &str, stamp: &str) -> anyhow::Result<String> {
    let archive = project.path(&format!("{ranks}.tar"));
    let image = project.command("image").args(["--base", &vendors_base(project), "--timestamp", stamp]);
    let image = image.args(["--set", &format!("launch.ranks={ranks}"), "--output"]);
    let built = image.arg(format!("docker-archive:{}", archive.display())).json()?;
    world.docker()?.command().words("load --quiet --input").arg(&archive).run()?;
    fs::remove_file(&archive).context("failed to remove the archive")?;
    Ok(field(&built, "image")?.to_owned())
}

/// Gives the relative's modules the shape of the vendor's, in `ascend910`; in `patched` with the edits of the manual.
fn vendors_shape(world: &World, project: &Project<'_>) -> anyhow::Result<()> {
    let unpacked = project.path("relative");
    unpack_relative(&world.log, &unpacked)?;
    for (module, name) in MODULES.map(|module| (module, module)).into_iter().chain([("davincirun", "run_ascend910")]) {
        let text = read(&unpacked.join("davincirunsdk").join(module).with_extension("py"))?;
        for place in ["ascend910", "patched"] {
            write(&project.path(&format!("{place}/{name}.py")), text.replace("from davincirunsdk.", "from "))?;
        }
    }
    let done = patch_file(&project.path("patched/fmk.py"), Edits::ALL, Backup::None)?;
    ensure!(done.written, "the relative's `fmk.py` was not patched: {:?}", done.report.edits);
    Ok(())
}

struct Job<'w> {
    world: &'w World,
    folder: PathBuf,
    /// The scripts with the edits of the manual.
    scripts: PathBuf,
}

impl<'w> Job<'w> {
    fn new(world: &'w World, project: &Project<'_>, name: &str) -> anyhow::Result<Self> {
        let job = Self { world, folder: project.path("jobs").join(name), scripts: project.path("patched") };
        for part in ["out", "logs", "mount/log"] {
            folder(&job.path(part))?;
        }
        let table = rank_table::v0(&[("job-0", "10.0.0.1", &[0, 1])]);
        write(&job.path("config").join(rank_table::TABLE), table.to_string())?;
        write(&job.path("code/train.py"), read(&data("kit_train.py"))?)?;
        write(&job.path("code/beside.txt"), "code ")?;
        write(&job.path("data/it.txt"), "data")?;
        Ok(job)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A container that the platform would start with this command, as ma-user and with its folders.
    fn boot(&self, image: &str, command: &[String]) -> anyhow::Result<Invocation> {
        // The tuning kit refuses what is another's, or wider.
        give(&self.folder, 1000, 100)?;
        let volumes = [("", "/job"), ("mount", "/home/ma-user/modelarts"), ("config", "/user/config")];
        let volumes = volumes.map(|(part, place)| format!("--volume={}:{place}", self.path(part).display()));
        let variables = ENVIRONMENT.iter().chain(&[("MA_MOUNT_PATH", "/home/ma-user/modelarts")]);
        let variables: Vec<String> = variables.map(|(name, value)| format!("--env={name}={value}")).collect();
        let mut options = vec!["--workdir=/job/code"];
        options.extend(volumes.iter().chain(&variables).map(String::as_str));
        Ok(self.world.docker()?.container(image, &options, &[])?.args(command))
    }

    /// A task of this machine, whose ranks the patched scripts start and whose tuning kit is this script.
    fn by_scripts(&self, tk: &str) -> anyhow::Result<Invocation> {
        // The end-to-end tests run as root.
        give(&self.folder, 0, 0)?;
        script(&self.path("bin/tk"), &format!("#!/bin/sh\n{tk}\n"))?;
        let mut task = self.world.command(tools::own_launcher()?).words("task --task_type=finetune --ranks=scripts");
        let parts =
            [("code_path", "code"), ("boot_file_path", "code/train.py"), ("data_path", "data"), ("output_path", "out")];
        for (name, part) in parts {
            task = task.arg(format!("--{name}={}", self.path(part).display()));
        }
        for (name, value) in ENVIRONMENT {
            task = task.env(name, value);
        }
        let task = task.env("FMTK_SCRIPTS", &self.scripts).env("RANK_TABLE_FILE", self.path("config"));
        let task = task.env("MA_MOUNT_PATH", self.path("mount")).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(task.path_first(&self.path("bin")).dir(&self.folder))
    }

    /// An error unless both ranks have trained in the code folder, with output and logs in these folders of the job.
    fn check(&self, output: &str, logs: &str) -> anyhow::Result<()> {
        for (rank, trained) in TRAINED.iter().enumerate() {
            let beside = read(&self.path(&format!("code/relative_{rank}")))?;
            ensure!(beside == "code data", "rank {rank} read `{beside}`");
            let log = read(&self.path(logs).join(format!("modelarts-job-1-proc-rank-{rank}-device-{rank}.txt")))?;
            let kit = format!("mount/log/modelarts-job-1/ascend/process_log/rank_{rank}");
            ensure!(self.path(&kit).is_dir(), "there is no `{kit}`");
            // On standard output the kit has the lines of device 0 alone.
            ensure!(rank > 0 || log.contains(trained), "rank {rank} said:\n{log}");
            let is_made = paths(&self.path(output))?.iter().any(|run| run.join(format!("rank_{rank}")).is_file());
            ensure!(is_made, "`{output}` lacks the output of rank {rank}");
        }
        Ok(())
    }
}

/// Makes all of it this user's own, and closed to others as the tuning kit wants it.
fn give(path: &Path, uid: u32, gid: u32) -> anyhow::Result<()> {
    let mode = if path.is_dir() { 0o750 } else { 0o640 };
    let given = chown(path, Some(uid), Some(gid));
    given
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("failed to give `{}` to {uid}:{gid}", path.display()))?;
    let below = if path.is_dir() { paths(path)? } else { Vec::new() };
    below.iter().try_for_each(|path| give(path, uid, gid))
}
