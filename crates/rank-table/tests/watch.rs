//! Waiting, step by step, with times that are made up: nothing here sleeps.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use rank_table::{CONFIRM, Location, MAX_INTERVAL, MIN_INTERVAL, Origin, Step, WaitError, Watcher};

const GOOD: &str = include_str!("tables/one_server.v0.json");
const NAME: &str = "jobstart_hccl.json";

struct Wait {
    folder: tempfile::TempDir,
    now: Instant,
    watcher: Watcher,
}

impl Wait {
    /// Watches `named` of a new folder for a minute.
    fn on(named: &str) -> Wait {
        let folder = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let location = Location { path: folder.path().join(named), origin: Origin::RankTableFile };
        Wait { watcher: Watcher::new(location, now, Some(Duration::from_secs(60))), folder, now }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Takes the step that is asked for and goes on to the time that it asks for.
    fn step(&mut self) -> String {
        let shown = match self.watcher.step(self.now) {
            Step::Ready(ready) => format!("{} ranks in `{}`", ready.table.rank_count(), ready.path.display()),
            Step::NotYet { why, is_new, again } => {
                assert!(again > self.now, "it would spin");
                self.now = again;
                format!("{}{why}", if is_new { "" } else { "still: " })
            }
            Step::Failed(error) => format!("failed: {error}"),
        };
        shown.replace(&*self.folder.path().to_string_lossy(), "<folder>")
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.step());
    }

    /// Steps until waiting is over.
    fn end(&mut self) -> String {
        for _ in 0..1_000 {
            let shown = self.step();
            if shown.starts_with("failed") || shown.contains("ranks in") {
                return shown;
            }
        }
        panic!("it waits for ever");
    }
}

#[test]
fn a_file_that_comes_by_and_by() {
    let mut wait = Wait::on(NAME);
    wait.check(expect!["`<folder>/jobstart_hccl.json` does not exist"]);
    wait.check(expect!["still: `<folder>/jobstart_hccl.json` does not exist"]);
    fs::write(wait.path(NAME), "").unwrap();
    wait.check(expect!["`<folder>/jobstart_hccl.json` is empty"]);
    fs::write(wait.path(NAME), r#"{"status":"initializing"}"#).unwrap();
    wait.check(expect!["`<folder>/jobstart_hccl.json` has the status `initializing`"]);
    fs::write(wait.path(NAME), &GOOD[..200]).unwrap();
    wait.check(expect!["`<folder>/jobstart_hccl.json` breaks off in line 11, column 22, as if it were half-written"]);
    fs::write(wait.path(NAME), GOOD).unwrap();
    wait.check(expect!["8 ranks in `<folder>/jobstart_hccl.json`"]);
}

#[test]
fn every_prefix_of_a_table_is_waited_on() {
    let mut wait = Wait::on(NAME);
    let text = GOOD.trim_end();
    for end in 0..text.len() {
        fs::write(wait.path(NAME), &text[..end]).unwrap();
        let Step::NotYet { why, .. } = wait.watcher.step(wait.now) else { panic!("{end} bytes were believed") };
        assert!(why.may_pass(), "{end}: {why}");
    }
}

#[test]
fn a_folder_whose_file_comes_later() {
    let mut wait = Wait::on("config");
    wait.check(expect!["`<folder>/config` does not exist"]);
    fs::create_dir(wait.path("config")).unwrap();
    wait.check(expect!["the folder `<folder>/config` has no `jobstart_hccl.json`"]);
    fs::write(wait.path("config").join(NAME), GOOD).unwrap();
    wait.check(expect!["8 ranks in `<folder>/config/jobstart_hccl.json`"]);
}

/// A config map: the file is a link through `..data`, which is a link to the folder of a generation.
#[test]
fn a_config_map_whose_links_are_swapped() {
    let mut wait = Wait::on("config");
    let config = wait.path("config");
    let generation = |name: &str, text: &str| {
        fs::create_dir_all(config.join(name)).unwrap();
        fs::write(config.join(name).join(NAME), text).unwrap();
    };
    let swap = |to: &str| {
        symlink(to, config.join("..data_tmp")).unwrap();
        fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
    };
    generation("..1", r#"{"status":"initializing"}"#);
    swap("..1");
    symlink(Path::new("..data").join(NAME), config.join(NAME)).unwrap();
    wait.check(expect!["`<folder>/config/jobstart_hccl.json` has the status `initializing`"]);
    fs::remove_dir_all(config.join("..1")).unwrap();
    wait.check(expect![
        "`<folder>/config/jobstart_hccl.json` is a link to `..data/jobstart_hccl.json`, which does not exist"
    ]);
    generation("..2", GOOD);
    swap("..2");
    wait.check(expect!["8 ranks in `<folder>/config/jobstart_hccl.json`"]);
}

#[test]
fn looks_become_rare_while_nothing_changes() {
    let mut wait = Wait::on(NAME);
    let interval = |wait: &mut Wait| {
        let before = wait.now;
        wait.step();
        wait.now - before
    };
    let first: Vec<Duration> = (0..3).map(|_| interval(&mut wait)).collect();
    assert_eq!(first, [MIN_INTERVAL, MIN_INTERVAL * 2, MIN_INTERVAL * 4]);
    for _ in 0..10 {
        interval(&mut wait);
    }
    assert_eq!(interval(&mut wait), MAX_INTERVAL);
    fs::write(wait.path(NAME), "{").unwrap();
    assert_eq!(interval(&mut wait), MIN_INTERVAL, "something happens");
}

#[test]
fn the_end_of_the_time_says_what_was_missing() {
    let check = |text: Option<&str>, expected: Expect| {
        let mut wait = Wait::on(NAME);
        if let Some(text) = text {
            fs::write(wait.path(NAME), text).unwrap();
        }
        expected.assert_eq(&wait.end());
    };
    check(
        None,
        expect![
            "failed: no complete rank table after 60s (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json` does not exist"
        ],
    );
    check(
        Some(r#"{"status":"initializing"}"#),
        expect![
            "failed: no complete rank table after 60s (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json` has the status `initializing`"
        ],
    );
    check(
        Some("{\"status\": completed}"),
        expect![
            "failed: no complete rank table after 60s (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json` is not valid JSON: expected value in line 1, column 12"
        ],
    );
}

#[test]
fn the_last_look_is_when_the_time_is_over() {
    let mut wait = Wait::on(NAME);
    let start = wait.now;
    wait.step();
    fs::write(wait.path(NAME), GOOD).unwrap();
    assert!(matches!(wait.watcher.step(start + Duration::from_secs(61)), Step::Ready(_)));

    let location = Location::given(wait.path("nothing"));
    let mut impatient = Watcher::new(location, start, Some(Duration::ZERO));
    let Step::Failed(error @ WaitError::TimedOut { .. }) = impatient.step(start + Duration::from_micros(10)) else {
        panic!("there is no table")
    };
    assert!(error.to_string().starts_with("no complete rank table ("), "{error}");
    let mut patient = Watcher::new(Location::given(wait.path("nothing")), start, None);
    assert!(matches!(patient.step(start + Duration::from_secs(10_000_000)), Step::NotYet { .. }));
}

#[test]
fn what_does_not_pass_is_given_up_once_it_is_certain() {
    let faulty = GOOD.replace("\"192.2.10.253\"", "\"nowhere\"");
    let mut wait = Wait::on(NAME);
    let start = wait.now;
    fs::write(wait.path(NAME), &faulty).unwrap();
    wait.check(expect![[r#"
        `<folder>/jobstart_hccl.json` has 1 fault:
        `$.group_list[0].instance_list[0].devices[1].device_ip` is `nowhere`, which is not an IP address"#]]);
    expect![[r#"
        failed: the rank table can't be used (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json` has 1 fault:
        `$.group_list[0].instance_list[0].devices[1].device_ip` is `nowhere`, which is not an IP address"#]]
    .assert_eq(&wait.end());
    assert_eq!(wait.now - start, CONFIRM);

    let mut mended = Wait::on(NAME);
    fs::write(mended.path(NAME), faulty).unwrap();
    mended.step();
    fs::write(mended.path(NAME), GOOD).unwrap();
    mended.check(expect!["8 ranks in `<folder>/jobstart_hccl.json`"]);
}

#[test]
fn a_newer_table_or_a_device_is_not_waited_for() {
    let mut wait = Wait::on(NAME);
    fs::write(wait.path(NAME), r#"{"version":"1.2","status":"initializing"}"#).unwrap();
    expect![
        "failed: the rank table can't be used (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json` is a super-pod table (its version is `1.2`), which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are"
    ]
    .assert_eq(&wait.end());

    let mut wait = Wait::on(NAME);
    symlink("/dev/null", wait.path(NAME)).unwrap();
    expect![
        "failed: the rank table can't be used (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json` is not a regular file"
    ]
    .assert_eq(&wait.end());

    let mut wait = Wait::on(NAME);
    fs::File::create(wait.path(NAME)).unwrap().set_len(5 << 20).unwrap();
    expect![
        "failed: the rank table can't be used (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json` is larger than the 4194304 bytes allowed"
    ]
    .assert_eq(&wait.end());
}

#[test]
fn a_path_through_a_file_can_not_be_read() {
    let mut wait = Wait::on("file/x");
    fs::write(wait.path("file"), "").unwrap();
    wait.check(expect!["`<folder>/file/x` can't be read: Not a directory (os error 20)"]);
}
