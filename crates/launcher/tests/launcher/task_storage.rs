//! Copies of a task: a shell script stands in for Python and MoXing and speaks the same lines. Buckets are folders.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::harness::{TestFolder, children_of, finish, kill, launcher_of, start, stop, until, wait};
use crate::task::FINETUNE;

/// Does what it is asked, or for the verbs in FAULT what that says: `sync=hang put=fail:2`.
const HELPER: &str = r#"#!/bin/sh
echo >> "$BUCKETS/started"
tab=$(printf '\t')
place() { case $1 in obs://*) echo "$BUCKETS/${1#obs://}" ;; *) echo "$1" ;; esac; }
while IFS=$tab read -r number verb from to prefix; do
    echo "$verb $from $to $prefix" >> "$BUCKETS/asked"
    fault=
    for one in $FAULT; do case $one in $verb=*) fault=${one#*=} ;; esac; done
    case $fault in
        gate) touch "$BUCKETS/at-gate"; until [ -e "$BUCKETS/gate" ]; do sleep 0.01; done ;;
        hang) trap '' TERM; sleep 1000 & wait; sleep 1000 ;;
        die) exit 3 ;;
        fail:*) if [ "$(grep -c "^$verb " "$BUCKETS/asked")" -le "${fault#fail:}" ]; then
                printf '%s\tfailed\tno luck\n' "$number"; continue; fi ;;
    esac
    from=$(place "$from") to=$(place "$to")
    mkdir -p "$(dirname "$to")"
    case $verb in
        get-file) cp "$from" "$to" ;;
        get-folder | put) mkdir -p "$to" && cp -r "$from/." "$to/" ;;
        sync) mkdir -p "$to"; for file in "$from/$prefix"*; do [ ! -e "$file" ] || cp -r "$file" "$to/"; done ;;
    esac 2> "$BUCKETS/error"
    if [ $? = 0 ]; then printf '%s\tok\t1\n' "$number"; else printf '%s\tfailed\t%s\n' "$number" "$(head -n 1 "$BUCKETS/error")"; fi
done
"#;

impl TestFolder {
    /// A task with a bucket `b` that has data and models.
    fn stored(&self, parameters: &str, fault: &str) -> Command {
        self.furnish();
        for (name, text) in [("b/data/train.txt", "data"), ("b/model/m.ckpt", "model"), ("b/conf.yaml", "params: {}")] {
            let path = self.bucket(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.write("bin/helper", HELPER, 0o755);
        let mut command = self.task(parameters);
        command.env("FMTK_STORAGE_HELPER", self.path("bin/helper")).env("BUCKETS", self.bucket("")).env("FAULT", fault);
        command
    }

    fn bucket(&self, name: &str) -> PathBuf {
        self.path("buckets").join(name)
    }

    /// How often the helper was started.
    fn starts(&self) -> usize {
        fs::read_to_string(self.bucket("started")).unwrap().lines().count()
    }

    /// How often a verb was asked for.
    fn asked(&self, verb: &str) -> usize {
        let asked = fs::read_to_string(self.bucket("asked")).unwrap_or_default();
        asked.lines().filter(|it| it.starts_with(&format!("{verb} "))).count()
    }
}

/// All in object storage.
const STORED: &str = "--task_type=finetune --code_path=@/code --boot_file_path=train.py --data_path=obs://b/data/ \
                      --output_path=obs://b/out --pretrained_model_path=obs://b/model --model_config_path=obs://b/conf.yaml \
                      --log_path=obs://b/logs --devices=0";

/// Trains: finds what was copied, and has something to be saved.
const TRAIN: &str = r#"while [ $# -gt 0 ]; do
    case $1 in
        --data_path) cat "$2/train.txt" ;;
        --pretrained_model_path) cat "$2/m.ckpt" ;;
        --model_config_path) cat "$2" ;;
        --output_path) mkdir "$2/run" && echo trained > "$2/run/model.ckpt" ;;
    esac
    shift
done
echo"#;

#[test]
fn what_is_stored_is_there_for_the_ranks_and_what_they_make_is_stored() {
    let (place, begin) = (TestFolder::new(), Instant::now());
    finish(place.stored(STORED, "").env("TK_SCRIPT", TRAIN)).ends(0);
    assert!(begin.elapsed() < crate::harness::PATIENCE);
    assert_eq!(place.starts(), 1);
    assert!(place.log(0).contains("datamodelparams: {}"), "{}", place.log(0));
    let expected = "finetune --quiet --boot_file_path @/code/train.py --data_path @/cache/fmtk_data \
                    --output_path @/cache/fmtk_output --pretrained_model_path @/cache/fmtk_pretrained_model \
                    --model_config_path @/cache/model_config.yaml";
    assert_eq!(place.said(0, "args"), expected);
    let saved = fs::read_to_string(place.bucket("b/out/default_model_task/node_0/run/model.ckpt"));
    assert_eq!(saved.unwrap(), "trained\n");
    let logs = place.bucket("b/logs/default_model_task/mxLaunchKit/node_0");
    assert_eq!(fs::read_to_string(logs.join("job-proc-rank-0-device-0.txt")).unwrap(), place.log(0));
    assert_eq!(crate::harness::read_report(&logs.join("job-report-rank-0.json")), place.report());
    assert_eq!(place.report()["attempts"][0]["ranks"][0]["log_bytes"], place.log(0).len());
    let sync = &place.report()["sync"];
    assert_eq!(sync["complete"], true);
    let whats: Vec<&str> = sync["copies"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!(
        whats,
        ["data_path", "pretrained_model_path", "model_config_path", "log_path", "log_path", "output_path"]
    );
    place.leaves_nothing();
}

/// The helper is left when the ranks have ended, and is not theirs.
#[test]
fn copies_need_no_proc() {
    let place = TestFolder::new();
    let mut command = place.stored(STORED, "");
    command.env("TK_SCRIPT", format!("sleep 0.2\n{TRAIN}")).env("FMTK_TEST_PROC", place.path("nowhere"));
    finish(&mut command).ends(0);
    let saved = fs::read_to_string(place.bucket("b/out/default_model_task/node_0/run/model.ckpt"));
    assert_eq!(saved.unwrap(), "trained\n");
    place.leaves_nothing();
}

#[test]
fn a_stored_checkpoint_has_a_folder_of_its_own() {
    let place = TestFolder::new();
    let parameters = STORED.replace("finetune", "infer").replace("pretrained_model_path", "ckpt_path");
    finish(&mut place.stored(&parameters, "")).ends(0);
    assert!(place.said(0, "args").contains(" --ckpt_path @/cache/fmtk_ckpt "), "{}", place.said(0, "args"));
    assert_eq!(fs::read_to_string(place.path("cache/fmtk_ckpt/m.ckpt")).unwrap(), "model");
}

/// The rank does not end before its log was copied, which nothing but the period has asked for.
#[test]
fn logs_are_copied_while_the_ranks_run() {
    let (place, begin) = (TestFolder::new(), Instant::now());
    let script =
        "echo up; until [ -e $BUCKETS/b/logs/*/mxLaunchKit/node_0/job-proc-rank-0-device-0.txt ]; do sleep 0.01; done";
    let parameters = format!("{STORED} --sync-interval=100ms");
    finish(place.stored(&parameters, "").env("TK_SCRIPT", script)).ends(0);
    assert!(begin.elapsed() < crate::harness::PATIENCE);
}

/// The rank goes on and ends while a copy of its log is under way, and that is waited for.
#[test]
fn a_slow_copy_does_not_hold_up_the_ranks() {
    let place = TestFolder::new();
    let script = "until [ -e $BUCKETS/at-gate ]; do sleep 0.01; done; echo went on; touch $BUCKETS/gate";
    let parameters = format!("{STORED} --sync-interval=100ms");
    finish(place.stored(&parameters, "sync=gate").env("TK_SCRIPT", script)).ends(0);
    let log = place.bucket("b/logs/default_model_task/mxLaunchKit/node_0/job-proc-rank-0-device-0.txt");
    assert!(fs::read_to_string(log).unwrap().contains("went on\n"));
    assert_eq!(place.report()["sync"]["complete"], true);
}

#[test]
fn copies_that_fail_twice_are_tried_again() {
    let place = TestFolder::new();
    let fault = "get-folder=fail:2 put=fail:2 sync=fail:2";
    finish(place.stored(STORED, fault).env("TK_SCRIPT", TRAIN))
        .ends(0)
        .says(&["failed: no luck; trying again in 1.0 s", "worked at last"]);
    assert_eq!((place.asked("put"), place.report()["sync"]["complete"].clone()), (3, true.into()));
}

#[test]
fn data_that_can_t_be_had_starts_no_rank() {
    let place = TestFolder::new();
    let parameters = STORED.replace("b/data/", "b/none") + " --copy-timeout=2s";
    finish(&mut place.stored(&parameters, ""))
        .ends(125)
        .says(&["error: the ranks lack what could not be copied", "copying `obs://b/none` (`data_path`) to `"]);
    assert!(!place.path("mount/log/job-proc-rank-0-device-0.txt").exists());
    place.leaves_nothing();
}

#[test]
fn a_hanging_copy_in_can_be_stopped() {
    let place = TestFolder::new();
    let child = start(&mut place.stored(STORED, "get-folder=hang"));
    until("a copy", || place.asked("get-folder") > 0);
    stop(child, libc::SIGTERM).ends(143);
    place.leaves_nothing();
}

#[test]
fn output_that_can_t_be_saved_is_no_success() {
    for fault in ["put=die", "put=hang"] {
        let place = TestFolder::new();
        let finished =
            finish(place.stored(&format!("{STORED} --copy-timeout=2s"), fault).env("TK_SCRIPT", TRAIN)).ends(125);
        let expected = "the ranks succeeded, but the output is not saved: copying `";
        assert!(finished.last_line().contains(expected), "{fault}: {}", finished.stderr);
        let report = place.report();
        assert_eq!((&report["outcome"], &report["exit_code"]), (&"not-saved".into(), &125.into()));
        assert_eq!(report["sync"]["complete"], false);
    }
}

#[test]
fn a_hanging_sync_is_given_up_in_time_and_told() {
    let place = TestFolder::new();
    let begin = Instant::now();
    let parameters = format!("{FINETUNE} --log_path=obs://b/logs --sync-timeout=1s");
    let finished = finish(place.stored(&parameters, "sync=hang").env("TK_SCRIPT", "exit 5"));
    // It is neither the cause nor in the way of the rank's own code.
    assert_eq!(finished.code, 5, "{}", finished.stderr);
    finished.says(&["to `obs://b/logs/default_model_task/mxLaunchKit/node_0` is given up: "]);
    assert!(begin.elapsed() < crate::harness::PATIENCE);
    let copy = &place.report()["sync"]["copies"][0];
    assert_eq!(
        (&copy["complete"], copy["error"].as_str().is_some_and(|it| it.contains("not done after"))),
        (&false.into(), true)
    );
    place.leaves_nothing();
}

#[test]
fn a_stop_syncs_the_logs_after_the_ranks() {
    let place = TestFolder::new();
    let script = "trap '' TERM; echo up; exec sleep 1000";
    let mut command = place.stored(&format!("{STORED} --grace=300ms"), "");
    place.stop_when_up(start(command.env("TK_SCRIPT", script)));
    let log = place.bucket("b/logs/default_model_task/mxLaunchKit/node_0/job-proc-rank-0-device-0.txt");
    assert_eq!(fs::read_to_string(log).unwrap(), place.log(0));
    // The one that was there before the ranks were stopped.
    assert_eq!((place.asked("put"), place.asked("get-folder"), place.starts()), (1, 2, 1));
}

/// The helper that copied data in waits beside the ranks; whatever becomes of it is nothing to them, nor to it what becomes
/// of strays.
#[test]
fn the_helper_and_the_ranks_do_not_touch_each_other() {
    let place = TestFolder::new();
    let script = "(setsid sleep 1000 &); until [ -e ../go ]; do sleep 0.01; done; exit 0";
    let child = start(place.stored(STORED, "").env("TK_SCRIPT", format!("echo up; {script}")));
    place.until_log_has(0, "up");
    let launcher = launcher_of(&child);
    let helper = || {
        let is_helper = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| String::from_utf8_lossy(&it).contains("bin/helper"))
        };
        children_of(launcher).into_iter().find(is_helper)
    };
    kill(helper().unwrap(), libc::SIGKILL);
    until("the helper's burial", || helper().is_none());
    fs::write(place.path("go"), "").unwrap();
    let finished = wait(child).ends(0);
    assert_eq!(place.report()["sync"]["complete"], true, "{}", finished.stderr);
    place.leaves_nothing();
}

#[test]
fn a_killed_launcher_leaves_no_helper() {
    let place = TestFolder::new();
    let child = start(place.stored(STORED, "").env("TK_SCRIPT", "echo up; exec sleep 1000"));
    place.until_log_has(0, "up");
    kill(launcher_of(&child), libc::SIGKILL);
    wait(child).ends(137);
    place.leaves_nothing();
}
