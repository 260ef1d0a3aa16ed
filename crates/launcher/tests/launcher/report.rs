//! The closing block and the JSON.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::harness::{TestFolder, read_report};

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
    let program = r#"
import sys
def deep(n):
    if n == 0:
        raise KeyError("first")
    deep2(n - 1)
def deep2(n):
    deep(n)
sys.stderr.write("before\n" * 100)
try:
    deep(60)
except KeyError as error:
    raise ValueError("second") from error
"#;
    place.write("code/train.py", program, 0o644);
    let finished = place.run("--devices 0", "exec python3 train.py").ends(1);
    let lines = place.report()["attempts"][0]["ranks"][0]["last_lines"].clone();
    let lines: Vec<&str> = lines.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(lines.len() > 200 && lines[0] == "Traceback (most recent call last):", "{lines:?}");
    assert!(lines.contains(&"KeyError: 'first'") && lines.last() == Some(&"ValueError: second"), "{lines:?}");
    let log = place.log(0);
    assert!(log.ends_with(&format!("before\n{}\n", lines.join("\n"))), "{log}");
    let told = lines.iter().map(|line| format!("fmtk-launch:   | {line}\n")).collect::<String>();
    finished.says(&["  its last traceback, and what came after it:\n", &told]);
}
