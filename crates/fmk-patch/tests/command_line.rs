//! The program as a whole: what it prints, how it exits, and what is on the disk afterwards.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::{Expect, expect};
use tempfile::TempDir;

const PRISTINE: &str = include_str!("shapes/pristine.py");
const ALREADY_PATCHED: &str = include_str!("shapes/already_patched.py");

/// A folder with some files, and runs of the program in it.
struct Room(TempDir);

impl Room {
    fn with(files: &[(&str, &str)]) -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = room.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fmk-patch"));
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    /// Runs it; exit code, stdout and stderr must be as expected.
    fn check(&self, arguments: &[&str], expected: Expect) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| {
            let folder = fs::canonicalize(self.0.path()).unwrap();
            let text = String::from_utf8(bytes).unwrap().replace(folder.to_str().unwrap(), "ROOM");
            // Blank lines of a diff hold one blank, which an expectation can't.
            text.replace("\n \n", "\n_\n")
        };
        let (stdout, stderr) = (text(stdout), text(stderr));
        expected.assert_eq(&format!("exit {}\n{stdout}--- stderr\n{stderr}", status.code().unwrap()));
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_file_is_patched_once() {
    let room = Room::with(&[("fmk.py", PRISTINE)]);
    room.check(
        &["fmk.py"],
        expect![[r#"
        exit 0
        fmk.py: patched
          log-path: applied (line 33)
          code-cwd: applied (line 80)
        --- stderr
    "#]],
    );
    let patched = fs::read_to_string(room.path("fmk.py")).unwrap();
    assert!(patched.contains("os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)"));
    let before = fs::metadata(room.path("fmk.py")).unwrap();
    room.check(
        &["fmk.py"],
        expect![[r#"
        exit 0
        fmk.py: unchanged
          log-path: already-applied (lines 35, 36)
          code-cwd: already-applied (line 84)
        --- stderr
    "#]],
    );
    let after = fs::metadata(room.path("fmk.py")).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(room.names("."), ["fmk.py"]);
}

#[test]
fn what_only_looks_writes_nothing() {
    let room = Room::with(&[("kit/fmk.py", PRISTINE), ("done/fmk.py", ALREADY_PATCHED), ("odd/fmk.py", "import os\n")]);
    room.check(
        &["--check", "kit", "done"],
        expect![[r#"
        exit 1
        kit: would be patched
          log-path: to be applied (line 33)
          code-cwd: to be applied (line 80)
        done: unchanged
          log-path: already-applied (lines 34, 35)
          code-cwd: already-applied (line 85)
        --- stderr
    "#]],
    );
    room.check(
        &["--check", "done"],
        expect![[r#"
        exit 0
        done: unchanged
          log-path: already-applied (lines 34, 35)
          code-cwd: already-applied (line 85)
        --- stderr
    "#]],
    );
    room.check(
        &["--dry-run", "--backup", "kit"],
        expect![[r#"
        exit 0
        kit: would be patched
          log-path: to be applied (line 33)
          code-cwd: to be applied (line 80)
        --- stderr
    "#]],
    );
    room.check(
        &["--dry-run", "odd"],
        expect![[r#"
        exit 1
        odd: not patched
          log-path: not-found: there is no class `FMK`
          code-cwd: not-found: there is no class `FMK`
        --- stderr
    "#]],
    );
    room.check(
        &["--diff", "kit", "done"],
        expect![[r#"
            exit 0
            --- kit/fmk.py
            +++ kit/fmk.py
            @@ -30,6 +30,10 @@
                     FMK.set_env_if_not_exist(current_envs, 'HCCL_CONNECT_TIMEOUT', str(1800))
            _
                     # The environment of one rank, for one process.
            +        log_dir = FMK.get_log_dir()
            +        process_log_path = os.path.join(log_dir, self.job_id, 'ascend', 'process_log', 'rank_' + self.rank_id)
            +        FMK.set_env_if_not_exist(current_envs, 'ASCEND_PROCESS_LOG_PATH', process_log_path)
            +        os.makedirs(current_envs['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)
                     return current_envs
            _
                 @contextmanager
            @@ -77,7 +81,7 @@
            _
                     self.prepare()
            _
            -        with self.switch_directory(self.get_working_dir()):
            +        with self.switch_directory(os.getenv("MODEL_TASK_CWD", os.getcwd())):
                         # os.setsid makes a process group of its own, so that all of it can be stopped.
                         training_proc = subprocess.Popen(command, env=envs, preexec_fn=os.setsid,
                                                          shell=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            --- stderr
            kit: would be patched
              log-path: to be applied (line 33)
              code-cwd: to be applied (line 80)
            done: unchanged
              log-path: already-applied (lines 34, 35)
              code-cwd: already-applied (line 85)
        "#]],
    );
    room.check(&["--format", "json", "--dry-run", "kit", "odd", "none"], expect![[r#"
        exit 1
        {"files":[{"path":"kit","change":true,"written":false,"good":true,"edits":[{"edit":"log-path","status":"applied","lines":[33]},{"edit":"code-cwd","status":"applied","lines":[80]}],"backup":null,"error":null},{"path":"odd","change":false,"written":false,"good":false,"edits":[{"edit":"log-path","status":"not-found","reason":"there is no class `FMK`"},{"edit":"code-cwd","status":"not-found","reason":"there is no class `FMK`"}],"backup":null,"error":null},{"path":"none","change":false,"written":false,"good":false,"edits":[],"backup":null,"error":"failed to read `none`: No such file or directory (os error 2)"}]}
        --- stderr
        error: failed to read `none`: No such file or directory (os error 2)
    "#]]);
    assert_eq!(fs::read_to_string(room.path("kit/fmk.py")).unwrap(), PRISTINE);
    assert_eq!(room.names("kit"), ["fmk.py"]);
}

#[test]
fn one_file_that_fails_does_not_stop_the_others() {
    let room = Room::with(&[("a/fmk.py", PRISTINE), ("b/other.py", ""), ("c/fmk.py", "class FMK(:\n")]);
    room.check(
        &["--only", "code-cwd", "b", "c", "missing", "a"],
        expect![[r#"
        exit 1
        a: patched
          code-cwd: applied (line 80)
        --- stderr
        error: the folder `b` has no `fmk.py`
        error: `ROOM/c/fmk.py` is refused: it is not valid Python: Expected an expression or a ')' at line 1
        error: failed to read `missing`: No such file or directory (os error 2)
    "#]],
    );
    assert!(fs::read_to_string(room.path("a/fmk.py")).unwrap().contains("MODEL_TASK_CWD"));
}

#[test]
fn wrong_usage_and_help() {
    let room = Room::with(&[]);
    room.check(
        &[],
        expect![[r#"
        exit 2
        --- stderr
        error: no file is named
        hint: run `fmk-patch --help`
    "#]],
    );
    room.check(
        &["--only", "cwd", "x"],
        expect![[r#"
        exit 2
        --- stderr
        error: cannot parse argument "cwd": unknown edit `cwd`: the edits are `log-path` and `code-cwd`
        hint: run `fmk-patch --help`
    "#]],
    );
    room.check(
        &["--version"],
        expect![[r#"
        exit 0
        fmk-patch 0.1.0
        --- stderr
    "#]],
    );
    room.check(
        &["--help"],
        expect![[r#"
        exit 0
        Make the two edits that the launch kit needs in the vendor's fmk.py

        usage: fmk-patch [options] FILE|FOLDER...

        A FOLDER stands for the fmk.py in it. A file is replaced whole or not at all; it is
        left as it is when it has the edits already, or when one of them can't be made.

        edits:
          log-path   FMK.gen_env_for_fmk sets ASCEND_PROCESS_LOG_PATH and creates that folder
          code-cwd   FMK.run starts its processes in the folder that MODEL_TASK_CWD names

        options:
          --only LIST      make only these edits, separated by commas (default: both)
          --check          write nothing; exit with 1 if something would change
          --diff           write nothing; print the changes as `patch -p0` takes them
          --dry-run        write nothing; report what would be done
          --backup         keep the old text as fmk.py.orig
          --format FORMAT  of the report: human or json (default: human)
          --version        print the version
          --help           print this text

        exit codes:
          0  each edit is applied, was applied already, or has nothing to do
          1  an edit is not applied, or a file would change under --check
          2  wrong usage
        --- stderr
    "#]],
    );
}

#[test]
fn mode_and_symbolic_link_stay() {
    let room = Room::with(&[("real/script", PRISTINE), ("kit/note", "")]);
    fs::set_permissions(room.path("real/script"), fs::Permissions::from_mode(0o2751)).unwrap();
    symlink("../real/script", room.path("kit/fmk.py")).unwrap();
    assert!(room.command(&["kit"]).status().unwrap().success());
    assert!(fs::symlink_metadata(room.path("kit/fmk.py")).unwrap().is_symlink());
    assert!(fs::read_to_string(room.path("real/script")).unwrap().contains("MODEL_TASK_CWD"));
    assert_eq!(fs::metadata(room.path("real/script")).unwrap().mode() & 0o7777, 0o2751);
    assert_eq!((room.names("real"), room.names("kit")), (vec!["script".into()], vec!["fmk.py".into(), "note".into()]));
}

#[test]
fn a_backup_is_the_old_file_and_is_never_lost() {
    let room = Room::with(&[("fmk.py", PRISTINE)]);
    fs::set_permissions(room.path("fmk.py"), fs::Permissions::from_mode(0o640)).unwrap();
    let old = fs::metadata(room.path("fmk.py")).unwrap();
    assert!(room.command(&["--backup", "fmk.py"]).status().unwrap().success());
    let kept = fs::metadata(room.path("fmk.py.orig")).unwrap();
    assert_eq!(fs::read_to_string(room.path("fmk.py.orig")).unwrap(), PRISTINE);
    assert_eq!((kept.mode(), kept.mtime(), kept.mtime_nsec()), (old.mode(), old.mtime(), old.mtime_nsec()));

    let changed = PRISTINE.replace("1800", "3600");
    fs::write(room.path("fmk.py"), &changed).unwrap();
    room.check(
        &["--backup", "fmk.py"],
        expect![[r#"
        exit 1
        --- stderr
        error: `ROOM/fmk.py.orig` is there already and holds another text; move it away or leave out the backup
    "#]],
    );
    assert_eq!(fs::read_to_string(room.path("fmk.py")).unwrap(), changed);
    assert_eq!(room.names("."), ["fmk.py", "fmk.py.orig"]);
}

/// Runs as a user whom permissions bind: root would read and write regardless.
fn bound(room: &Room, arguments: &[&str]) -> Output {
    let program = room.path("program");
    if !program.exists() {
        // Not by `fs::copy`: a test that starts its program just then would hold the copy open, and it could not be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_fmk-patch")).arg(&program).status().unwrap();
        assert!(copied.success());
    }
    let mut command = Command::new(program);
    command.current_dir(room.0.path()).args(arguments);
    if fs::metadata(room.0.path()).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    command.output().unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_read_only_stays_and_is_named() {
    let room = Room::with(&[("kit/fmk.py", PRISTINE), ("locked/fmk.py", PRISTINE)]);
    set_mode(room.0.path(), 0o755);
    set_mode(&room.path("kit"), 0o777);
    set_mode(&room.path("kit/fmk.py"), 0o444);
    set_mode(&room.path("locked/fmk.py"), 0o666);
    set_mode(&room.path("locked"), 0o555);
    let output = bound(&room, &["kit", "locked"]);
    set_mode(&room.path("locked"), 0o755);
    let folder = fs::canonicalize(room.0.path()).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap().replace(folder.to_str().unwrap(), "ROOM");
    assert_eq!(output.status.code(), Some(1));
    expect![[r#"
        error: `ROOM/kit/fmk.py` is read-only: Permission denied (os error 13); nothing was changed
        error: the folder `ROOM/locked` is read-only: Permission denied (os error 13); nothing was changed
    "#]]
    .assert_eq(&stderr);
    assert_eq!(fs::read_to_string(room.path("kit/fmk.py")).unwrap(), PRISTINE);
    assert_eq!(fs::read_to_string(room.path("locked/fmk.py")).unwrap(), PRISTINE);
    assert_eq!((room.names("kit"), room.names("locked")), (vec!["fmk.py".into()], vec!["fmk.py".into()]));
}

#[test]
fn a_device_is_not_waited_for() {
    let room = Room::with(&[]);
    room.check(
        &["/dev/zero"],
        expect![[r#"
        exit 1
        --- stderr
        error: `/dev/zero` is not a regular file
    "#]],
    );
}

#[test]
fn a_closed_pipe_is_no_error() {
    let room = Room::with(&[("fmk.py", PRISTINE)]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = room.command(&["--dry-run", "fmk.py"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
