//! Another attempt after a failure, and the end of a job that gets nowhere.

use std::time::{Duration, Instant};

use crate::harness::{TestFolder, children_of, finish, launcher_of, start, stop, until};

#[test]
fn all_ranks_are_started_again_after_a_failure() {
    let place = TestFolder::new();
    let begin = Instant::now();
    // Rank 1 fails when rank 0 has said what it has to say.
    let script = "echo attempt $FMTK_ATTEMPT; [ $FMTK_ATTEMPT = 2 ] && exit 0; \
                  [ $RANK = 0 ] && { : > up; sleep 100; }; until [ -e up ]; do sleep 0.01; done; exit 6";
    // A release, which is named from outside, knows nothing of the variable that hurries a debug build.
    let is_release = std::env::var_os("FMTK_TEST_LAUNCHER").is_some();
    let (backoff, least) = if is_release { (10, Duration::from_secs(10)) } else { (20, Duration::from_millis(200)) };
    let flags = format!("--devices 0-1 --max-restarts 3 --restart-backoff {backoff}s");
    let finished = finish(place.shell(&flags, script).env("FMTK_TEST_HURRY", "100")).ends(0);
    finished.says(&[&format!("attempt 1 is over; the next one begins in {backoff}.0 s, 3 are left")]);
    assert!(begin.elapsed() >= least);
    assert!(finished.last_line().contains("on attempt 2"), "{}", finished.stderr);
    assert_eq!(place.log(0), "attempt 1\n");
    let second = place.path("mount/log/job-proc-rank-0-device-0-attempt-2.txt");
    assert_eq!(std::fs::read_to_string(second).unwrap(), "attempt 2\n");
    let report = place.report();
    assert_eq!(report["outcome"], "succeeded");
    let outcomes: Vec<_> = report["attempts"].as_array().unwrap().iter().map(|it| &it["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "succeeded"]);
    assert_eq!(report["attempts"][0]["ranks"][1]["code"], 6);
    assert_eq!(report["attempts"][1]["ranks"][1]["log_bytes"], 10);
}

#[test]
fn what_an_attempt_removes_is_made_again_or_the_last_one() {
    let run = |flags: &str, removed: &str| {
        let place = TestFolder::new();
        std::fs::create_dir(place.path("code/own")).unwrap();
        let script = format!("[ $FMTK_ATTEMPT = 1 ] || {{ touch $FMTK_WORK_DIR/x; exit; }}; rm -r {removed}; exit 6");
        // As above.
        let flags = format!("--devices 0 --max-restarts 2 {flags}");
        (finish(place.shell(&flags, &script).env("FMTK_TEST_HURRY", "100")), place)
    };
    run("", "$MA_MOUNT_PATH/workspace").0.ends(0);
    let (finished, place) = run("--code-dir own", "$MODEL_TASK_CWD");
    finished.ends(6).says(&["the ranks can't be started again: the code folder `", "FAILED with exit code 6"]);
    assert_eq!(place.report()["attempts"].as_array().unwrap().len(), 1);
    // Training goes on without logs.
    run("", "$MA_MOUNT_PATH/log; touch $MA_MOUNT_PATH/log").0.ends(0);
}

#[test]
fn a_stop_between_two_attempts_is_a_stop() {
    let place = TestFolder::new();
    let child = place.running("--devices 0 --max-restarts 1 --restart-backoff 3650d", "echo up; exit 6", 1);
    place.until_nothing_but_the_launcher_is_left(&child);
    stop(child, libc::SIGTERM).ends(143);
    assert_eq!(place.report()["outcome"], "terminated");
}

#[test]
fn a_stop_while_ranks_are_stopped_is_the_end() {
    let place = TestFolder::new();
    let script = "[ $RANK = 1 ] && { while [ ! -e up ]; do sleep 0.01; done; exit 6; }
                  trap 'echo asked' TERM; trap 'echo told; exit' INT; touch up; while :; do sleep 0.01; done";
    let child = start(&mut place.shell("--devices 0-1 --max-restarts 1", script));
    place.until_log_has(0, "asked");
    stop(child, libc::SIGINT).ends(6);
    assert_eq!(place.own_words(0), "asked\ntold\n");
    assert_eq!(place.report()["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn ranks_that_get_nowhere_are_stopped_where_that_is_asked_for() {
    let place = TestFolder::new();
    place
        .run("--devices 0-1 --stall 2s", "echo up; sleep 1000")
        .ends(124)
        .says(&["stalled: no rank had output or used its CPU for 2.0 s", "sleep"]);
    assert_eq!(place.report()["outcome"], "stalled");
}

#[test]
fn work_without_output_is_no_stall() {
    let place = TestFolder::new();
    let script = "end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done";
    place.run("--devices 0-1 --stall 2s", script).ends(0);
}

#[test]
fn the_work_of_a_daemon_is_no_stall() {
    let place = TestFolder::new();
    // Its rank waits without a sound.
    let daemon = "end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done; echo > pipe";
    place.run("--devices 0 --stall 2s", &format!("mkfifo pipe; (setsid sh -c '{daemon}' &); read line < pipe")).ends(0);
}

impl TestFolder {
    fn until_nothing_but_the_launcher_is_left(&self, child: &std::process::Child) {
        let launcher = launcher_of(child);
        let is_ours = |pid: &i32| *pid == launcher || *pid == child.id() as i32;
        // Not before the ranks were there, nor while one is a zombie: as long as that is not taken, a signal would come during
        // the attempt.
        until("a rank's log", || self.path("mount/log/job-proc-rank-0-device-0.txt").exists());
        until("no ranks", || self.survivors().iter().all(is_ours) && children_of(launcher).is_empty());
    }
}
