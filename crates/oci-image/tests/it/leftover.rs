//! What killed runs have left in a store goes, what others are at stays.

use std::{
    fs::{self, File, FileTimes},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use oci_image::{Scratch, Store};

const MINUTE: u64 = 60;

fn age(path: &Path, minutes: u64) {
    let time = SystemTime::now() - Duration::from_secs(minutes * MINUTE);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

fn only(folder: &Path) -> PathBuf {
    let names = names(folder);
    assert_eq!(names.len(), 1, "{names:?}");
    folder.join(&names[0])
}

#[test]
fn what_nobody_holds_goes_after_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let tmp = dir.path().join("tmp");
    Store::open(dir.path()).unwrap();
    for (name, minutes) in
        [("blob-old", 2), ("blob-young", 0), ("record-old", 2), ("record-young", 0), ("another", 999), ("blobs", 999)]
    {
        fs::write(tmp.join(name), "half").unwrap();
        age(&tmp.join(name), minutes);
    }
    for (name, minutes) in [("scratch-old", 2), ("scratch-young", 0), ("folder", 999)] {
        fs::create_dir_all(tmp.join(name).join("below")).unwrap();
        fs::write(tmp.join(name).join("below/file"), "half").unwrap();
        age(&tmp.join(name), minutes);
    }
    let ahead = SystemTime::now() + Duration::from_secs(999 * MINUTE);
    let file = File::create(tmp.join("blob-ahead")).unwrap();
    file.set_times(FileTimes::new().set_modified(ahead)).unwrap();

    Store::open(dir.path()).unwrap();
    let left = ["another", "blob-ahead", "blob-young", "blobs", "folder", "record-young", "scratch-young"];
    assert_eq!(names(&tmp), left);
}

#[test]
fn what_is_being_written_stays_however_old() {
    let dir = tempfile::tempdir().unwrap();
    let tmp = dir.path().join("tmp");
    let store = Store::open(dir.path()).unwrap();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"slow").unwrap();
    age(&only(&tmp), 99);
    let scratch = store.scratch().unwrap();
    fs::write(scratch.path().join("large"), "x").unwrap();
    age(scratch.path(), 99);
    assert_eq!(names(&tmp).len(), 2);

    Store::open(dir.path()).unwrap();
    assert_eq!(names(&tmp).len(), 2);
    assert_eq!(fs::read(scratch.path().join("large")).unwrap(), b"x");
    drop(scratch);
    let (digest, size) = writer.commit().unwrap();
    assert_eq!((size, store.read_blob(&digest, 9).unwrap()), (4, b"slow".to_vec()));
    assert_eq!(names(&tmp), [""; 0]);
}

#[test]
fn beside_what_it_will_become_only_its_own_are_cleared() {
    let dir = tempfile::tempdir().unwrap();
    for name in [".one.new-dead", ".two.new-dead", "one"] {
        fs::create_dir_all(dir.path().join(name).join("below")).unwrap();
        age(&dir.path().join(name), 2);
    }
    let scratch = Scratch::beside(dir.path(), ".one.new-").unwrap();
    let own = scratch.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(own.starts_with(".one.new-") && own != ".one.new-dead", "{own}");
    assert_eq!(names(dir.path()), [own.as_str(), ".two.new-dead", "one"]);
    // Renamed, nothing is left to go.
    fs::rename(scratch.path(), dir.path().join("three")).unwrap();
    drop(scratch);
    assert_eq!(names(dir.path()), [".two.new-dead", "one", "three"]);
}

/// Names the store that this very test, run again in another process, holds a blob and a folder of.
const HELD: &str = "LEFTOVER_TEST_STORE";

#[test]
fn what_a_killed_process_held_goes() {
    if let Some(root) = std::env::var_os(HELD) {
        let store = Store::open(Path::new(&root)).unwrap();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"half").unwrap();
        let _scratch = store.scratch().unwrap();
        // To the parent; it answers by a kill.
        std::io::stderr().write_all(b"held\n").unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tmp = dir.path().join("tmp");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leftover::what_a_killed_process_held_goes", "--nocapture"])
        .env(HELD, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("held")));
    let held = names(&tmp);
    assert_eq!(held.len(), 2);
    held.iter().for_each(|name| age(&tmp.join(name), 99));
    Store::open(dir.path()).unwrap();
    assert_eq!(names(&tmp), held);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(&tmp), held);
    Store::open(dir.path()).unwrap();
    assert_eq!(names(&tmp), [""; 0]);
}
