//! The closing block and the JSON.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::ending::{ranks_of, state};
use crate::harness::{Finished, TestFolder, finish, kill, launcher_of, read_report, start, stop, until, wait};

#[test]
fn the_cause_comes_last_and_names_everything() {
    let place = TestFolder::new();
    let script = "[ $RANK = 1 ] || exec sleep 100; i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); done; echo 'ImportError: libge_runner.so: cannot open shared object file'; exit 9";
    let finished = place.run("--devices 0-3", script).ends(9);
    let log = place.path("mount/log/job-proc-rank-1-device-1.txt").display().to_string();
    let block = finished.stderr.split_once("FAILED with exit code 9").expect("a block").1;
    for part in [
        "rank 1 (host ",
        ", device 1, pid ",
        "exited with code 9",
        &log,
        "| line 11\n",
        "| line 59\n",
        "stopped  ranks 0,2-3 by the launcher: killed by SIGTERM",
        "hint: ",
    ] {
        assert!(block.contains(part), "no `{part}` in {block}");
    }
    assert!(!block.contains("| line 10\n"), "{block}");
    assert!(finished.last_line().contains("hint: "), "{block}");

    let report = place.report();
    assert_eq!(report["outcome"], "failed");
    assert_eq!(report["exit_code"], 9);
    assert_eq!(report["attempts"].as_array().unwrap().len(), 1);
    let ranks = report["attempts"][0]["ranks"].as_array().unwrap();
    let outcomes: Vec<&str> = ranks.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["stopped", "failed", "stopped", "stopped"]);
    assert_eq!(ranks[1]["code"], 9);
    assert_eq!(ranks[0]["signal"], "SIGTERM");
    assert_eq!(ranks[1]["last_lines"].as_array().unwrap().len(), 50);
    assert_eq!(ranks[1]["log"], log);
    assert_eq!(ranks[1]["log_bytes"].as_u64().unwrap(), place.log(1).len() as u64);
    assert!(report["hint"].as_str().is_some_and(|it| it.contains("CANN")), "{}", report["hint"]);
}

#[test]
fn success_is_one_line_and_a_report() {
    let place = TestFolder::new();
    let own = place.path("own.json");
    let finished = place.run(&format!("--devices 0-3 --report {}", own.display()), "true").ends(0);
    assert!(finished.last_line().starts_with("fmtk-launch: SUCCEEDED in "), "{}", finished.stderr);
    assert_eq!(place.report(), read_report(&own));
    assert_eq!(place.report()["cause"], serde_json::Value::Null);
}

#[test]
fn a_signal_is_told_by_name() {
    let place = TestFolder::new();
    place.run("--devices 0-1", "[ $RANK = 1 ] && kill -SEGV $$; sleep 100").ends(139).says(&["was killed by SIGSEGV"]);
    assert_eq!(place.report()["attempts"][0]["ranks"][1]["signal"], "SIGSEGV");
}

#[test]
fn the_folder_of_a_report_is_made() {
    let place = TestFolder::new();
    for report in ["../logs/report.json", "../made/for/report.json"] {
        let flags = format!("--devices 0 --log-dir ../logs --report {report}");
        place.run(&format!("{flags} --dry-run"), "").ends(0);
        assert!(!place.path("code").join(report).parent().unwrap().exists());
        place.run(&flags, "true").ends(0);
        assert!(place.path("code").join(report).is_file());
        fs::remove_dir_all(place.path("logs")).unwrap();
    }
}

#[test]
fn a_report_that_can_t_be_written_is_told() {
    let place = TestFolder::new();
    fs::create_dir(place.path("gone")).unwrap();
    place
        .run("--devices 0 --report ../gone/report.json", "rmdir ../gone; exit 5")
        .ends(5)
        .says(&["failed to write the report `../gone/report.json`: "]);
}

#[test]
fn a_report_takes_no_pipe_s_or_device_s_place() {
    let place = TestFolder::new();
    let flags = |path: &Path| format!("--devices 0 --report {}", path.display());
    let pipe = place.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    place.run(&flags(&pipe), "exit 5").ends(5).says(&["failed to write the report"]);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    // A link to the null device, as the device itself would be lost to everybody.
    let null = place.path("null");
    std::os::unix::fs::symlink("/dev/null", &null).unwrap();
    place.run(&flags(&null), "exit 5").ends(5);
    assert!(null.is_symlink());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

/// Longer than the last lines, chained, and told twice: by the block and by the report.
#[test]
fn the_last_traceback_is_whole() {
    let place = TestFolder::new();
    let frame = |n| format!("  File \"/code/train.py\", line {n}, in step\n    return step(n - 1)\n");
    let frames: String = (0..100).map(frame).collect();
    let traceback = format!("Traceback (most recent call last):\n{frames}");
    let between = "\nThe above exception was the direct cause of the following exception:\n\n";
    let whole = format!("{traceback}KeyError: 'first'\n{between}{traceback}ValueError: second\n");
    place.write("code/output", &format!("{}{whole}", "before\n".repeat(100)), 0o644);
    let finished = place.run("--devices 0", "cat output >&2; exit 1").ends(1);
    let lines = place.report()["attempts"][0]["ranks"][0]["last_lines"].clone();
    let lines: Vec<&str> = lines.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(lines, whole.lines().collect::<Vec<_>>());
    let told: String = whole.lines().map(|line| format!("fmtk-launch:   | {line}\n")).collect();
    finished.says(&["  its last traceback, and what came after it:\n", &told]);
}

/// Deaths that are noticed together: those who tell of the end of another are not the cause, whatever their numbers are.
#[test]
fn who_follows_is_not_the_cause() {
    let lost =
        "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:598] Connection closed by peer [10.0.0.1]:1";
    let script =
        "trap 'cat lost; exit 6' USR1; trap 'echo ValueError: own; exit 7' USR2; echo up; while :; do sleep 0.01; done";
    let check = |own: &[usize], code: i32| {
        // Another attempt of the same job would have logs of its own.
        let place = TestFolder::new();
        place.write("code/lost", &format!("{lost}\n"), 0o644);
        let child = place.running("--devices 0-2", script, 3);
        let launcher = launcher_of(&child);
        let ranks = ranks_of(&place, launcher);
        kill(launcher, libc::SIGSTOP);
        for (rank, pid) in ranks.iter().enumerate() {
            kill(*pid, if own.contains(&rank) { libc::SIGUSR2 } else { libc::SIGUSR1 });
        }
        until("three deaths", || ranks.iter().all(|pid| state(*pid) == Some('Z')));
        kill(launcher, libc::SIGCONT);
        let finished = wait(child).ends(code);
        (finished, place.report())
    };
    let (finished, report) = check(&[2], 7);
    assert!(report["cause"].as_str().unwrap().starts_with("rank 2 "), "{}", report["cause"]);
    assert_eq!((&report["follower"], &report["attempts"][0]["exit_code"]), (&false.into(), &7.into()));
    let followers = |report: &serde_json::Value| -> Vec<bool> {
        let ranks = report["attempts"][0]["ranks"].as_array().unwrap();
        ranks.iter().map(|it| it["follower"].as_bool().unwrap()).collect()
    };
    assert_eq!(followers(&report), [true, true, false]);
    finished.says(&["in the same moment rank 0 exited with code 6", "| ValueError: own\n"]);
    // Where all do, one of them has to be shown.
    let (finished, report) = check(&[], 6);
    assert_eq!((&report["follower"], followers(&report)), (&true.into(), vec![true; 3]));
    finished.says(&[
        "follows from the end of another rank: look for the cause in the logs of the others",
        "hint: the rank lost",
    ]);
}

#[test]
fn a_time_line_and_the_log_of_cann_are_told() {
    let place = TestFolder::new();
    let script = "[ $RANK = 1 ] || exec sleep 100; mkdir -p $ASCEND_PROCESS_LOG_PATH/debug/plog; cd $ASCEND_PROCESS_LOG_PATH/debug/plog; \
                  : > plog-$$_2.log; : > plog-$$_1.log; : > plog-1$$_3.log; echo one; sleep 0.1; echo two; sleep 0.1; exit 9";
    let finished = place.run("--devices 0-1", script).ends(9);
    let report = place.report();
    let [silent, failed] = [0, 1].map(|rank| report["attempts"][0]["ranks"][rank].clone());
    let text = |key: &str| failed[key].as_str().unwrap_or_else(|| panic!("no {key} in {failed}")).to_owned();
    let times = ["started", "first_output", "last_output", "ended"].map(text);
    assert!(times.windows(2).all(|two| two[0] < two[1]), "{times:?}");
    assert!(
        silent["first_output"].is_null() && silent["last_output"].is_null() && silent["plog"].is_null(),
        "{silent}"
    );
    let plog = format!("plog-{}_2.log", failed["pid"]);
    assert!(text("plog").ends_with(&format!("ascend/process_log/rank_1/debug/plog/{plog}")), "{failed}");
    finished.says(&[&format!("  plog     {}", text("plog"))]);
}

#[test]
fn a_stall_tells_how_long_it_was() {
    let place = TestFolder::new();
    place.run("--devices 0 --stall 1s", "echo up; exec sleep 100").ends(124);
    let report = place.report();
    assert_eq!((&report["outcome"], &report["attempts"][0]["stall_seconds"]), (&"stalled".into(), &1.0.into()));
}

/// A job of three servers with two devices each, of which the second fails, and the cluster's engine then stops the others.
fn job_of_three_nodes(place: &TestFolder) {
    let server = |server: u32| {
        let device = |it: u32| format!(r#"{{"device_id":"{it}","device_ip":"192.1.{server}.{it}"}}"#);
        format!(
            r#"{{"pod_name":"job-x-{server}","server_id":"10.0.0.{server}","devices":[{},{}]}}"#,
            device(0),
            device(1)
        )
    };
    let table = format!(
        r#"{{"status":"completed","group_count":"1","group_list":[{{"group_name":"g","device_count":"6",
        "instance_count":"3","instance_list":[{},{},{}]}}]}}"#,
        server(0),
        server(1),
        server(2)
    );
    place.write("code/table.json", &table, 0o644);
    let script = "echo up; [ $RANK_ID = 3 ] || exec sleep 1000; until [ -e fail ]; do sleep 0.01; done; \
                  echo ValueError: own; exit 7";
    let [first, second, third] = [0, 1, 2].map(|server| {
        let mut command = place.shell("--rank-table table.json", script);
        command.env("MA_CURRENT_INSTANCE_NAME", format!("job-x-{server}"));
        start(&mut command)
    });
    let log = |rank: u32| place.path(&format!("mount/log/job-proc-rank-{rank}-device-{}.txt", rank % 2));
    until("all are up", || (0..6).all(|rank| fs::read_to_string(log(rank)).is_ok_and(|it| it == "up\n")));
    fs::write(place.path("code/fail"), "").unwrap();
    wait(second).ends(7);
    stop(first, libc::SIGTERM).ends(143);
    stop(third, libc::SIGTERM).ends(143);
}

fn join(place: &TestFolder, arguments: &[&str]) -> Finished {
    finish(&mut place.launcher(&[&["report"], arguments].concat()))
}

#[test]
fn the_reports_of_all_nodes_are_joined() {
    let place = TestFolder::new();
    job_of_three_nodes(&place);
    let logs = place.path("mount/log");
    let logs = logs.to_str().unwrap();
    let whole = join(&place, &["--html", "../out/page.html", logs]).ends(0);
    whole.prints(&[
        "job job: FAILED; 3 nodes, 6 ranks\n  cause    rank 3 (host 10.0.0.1, device 1, pid ",
        "proc-rank-3-device-1.txt on 10.0.0.1\n  | up\n  | ValueError: own\n",
        "1 failed, 1 stopped\n",
        "2 stopped from outside\n",
    ]);
    assert!(!whole.stdout.contains("note: ") && whole.stderr.is_empty(), "{}{}", whole.stdout, whole.stderr);
    let page = fs::read_to_string(place.path("out/page.html")).unwrap();
    (0..6).for_each(|rank| assert!(page.contains(&format!("data-rank={rank}>")), "{rank}"));
    let joined = join(&place, &["--format", "json", logs]).ends(0).stdout;
    let joined: serde_json::Value = serde_json::from_str(&joined).unwrap();
    assert_eq!((&joined["culprit"]["rank"], &joined["uncertain"]), (&3.into(), &false.into()));
    assert_eq!(joined["reports"][0]["report"], read_report(&place.path("mount/log/job-report-rank-2.json")));

    // Without the node that failed.
    let others = ["job-report-rank-0.json", "job-report-rank-4.json"].map(|it| format!("{logs}/{it}"));
    join(&place, &[&others[0], &others[1]]).ends(0).prints(&[
        "job job: STOPPED; 2 nodes, 4 ranks\n",
        "the cause may be in the missing reports of ranks 2-3\n",
        "the job has 6 ranks, and no report has 2-3",
    ]);
}

#[test]
fn what_can_t_be_joined_is_named() {
    let place = TestFolder::new();
    job_of_three_nodes(&place);
    let logs = place.path("mount/log");
    let text = fs::read_to_string(logs.join("job-report-rank-0.json")).unwrap();
    fs::write(logs.join("job-report-rank-0.json"), &text[..text.len() / 2]).unwrap();
    fs::write(logs.join("x-report-y.json"), "[]").unwrap();
    join(&place, &[logs.to_str().unwrap(), "gone.json"]).ends(2).says(&[
        "job-report-rank-0.json` breaks off: ",
        "x-report-y.json` is not a report of fmtk-launch: ",
        "error: `gone.json` can't be read: No such file",
        "hint: name the reports of one job",
    ]);
    // One of another job.
    fs::remove_file(logs.join("x-report-y.json")).unwrap();
    fs::write(logs.join("job-report-rank-0.json"), text.replace("\"job\": \"job\"", "\"job\": \"other\"")).unwrap();
    let logs = logs.to_str().unwrap();
    join(&place, &[logs]).ends(2).says(&[
        "these are reports of 2 jobs",
        "of the job `other`",
        "of the job `job`",
        "hint: `--job ID`",
    ]);
    join(&place, &["--job", "job", logs]).ends(0).prints(&["2 nodes, 4 ranks", "no report has 0-1"]);
    join(&place, &["--html", "..", "--job", "job", logs])
        .ends(2)
        .says(&["the page can't be written to `..`: ", "hint: `--html`"]);
    // Its name was forgotten, so that a report is in the place of it.
    let report = format!("{logs}/job-report-rank-0.json");
    let text = fs::read_to_string(&report).unwrap();
    join(&place, &["--html", &report, logs]).ends(2).says(&[
        "the page would overwrite `",
        "job-report-rank-0.json`, which looks like a report",
        "hint: `--html PAGE`",
    ]);
    assert_eq!(fs::read_to_string(&report).unwrap(), text);
    // By whatever name.
    let other = place.path("code/other");
    fs::copy(&report, &other).unwrap();
    join(&place, &["--html", "../code/other", other.to_str().unwrap()]).ends(2).says(&["the page would overwrite `"]);
    assert_eq!(fs::read_to_string(&other).unwrap(), text);
}
