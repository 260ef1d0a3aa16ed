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

use super::world::World;
use crate::testbed::{
    self, Engine, Invocation, Log, end_by, read, recipe, script, unpack_relative, wait_while_running, write,
};

/// The modules of the relative on PyPI that the launcher is made of. The vendor's have them beside each other in a folder.
const MODULES: [&str; 5] = ["common", "fmk", "manager", "rank_table", "sdr"];
/// The wheels of the tuning kit's successor.
const WHEELS: [&str; 3] = ["mindpet-", "click-", "pyyaml-"];
/// What the base has where the launch kit's boot file is.
const OLD_FRONT: &str = "raise SystemExit('the old launcher was called')\n";
/// The tuning kit by its old name.
const TK: &str = "#!/bin/sh\nexec mindpet \"$@\"\n";
/// Two devices, as the platform has them.
const TABLE: &str = r#"{"status":"completed","group_count":"1","group_list":[{"group_name":"g","device_count":"2","instance_count":"1",
"instance_list":[{"pod_name":"job-0","server_id":"10.0.0.1","devices":[{"device_id":"0","device_ip":"192.168.0.1"},{"device_id":"1","device_ip":"192.168.0.2"}]}]}]}"#;
/// Says where it is, reads and writes by relative and absolute paths.
const TRAIN: &str = r#"import argparse, os
parser = argparse.ArgumentParser()
for name in ("data_path", "output_path"):
    parser.add_argument("--" + name)
given = parser.parse_args()
rank, here = os.environ["RANK_ID"], os.getcwd()
with open("relative_" + rank, "w") as beside:
    beside.write(open("beside.txt").read() + open(os.path.join(given.data_path, "it.txt")).read())
open(os.path.join(given.output_path, "rank_" + rank), "w").close()
process_log = os.environ["ASCEND_PROCESS_LOG_PATH"]
print("trained", rank, "of", os.environ["RANK_SIZE"], "by", os.getuid(), here == os.environ.get("MODEL_TASK_CWD", here) == "/job/code",
      os.path.isdir(process_log), process_log.endswith("/ascend/process_log/rank_" + rank), flush=True)
"#;
/// The same for both ranks.
const TRAINED: [&str; 2] = ["trained 0 of 2 by 1000 True True True", "trained 1 of 2 by 1000 True True True"];

/// What the tuning kit is given.
const PATHS: [(&str, &str); 3] =
    [("boot_file_path", "/job/code/train.py"), ("data_path", "/job/data"), ("output_path", "/job/out")];

/// Builds the image of the manual in small, once for each way to start ranks, and boots jobs in it.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let kit = Kit::new(world, log)?;
    let native = kit.image("native", "20221028181401")?;
    let said = kit.in_image(&native, &["cat", front::PATH, front::KEPT])?;
    ensure!(said == format!("{}{OLD_FRONT}", front::TEXT), "the image has for fronts:\n{said}");
    log.say("the image has our launcher.py, and the base's as launcher.py.vendor");

    // Exactly as the manual has it, and a parameter that nobody knows.
    let mut boot = vec!["python".to_owned(), front::PATH.to_owned(), "--task_type=finetune".to_owned()];
    boot.extend(["--code_path=/job/code", "--log_path=/job/logs", "--backend=x"].map(str::to_owned));
    boot.extend(PATHS.map(|(name, path)| format!("--{name}={path}")));
    let job = Job::new(&kit, "native")?;
    let done = job.boot(&native, &boot)?.run()?;
    done.says(&["`--backend=x` is no parameter", "SUCCEEDED", "all 2 ranks of this server succeeded"])?;
    job.check("out/modelarts-job-1/node_0", "mount/log")?;
    job.check("out/modelarts-job-1/node_0", "logs/modelarts-job-1/mxLaunchKit/node_0")?;
    log.say(&format!("launcher.py with ranks of our own: {:.1} s", done.time.as_secs_f64()));
    let wrong: Vec<String> = boot.iter().map(|word| word.replace("/job/code", "/job/nowhere")).collect();
    job.boot(&native, &wrong)?.fails(2)?.says(&["`code_path`: `/job/nowhere` does not exist"])?;
    log.say("a wrong path ends it with 2");

    let scripts = kit.image("scripts", "20221028181402")?;
    let job = Job::new(&kit, "scripts")?;
    let done = job.boot(&scripts, &boot)?.run()?;
    done.says(&["starting the vendor's scripts", "the vendor's scripts succeeded"])?;
    job.check("out/modelarts-job-1/node_0", "mount/log")?;
    job.check("out/modelarts-job-1/node_0", "logs/modelarts-job-1/mxLaunchKit/node_0")?;
    log.say(&format!("launcher.py with ranks by the patched scripts: {:.1} s", done.time.as_secs_f64()));

    // Without the launch kit nobody sets MODEL_TASK_CWD: then it is where the scripts were called.
    let job = Job::new(&kit, "direct")?;
    let mut boot =
        ["python", &format!("{FOLDER}/run_ascend910.py"), "tk", "finetune", "--quiet"].map(str::to_owned).to_vec();
    boot.extend(PATHS.into_iter().flat_map(|(name, path)| [format!("--{name}"), path.to_owned()]));
    let done = job.boot(&native, &boot)?.run()?;
    job.check("out", "mount/log")?;
    log.say(&format!("run_ascend910.py as the boot command: {:.1} s", done.time.as_secs_f64()));

    full_disk(&kit, &native)?;
    on_this_machine(&kit)
}

/// A log folder without room is told, and is nothing to the ranks.
fn full_disk(kit: &Kit<'_>, image: &str) -> anyhow::Result<()> {
    let script = "i=0; while [ $i -lt 4000 ]; do echo line $i of many that fill the disk; i=$((i+1)); done; exit 4";
    let options = ["--tmpfs", "/mount/log:size=64k,mode=1777", "--env", "MA_MOUNT_PATH=/mount"];
    let program = ["fmtk-launch", "run", "--devices", "0", "--report", "/dev/stdout", "--", "sh", "-c", script];
    let done = kit.world.docker(kit.log)?.run(kit.log, image, &options, &program)?;
    ensure!(done.status.code() == Some(4), "exit code 4 was expected: {}", done.unexpected());
    ensure!(done.stdout.contains("[rank 0] line 3999 of many"), "the console lacks the end: {}", done.unexpected());
    done.says(&["No space left on device"])?;
    kit.log.say("a full disk below the logs: the rank's own code, all lines on the console");
    Ok(())
}

/// The scripts below our launcher with this machine's Python: a failure's code comes out, a stop reaches the ranks.
fn on_this_machine(kit: &Kit<'_>) -> anyhow::Result<()> {
    let job = Job::new(kit, "fails")?;
    let tk = "[ $RANK_ID = 1 ] || exec sleep 1000; exit 9";
    let done = job.by_scripts(tk)?.fails(9)?;
    done.says(&["FAILED with exit code 9", "the vendor's scripts (host "])?;
    kit.log.say(&format!("ranks by the scripts, one fails: its code after {:.1} s", done.time.as_secs_f64()));

    let job = Job::new(kit, "stopped")?;
    let mut child = job.by_scripts("touch $MA_MOUNT_PATH/up_$RANK_ID; exec sleep 1000")?.spawn()?;
    let up = ["mount/up_0", "mount/up_1"].map(|name| job.folder.join(name));
    wait_while_running(&mut child, "the ranks are up", || up.iter().all(|it| it.exists()))?;
    // Ranks that were not told would be there for 1,000 s.
    let code = end_by(&mut child, "TERM")?.code();
    ensure!(code == Some(143), "a stop ended with {code:?}");
    kit.log.say("ranks by the scripts, stopped: 143");
    Ok(())
}

/// What images are built from.
struct Kit<'a> {
    world: &'a World,
    log: &'a Log,
    folder: PathBuf,
    /// The base with the vendor's kit and scripts, as `--base` names it.
    base: String,
}

impl<'a> Kit<'a> {
    fn new(world: &'a World, log: &'a Log) -> anyhow::Result<Self> {
        let sample = world.base(log)?;
        let folder = world.folder("launch-kit")?;
        for name in ["pkg", "ascend910", "patched", "relative"] {
            world.folder(&format!("launch-kit/{name}"))?;
        }
        for wheel in fs::read_dir(world.wheels(log)?)?.flatten() {
            let name = wheel.file_name().to_string_lossy().into_owned();
            if WHEELS.iter().any(|start| name.starts_with(start)) {
                fs::copy(wheel.path(), folder.join("pkg").join(name)).context("failed to copy a wheel")?;
            }
        }
        vendors_shape(log, &folder)?;
        write(&folder.join("launcher.py"), OLD_FRONT)?;
        write(&folder.join("tk"), TK)?;
        let files = |from: &str, to: &str, rest: &str| format!("[[files]]\nfrom = \"{from}\"\nto = \"{to}\"\n{rest}\n");
        let plain = recipe(&[]) + "launch.front = false\n";
        let of_vendor =
            files("ascend910", FOLDER, "mode = \"0640\"") + &files("launcher.py", front::PATH, "mode = \"0640\"");
        write(&folder.join("base.toml"), &(plain + &of_vendor))?;
        let kinds = WHEELS.map(|start| (start.trim_end_matches('-'), format!("{start}*.whl")));
        let kinds: Vec<(&str, &str)> = kinds.iter().map(|(kind, glob)| (*kind, glob.as_str())).collect();
        let own = recipe(&kinds).replace("scripts = \"keep\"", "scripts = \"auto\"");
        write(&folder.join("image.toml"), &(own + &files("tk", "/usr/local/bin/tk", "mode = \"0755\"")))?;
        let kit = Self { world, log, base: format!("oci:{}", folder.join("base").display()), folder };
        let empty = world.folder("launch-kit/none")?;
        kit.build("base.toml", &sample.to_string(), &empty, "20221028181400").args(["--output", &kit.base]).run()?;
        Ok(kit)
    }

    fn build(&self, recipe: &str, base: &str, pkg: &Path, stamp: &str) -> Invocation<'a> {
        let command =
            self.world.xtask(self.log).args(["image", "--format", "json", "--timestamp", stamp, "--base", base]);
        command.arg("--recipe").arg(self.folder.join(recipe)).arg("--pkg").arg(pkg)
    }

    /// Builds the image with ranks started by either, and loads it into docker; its name.
    fn image(&self, ranks: &str, stamp: &str) -> anyhow::Result<String> {
        let archive = self.folder.join(format!("{ranks}.tar"));
        let command = self.build("image.toml", &self.base, &self.folder.join("pkg"), stamp);
        let command = command.args(["--set", &format!("launch.ranks={ranks}"), "--output"]);
        let built = command.arg(format!("docker-archive:{}", archive.display())).run()?.json()?;
        self.world.docker(self.log)?.command(self.log).args(["load", "--quiet", "--input"]).arg(&archive).run()?;
        fs::remove_file(&archive).context("failed to remove the archive")?;
        Ok(built["image"].as_str().context("`image` printed no name")?.to_owned())
    }

    /// What a program says in the image.
    fn in_image(&self, image: &str, program: &[&str]) -> anyhow::Result<String> {
        let done = self.world.docker(self.log)?.run(self.log, image, &[], program)?;
        ensure!(done.status.success(), done.unexpected());
        Ok(done.stdout)
    }
}

/// Gives the relative's modules the shape of the vendor's, in `ascend910`; in `patched` with the edits of the manual.
fn vendors_shape(log: &Log, folder: &Path) -> anyhow::Result<()> {
    let unpacked = folder.join("relative");
    unpack_relative(log, &unpacked)?;
    for (module, name) in MODULES.map(|module| (module, module)).into_iter().chain([("davincirun", "run_ascend910")]) {
        let path = unpacked.join("davincirunsdk").join(module).with_extension("py");
        let text = read(&path)?;
        let text = text.replace("from davincirunsdk.", "from ");
        for place in ["ascend910", "patched"] {
            write(&folder.join(place).join(name).with_extension("py"), &text)?;
        }
    }
    let done = patch_file(&folder.join("patched/fmk.py"), Edits::ALL, Backup::None)?;
    ensure!(done.written, "the relative's `fmk.py` was not patched: {:?}", done.report.edits);
    Ok(())
}

/// The folders of a job.
struct Job<'k, 'a> {
    kit: &'k Kit<'a>,
    folder: PathBuf,
}

/// What the platform sets. The relative takes a job's name from the first.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("BATCH_JOB_ID", "modelarts-job-1"),
    ("MA_VJ_NAME", "ma-job-1"),
    ("MA_CURRENT_INSTANCE_NAME", "job-0"),
    ("MA_CURRENT_HOST_IP", "10.0.0.1"),
];

impl<'k, 'a> Job<'k, 'a> {
    fn new(kit: &'k Kit<'a>, name: &str) -> anyhow::Result<Self> {
        let folder = kit.folder.join("jobs").join(name);
        for part in ["code", "data", "out", "logs", "mount/log", "config", "bin"] {
            testbed::folder(&folder.join(part))?;
        }
        write(&folder.join("config/jobstart_hccl.json"), TABLE)?;
        write(&folder.join("code/train.py"), TRAIN)?;
        write(&folder.join("code/beside.txt"), "code ")?;
        write(&folder.join("data/it.txt"), "data")?;
        Ok(Self { kit, folder })
    }

    /// A container that the platform would start with this command, as ma-user and with its folders.
    fn boot(&self, image: &str, command: &[String]) -> anyhow::Result<Invocation<'a>> {
        // The tuning kit refuses what is another's, or wider.
        give(&self.folder, 1000, 100)?;
        let volumes = [("", "/job"), ("mount", "/home/ma-user/modelarts"), ("config", "/user/config")];
        let docker = self.kit.world.docker(self.kit.log)?.command(self.kit.log);
        let mut docker =
            docker.args(["run", "--rm", "--network", "none", "--platform", "linux/arm64", "--workdir", "/job/code"]);
        for (part, place) in volumes {
            docker = docker.arg("--volume").arg(format!("{}:{place}", self.folder.join(part).display()));
        }
        let environment = ENVIRONMENT.iter().chain(&[("MA_MOUNT_PATH", "/home/ma-user/modelarts")]);
        docker = environment.fold(docker, |docker, (name, value)| docker.arg("--env").arg(format!("{name}={value}")));
        Ok(docker.arg(image).args(command))
    }

    /// A task of this machine, whose ranks the patched scripts start and whose tuning kit is this script.
    fn by_scripts(&self, tk: &str) -> anyhow::Result<Invocation<'a>> {
        let at = |part: &str| self.folder.join(part);
        // The end-to-end tests run as root.
        give(&self.folder, 0, 0)?;
        script(&at("bin/tk"), &format!("#!/bin/sh\n{tk}\n"))?;
        let command =
            self.kit.log.command(tools::own_launcher()?).args(["task", "--task_type=finetune", "--ranks=scripts"]);
        let parts =
            [("code_path", "code"), ("boot_file_path", "code/train.py"), ("data_path", "data"), ("output_path", "out")];
        let command =
            parts.iter().fold(command, |command, (name, part)| command.arg(format!("--{name}={}", at(part).display())));
        let command = ENVIRONMENT.iter().fold(command, |command, (name, value)| command.env(name, value));
        let path = std::env::var("PATH").unwrap_or_default();
        Ok(command
            .env("PATH", format!("{}:{path}", at("bin").display()))
            .env("FMTK_SCRIPTS", self.kit.folder.join("patched"))
            .env("RANK_TABLE_FILE", at("config"))
            .env("MA_MOUNT_PATH", at("mount"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .dir(&self.folder))
    }

    /// An error unless both ranks have trained in the code folder, with output and logs in these folders of the job.
    fn check(&self, output: &str, logs: &str) -> anyhow::Result<()> {
        for (rank, trained) in TRAINED.iter().enumerate() {
            let beside = read(&self.folder.join(format!("code/relative_{rank}")))?;
            ensure!(beside == "code data", "rank {rank} read `{beside}`");
            let log =
                read(&self.folder.join(logs).join(format!("modelarts-job-1-proc-rank-{rank}-device-{rank}.txt")))?;
            let kit = format!("mount/log/modelarts-job-1/ascend/process_log/rank_{rank}");
            ensure!(self.folder.join(&kit).is_dir(), "there is no `{kit}`");
            // On standard output the kit has the lines of device 0 alone.
            ensure!(rank > 0 || log.contains(trained), "rank {rank} said:\n{log}");
            let made = fs::read_dir(self.folder.join(output))?
                .flatten()
                .any(|run| run.path().join(format!("rank_{rank}")).is_file());
            ensure!(made, "`{output}` lacks the output of rank {rank}");
        }
        Ok(())
    }
}

/// Makes all of it this user's own, and closed to others as the tuning kit wants it.
fn give(path: &Path, uid: u32, gid: u32) -> anyhow::Result<()> {
    let failed = || format!("failed to give `{}` to {uid}:{gid}", path.display());
    chown(path, Some(uid), Some(gid)).with_context(failed)?;
    let mode = if path.is_dir() { 0o750 } else { 0o640 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(failed)?;
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(failed)?.flatten() {
            give(&entry.path(), uid, gid)?;
        }
    }
    Ok(())
}
