//! `fmtk-launch task` with the real tuning kit's successor, the machine's Python, and a double of MoXing.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use fmtk::resolve::place;
use serde_json::Value;

use super::world::World;
use crate::testbed::{Invocation, Log, PATIENCE, end_by, read, script, wait_while_running, write};

/// The open successor of the tuning kit, as PyPI has it.
const KIT: &str = "mindpet==1.0.4";

/// The training: says what it was given, writes its output, and fails or stays where it is told to.
const TRAIN: &str = r#"import argparse, os, time
parser = argparse.ArgumentParser()
for name in ("data_path", "output_path", "pretrained_model_path", "rate"):
    parser.add_argument("--" + name)
given = parser.parse_args()
data, model = (open(os.path.join(folder, "it.txt")).read() for folder in (given.data_path, given.pretrained_model_path))
print("trained", data, model, given.rate, os.getcwd() == os.environ["MODEL_TASK_CWD"], "of", os.environ["RANK_SIZE"], flush=True)
with open(os.path.join(given.output_path, "rank_" + os.environ["RANK_ID"]), "w") as output:
    output.write(data + model)
if os.environ.get("TRAIN") == "stay":
    open("up_" + os.environ["RANK_ID"], "w").close()
    time.sleep(1000)
if os.environ.get("TRAIN") == "fail" and os.environ["RANK_ID"] == "1":
    raise SystemExit(5)
"#;

/// Checks that a file is Python as old as the oldest image's.
const OLD_SYNTAX: &str = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 7))";

/// Calls the front door as the platform does, with another program behind it.
const FRONT_DOOR: &str = "import sys; sys.argv[0] = launcher = 'launcher.py'; import launcher; \
                          launcher.PROGRAM = sys.argv.pop(1); sys.exit(launcher.main())";

/// From the boot command to outputs and logs in object storage, and what can go wrong on the way.
pub fn run(world: &World, log: &Log) -> anyhow::Result<()> {
    let tools = Tools::new(world, log)?;
    front_door(&tools, world, log)?;
    whole(&tools, world, log, "slow")?;
    log.say("the real mindpet trains from and to object storage that is slow");
    whole(&tools, world, log, "twice")?;
    log.say("storage that fails twice works the third time");

    let case = Case::new(&tools, world, "fails")?;
    case.command(log, &[]).env("TRAIN", "fail").fails(1)?.says(&["FAILED with exit code 1", "rank 1 "])?;
    // The other one was stopped, wherever it was.
    case.synced(&[1])?;
    log.say("a training that fails ends the task, its logs are there");

    let case = Case::new(&tools, world, "hang-logs")?;
    let done = case.command(log, &["--sync-timeout=3s"]).env("FAULTS", "hang:mxLaunchKit").run()?;
    done.says(&["mxLaunchKit/node_3` is given up: ", "SUCCEEDED"])?;
    ensure!(case.report()?["sync"]["complete"] == false, "the report does not say that logs are missing");
    // What hangs does so for 1,000 s.
    ensure!(done.time < PATIENCE, "a hanging sync took {:?}", done.time);
    let case = Case::new(&tools, world, "hang-data")?;
    let done = case.command(log, &["--copy-timeout=3s"]).env("FAULTS", "hang:b/data").fails(125)?;
    done.says(&["the ranks lack what could not be copied", "is given up", "(`data_path`)"])?;
    log.say("copies that hang are given up in time and told");

    let case = Case::new(&tools, world, "no-moxing")?;
    let done = case.command(log, &["--copy-timeout=3s"]).env("PYTHONPATH", &tools.kit).fails(125)?;
    done.says(&["MoXing can't be imported: "])?;
    log.say("an image without MoXing is told");

    stopped(&tools, world, log)
}

/// One that runs to its end, and leaves everything where it belongs.
fn whole(tools: &Tools, world: &World, log: &Log, fault: &str) -> anyhow::Result<()> {
    let case = Case::new(tools, world, fault)?;
    case.command(log, &["--backend=ascend"])
        .env("FAULTS", fault)
        .run()?
        .says(&["`--backend=ascend` is no parameter"])?;
    let node = case.folder.join("buckets/b/out/modelarts-job-1/node_3");
    let mut outputs = Vec::new();
    for run in fs::read_dir(&node).with_context(|| format!("failed to list `{}`", node.display()))? {
        for output in fs::read_dir(run?.path())? {
            let output = output?;
            outputs.push((output.file_name().to_string_lossy().into_owned(), fs::read_to_string(output.path())?));
        }
    }
    outputs.sort();
    let expected = ["rank_0", "rank_1"].map(|name| (name.to_owned(), "datamodel".to_owned()));
    ensure!(outputs == expected, "the output is {outputs:?}");
    case.synced(&[0, 1])?;
    ensure!(case.report()?["sync"]["complete"] == true, "the report says {}", case.report()?["sync"]);
    Ok(())
}

/// A stop from outside.
fn stopped(tools: &Tools, world: &World, log: &Log) -> anyhow::Result<()> {
    let case = Case::new(tools, world, "stopped")?;
    let mut child = case.command(log, &["--grace=2s"]).env("TRAIN", "stay").spawn()?;
    let up = ["code/up_0", "code/up_1"].map(|name| case.folder.join(name));
    wait_while_running(&mut child, "the training has begun", || up.iter().all(|it| it.exists()))?;
    // Ranks that were not told would be there for 1,000 s.
    let code = end_by(&mut child, "TERM")?.code();
    ensure!(code == Some(143), "a stop ended with {code:?}");
    case.synced(&[0, 1])?;
    log.say("a stop ends it with 143, its logs are there");
    Ok(())
}

/// The boot file of old hands everything over, and both Python files suit old Pythons.
fn front_door(tools: &Tools, world: &World, log: &Log) -> anyhow::Result<()> {
    let sources = place::workspace().join("crates/launcher/src/task");
    for name in ["launcher.py", "storage.py"] {
        log.command("python3").args(["-c", OLD_SYNTAX]).arg(sources.join(name)).run()?;
    }
    let call_with = |program: &Path, arguments: &[&OsStr]| {
        let command = log.command("python3").args(["-B", "-c", FRONT_DOOR]).arg(program);
        command.args(arguments).env("PYTHONPATH", &sources)
    };
    let call = |program: &Path| call_with(program, &["--task_type=train", "--backend=ascend"].map(OsStr::new));
    call(&tools.program).fails(2)?.says(&["`--backend=ascend` is no parameter", "`task_type`: `train` is not"])?;
    call(Path::new("/not/there")).fails(127)?.says(&["error: failed to start `/not/there`: No such file", "hint: "])?;
    let echo = world.folder("launch-task")?.join("echo");
    script(&echo, "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 9\n")?;
    // Not every name of a folder is UTF-8.
    let odd = [&b"--a=b  c"[..], b"", b"$x'\"", "数".as_bytes(), b"\xff"].map(OsStr::from_bytes);
    let said = call_with(&echo, &odd).env("LC_ALL", "C").fails(9)?.stdout;
    let expected = "<task><--a=b  c><><$x'\"><数><\u{fffd}>";
    ensure!(said == expected, "the launcher was given {said} instead of {expected}");
    log.say("launcher.py hands over");
    Ok(())
}

/// What all cases share.
struct Tools {
    /// The launcher for this machine.
    program: PathBuf,
    /// The tuning kit, as pip leaves it below one folder.
    kit: PathBuf,
    /// The folder of a module `moxing`.
    moxing: PathBuf,
}

impl Tools {
    fn new(world: &World, log: &Log) -> anyhow::Result<Self> {
        let target = place::workspace().join("target/launch-task");
        let build =
            log.command("cargo").args(["build", "--quiet", "--locked", "--package", "launcher", "--target-dir"]);
        build.arg(&target).dir(&place::workspace()).run()?;
        let kit = world.folder("launch-task/kit")?;
        let pip = ["-m", "pip", "install", "--quiet", "--only-binary=:all:", KIT, "--target"];
        log.command("python3").args(pip).arg(&kit).run()?;
        let python = log.command("python3").args(["-c", "import sys; print(sys.executable)"]).run()?;
        // What the kit starts is called so, and Debian has no `python`.
        symlink(python.text(), kit.join("bin/python")).context("failed to make a link to Python")?;
        let moxing = world.folder("launch-task/moxing")?;
        write(&moxing.join("moxing.py"), include_str!("moxing_double.py"))?;
        Ok(Self { program: target.join("debug/fmtk-launch"), kit, moxing })
    }
}

/// A server of its own.
struct Case<'a> {
    tools: &'a Tools,
    folder: PathBuf,
}

impl<'a> Case<'a> {
    fn new(tools: &'a Tools, world: &World, name: &str) -> anyhow::Result<Self> {
        let name = format!("launch-task/{name}");
        for part in ["code", "home", "mount/log", "buckets/b/data", "buckets/b/model"] {
            world.folder(&format!("{name}/{part}"))?;
        }
        let folder = world.folder(&name)?;
        write(&folder.join("code/train.py"), TRAIN)?;
        fs::set_permissions(folder.join("code/train.py"), fs::Permissions::from_mode(0o640))?;
        write(&folder.join("buckets/b/data/it.txt"), "data")?;
        write(&folder.join("buckets/b/model/it.txt"), "model")?;
        write(&folder.join("buckets/b/conf.yaml"), "params:\n  rate: 0.5\n")?;
        Ok(Self { tools, folder })
    }

    /// The task on two devices, all of it in object storage.
    fn command<'l>(&self, log: &'l Log, more: &[&str]) -> Invocation<'l> {
        let of = |name: &str| self.folder.join(name);
        let path = |folder: &Path| std::env::var("PATH").map(|rest| format!("{}:{rest}", folder.display()));
        log.command(&self.tools.program)
            .args(["task", "--task_type=finetune", "--boot_file_path=train.py", "--data_path=obs://b/data/"])
            .args(["--output_path", "obs://b/out", "--pretrained_model_path=obs://b/model", "--use_sfs=false"])
            .args(["--model_config_path=obs://b/conf.yaml", "--log_path=obs://b/logs", "--devices=0,1"])
            .arg(format!("--code_path={}", of("code").display()))
            .args(more)
            .env("PATH", path(&self.tools.kit.join("bin")).unwrap_or_default())
            .env("PYTHONPATH", format!("{}:{}", self.tools.moxing.display(), self.tools.kit.display()))
            .env("BUCKETS", of("buckets"))
            .env("HOME", of("home"))
            .env("MA_MOUNT_PATH", of("mount"))
            .env("MA_VJ_NAME", "ma-job-1")
            .env("VC_TASK_INDEX", "3")
            .env("FMTK_CACHE", of("cache"))
            .env_remove("FMTK_STORAGE_HELPER")
            .dir(&self.folder)
    }

    /// An error unless the logs of these ranks in object storage are those of the server, all of them.
    fn synced(&self, ranks: &[u32]) -> anyhow::Result<()> {
        let logs = self.folder.join("buckets/b/logs/modelarts-job-1");
        for rank in ranks {
            let name = format!("modelarts-job-1-proc-rank-{rank}-device-{rank}.txt");
            let own = fs::read_to_string(self.folder.join("mount/log").join(&name))?;
            let copy = fs::read_to_string(logs.join("mxLaunchKit/node_3").join(&name))?;
            ensure!(own == copy, "the copy of `{name}` is not complete");
            let kit = logs.join(format!("mxTuningKit/node_3/device_{rank}/service.log"));
            let kit = read(&kit)?;
            // On standard output the kit has the lines of device 0 alone.
            ensure!(kit.contains("trained data model 0.5 True of 2"), "the kit's own log says:\n{kit}");
        }
        Ok(())
    }

    fn report(&self) -> anyhow::Result<Value> {
        let path = self.folder.join("mount/log/modelarts-job-1-report-rank-0.json");
        serde_json::from_str(&read(&path)?).with_context(|| format!("`{}` is no JSON", path.display()))
    }
}
