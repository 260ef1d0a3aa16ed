//! The program as a whole: what it prints, how it exits, and what is on the disk afterwards. What it says is in
//! `transcripts/`, a file a test.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::{ExpectFile, expect_file};
use tempfile::TempDir;

const PRISTINE: &str = include_str!("shapes/pristine.py");
const ALREADY_PATCHED: &str = include_str!("shapes/already_patched.py");

/// A folder with some files, and runs of the program in it.
struct TestFolder {
    folder: TempDir,
    transcript: String,
}

impl TestFolder {
    fn with(files: &[(&str, &str)]) -> TestFolder {
        let test = TestFolder { folder: tempfile::tempdir().unwrap(), transcript: String::new() };
        for (name, text) in files {
            let path = test.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        test
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fmk-patch"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs it, for the transcript.
    fn run(&mut self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        self.note(arguments, &output);
    }

    fn note(&mut self, arguments: &[&str], output: &Output) {
        let folder = fs::canonicalize(self.folder.path()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(folder.to_str().unwrap(), "ROOM");
        let code = output.status.code().unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        self.transcript.push_str(&format!(
            "$ fmk-patch {}\n{stdout}--- stderr\n{stderr}--- exit {code}\n\n",
            arguments.join(" ").escape_debug()
        ));
    }

    fn check(&self, expected: ExpectFile) {
        expected.assert_eq(&self.transcript);
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_file_is_patched_once() {
    let mut test = TestFolder::with(&[("fmk.py", PRISTINE)]);
    test.run(&["fmk.py"]);
    let patched = test.read("fmk.py");
    assert!(patched.contains("os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)"));
    let before = fs::metadata(test.path("fmk.py")).unwrap();
    test.run(&["fmk.py"]);
    let after = fs::metadata(test.path("fmk.py")).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(test.names("."), ["fmk.py"]);
    test.check(expect_file!["transcripts/once.txt"]);
}

#[test]
fn what_only_looks_writes_nothing() {
    let files = [("kit/fmk.py", PRISTINE), ("done/fmk.py", ALREADY_PATCHED), ("odd/fmk.py", "import os\n")];
    let mut test = TestFolder::with(&files);
    test.run(&["--check", "kit", "done"]);
    test.run(&["--check", "done"]);
    test.run(&["--dry-run", "--backup", "kit"]);
    test.run(&["--dry-run", "odd"]);
    test.run(&["--diff", "kit", "done"]);
    test.run(&["--format", "json", "--dry-run", "kit", "odd", "none"]);
    test.check(expect_file!["transcripts/looks.txt"]);
    for (name, text) in files {
        assert_eq!(test.read(name), text);
    }
    assert_eq!(test.names("kit"), ["fmk.py"]);
}

#[test]
fn one_file_that_fails_does_not_stop_the_others() {
    let mut test = TestFolder::with(&[("a/fmk.py", PRISTINE), ("b/other.py", ""), ("c/fmk.py", "class FMK(:\n")]);
    test.run(&["--only", "code-cwd", "b", "c", "missing", "a", "/dev/zero"]);
    test.check(expect_file!["transcripts/failures.txt"]);
    assert!(test.read("a/fmk.py").contains("MODEL_TASK_CWD"));
}

#[test]
fn names_do_not_move_the_cursor_or_pass_for_lines() {
    let mut test = TestFolder::with(&[("a\u{1b}[2Jb\nhint: c/fmk.py", PRISTINE), ("d/fmk.py", "\u{7f}\n")]);
    test.run(&["--backup", "a\u{1b}[2Jb\nhint: c", "d", "e\rf"]);
    test.run(&["--\u{1b}"]);
    test.check(expect_file!["transcripts/names.txt"]);
}

#[test]
fn usage() {
    let mut test = TestFolder::with(&[]);
    test.run(&[]);
    test.run(&["--only", "cwd", "x"]);
    test.run(&["--version"]);
    test.run(&["--help"]);
    test.check(expect_file!["transcripts/usage.txt"]);
}

#[test]
fn mode_and_symbolic_link_stay() {
    let test = TestFolder::with(&[("real/script", PRISTINE), ("kit/note", "")]);
    set_mode(&test.path("real/script"), 0o2751);
    symlink("../real/script", test.path("kit/fmk.py")).unwrap();
    assert!(test.command(&["kit"]).output().unwrap().status.success());
    assert!(fs::symlink_metadata(test.path("kit/fmk.py")).unwrap().is_symlink());
    assert!(test.read("real/script").contains("MODEL_TASK_CWD"));
    assert_eq!(fs::metadata(test.path("real/script")).unwrap().mode() & 0o7777, 0o2751);
    assert_eq!((test.names("real"), test.names("kit")), (vec!["script".into()], vec!["fmk.py".into(), "note".into()]));
}

#[test]
fn a_backup_is_the_old_file_and_is_never_lost() {
    let mut test = TestFolder::with(&[("fmk.py", PRISTINE)]);
    set_mode(&test.path("fmk.py"), 0o640);
    let old = fs::metadata(test.path("fmk.py")).unwrap();
    test.run(&["--backup", "fmk.py"]);
    let kept = fs::metadata(test.path("fmk.py.orig")).unwrap();
    assert_eq!(test.read("fmk.py.orig"), PRISTINE);
    assert_eq!((kept.mode(), kept.mtime(), kept.mtime_nsec()), (old.mode(), old.mtime(), old.mtime_nsec()));

    let changed = PRISTINE.replace("1800", "3600");
    fs::write(test.path("fmk.py"), &changed).unwrap();
    test.run(&["--backup", "fmk.py"]);
    test.check(expect_file!["transcripts/backup.txt"]);
    assert_eq!(test.read("fmk.py"), changed);
    assert_eq!(test.names("."), ["fmk.py", "fmk.py.orig"]);
}

/// Runs as a user whom permissions bind: root would read and write regardless.
fn bound(test: &TestFolder, arguments: &[&str]) -> Output {
    let program = test.path("program");
    // Not by `fs::copy`: a test that starts its program just then would hold the copy open, and it could not be run.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_fmk-patch")).arg(&program).status().unwrap();
    assert!(copied.success());
    let mut command = Command::new(program);
    command.current_dir(test.folder.path()).args(arguments);
    if fs::metadata(test.folder.path()).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    command.output().unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_read_only_stays_and_is_named() {
    let mut test = TestFolder::with(&[("kit/fmk.py", PRISTINE), ("locked/fmk.py", PRISTINE)]);
    set_mode(test.folder.path(), 0o755);
    set_mode(&test.path("kit"), 0o777);
    set_mode(&test.path("kit/fmk.py"), 0o444);
    set_mode(&test.path("locked/fmk.py"), 0o666);
    set_mode(&test.path("locked"), 0o555);
    let output = bound(&test, &["kit", "locked"]);
    set_mode(&test.path("locked"), 0o755);
    test.note(&["kit", "locked"], &output);
    test.check(expect_file!["transcripts/read_only.txt"]);
    for folder in ["kit", "locked"] {
        assert_eq!(test.read(&format!("{folder}/fmk.py")), PRISTINE);
        assert_eq!(test.names(folder), ["fmk.py"]);
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let test = TestFolder::with(&[("fmk.py", PRISTINE)]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = test.command(&["--dry-run", "fmk.py"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
