//! A job that is run again in the same container, where its first run was killed or has failed.

use std::fs;

use crate::harness::{TestFolder, finish, kill, launcher_of, read_report, start, until, wait};

/// Kills the launcher and its guardian at once, as a platform does that ends a boot command, and waits until the ranks that the
/// kernel has killed with them are gone.
fn kill_both(place: &TestFolder, child: std::process::Child) {
    let launcher = launcher_of(&child);
    // Neither can see to the other's end.
    [launcher, child.id() as i32].into_iter().for_each(|pid| kill(pid, libc::SIGSTOP));
    [launcher, child.id() as i32].into_iter().for_each(|pid| kill(pid, libc::SIGKILL));
    wait(child).ends(137);
    place.until_nothing_is_left("the end of the first run");
}

#[test]
fn a_job_that_was_killed_goes_on_under_the_next_number() {
    let place = TestFolder::new();
    fs::create_dir(place.path("table")).unwrap();
    let table = r#"{"status":"completed","group_count":"1","group_list":[{"group_name":"g","device_count":"2",
        "instance_count":"1","instance_list":[{"pod_name":"job-x-0","server_id":"10.0.0.1","devices":[
        {"device_id":"0","device_ip":"192.1.0.1"},{"device_id":"1","device_ip":"192.1.0.2"}]}]}]}"#;
    fs::write(place.path("table/jobstart_hccl.json"), table).unwrap();
    let shell = |script| {
        let mut command = place.shell("", script);
        command.env("RANK_TABLE_FILE", place.path("table")).env("TMPDIR", place.path("home"));
        command
    };
    let child = start(&mut shell("echo attempt $FMTK_ATTEMPT; echo up; exec sleep 1000"));
    (0..2).for_each(|rank| place.until_log_has(rank, "up"));
    kill_both(&place, child);
    // What the first run made for itself stays behind, and half of a table with it.
    let of_run = fs::read_dir(place.path("home")).unwrap().next().unwrap().unwrap().path();
    fs::write(of_run.join("rank_table/jobstart_hccl.json"), r#"{"status":"#).unwrap();

    let second = finish(&mut shell("echo attempt $FMTK_ATTEMPT; [ $RANK = 0 ] && exit 3; exec sleep 1000")).ends(3);
    second.says(&["starting ranks 0-1 on", "; this is attempt 2, and the logs of earlier ones are kept"]);
    second.says(&["FAILED with exit code 3 in", " on attempt 2: "]);
    let third = finish(&mut shell("echo attempt $FMTK_ATTEMPT")).ends(0);
    third.says(&["; this is attempt 3, and"]);

    assert_eq!(place.log(0), "attempt 1\nup\n");
    for (attempt, outcome) in [(2, "failed"), (3, "succeeded")] {
        let log = place.path(&format!("mount/log/job-proc-rank-0-device-0-attempt-{attempt}.txt"));
        assert_eq!(fs::read_to_string(log).unwrap(), format!("attempt {attempt}\n"));
        let report = read_report(&place.path(&format!("mount/log/job-report-rank-0-attempt-{attempt}.json")));
        assert_eq!((&report["outcome"], &report["attempts"][0]["attempt"]), (&outcome.into(), &attempt.into()));
    }
    assert!(!place.path("mount/log/job-report-rank-0.json").exists(), "a launcher that was killed wrote a report");
    place.leaves_nothing();
}

#[test]
fn restarts_count_on_from_the_first_attempt_of_their_run() {
    let place = TestFolder::new();
    let run = || {
        let script = "echo attempt $FMTK_ATTEMPT; exit 6";
        let mut command = place.shell("--devices 0 --max-restarts 1", script);
        // Two attempts each: the numbers of the second run are 3 and 4.
        finish(command.env("FMTK_TEST_HURRY", "1000")).ends(6)
    };
    run().says(&["attempt 1 is over; the next one begins in 10.0 s, 1 are left", "on attempt 2"]);
    run().says(&["this is attempt 3", "attempt 3 is over; the next one begins in 10.0 s, 1 are left", "on attempt 4"]);
    let numbers = |report: &str| {
        let report = read_report(&place.path(&format!("mount/log/{report}")));
        report["attempts"].as_array().unwrap().iter().map(|it| it["attempt"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("job-report-rank-0.json"), [1, 2]);
    assert_eq!(numbers("job-report-rank-0-attempt-3.json"), [3, 4]);
}

/// Each has logs and a report of its own, restarts included, whether there were none before or those of a run that succeeded.
#[test]
fn runs_of_one_id_at_the_same_time_have_different_attempts() {
    const RUNS: usize = 6;
    let place = TestFolder::new();
    let numbers = |script: &str, code: i32| {
        let runs: Vec<_> = (0..RUNS)
            .map(|_| start(place.shell("--devices 0 --max-restarts 1", script).env("FMTK_TEST_HURRY", "1000")))
            .collect();
        let finished: Vec<_> = runs.into_iter().map(|it| wait(it).ends(code).stdout).collect();
        finished.concat().lines().map(|it| it.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).collect::<Vec<_>>()
    };
    let mut failed = numbers("echo attempt $FMTK_ATTEMPT; exit 6", 6);
    failed.sort_unstable();
    assert_eq!(failed, (1..=2 * RUNS).collect::<Vec<_>>());
    let reports =
        fs::read_dir(place.path("mount/log")).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    assert_eq!(reports.filter(|it| it.ends_with(".json")).count(), RUNS);
    // The next step of a boot command, six times: one goes on in its logs.
    place.run("--devices 0", "echo attempt $FMTK_ATTEMPT").ends(0).prints(&["attempt 13\n"]);
    let up = place.path("up").display().to_string();
    let together =
        format!("echo attempt $FMTK_ATTEMPT; echo >> {up}; until [ $(wc -l < {up}) = {RUNS} ]; do sleep 0.01; done");
    let mut steps = numbers(&together, 0);
    steps.sort_unstable();
    assert_eq!(steps, (13..13 + RUNS).collect::<Vec<_>>());
}

#[test]
fn a_run_that_does_not_begin_takes_no_number() {
    let place = TestFolder::new();
    finish(place.shell("--devices 0", "true").env("MASTER_PORT", "x")).ends(2);
    finish(&mut place.launcher(&["run", "--dry-run", "--devices", "0", "true"])).ends(0);
    assert!(!place.path("mount/log/job-proc-rank-0-device-0.txt").exists());
    place.run("--devices 0", "echo attempt $FMTK_ATTEMPT").ends(0).prints(&["attempt 1\n"]);
}

#[test]
fn a_dry_run_says_which_attempt_it_would_be() {
    let place = TestFolder::new();
    place.run("--devices 0", "exit 1").ends(1);
    let plan = finish(&mut place.launcher(&["run", "--dry-run", "--devices", "0", "true"])).ends(0);
    plan.prints(&["attempt     2, after earlier ones whose logs are kept", "job-proc-rank-0-device-0-attempt-2.txt"]);
    // The variables are those that the ranks would find.
    finish(&mut place.launcher(&["env", "--devices", "0"])).ends(0).prints(&["FMTK_ATTEMPT=2\n"]);
}

#[test]
fn without_an_id_and_after_a_success_logs_are_appended_to() {
    let place = TestFolder::new();
    let run = |script: &str, id: &str| finish(place.shell("--devices 0", script).env("BATCH_JOB_ID", id));
    let log_of_host = || {
        let mut logs = fs::read_dir(place.path("mount/log")).unwrap().map(|it| it.unwrap().path());
        logs.find(|it| it.to_str().unwrap().ends_with("-proc-rank-0-device-0.txt"))
    };
    run("echo one; exit 1", "").ends(1);
    run("echo $FMTK_ATTEMPT; exit 1", "").ends(1);
    assert_eq!(fs::read_to_string(log_of_host().unwrap()).unwrap(), "one\n1\n");
    // Two steps of a boot command.
    run("echo one", "job").ends(0);
    run("echo $FMTK_ATTEMPT", "job").ends(0);
    assert_eq!(place.log(0), "one\n1\n");
}

/// A job that is run again as another user finds logs that it can't write to, in a folder that it can.
#[test]
fn logs_of_another_user_are_left_alone() {
    use std::os::unix::fs::chown;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = TestFolder::for_any_user();
    place.run("--devices 0", "echo one; exit 1").ends(1);
    let log = place.path("mount/log/job-proc-rank-0-device-0.txt");
    let before = fs::read(&log).unwrap();
    // What belongs to root is closed to others; the work folder is given away as the platform would.
    for folder in ["mount/workspace", "mount/workspace/device0", "mount/log/job", "home"] {
        if place.path(folder).exists() {
            chown(place.path(folder), Some(54_321), Some(54_321)).unwrap();
        }
    }
    let mut command = place.shell("--devices 0", "echo two");
    use std::os::unix::process::CommandExt;
    finish(command.uid(54_321).gid(54_321)).ends(0);
    assert_eq!(fs::read(&log).unwrap(), before);
    let second = place.path("mount/log/job-proc-rank-0-device-0-attempt-2.txt");
    until("the second log", || fs::read_to_string(&second).is_ok_and(|it| it == "two\n"));
}
