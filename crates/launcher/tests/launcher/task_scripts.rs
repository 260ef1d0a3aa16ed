//! `task --ranks=scripts`: ranks that the vendor's scripts start. Here these are a look-alike, and both it and its Python
//! are shell scripts.

use std::fs;
use std::process::Command;

use crate::harness::{TestFolder, finish, kill, start, stop, until, wait};
use crate::task::FINETUNE;

/// Starts two ranks with what the scripts set, each in a session of its own, waits for both, and ends with the first code
/// that is not 0. SIGTERM is passed on, and then it ends with 0: so do the real ones.
const SCRIPTS: &str = r#"
for name in RANK_ID RANK DEVICE_ID RANK_TABLE_FILE JOB_ID ASCEND_PROCESS_LOG_PATH FMTK_WORK_DIR; do
    eval "echo given $name \${$name-nothing}"
done
echo "called $0 in $(pwd)"
cd "$MODEL_TASK_CWD" || exit 1
RANK_ID=6 RANK_SIZE=8 DEVICE_ID=0 setsid "$@" & first=$!
RANK_ID=7 RANK_SIZE=8 DEVICE_ID=1 setsid "$@" & second=$!
stopped=
trap 'stopped=yes; echo told to stop; kill -TERM -- -$first; kill -TERM -- -$second' TERM
echo all up
wait $first; code=$?
[ -z "$stopped" ] || { wait; exit 0; }
wait $second; last=$?
[ -z "$stopped" ] || { wait; exit 0; }
[ $code != 0 ] || code=$last
exit $code
"#;

impl TestFolder {
    /// A task whose ranks the look-alike starts.
    fn by_scripts(&self, parameters: &str) -> Command {
        self.furnish();
        fs::create_dir(self.path("ascend910")).unwrap();
        self.write("ascend910/run_ascend910.py", SCRIPTS, 0o644);
        self.write("bin/python", "#!/bin/sh\nexec sh \"$@\"\n", 0o755);
        let mut command = self.task(&format!("{} {parameters}", FINETUNE.replace(" --devices=0", "")));
        command.env("FMTK_SCRIPTS", self.path("ascend910")).env("FMTK_LAUNCH_RANKS", "scripts");
        command.env("VC_TASK_INDEX", "3").env("RANK_TABLE_FILE", "/user/config");
        command
    }

    fn log_of_scripts(&self) -> String {
        fs::read_to_string(self.path("mount/log/job-scripts-node-3.txt")).unwrap_or_default()
    }
}

#[test]
fn the_scripts_are_not_started_on_a_node_without_a_number() {
    let place = TestFolder::new();
    let mut command = place.by_scripts("");
    let refused = finish(command.env("VC_WORKER_NUM", "2").env_remove("VC_TASK_INDEX")).ends(2);
    refused.says(&["VC_WORKER_NUM is `2`, and nothing says which of them this node is"]);
    assert!(!place.path("out").exists());
}

#[test]
fn the_scripts_get_the_command_and_the_platform_s_own_environment() {
    let place = TestFolder::new();
    let finished = finish(&mut place.by_scripts("--backend=ascend --device_num=8")).ends(0);
    let log = place.log_of_scripts();
    let folder = place.folder.path().to_str().unwrap();
    let log = log.replace(folder, "@");
    for (line, times) in [
        (
            "args: finetune --quiet --boot_file_path @/code/train.py --data_path @/data --output_path @/out/default_model_task/node_3\n",
            2,
        ),
        ("cwd: @/code @/code\n", 2),
        ("env: SERVER_ID=3 PYTHONUNBUFFERED=1\n", 2),
        ("called @/ascend910/run_ascend910.py in @/code\n", 1),
        // Theirs to set; and a table that was converted already makes the real ones crash.
        ("given RANK_ID nothing\n", 1),
        ("given RANK nothing\n", 1),
        ("given DEVICE_ID nothing\n", 1),
        ("given JOB_ID nothing\n", 1),
        ("given ASCEND_PROCESS_LOG_PATH nothing\n", 1),
        ("given FMTK_WORK_DIR nothing\n", 1),
        ("given RANK_TABLE_FILE /user/config\n", 1),
    ] {
        assert_eq!(log.matches(line).count(), times, "`{line}` in {log}");
    }
    finished.prints(&["[scripts] all up\n"]);
    finished.says(&["starting the vendor's scripts on "]);
    assert!(finished.last_line().contains(": the vendor's scripts succeeded"), "{}", finished.stderr);
    finished.says(&["warning: `device_num` is not checked"]);
    let report = crate::harness::read_report(&place.path("mount/log/job-report-node-3.json"));
    assert_eq!((&report["rank_size"], &report["exit_code"]), (&serde_json::Value::Null, &0.into()));
    // No folder of a rank that there is not.
    assert!(!place.path("mount/log/job").exists());
}

#[test]
fn the_scripts_code_comes_out() {
    for (flag, code) in [("", 9), ("--legacy-exit-codes", 1)] {
        let place = TestFolder::new();
        finish(place.by_scripts(flag).env("TK_SCRIPT", "[ $RANK_ID = 7 ] && exit 9; exit 0"))
            .ends(code)
            .says(&["FAILED with exit code 9 in ", "the vendor's scripts (host "]);
    }
}

#[test]
fn the_flag_comes_before_the_image_s_variable() {
    let place = TestFolder::new();
    finish(place.by_scripts("--ranks=native --devices=0").env_remove("RANK_TABLE_FILE")).ends(0);
    assert!(place.said(0, "args").starts_with("finetune "));
    assert_eq!(place.log_of_scripts(), "");
    let place = TestFolder::new();
    let mut command = place.by_scripts("--ranks scripts");
    finish(command.env("FMTK_LAUNCH_RANKS", "native")).ends(0);
    assert!(place.log_of_scripts().contains("all up\n"));
}

#[test]
fn a_stop_reaches_the_scripts_and_leaves_nothing_of_their_ranks() {
    let place = TestFolder::new();
    let mut command = place.by_scripts("--grace=10s");
    let child = start(command.env("TK_SCRIPT", "(setsid sleep 1000 &); touch ../up-$RANK_ID; exec sleep 1000"));
    until("two ranks", || ["up-6", "up-7"].iter().all(|name| place.path(name).exists()));
    until("the scripts", || place.log_of_scripts().contains("all up\n"));
    let finished = stop(child, libc::SIGTERM).ends(143);
    assert!(place.log_of_scripts().contains("told to stop\n"), "{}", place.log_of_scripts());
    finished.says(&["stopping the vendor's scripts by SIGTERM"]);
    place.leaves_nothing();
}

#[test]
fn ranks_of_scripts_that_were_killed_are_stopped() {
    let place = TestFolder::new();
    let child = start(
        place
            .by_scripts("--grace=5s")
            .env("TK_SCRIPT", "echo $PPID > ../scripts.new; mv ../scripts.new ../scripts; exec sleep 1000"),
    );
    until("a rank", || place.path("scripts").exists());
    until("the scripts", || place.log_of_scripts().contains("all up\n"));
    kill(fs::read_to_string(place.path("scripts")).unwrap().trim().parse().unwrap(), libc::SIGKILL);
    wait(child).ends(137).says(&[") were killed by SIGKILL after "]);
    place.leaves_nothing();
}

#[test]
fn what_the_scripts_can_not_do_is_refused_at_once() {
    let place = TestFolder::new();
    let flags = "--wait=1m --devices=0 --bind=even --stall=1m --console=6 --task_type=train";
    let mut command = place.by_scripts(flags);
    fs::remove_file(place.path("ascend910/run_ascend910.py")).unwrap();
    finish(&mut command).ends(2).says(&[
        "`--devices`: the vendor's scripts start the ranks and know no such thing",
        "`--wait`: ",
        "`--bind`: ",
        "`--stall`: ",
        "`--console`: ",
        "/ascend910` has no `run_ascend910.py`: give `--ranks=native`",
        "`task_type`: `train` is not",
    ]);
    let place = TestFolder::new();
    finish(place.by_scripts("").env("FMTK_LAUNCH_RANKS", "both"))
        .ends(2)
        .says(&["`FMTK_LAUNCH_RANKS`: `both` is neither `native` nor `scripts`"]);
}

#[test]
fn a_dry_run_says_that_they_would_start_the_ranks() {
    let place = TestFolder::new();
    let mut command = place.by_scripts("--dry-run");
    fs::rename(place.path("ascend910/run_ascend910.py"), place.path("ascend910/run_ascend.py")).unwrap();
    finish(&mut command).ends(0).prints(&[
        "/ascend910/run_ascend.py tk finetune --quiet ",
        "ranks       by the vendor's scripts, whose log is ",
    ]);
    assert!(!place.path("out").exists() && !place.path("mount/workspace").exists());
}
