//! Folders: an ordered choice, told once, for any user.

use std::fs;

use crate::harness::{TestFolder, arranged, finish};

#[test]
fn a_log_folder_that_was_named_has_to_work() {
    let place = TestFolder::new();
    fs::write(place.path("file"), "").unwrap();
    place.run("--devices 0 --log-dir ../file", "true").ends(125).says(&["file"]);
    place.run("--devices 0 --log-dir ../logs/new", "true").ends(0);
    assert!(place.path("logs/new/job-proc-rank-0-device-0.txt").exists());
}

#[test]
fn home_is_set_where_it_is_of_no_use() {
    let place = TestFolder::new();
    let work = place.path("mount/workspace/device1").display().to_string();
    for home in [None, Some(""), Some("/not/there"), Some("/proc")] {
        let mut command = place.shell("--devices 0-1 --console 1", "echo $HOME");
        match home {
            None => command.env_remove("HOME"),
            Some(home) => command.env("HOME", home),
        };
        let finished = finish(&mut command);
        assert_eq!(finished.stdout, format!("[rank 1] {work}\n"), "{home:?}");
        finished.says(&["HOME is not set or can't be written"]);
    }
    let mut command = place.shell("--devices 0", "echo $HOME");
    let finished = finish(&mut command);
    assert_eq!(finished.stdout, format!("[rank 0] {}\n", place.path("home").display()));
    assert!(!finished.stderr.contains("HOME"), "{}", finished.stderr);
}

/// The platform may run the container under any uid. Only root can try that; the end-to-end tests are run as root.
#[test]
fn any_user() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // 4242 has no entry in the passwd file.
    for uid in [1000, 4242] {
        let place = TestFolder::for_any_user();
        let mut command = place.shell(
            "--devices 0-1",
            "id -u; echo x > $FMTK_WORK_DIR/file && ls -d $ASCEND_PROCESS_LOG_PATH; [ $RANK = 1 ] || exit 3",
        );
        arranged(&mut command, move || become_user(uid));
        finish(&mut command).ends(3);
        assert!(place.log(0).starts_with(&format!("{uid}\n/")), "{}", place.log(0));
    }
}

/// The image's folder is the home of another user.
#[test]
fn a_current_folder_that_this_user_can_t_enter_is_inherited() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let place = TestFolder::for_any_user();
    fs::set_permissions(place.path("code"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut command =
        place.shell("--devices 0", "echo $MODEL_TASK_CWD; [ $MODEL_TASK_CWD = $PWD ] || exit 4; echo here");
    command.env("PWD", place.path("code"));
    arranged(&mut command, || become_user(4242));
    finish(&mut command).ends(0);
    assert_eq!(place.log(0), format!("{}\nhere\n", place.path("code").display()));
}

#[allow(unsafe_code)]
fn become_user(uid: u32) -> std::io::Result<()> {
    // SAFETY: changes who this process is.
    let done = unsafe { libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(100) == 0 && libc::setuid(uid) == 0 };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
