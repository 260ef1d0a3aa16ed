//! `fmtk-launch task` with the real tuning kit's successor, the machine's Python, and a fake of MoXing.

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

use super::world::World;
use crate::testbed::{
    Invocation, PATIENCE, copy, data, end_by, folder, name, paths, pip, read, read_json, script, wait_while_running,
    write,
};

/// The open successor of the tuning kit, as PyPI has it.
const KIT: &str = "mindpet==1.0.4";

/// Checks that a file is Python as old as the oldest image's.
const OLD_SYNTAX: &str = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 7))";

/// Calls the entry-point shim as the platform does, with another program behind it.
const SHIM: &str = "import sys; sys.argv[0] = launcher = 'launcher.py'; import launcher; \
                    launcher.PROGRAM = sys.argv.pop(1); sys.exit(launcher.main())";

/// From the boot command to outputs and logs in object storage, and what can go wrong on the way.
pub fn run(world: &World) -> anyhow::Result<()> {
    let tools = Tools::new(world)?;
    shim(&tools)?;
    whole(&tools, "slow")?;
    world.say("the real mindpet trains from and to object storage that is slow");
    whole(&tools, "twice")?;
    world.say("storage that fails twice works the third time");

    let case = Case::new(&tools, "fails")?;
    case.command(&[]).env("TRAIN", "fail").fails(1)?.says(&["FAILED with exit code 1", "rank 1 "])?;
    // The other one was stopped, wherever it was.
    case.synced(&[1])?;
    world.say("a training that fails ends the task, its logs are there");

    let case = Case::new(&tools, "hang-logs")?;
    let done = case.command(&["--sync-timeout=3s"]).env("FAULTS", "hang:mxLaunchKit").run()?;
    done.says(&["mxLaunchKit/node_3` is given up: ", "SUCCEEDED"])?;
    case.is_complete(false)?;
    // What hangs does so for 1,000 s.
    ensure!(done.seconds < PATIENCE.as_secs_f64(), "a hanging sync took {} s", done.seconds);
    let case = Case::new(&tools, "hang-data")?;
    let done = case.command(&["--copy-timeout=3s"]).env("FAULTS", "hang:b/data").fails(125)?;
    done.says(&["the ranks lack what could not be copied", "is given up", "(`data_path`)"])?;
    world.say("copies that hang are given up in time and told");

    let case = Case::new(&tools, "no-moxing")?;
    let done = case.command(&["--copy-timeout=3s"]).env("PYTHONPATH", &tools.kit).fails(125)?;
    done.says(&["MoXing can't be imported: "])?;
    world.say("an image without MoXing is told");

    stopped(&tools)
}

/// One that runs to its end, and leaves everything where it belongs.
fn whole(tools: &Tools<'_>, fault: &str) -> anyhow::Result<()> {
    let case = Case::new(tools, fault)?;
    let done = case.command(&["--backend=ascend"]).env("FAULTS", fault).run()?;
    done.says(&["`--backend=ascend` is not a parameter"])?;
    let mut outputs = Vec::new();
    for run in paths(&case.path("buckets/b/out/modelarts-job-1/node_3"))? {
        for output in paths(&run)? {
            outputs.push((name(&output), read(&output)?));
        }
    }
    outputs.sort();
    let expected = ["rank_0", "rank_1"].map(|name| (name.to_owned(), "datamodel".to_owned()));
    ensure!(outputs == expected, "the output is {outputs:?}");
    case.synced(&[0, 1])?;
    case.is_complete(true)
}

fn stopped(tools: &Tools<'_>) -> anyhow::Result<()> {
    let case = Case::new(tools, "stopped")?;
    let mut child = case.command(&["--grace=2s"]).env("TRAIN", "stay").spawn()?;
    let up = ["code/up_0", "code/up_1"].map(|name| case.path(name));
    wait_while_running(&mut child, "the training has begun", || up.iter().all(|it| it.exists()))?;
    // Ranks that were not told would be there for 1,000 s.
    let code = end_by(&mut child, "TERM")?.code();
    ensure!(code == Some(143), "a stop ended with {code:?}");
    case.synced(&[0, 1])?;
    tools.world.say("a stop ends it with 143, its logs are there");
    Ok(())
}

/// The boot file of old hands everything over, and both Python files suit old Pythons.
fn shim(tools: &Tools<'_>) -> anyhow::Result<()> {
    let python = || tools.world.command("python3");
    let sources = place::workspace().join("crates/launcher/src/task");
    for name in ["launcher.py", "storage.py"] {
        python().args(["-c", OLD_SYNTAX]).arg(sources.join(name)).run()?;
    }
    let call = |program: &Path, arguments: &[&OsStr]| {
        python().args(["-B", "-c", SHIM]).arg(program).args(arguments).env("PYTHONPATH", &sources)
    };
    let wrong = ["--task_type=train", "--backend=ascend"].map(OsStr::new);
    let refused = call(&tools.program, &wrong).fails(2)?;
    refused.says(&["`--backend=ascend` is not a parameter", "`task_type`: `train` is not"])?;
    let gone = call(Path::new("/not/there"), &wrong).fails(127)?;
    gone.says(&["error: failed to start `/not/there`: No such file", "hint: "])?;
    let echo = tools.world.folder("launch-task")?.join("echo");
    script(&echo, "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 9\n")?;
    // Not every name of a folder is UTF-8.
    let odd = [&b"--a=b  c"[..], b"", b"$x'\"", "数".as_bytes(), b"\xff"].map(OsStr::from_bytes);
    let said = call(&echo, &odd).env("LC_ALL", "C").fails(9)?.stdout;
    let expected = "<task><--a=b  c><><$x'\"><数><\u{fffd}>";
    ensure!(said == expected, "the launcher was given {said} instead of {expected}");
    tools.world.say("launcher.py hands over");
    Ok(())
}

struct Tools<'w> {
    world: &'w World,
    /// The launcher for this machine.
    program: PathBuf,
    /// The tuning kit, as pip leaves it below one folder.
    kit: PathBuf,
    moxing: PathBuf,
}

impl<'w> Tools<'w> {
    fn new(world: &'w World) -> anyhow::Result<Self> {
        let target = place::workspace().join("target/launch-task");
        let build = world.command("cargo").words("build --quiet --locked --package launcher --target-dir");
        build.arg(&target).dir(&place::workspace()).run()?;
        let kit = world.folder("launch-task/kit")?;
        pip(&world.log, "install").args([KIT, "--target"]).arg(&kit).run()?;
        let python = world.command("python3").args(["-c", "import sys; print(sys.executable)"]).run()?;
        // What the kit starts is called so, and Debian has no `python`.
        symlink(python.text(), kit.join("bin/python")).context("failed to make a link to Python")?;
        let moxing = world.folder("launch-task/moxing")?;
        copy(&data("moxing_fake.py"), &moxing.join("moxing.py"))?;
        Ok(Self { world, program: target.join("debug/fmtk-launch"), kit, moxing })
    }
}

struct Case<'t> {
    tools: &'t Tools<'t>,
    folder: PathBuf,
}

impl<'t> Case<'t> {
    fn new(tools: &'t Tools<'t>, name: &str) -> anyhow::Result<Self> {
        let case = Self { tools, folder: tools.world.folder(&format!("launch-task/{name}"))? };
        folder(&case.path("home"))?;
        folder(&case.path("mount/log"))?;
        let train = case.path("code/train.py");
        write(&train, read(&data("task_train.py"))?)?;
        fs::set_permissions(&train, fs::Permissions::from_mode(0o640))?;
        write(&case.path("buckets/b/data/it.txt"), "data")?;
        write(&case.path("buckets/b/model/it.txt"), "model")?;
        write(&case.path("buckets/b/conf.yaml"), "params:\n  rate: 0.5\n")?;
        Ok(case)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The task on two devices, all of it in object storage.
    fn command(&self, more: &[&str]) -> Invocation {
        let task = self.tools.world.command(&self.tools.program).words(
            "task --task_type=finetune --boot_file_path=train.py --data_path=obs://b/data/ --output_path obs://b/out \
             --pretrained_model_path=obs://b/model --use_sfs=false --model_config_path=obs://b/conf.yaml \
             --log_path=obs://b/logs --devices=0,1",
        );
        let task = task.arg(format!("--code_path={}", self.path("code").display())).args(more);
        let modules = format!("{}:{}", self.tools.moxing.display(), self.tools.kit.display());
        let task = task.path_first(&self.tools.kit.join("bin")).env("PYTHONPATH", modules);
        let task = task.env("BUCKETS", self.path("buckets")).env("HOME", self.path("home"));
        let task = task.env("MA_MOUNT_PATH", self.path("mount")).env("FMTK_CACHE", self.path("cache"));
        let task = task.env("MA_VJ_NAME", "ma-job-1").env("VC_TASK_INDEX", "3");
        task.without(&["FMTK_STORAGE_HELPER"]).dir(&self.folder)
    }

    /// An error unless the logs of these ranks in object storage are those of the server, all of them.
    fn synced(&self, ranks: &[u32]) -> anyhow::Result<()> {
        let logs = self.path("buckets/b/logs/modelarts-job-1");
        for rank in ranks {
            let name = format!("modelarts-job-1-proc-rank-{rank}-device-{rank}.txt");
            let own = read(&self.path("mount/log").join(&name))?;
            let copy = read(&logs.join("mxLaunchKit/node_3").join(&name))?;
            ensure!(own == copy, "the copy of `{name}` is not complete");
            let kit = read(&logs.join(format!("mxTuningKit/node_3/device_{rank}/service.log")))?;
            // On standard output the kit has the lines of device 0 alone.
            ensure!(kit.contains("trained data model 0.5 True of 2"), "the kit's own log says:\n{kit}");
        }
        Ok(())
    }

    /// An error unless the report says this of the logs in object storage.
    fn is_complete(&self, expected: bool) -> anyhow::Result<()> {
        let report = read_json(&self.path("mount/log/modelarts-job-1-report-rank-0.json"))?;
        ensure!(report["sync"]["complete"] == expected, "the report says {}", report["sync"]);
        Ok(())
    }
}
