//! Where the table is, for every setting of the variables.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use expect_test::{Expect, expect};
use rank_table::{Format, Location, Step, Watcher, converted_path, locate, parse, write_v1};

fn lookup<'a>(set: &'a HashMap<&str, OsString>) -> impl Fn(&str) -> Option<OsString> + 'a {
    |name| set.get(name).cloned()
}

fn check(words: &[&str], expected: Expect) {
    let set: HashMap<&str, OsString> =
        words.iter().map(|it| it.split_once('=').unwrap()).map(|(name, value)| (name, value.into())).collect();
    let Location { path, origin } = locate(lookup(&set));
    expected.assert_eq(&format!("{} ({origin})", path.display()));
}

#[test]
fn the_variables_have_an_order() {
    check(&[], expect!["/user/config/jobstart_hccl.json (the default, RANK_TABLE_FILE is not set)"]);
    check(&["RANK_TABLE_FILE=/a"], expect!["/a (named by RANK_TABLE_FILE)"]);
    check(&["RANK_TABLE_FILE=/a", "RANK_TABLE_FILE_V_1_0=/b"], expect!["/b (named by RANK_TABLE_FILE_V_1_0)"]);
    check(&["RANK_TABLE_FILE=/a", "RANK_TABLE_FILE_V_1_0="], expect!["/a (named by RANK_TABLE_FILE)"]);
    check(&["RANK_TABLE_FILE="], expect!["/user/config/jobstart_hccl.json (the default, RANK_TABLE_FILE is not set)"]);
}

#[test]
fn the_converted_file_is_below_the_mount() {
    let path = |set: &[(&'static str, &str)]| {
        let set: HashMap<&str, OsString> = set.iter().map(|(name, value)| (*name, value.into())).collect();
        converted_path(lookup(&set))
    };
    let below = Path::new("/home/ma-user/modelarts/rank_table/jobstart_hccl.json");
    assert_eq!(path(&[("MA_MOUNT_PATH", "/home/ma-user/modelarts")]).as_deref(), Some(below));
    assert_eq!(path(&[]), None);
    assert_eq!(path(&[("MA_MOUNT_PATH", "")]), None);
}

/// The vendor's scripts crash here: RANK_TABLE_FILE names the folder the first time, their own file the second.
#[test]
fn running_twice_in_one_environment_works() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::create_dir(&config).unwrap();
    let v0 = include_str!("tables/pods_out_of_order.v0.json");
    std::fs::write(config.join("jobstart_hccl.json"), v0).unwrap();
    let mut set: HashMap<&str, OsString> =
        HashMap::from([("RANK_TABLE_FILE", config.into()), ("MA_MOUNT_PATH", folder.path().into())]);
    let mut texts = Vec::new();
    for format in [Format::V0, Format::V1, Format::V1] {
        let now = Instant::now();
        let step = Watcher::new(locate(lookup(&set)), now, None).step(now);
        let Step::Ready(ready) = step else { panic!("{step:?}") };
        assert_eq!(ready.table.format(), format);
        let mut file = ready.path;
        if format == Format::V0 {
            file = converted_path(lookup(&set)).unwrap();
            write_v1(&ready.table, &file).unwrap();
        }
        texts.push(parse(&std::fs::read(&file).unwrap()).unwrap().to_v1());
        set.insert("RANK_TABLE_FILE", file.into());
    }
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[1], texts[2]);
}
