//! `task`: the launch kit's parameters become the tuning kit's command, as the platform has it. `tk` is a shell script.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::harness::{TestFolder, arranged, finish, start};

/// Says how it was called and in what surroundings, then does what a test wants.
const TK: &str = r#"#!/bin/sh
echo "args: $*"
echo "cwd: $(pwd) $MODEL_TASK_CWD"
echo "env: SERVER_ID=$SERVER_ID PYTHONUNBUFFERED=$PYTHONUNBUFFERED"
eval "$TK_SCRIPT"
"#;

impl TestFolder {
    /// One with code, data and a tuning kit, as a task wants them.
    pub fn furnished() -> TestFolder {
        let place = TestFolder::new();
        place.furnish();
        place
    }

    pub fn furnish(&self) {
        for name in ["data", "model", "ckpt", "bin"] {
            fs::create_dir_all(self.path(name)).unwrap();
        }
        self.write("code/train.py", "", 0o640);
        self.write("conf.yaml", "params: {}\n", 0o644);
        self.write("bin/tk", TK, 0o755);
    }

    /// `fmtk-launch task` on one device; `@` in the parameters is this place.
    pub fn task(&self, parameters: &str) -> Command {
        let parameters = parameters.replace('@', self.folder.path().to_str().unwrap());
        let mut arguments = vec!["task"];
        arguments.extend(parameters.split_whitespace());
        let mut command = self.launcher(&arguments);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("FMTK_CACHE", self.path("cache"));
        command
    }

    /// A line of what a rank's stand-in printed, without its beginning.
    pub fn said(&self, rank: u32, what: &str) -> String {
        let log = self.log(rank);
        let line = log.lines().find_map(|it| it.strip_prefix(&format!("{what}: ")));
        line.unwrap_or_else(|| panic!("no `{what}` in {log}")).replace(self.folder.path().to_str().unwrap(), "@")
    }
}

/// What every task of these tests has.
pub const FINETUNE: &str = "--task_type=finetune --code_path=@/code --boot_file_path=@/code/train.py --data_path=@/data \
                            --output_path=@/out --devices=0";

#[test]
fn the_command_and_its_surroundings_are_the_launch_kit_s() {
    let place = TestFolder::furnished();
    let mut command =
        place.task(&format!("{FINETUNE},1 --pretrained_model_path @/model --use_sfs=True --model_name=x"));
    command.env("MA_VJ_NAME", "ma-job-7").env("VC_TASK_INDEX", "3").env("VK_TASK_INDEX", "9").current_dir("/");
    finish(&mut command).ends(0);
    for rank in 0..2 {
        let expected = "finetune --quiet --boot_file_path @/code/train.py --data_path @/data \
                        --output_path @/out/modelarts-job-7/node_3 --pretrained_model_path @/model";
        assert_eq!(place.said(rank, "args"), expected);
        assert_eq!(place.said(rank, "cwd"), "@/code @/code");
        assert_eq!(place.said(rank, "env"), "SERVER_ID=3 PYTHONUNBUFFERED=1");
    }
    let mode = place.path("out/modelarts-job-7/node_3").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o027, 0, "{mode:o}");
}

/// Each node has a folder of its own, whatever cluster numbers it.
#[test]
fn the_node_of_a_task_is_the_node_of_its_ranks() {
    const ROUTE: &[(&str, &str)] = &[("ROUTE_PLAN", "true"), ("RANK_AFTER_ACC", "1"), ("VC_TASK_INDEX", "0")];
    for (flags, variables) in [
        ("", &[("PET_NNODES", "2"), ("PET_NODE_RANK", "1"), ("PET_MASTER_ADDR", "203.0.113.7")][..]),
        ("--nnodes 2 --node-rank 1 --master 203.0.113.7", &[]),
        ("--master 203.0.113.7", &[ROUTE, &[("VC_WORKER_NUM", "2")]].concat()),
    ] {
        let place = TestFolder::furnished();
        let task = || {
            let mut command = place.task(&format!("{FINETUNE},1 {flags}"));
            command.envs(variables.iter().copied());
            command
        };
        finish(&mut task()).ends(0);
        for rank in 2..4 {
            let log = place.path(&format!("mount/log/job-proc-rank-{rank}-device-{}.txt", rank - 2));
            let log = fs::read_to_string(log).unwrap();
            assert!(log.contains("/out/default_model_task/node_1"), "{flags} {variables:?}: {log}");
            assert!(log.contains("env: SERVER_ID=1 "), "{flags} {variables:?}: {log}");
        }
        assert!(!place.path("out/default_model_task/node_0").exists());
    }
}

#[test]
fn a_task_that_can_not_tell_its_node_makes_no_folder() {
    let place = TestFolder::furnished();
    let mut command = place.task(&format!("{FINETUNE},1"));
    let refused = finish(command.env("VC_WORKER_NUM", "2")).ends(2);
    refused.says(&["  VC_WORKER_NUM is `2`, and nothing says which of them this node is: set VC_TASK_INDEX"]);
    assert!(!place.path("out").exists());
}

#[test]
fn every_kind_of_task_has_its_model_and_its_configuration() {
    for kind in ["evaluate", "infer"] {
        let place = TestFolder::furnished();
        // As a config map is mounted: a link, and readable for all.
        symlink(place.path("conf.yaml"), place.path("link.yaml")).unwrap();
        // The boot file may be named below the code.
        fs::create_dir(place.path("code/src")).unwrap();
        place.write("code/src/main.py", "", 0o750);
        let parameters = FINETUNE.replace("finetune", kind).replace("@/code/train.py", "src/main.py");
        let parameters = parameters + " --ckpt_path=@/ckpt --model_config_path=@/link.yaml";
        let mut command = place.task(&(parameters + " --pretrained_model_path="));
        command.env("VK_TASK_INDEX", "2").env("PYTHONUNBUFFERED", "x");
        finish(&mut command).ends(0);
        let args = place.said(0, "args");
        let expected = format!(
            "{kind} --quiet --boot_file_path @/code/src/main.py --data_path @/data \
             --output_path @/out/default_model_task/node_2 --ckpt_path @/ckpt --model_config_path @/cache/model_config.yaml"
        );
        assert_eq!(args, expected);
        let config = place.path("cache/model_config.yaml");
        assert_eq!(fs::read_to_string(&config).unwrap(), "params: {}\n");
        assert!(!fs::symlink_metadata(&config).unwrap().is_symlink());
        assert_eq!(place.said(0, "env"), "SERVER_ID=2 PYTHONUNBUFFERED=x");
    }
}

#[test]
fn a_rank_s_own_code_comes_out_unless_the_old_one_is_wanted() {
    for (script, flag, code) in [
        ("[ $RANK = 1 ] && exit 7; exec sleep 100", "", 7),
        ("[ $RANK = 1 ] && exit 7; exec sleep 100", "--legacy-exit-codes", 1),
        ("kill -SEGV $$", "", 139),
        ("kill -SEGV $$", "--legacy-exit-codes", 1),
        ("exit 0", "--legacy-exit-codes", 0),
    ] {
        let place = TestFolder::furnished();
        finish(place.task(&format!("{FINETUNE},1 {flag}")).env("TK_SCRIPT", script)).ends(code);
    }
    finish(&mut TestFolder::new().launcher(&["task", "--legacy-exit-codes"])).ends(1);
}

#[test]
fn all_faults_are_told_at_once() {
    let place = TestFolder::furnished();
    fs::create_dir_all(place.path("v1.0/code")).unwrap();
    place.write("wide.py", "", 0o644);
    place.write("bin/tk", "", 0o644);
    symlink(place.path("model"), place.path("link")).unwrap();
    finish(&mut place.task(
        "--task_type=train --code_path=@/v1.0/code --boot_file_path=@/wide.py --data_path data --output_path=@/wide.py/x \
         --use_sfs=maybe --device_num=0 --log_path=logs --model_config_path=@/data",
    )).ends(2).says(&[
        "`task_type`: `train` is not `finetune`, `evaluate` or `infer`",
        "/v1.0/code` has '.' in it, which the tuning kit refuses: rename it",
        "/wide.py` has mode 0644, and the tuning kit wants 0750 at most: `chmod 0640` it",
        "`data_path`: `data` is not an absolute path",
        "/wide.py/x` has '.' in it",
        "`use_sfs`: `maybe` is neither `true` nor `false`",
        "`device_num`: `0` is not a number of devices",
        "`log_path`: `logs` is not an absolute path",
        "`model_config_path`: ",
        "hint: `fmtk-launch task --help`",
    ]);
    let finished = finish(place.task("--code_path=").env("PATH", place.path("bin")));
    finished.says(&[
        "`task_type` is missing",
        "`code_path` is empty: give the folder of the training code as `--code_path=…`",
        "`boot_file_path` is missing",
        "`data_path` is missing",
        "`output_path` is missing",
        "neither `tk` nor `mindpet` is on PATH",
    ]);
    assert_eq!(finished.stderr.matches('\n').count(), 8, "{}", finished.stderr);
}

#[test]
fn each_fault_of_a_path_is_named() {
    for (from, to, expected) in [
        ("code_path=@/code", "code_path=@/none", "`code_path`: `@/none` does not exist"),
        ("code_path=@/code", "code_path=@/data", "`code_path`: `@/data` is an empty folder"),
        ("code_path=@/code", "code_path=code", "`code_path`: `code` is not an absolute path"),
        (
            "code_path=@/code",
            "code_path=@/link",
            "`code_path`: `@/link` is a link, which the tuning kit refuses: name `@/code`",
        ),
        ("code_path=@/code", "code_path=obs://b/code", "`code_path`: `obs://b/code` is not on this server"),
        ("train.py", "none.py", "`boot_file_path`: `@/code/none.py` does not exist"),
        ("train.py", "train.sh", "`boot_file_path`: `@/code/train.sh` is not a .py file"),
        ("@/code/train.py", "@/data", "`boot_file_path`: `@/data` is not a file"),
        ("@/code/train.py", "@/code/v1.0/train", "`@/code/v1.0/train` does not exist"),
        ("data_path=@/data", "data_path=@/conf", "`data_path`: `@/conf` is not a folder"),
        (
            "data_path=@/data",
            "data_path=@/v/data",
            "`data_path`: `@/v/data` leads to `@/v1.0/data`, which has '.' in it",
        ),
        ("--data_path", "--model_config_path=@/data --data_path", "`model_config_path`: `@/data` is not a file"),
        ("--data_path", "--model_config_path=@/conf --data_path", "`@/conf` is not a .yaml or .yml file"),
        ("data_path=@/data", "data_path=obs://", "`data_path`: `obs://` has no bucket"),
        ("data_path=@/data", "data_path=obs://b --use_sfs=true", "is in object storage, but `use_sfs` is true"),
        ("output_path=@/out", "output_path=@/data/out", "is in the folder of `data_path`"),
        (
            "output_path=@/out",
            "output_path=@/conf/out",
            "`output_path`: `@/conf/out` can't be a folder: `@/conf` is none",
        ),
        ("=finetune", "=infer", "`ckpt_path` is missing: give its folder"),
        ("devices=0", "devices=0-3 --device_num=8", "`device_num`: `8` is not the 4 of `--devices`"),
    ] {
        let place = TestFolder::furnished();
        place.write("code/train.sh", "", 0o640);
        place.write("conf", "", 0o640);
        symlink(place.path("code"), place.path("link")).unwrap();
        fs::create_dir_all(place.path("v1.0/data")).unwrap();
        symlink(place.path("v1.0"), place.path("v")).unwrap();
        assert!(FINETUNE.contains(from), "{from}");
        let finished = finish(&mut place.task(&FINETUNE.replace(from, to)));
        let said = finished.stderr.replace(place.folder.path().to_str().unwrap(), "@");
        assert_eq!(finished.code, 2, "{said}");
        assert!(said.contains(expected), "no `{expected}` in {said}");
    }
}

#[test]
fn code_that_can_t_be_read_is_told() {
    let place = TestFolder::furnished();
    fs::set_permissions(place.path("code"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = place.task(FINETUNE);
    command.current_dir("/");
    // Root may read everything; another user might not reach the launcher itself.
    if nix::unistd::geteuid().is_root() {
        arranged(&mut command, be_bound_by_modes);
    }
    let finished = finish(&mut command);
    fs::set_permissions(place.path("code"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    let expected = format!("`code_path`: `{}` can't be read by uid ", place.path("code").display());
    finished.says(&[&expected]);
}

/// From the next program on, modes of files count for root, too.
#[allow(unsafe_code)]
fn be_bound_by_modes() -> std::io::Result<()> {
    const CAP_DAC_OVERRIDE: u64 = 1;
    const CAP_DAC_READ_SEARCH: u64 = 2;
    for capability in [CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH] {
        // SAFETY: takes numbers only.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// No file may be longer than that: writing on fails, and a signal tells so.
#[allow(unsafe_code)]
fn limit_file_size(bytes: u64) -> std::io::Result<()> {
    // SAFETY: sets a limit.
    unsafe {
        libc::setrlimit(libc::RLIMIT_FSIZE, &libc::rlimit { rlim_cur: bytes, rlim_max: bytes });
    }
    Ok(())
}

#[test]
fn a_full_disk_below_the_logs_is_told_and_stops_no_training() {
    let place = TestFolder::furnished();
    let mut command = place.task(&format!("{FINETUNE} --log_path=@/logs"));
    command.env("TK_SCRIPT", "echo trained; exit 4");
    arranged(&mut command, || limit_file_size(1));
    finish(&mut command)
        .ends(4)
        .prints(&["[rank 0] trained\n"])
        .says(&["job-proc-rank-0-device-0.txt`: File too large"]);
    place.leaves_nothing();
}

#[test]
fn what_is_unknown_or_risky_is_warned_of() {
    let place = TestFolder::furnished();
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o755)).unwrap();
    let finished =
        finish(&mut place.task(&format!("{FINETUNE} --backend=ascend --new_one 5 --ckpt_path=@/ckpt"))).ends(0);
    finished.says(&[
        "warning: `--backend=ascend` is not a parameter of a task and is ignored\n",
        "warning: `--new_one` is not a parameter",
        "warning: `5` is not a parameter",
        "/data` has mode 0755, and the tuning kit wants 0750 at most: `chmod 0750` it",
        "warning: `ckpt_path` is ignored: `finetune` has no use for it",
    ]);
    assert!(!place.said(0, "args").contains("ckpt"));
}

#[test]
fn device_num_makes_ranks_or_is_checked() {
    let place = TestFolder::furnished();
    let parameters = FINETUNE.replace("--devices=0", "--device_num=3");
    finish(&mut place.task(&parameters)).ends(0);
    assert!((0..3).all(|rank| place.said(rank, "args").starts_with("finetune ")));
    let table = r#"{"version":"1.0","status":"completed","server_count":"1","server_list":[{"server_id":"10.0.0.1","device":[
        {"device_id":"0","device_ip":"1.1.1.1","rank_id":"0"},{"device_id":"1","device_ip":"1.1.1.2","rank_id":"1"}]}]}"#;
    place.write("table.json", table, 0o640);
    let with_table = format!("{parameters} --rank-table=@/table.json");
    finish(&mut place.task(&with_table)).ends(2).says(&["`device_num` is 3, but the rank table has 2 devices"]);
    finish(&mut place.task(&with_table.replace("num=3", "num=2"))).ends(0);
}

#[test]
fn mindpet_stands_in_for_the_kit() {
    let place = TestFolder::furnished();
    fs::rename(place.path("bin/tk"), place.path("bin/mindpet")).unwrap();
    let mut command = place.task(FINETUNE);
    command.env("PATH", format!("{}:/usr/bin:/bin", place.path("bin").display()));
    finish(&mut command).ends(0);
}

#[test]
fn a_home_of_somebody_else_is_replaced() {
    let place = TestFolder::furnished();
    let mut command = place.task(FINETUNE);
    command.env("TK_SCRIPT", "echo home: $HOME");
    // It can be written to, but the tuning kit would end with an error.
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(place.path("home"), Some(54_321), None).unwrap();
    } else {
        command.env("HOME", "/tmp");
    }
    finish(&mut command).ends(0).says(&["HOME is not this user's own"]);
    assert_eq!(place.said(0, "home"), "@/mount/workspace/device0");
}

#[test]
fn a_dry_run_says_all_and_makes_nothing() {
    let place = TestFolder::furnished();
    let parameters = FINETUNE.replace("@/data", "obs://bucket/data/") + " --log_path=@/logs --dry-run";
    finish(place.task(&parameters).env("FMTK_STORAGE_HELPER", "/bin/false")).ends(0).prints(&[
        "tk finetune --quiet",
        "data_path   obs://bucket/data → ",
        "/fmtk_data\n",
        "/logs/default_model_task, every 30.0 s",
    ]);
    assert!(!place.path("out").exists() && !place.path("logs").exists());
    assert!(!place.path("cache").exists());
}

#[test]
fn a_stop_ends_the_task_with_143_and_its_logs_are_there() {
    let place = TestFolder::furnished();
    let script = "trap '' TERM; mkdir -p $HOME/.cache/Huawei/mxTuningKit/log/node_0; \
                  echo own > $HOME/.cache/Huawei/mxTuningKit/log/node_0/service.log; echo up; exec sleep 1000";
    let mut command = place.task(&format!("{FINETUNE} --grace=200ms --log_path=@/logs"));
    place.stop_when_up(start(command.env("TK_SCRIPT", script)));
    let logs = place.path("logs/default_model_task");
    let copied = fs::read_to_string(logs.join("mxLaunchKit/node_0/job-proc-rank-0-device-0.txt")).unwrap();
    assert_eq!(copied, place.log(0));
    assert!(copied.contains("up\n"));
    assert_eq!(fs::read_to_string(logs.join("mxTuningKit/node_0/service.log")).unwrap(), "own\n");
    let report = crate::harness::read_report(&logs.join("mxLaunchKit/node_0/job-report-rank-0.json"));
    assert_eq!((&report["exit_code"], &report["sync"]["complete"]), (&143.into(), &true.into()));
    place.leaves_nothing();
}

#[test]
fn local_paths_need_no_python() {
    let place = TestFolder::furnished();
    let mut command = place.task(&format!("{FINETUNE} --log_path=@/logs"));
    command.env("PATH", place.path("bin"));
    finish(&mut command).ends(0);
    assert!(place.path("logs/default_model_task/mxLaunchKit/node_0/job-proc-rank-0-device-0.txt").exists());
    let mut command = place.task(&FINETUNE.replace("@/data", "s3://b/data"));
    finish(command.env("PATH", place.path("bin"))).ends(2).says(&["neither `python3` nor `python` is on PATH"]);
}

#[test]
fn a_server_number_that_can_not_be_read_is_named_and_nothing_is_started() {
    for (name, value) in
        [("VC_TASK_INDEX", "x"), ("VC_TASK_INDEX", "-1"), ("VC_TASK_INDEX", "99999999999"), ("VK_TASK_INDEX", "1.0")]
    {
        let place = TestFolder::furnished();
        let mut command = place.task(FINETUNE);
        // The second is asked only where the first is not set.
        let finished = finish(command.env("VK_TASK_INDEX", "4").env(name, value)).ends(2);
        let expected = format!("`{name}`: `{value}` is not the number of a server");
        finished.says(&[&expected]);
        assert!(!place.path("out").exists() && !place.path("mount/log/job-proc-rank-0-device-0.txt").exists());
    }
}

#[test]
fn a_server_without_a_number_is_the_first() {
    for (name, value, number) in [("VC_TASK_INDEX", "", 0), ("VK_TASK_INDEX", " 4\n", 4), ("OTHER", "x", 0)] {
        let place = TestFolder::furnished();
        finish(place.task(&format!("{FINETUNE} --dry-run")).env(name, value))
            .ends(0)
            .prints(&[&format!("/default_model_task/node_{number}")]);
    }
}
