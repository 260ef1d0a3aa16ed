//! Where the table is, and waiting for it, step by step, with times that are made up: nothing here sleeps.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use rank_table::{CONFIRM, Location, MAX_INTERVAL, MIN_INTERVAL, Origin, Step, Watcher, locate};

const GOOD: &str = include_str!("tables/one_server.v0.json");
const NAME: &str = "jobstart_hccl.json";
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_variables_that_name_a_table_have_an_order() {
    let default = "/user/config/jobstart_hccl.json /user/serverid/devindex/config/hccl.json (the default, RANK_TABLE_FILE is not set)";
    for (older, newer, expected) in [
        (None, None, default),
        (Some("/a"), None, "/a (named by RANK_TABLE_FILE)"),
        (Some("/a"), Some("/b"), "/b (named by RANK_TABLE_FILE_V_1_0)"),
        (Some("/a"), Some(""), "/a (named by RANK_TABLE_FILE)"),
        (Some(""), None, default),
    ] {
        let location = locate(|name| {
            let value = if name == "RANK_TABLE_FILE" { older } else { newer };
            value.map(Into::into)
        });
        let paths: Vec<_> = location.paths().map(|it| it.display().to_string()).collect();
        assert_eq!(format!("{} ({})", paths.join(" "), location.origin), expected);
    }
}

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
        let location = Location { path: folder.path().join(named), other: None, origin: Origin::RankTableFile };
        Wait { watcher: Watcher::new(location, now, MINUTE), folder, now }
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
            Step::Failed { message, .. } => format!("failed: {message}"),
        };
        shown.replace(&*self.folder.path().to_string_lossy(), "<folder>")
    }

    fn check(&mut self, expected: &str) {
        assert_eq!(self.step(), expected);
    }

    /// Steps until waiting is over.
    fn ends(&mut self, expected: &str) {
        let last = (0..1_000).map(|_| self.step()).find(|it| it.starts_with("failed") || it.contains("ranks in"));
        assert_eq!(last.as_deref(), Some(expected));
    }
}

#[test]
fn a_file_that_comes_by_and_by() {
    let mut wait = Wait::on(NAME);
    wait.check("`<folder>/jobstart_hccl.json` does not exist");
    wait.check("still: `<folder>/jobstart_hccl.json` does not exist");
    for (text, said) in [
        ("", "is empty"),
        (r#"{"status":"initializing"}"#, "has the status `initializing`"),
        (&GOOD[..200], "breaks off in line 11, column 22, as if it were half-written"),
    ] {
        fs::write(wait.path(NAME), text).unwrap();
        wait.check(&format!("`<folder>/jobstart_hccl.json` {said}"));
    }
    fs::write(wait.path(NAME), GOOD).unwrap();
    wait.check("8 ranks in `<folder>/jobstart_hccl.json`");

    let mut wait = Wait::on("file/x");
    fs::write(wait.path("file"), "").unwrap();
    wait.check("`<folder>/file/x` can't be read: Not a directory (os error 20)");
}

/// As on a platform that says nothing: which of the two there is, is not known before it comes.
#[test]
fn of_two_paths_the_one_that_comes_is_taken() {
    let mut wait = Wait::on("a/jobstart_hccl.json");
    let (first, other) = (wait.path("a/jobstart_hccl.json"), wait.path("b/hccl.json"));
    let location = Location { path: first.clone(), other: Some(other.clone()), origin: Origin::Default };
    wait.watcher = Watcher::new(location, wait.now, MINUTE);
    wait.check("`<folder>/a/jobstart_hccl.json` does not exist");
    fs::create_dir(wait.path("b")).unwrap();
    wait.check("`<folder>/b/hccl.json` does not exist");
    symlink("nowhere", &other).unwrap();
    wait.check("`<folder>/b/hccl.json` is a link to `nowhere`, which does not exist");
    fs::create_dir(wait.path("a")).unwrap();
    wait.step();
    fs::remove_file(&other).unwrap();
    wait.check("`<folder>/a/jobstart_hccl.json` does not exist");
    fs::write(&other, GOOD).unwrap();
    wait.check("8 ranks in `<folder>/b/hccl.json`");
    fs::write(&first, "").unwrap();
    wait.check("`<folder>/a/jobstart_hccl.json` is empty");
}

#[test]
fn a_folder_may_have_the_table_of_mindcluster() {
    let mut wait = Wait::on("");
    wait.check("the folder `<folder>/` has no `jobstart_hccl.json` and no `hccl.json`");
    fs::write(wait.path("hccl.json"), GOOD).unwrap();
    wait.check("8 ranks in `<folder>/hccl.json`");
}

#[test]
fn every_prefix_of_a_table_is_waited_on() {
    let mut wait = Wait::on(NAME);
    let text = GOOD.trim_end();
    for end in 0..text.len() {
        fs::write(wait.path(NAME), &text[..end]).unwrap();
        let Step::NotYet { why, .. } = wait.watcher.step(wait.now) else { panic!("{end} bytes were believed") };
        assert!(why.may_pass, "{end}: {why}");
    }
}

/// A config map: the file is a link through `..data`, which is a link to the folder of a generation.
#[test]
fn a_config_map_whose_links_are_swapped() {
    let mut wait = Wait::on("config");
    let config = wait.path("config");
    wait.check("`<folder>/config` does not exist");
    fs::create_dir(&config).unwrap();
    wait.check("the folder `<folder>/config` has no `jobstart_hccl.json` and no `hccl.json`");
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
    wait.check("`<folder>/config/jobstart_hccl.json` has the status `initializing`");
    fs::remove_dir_all(config.join("..1")).unwrap();
    let link = "`<folder>/config/jobstart_hccl.json` is a link to `..data/jobstart_hccl.json`, which does not exist";
    wait.check(link);
    generation("..2", GOOD);
    swap("..2");
    wait.check("8 ranks in `<folder>/config/jobstart_hccl.json`");
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
    for (text, said) in [
        (None, "does not exist"),
        (Some(r#"{"status":"initializing"}"#), "has the status `initializing`"),
        (Some("{\"status\": \"comp"), "breaks off in line 1, column 16, as if it were half-written"),
        (Some("\u{feff}"), "breaks off in line 1, column 0, as if it were half-written"),
    ] {
        let mut wait = Wait::on(NAME);
        text.into_iter().for_each(|text| fs::write(wait.path(NAME), text).unwrap());
        let what = "failed: no complete rank table after 60s (named by RANK_TABLE_FILE): `<folder>/jobstart_hccl.json`";
        wait.ends(&format!("{what} {said}"));
    }
}

#[test]
fn the_last_look_is_when_the_time_is_over() {
    let mut wait = Wait::on(NAME);
    let start = wait.now;
    wait.step();
    fs::write(wait.path(NAME), GOOD).unwrap();
    assert!(matches!(wait.watcher.step(start + MINUTE + CONFIRM), Step::Ready(_)));

    let nothing = Location::given(wait.path("nothing"));
    let mut impatient = Watcher::new(nothing.clone(), start, Duration::ZERO);
    let Step::Failed { why, message } = impatient.step(start + Duration::from_micros(10)) else {
        panic!("there is no table")
    };
    assert!(why.may_pass && message.starts_with("no complete rank table (given): "), "{message}");
    let mut patient = Watcher::new(nothing, start, Duration::MAX);
    assert!(matches!(patient.step(start + Duration::from_secs(10_000_000)), Step::NotYet { .. }));
}

#[test]
fn what_does_not_pass_is_given_up_once_it_is_certain() {
    let faulty = GOOD.replace("\"192.2.10.253\"", "\"nowhere\"");
    let fault = "`<folder>/jobstart_hccl.json` has 1 fault:\n\
        `$.group_list[0].instance_list[0].devices[1].device_ip` is `nowhere`, which is not an IP address";
    let given_up = "failed: the rank table can't be used (named by RANK_TABLE_FILE): ";
    let mut wait = Wait::on(NAME);
    let start = wait.now;
    fs::write(wait.path(NAME), &faulty).unwrap();
    wait.check(fault);
    wait.ends(&format!("{given_up}{fault}"));
    assert_eq!(wait.now - start, CONFIRM);

    let mut fixed = Wait::on(NAME);
    fs::write(fixed.path(NAME), faulty).unwrap();
    fixed.step();
    fs::write(fixed.path(NAME), GOOD).unwrap();
    fixed.check("8 ranks in `<folder>/jobstart_hccl.json`");

    type Make = fn(&Path) -> std::io::Result<()>;
    // What no further byte makes right.
    let comma: Make = |path| fs::write(path, "{\"status\": \"completed\",}");
    let word: Make = |path| fs::write(path, "{\"status\": completed}");
    let deep: Make = |path| fs::write(path, "[".repeat(500));
    let absurd: Make = |path| fs::write(path, "{\"group_count\": 1e999}");
    let latin: Make = |path| fs::write(path, b"{\"group_name\": \"\xe4\"}");
    let wide: Make = |path| fs::write(path, GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    let circle: Make = |path| symlink(path, path);
    let newer: Make = |path| fs::write(path, r#"{"version":"3.0","status":"initializing"}"#);
    let device: Make = |path| symlink("/dev/null", path);
    let large: Make = |path| fs::File::create(path)?.set_len(5 << 20);
    for (make, said) in [
        (comma, "is not valid JSON: trailing comma in line 1, column 24"),
        (word, "is not valid JSON: expected value in line 1, column 12"),
        (deep, "is not valid JSON: recursion limit exceeded in line 1, column 128"),
        (absurd, "is not valid JSON: number out of range in line 1, column 21"),
        (latin, "is not valid JSON: a byte that is not UTF-8 in line 1, column 17"),
        (wide, "is UTF-16, not UTF-8"),
        (circle, "is a link that leads to itself"),
        (
            newer,
            "is a table of version `3.0`, which is not supported: v0 (`group_list`), versions 1.0 and 1.2 (`server_list`) and version 2.0 (`rank_list`) are",
        ),
        (device, "is not a regular file"),
        (large, "is larger than the 4194304 bytes allowed"),
    ] {
        let mut wait = Wait::on(NAME);
        make(&wait.path(NAME)).unwrap();
        wait.ends(&format!("{given_up}`<folder>/jobstart_hccl.json` {said}"));
    }
}
