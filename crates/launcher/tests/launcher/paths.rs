//! Folders: an ordered choice, told once, for any user.

use std::fs;
use std::path::PathBuf;

use crate::harness::{TestFolder, arranged, finish, kill, launcher_of, start, stop, until, wait};

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

/// A v0 table of one server with a device of that address.
fn table(address: &str) -> String {
    format!(
        r#"{{"status":"completed","group_count":1,"group_list":[{{"device_count":1,"instance_count":1,"instance_list":[
        {{"pod_name":"x-0","server_id":"10.0.0.1","devices":[{{"device_id":"0","device_ip":"{address}"}}]}}]}}]}}"#
    )
}

/// Two jobs of one user on one machine, with nothing of the platform: neither sees anything of the other's, and neither
/// leaves anything, even where one of its processes is killed.
#[test]
fn jobs_side_by_side_have_a_folder_each() {
    let place = TestFolder::new();
    fs::create_dir(place.path("tmp")).unwrap();
    let addresses = ["192.1.0.1", "192.1.0.2", "192.1.0.3"];
    let script = "until [ -e ../all-are-up ]; do echo up; sleep 0.01; done; cat $RANK_TABLE_FILE; echo $FMTK_WORK_DIR; \
                  [ $HOME = $FMTK_WORK_DIR ] && ls $HOME; touch $HOME/of-$$; stat -c %a $FMTK_WORK_DIR/..; exec sleep 60";
    let launchers = addresses.map(|address| {
        fs::write(place.path(address), table(address)).unwrap();
        let mut command = place.shell(&format!("--rank-table ../{address} --log-dir ../log-{address}"), script);
        start(command.env_remove("MA_MOUNT_PATH").env_remove("HOME").env("TMPDIR", place.path("tmp")))
    });
    let log = |address: &str| {
        fs::read_to_string(place.path(&format!("log-{address}/job-proc-rank-0-device-0.txt"))).unwrap_or_default()
    };
    until("all are up", || addresses.iter().all(|it| log(it).starts_with("up\n")));
    fs::write(place.path("all-are-up"), "").unwrap();
    let mut folders = Vec::new();
    for address in addresses {
        until("the rank has said all", || log(address).ends_with("\n700\n"));
        let said = log(address).replace("up\n", "");
        let [table, folder, mode] = said.lines().collect::<Vec<_>>()[..] else {
            panic!("a file of the other's: {said}")
        };
        assert!(table.contains(address) && mode == "700", "{said}");
        folders.push(PathBuf::from(folder));
    }
    assert!(folders.iter().all(|it| it.is_dir()), "{folders:?}");
    let [stopped, killed, without_guardian] = launchers;
    stop(stopped, libc::SIGTERM).ends(143);
    kill(launcher_of(&killed), libc::SIGKILL);
    wait(killed).ends(137);
    stop(without_guardian, libc::SIGKILL).ends(137);
    place.until_nothing_is_left("the end of the launcher without a guardian");
    assert!(folders.iter().all(|it| !it.parent().unwrap().exists()), "{folders:?}");
    assert_eq!(fs::read_dir(place.path("tmp")).unwrap().count(), 0);
}

/// One container with two jobs: the ranks of the first read their table when the second has begun.
#[test]
fn jobs_that_share_a_mount_have_a_table_each() {
    let place = TestFolder::new();
    let addresses = ["192.1.0.1", "192.1.0.2"];
    let script = "echo up; until [ -e all-are-up ]; do sleep 0.01; done; cat $RANK_TABLE_FILE";
    let launchers = addresses.map(|address| {
        fs::write(place.path(address), table(address)).unwrap();
        start(&mut place.shell(&format!("--rank-table ../{address} --log-dir ../log-{address}"), script))
    });
    let log = |address| place.path(&format!("log-{address}/job-proc-rank-0-device-0.txt"));
    until("both are up", || addresses.iter().all(|it| fs::read_to_string(log(it)).is_ok_and(|it| it == "up\n")));
    fs::write(place.path("code/all-are-up"), "").unwrap();
    for (launcher, address) in launchers.into_iter().zip(addresses) {
        wait(launcher).ends(0).prints(&[address]);
    }
}

/// Only root can give a link away.
#[test]
fn no_link_of_another_user_leads_folders_and_files_elsewhere() {
    use std::os::unix::fs::{lchown, symlink};
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = TestFolder::new();
    fs::create_dir(place.path("target")).unwrap();
    let log = "mount/log/job-proc-rank-0-device-0.txt";
    for (planted, flags) in [
        ("mount/log/job", "--devices 0"),
        (log, "--devices 0"),
        ("logs", "--devices 0 --log-dir ../logs/below"),
        ("reports", "--devices 0 --report ../reports/r.json"),
    ] {
        let planted = place.path(planted);
        symlink(place.path("target"), &planted).unwrap();
        for path in [&planted, planted.parent().unwrap()] {
            lchown(path, Some(54_321), None).unwrap();
        }
        let finished = place.run(flags, "touch started");
        let told = format!("`{}` is a link that belongs to uid 54321 and is not followed", planted.display());
        assert!([2, 125].contains(&finished.code), "{}", finished.stderr);
        finished.says(&[&told]);
        fs::remove_file(planted).unwrap();
    }
    assert!(!place.path("code/started").exists());
    assert_eq!(fs::read_dir(place.path("target")).unwrap().count(), 0);
    // The user's own is followed.
    symlink(place.path("target/log"), place.path(log)).unwrap();
    place.run("--devices 0", "echo hello").ends(0);
    assert_eq!(fs::read_to_string(place.path("target/log")).unwrap(), "hello\n");
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
