//! The command line as a whole.

use crate::harness::{TestFolder, finish};

#[test]
fn version_is_one_line() {
    let finished = finish(&mut TestFolder::new().launcher(&["--version"]));
    assert_eq!(finished.stdout, format!("fmtk-launch {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(finished.code, 0);
}

#[test]
fn help_is_on_standard_output() {
    for arguments in
        [&["--help"][..], &["run", "--help"], &["env", "-h"], &["rank-table", "--help"], &["task", "--help"]]
    {
        let finished = finish(&mut TestFolder::new().launcher(arguments));
        finished.prints(&["Usage: fmtk-launch "]);
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    }
}

/// `UPDATE_EXPECT=1 cargo test -p launcher variables` writes it anew.
#[test]
fn the_page_of_variables_is_what_the_program_prints() {
    let finished = finish(&mut TestFolder::new().launcher(&["env", "--list"]));
    expect_test::expect_file!["../../ENVIRONMENT.md"].assert_eq(&finished.stdout);
}

#[test]
fn wrong_usage_is_two() {
    for (arguments, help) in [
        (&[][..], ""),
        (&["stop"], ""),
        (&["--devices", "0"], ""),
        (&["run"], "run "),
        (&["run", "--ranks"], "run "),
        (&["run", "--devices", "0,0", "true"], "run "),
        (&["env", "--rank", "x"], "env "),
        (&["rank-table", "check"], "rank-table "),
        (&["task", "--grace", "x"], "task "),
    ] {
        let finished = finish(&mut TestFolder::new().launcher(arguments));
        assert_eq!(finished.code, 2, "{arguments:?}");
        finished.says(&[&format!("hint: run `fmtk-launch {help}--help`\n")]);
    }
}

#[test]
fn what_can_only_fail_is_refused_before_the_ranks_start() {
    let place = TestFolder::new();
    let log = place.path("mount/log/job-proc-rank-0-device-0.txt");
    for (report, port, why) in [
        ("/dev/null/r.json", "", "the report can't be written to `/dev/null/r.json`: "),
        ("/proc", "", "the report can't be written to `/proc`: "),
        ("/dev/null", "abc", "MASTER_PORT is `abc`, which is not a port from 1 to 65535\nhint: "),
        ("r.json", "0", "MASTER_PORT is `0`, which is not a port from 1 to 65535\nhint: "),
    ] {
        for flags in [&["--dry-run"][..], &[]] {
            let arguments = [&["run", "--devices=0", "--report", report][..], flags, &["true"]].concat();
            finish(place.launcher(&arguments).env("MASTER_PORT", port)).ends(2).says(&[why]);
        }
    }
    assert!(!log.exists());
}

#[test]
fn commands_that_do_not_start_are_named() {
    let place = TestFolder::new();
    let plain = place.path("plain");
    std::fs::write(&plain, "not a program").unwrap();
    for (program, code) in [("/nonexistent/program", 127), (plain.to_str().unwrap(), 126)] {
        finish(&mut place.launcher(&["run", "--devices", "0-3", program]))
            .ends(code)
            .says(&[&format!("failed to start `{program}`: ")]);
        let report = place.report();
        assert_eq!(report["outcome"], "not-started");
        // None waits for another to have become the program.
        let ranks = report["attempts"][0]["ranks"].as_array().unwrap();
        assert!(ranks.len() == 4 && ranks.iter().all(|it| it["outcome"] == "not-started"), "{report}");
    }
}

#[test]
fn the_last_words_say_why_nothing_was_started() {
    let of_script = TestFolder::new();
    let script = of_script.path("script");
    of_script.write("script", "#!/bin/sh\r\nexit 0\r\n", 0o755);
    for (program, hint) in [
        (script.to_str().unwrap(), "Windows line end"),
        ("no-such-program", "in PATH"),
        ("python3 train.py", "as a word of its own"),
    ] {
        let place = TestFolder::new();
        let finished = finish(&mut place.launcher(&["run", "--devices", "0-3", "--", program])).ends(127);
        let (_, last) = finished.stderr.split_once("FAILED").unwrap();
        assert!(last.contains(&format!("rank 0 could not be started: failed to start `{program}`: ")), "{last}");
        assert!(last.contains(hint), "{last}");
        let report = place.report();
        assert!(report["cause"].as_str().unwrap().contains("No such file"), "{report}");
        assert!(report["hint"].as_str().unwrap().contains(hint), "{report}");
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let place = TestFolder::new();
    let mut command = place.launcher(&["run", "--devices", "0,1", "--bind", "even", "--dry-run", "python", "train.py"]);
    command.env("MA_MOUNT_PATH", place.path("mount"));
    finish(&mut command).ends(0).prints(&["python train.py", "rank-0-device-0.txt", "rank-1-device-1.txt", "cores"]);
    let made: Vec<_> = walkdir(&place.path("mount"));
    assert_eq!(made, [place.path("mount/log")]);
}

fn walkdir(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    entries.flat_map(|it| if it.is_dir() { [vec![it.clone()], walkdir(&it)].concat() } else { vec![it] }).collect()
}
