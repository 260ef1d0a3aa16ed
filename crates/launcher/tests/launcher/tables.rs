//! Rank tables: waited for, checked, converted, and never guessed at.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{TestFolder, finish, kill, start, stop, until, wait};

/// A v1 table of one server.
const ONE: &str = r#"{"version":"1.0","status":"completed","server_count":"1","server_list":[{"server_id":"10.0.0.1",
"device":[{"device_id":"4","device_ip":"192.1.0.1","rank_id":"0"},{"device_id":"5","device_ip":"192.1.0.2","rank_id":"1"}]}]}"#;

/// A v1 table of two.
const TWO: &str = r#"{"version":"1.0","status":"completed","server_count":"2","server_list":[
{"server_id":"10.0.0.1","device":[{"device_id":"0","device_ip":"192.1.0.1","rank_id":"0"}]},
{"server_id":"10.0.0.2","device":[{"device_id":"0","device_ip":"192.1.0.2","rank_id":"1"}]}]}"#;

/// A v0 table of one.
const OLD: &str = r#"{"status":"completed","group_count":"1","group_list":[{"group_name":"g","device_count":"2","instance_count":"1",
"instance_list":[{"pod_name":"job-x-0","server_id":"10.0.0.1","devices":[{"device_id":"4","device_ip":"192.1.0.1"},
{"device_id":"5","device_ip":"192.1.0.2"}]}]}]}"#;

#[test]
fn a_table_is_waited_for_through_all_that_happens_to_it() {
    let place = TestFolder::new();
    fs::create_dir_all(place.path("config/..1")).unwrap();
    let mut command = place.shell("", "echo $RANK of $RANK_SIZE");
    command.env("RANK_TABLE_FILE", place.path("config"));
    let stderr = place.path("stderr");
    let child = command.stderr(fs::File::create(&stderr).unwrap()).spawn().unwrap();
    let until_said = |part: &str| {
        until(&format!("{part}:\n{}", fs::read_to_string(&stderr).unwrap()), || {
            fs::read_to_string(&stderr).unwrap().contains(part)
        })
    };
    until_said("has no `jobstart_hccl.json`");
    // As the platform mounts it: a link to a link, which is swapped.
    symlink("..data/jobstart_hccl.json", place.path("config/jobstart_hccl.json")).unwrap();
    until_said("which does not exist");
    fs::write(place.path("config/..1/jobstart_hccl.json"), r#"{"status":"initializing"}"#).unwrap();
    symlink("..1", place.path("config/..data")).unwrap();
    until_said("initializing");
    fs::write(place.path("config/..1/jobstart_hccl.json"), &OLD[..100]).unwrap();
    until_said("as if it were half-written");
    fs::create_dir(place.path("config/..2")).unwrap();
    fs::write(place.path("config/..2/jobstart_hccl.json"), OLD).unwrap();
    symlink("..2", place.path("config/..new")).unwrap();
    fs::rename(place.path("config/..new"), place.path("config/..data")).unwrap();
    until_said("is complete");
    wait(child).ends(0);
    assert_eq!(place.log(0) + &place.log(1), "0 of 2\n1 of 2\n");
}

#[test]
fn a_table_that_does_not_come_is_named() {
    let place = TestFolder::new();
    let mut command = place.shell("--wait 100ms", "true");
    command.env("RANK_TABLE_FILE_V_1_0", place.path("nowhere"));
    finish(&mut command).ends(125).says(&[
        "no complete rank table after",
        "named by RANK_TABLE_FILE_V_1_0",
        "nowhere` does not exist",
    ]);
}

/// What shows the job looked once, and did not say that it could wait.
#[test]
fn a_look_that_came_too_early_is_told_how_to_wait() {
    let place = TestFolder::new();
    fs::write(place.path("table"), r#"{"status":"initializing"}"#).unwrap();
    let hint = "has the status `initializing`\nhint: `--wait 2h` waits longer; for a job of this server alone, \
                `--devices 0-7` does without one\n";
    let look = |arguments: &str| {
        let mut command = place.shell(arguments, "true");
        command.env("RANK_TABLE_FILE", place.path("table"));
        finish(&mut command).stderr
    };
    assert!(look("--dry-run").ends_with(hint), "{}", look("--dry-run"));
    // Who has waited knows that it can be done.
    let said = look("--wait 100ms");
    assert!(said.contains("has the status `initializing`") && !said.contains("hint: "), "{said}");
}

/// A job of PyTorch on one server of the platform gets no table, not even a folder for one.
#[test]
fn where_no_table_is_likely_the_wait_is_short_and_the_way_without_one_is_told() {
    let place = TestFolder::new();
    let first_words = |servers: &str, flags: &str| {
        let mut command = place.shell(flags, "echo up");
        command.env("MA_VJ_NAME", "ma-job-1").env("VC_WORKER_NUM", servers);
        command.env("RANK_TABLE_FILE", place.path("no/folder"));
        let stderr = place.path("stderr");
        let child = command.stderr(fs::File::create(&stderr).unwrap()).spawn().unwrap();
        until("first words", || fs::read_to_string(&stderr).unwrap().contains('\n'));
        stop(child, libc::SIGTERM);
        let said = fs::read_to_string(stderr).unwrap();
        said.lines().next().unwrap().replace(place.path("").to_str().unwrap(), "@/")
    };
    expect_test::expect!["fmtk-launch: waiting for the rank table, 1 min 0 s at most (for a job of this server alone, `--devices 0-7` does without one): `@/no/folder` does not exist"].assert_eq(&first_words("1", ""));
    // Each would be rank 0 without one.
    expect_test::expect!["fmtk-launch: waiting for the rank table, 30 min 0 s at most: `@/no/folder` does not exist"]
        .assert_eq(&first_words("2", ""));
}

#[test]
fn a_stop_while_waiting_is_no_success() {
    let place = TestFolder::new();
    let child = start(&mut place.shell("--rank-table nowhere", "true"));
    let launcher = crate::harness::launcher_of(&child);
    until("it sleeps", || crate::ending::state(launcher) == Some('S'));
    stop(child, libc::SIGTERM).ends(143).says(&["before any rank was started"]);
}

#[test]
fn a_server_that_can_t_be_told_is_refused() {
    let place = TestFolder::new();
    fs::write(place.path("table.json"), TWO).unwrap();
    let finished = place.run("--rank-table ../table.json", "echo started");
    assert_eq!((finished.code, finished.stdout.as_str()), (2, ""));
    finished.says(&["which of the 2 servers", "`10.0.0.1`, `10.0.0.2`", "hint: set MA_CURRENT_HOST_IP"]);
    let mut command = place.shell("--rank-table ../table.json", "echo $RANK $MASTER_ADDR");
    let finished = finish(command.env("MA_CURRENT_HOST_IP", "10.0.0.2"));
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "[rank 1] 1 10.0.0.1\n"));
}

/// No address of the table is this machine's, and no variable tells: the flags do.
#[test]
fn a_server_is_told_by_flags() {
    let place = TestFolder::new();
    fs::write(place.path("table.json"), TWO).unwrap();
    let run = |flags: &str| place.run(&format!("--rank-table ../table.json {flags}"), "echo $RANK $MASTER_ADDR");
    for node in 0..2 {
        let finished = run(&format!("--nnodes 2 --node-rank {node}")).ends(0);
        assert_eq!(finished.stdout, format!("[rank {node}] {node} 10.0.0.1\n"));
    }
    let why = "`--nnodes` is 3, but the rank table has 2 servers\nhint: ";
    run("--nnodes 3 --node-rank 1").ends(2).says(&[why]);
    let hint = "can't be told which of the 2 servers";
    run("--nnodes 2 --node-rank 2").ends(2).says(&[hint, "`--node-rank` is 2, but that is none of these"]);
}

#[test]
fn all_faults_are_told_at_once() {
    let place = TestFolder::new();
    fs::write(place.path("table.json"), TWO.replace("192.1.0.2", "nowhere").replace("\"1\"}", "\"0\"}")).unwrap();
    let path = place.path("table.json");
    for finished in [
        finish(&mut place.launcher(&["rank-table", "check", path.to_str().unwrap()])),
        place.run("--rank-table ../table.json", "true"),
    ] {
        assert_eq!(finished.code, 2);
        finished.says(&["`$.server_list[1].device[0].device_ip`", "`$.server_list[1].device[0].rank_id`"]);
    }
}

/// The page and the help are text, and the program is not made from them.
#[test]
fn a_check_that_finds_faults_exits_as_the_page_and_the_help_say() {
    let place = TestFolder::new();
    fs::write(place.path("table.json"), "[]").unwrap();
    let ask = |arguments: &[&str]| finish(&mut place.launcher(arguments));
    let code = ask(&["rank-table", "check", "../table.json"]).code;
    let page = ask(&["env", "--list"]).stdout;
    let rows: Vec<&str> = page.lines().filter(|it| it.contains("`rank-table check`")).collect();
    assert!(rows.len() == 1 && rows[0].starts_with(&format!("| {code} | ")), "{code}: {rows:?}");
    ask(&["rank-table", "--help"]).prints(&[&format!("exits with {code} where something is")]);
}

/// Of fcntl(2): which signal tells of a lease that somebody waits for. The bindings lack it.
const F_SETSIG: i32 = 10;

/// Whoever opens a file on which another process has a lease waits for that (fcntl(2)), as on a network that hangs.
#[test]
#[allow(unsafe_code)]
fn a_table_that_hangs_while_it_is_read_does_not_keep_signals_from_being_heard() {
    let place = TestFolder::new();
    // Not every file system has leases; that in memory does.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("table.json");
    fs::write(&path, ONE).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let lease = |command, argument: i32| {
        // SAFETY: these take numbers only, and the descriptor is open as long as the file lives.
        unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&file), command, argument) }
    };
    // We would be told by SIGIO, which ends a process that does not expect it; this one does nothing.
    assert_eq!(lease(F_SETSIG, libc::SIGURG), 0);
    assert_eq!(lease(libc::F_SETLEASE, libc::F_WRLCK), 0);
    let launcher = start(&mut place.shell(&format!("--rank-table {}", path.display()), "true"));
    until("the launcher waits for the table", || lease(libc::F_GETLEASE, 0) != libc::F_WRLCK);
    kill(launcher.id() as i32, libc::SIGTERM);
    wait(launcher).ends(143).says(&["before any rank was started"]);
}

#[test]
fn twice_in_one_environment() {
    let place = TestFolder::new();
    fs::create_dir(place.path("config")).unwrap();
    fs::write(place.path("config/jobstart_hccl.json"), OLD).unwrap();
    let program = crate::harness::program();
    let program = program.to_string_lossy();
    // The second starts in the environment that the first has made for a rank.
    let script =
        format!("[ $RANK = 1 ] || exec {program} run -- sh -c 'echo $RANK $DEVICE_ID $ASCEND_PROCESS_LOG_PATH'");
    let mut command = place.shell("", &script);
    let finished = finish(command.env("RANK_TABLE_FILE", place.path("config"))).ends(0);
    let logs = place.path("mount/log/job/ascend/process_log");
    for rank in 0..2 {
        // In the folder of the rank that has started it: the first has a rank of the same number.
        let line = format!("[rank 0] [rank {rank}] {rank} {rank} {}/rank_0/rank_{rank}", logs.display());
        assert!(finished.stdout.lines().any(|it| it == line), "{}\n{line}", finished.stdout);
    }
}

#[test]
fn show_and_convert() {
    let place = TestFolder::new();
    fs::write(place.path("jobstart_hccl.json"), OLD).unwrap();
    let folder = place.path("");
    let mut command = place.launcher(&["rank-table", "show", folder.to_str().unwrap()]);
    finish(command.env("MA_CURRENT_INSTANCE_NAME", "job-x-0")).ends(0).prints(&[
        "v0 table, 2 ranks",
        "10.0.0.1 (job-x-0)  ← this server",
        "rank 1     device 1 (physical 5, 192.1.0.2)",
    ]);
    let finished = finish(&mut place.launcher(&["rank-table", "convert", folder.to_str().unwrap()]));
    let v1: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(v1["server_list"][0]["device"][1]["rank_id"], "1");
    let finished = finish(&mut place.launcher(&["rank-table", "check", folder.to_str().unwrap()]));
    finished.prints(&["is a complete v0 table: servers 1, ranks 2"]);
}

/// A rank's entry in the table and the device that it opens have to be one device.
#[test]
fn devices_in_another_order_than_their_numbers_keep_them() {
    let place = TestFolder::new();
    let swapped = ONE.replacen("\"4\"", "\"6\"", 1);
    fs::write(place.path("table.json"), swapped).unwrap();
    let script = "echo $RANK $DEVICE_ID $ASCEND_DEVICE_ID $LOCAL_RANK ${FMTK_WORK_DIR##*/}";
    let finished = place.run("--rank-table ../table.json", script).ends(0);
    finished.prints(&["[rank 0] 0 1 1 1 device1\n", "[rank 1] 1 0 0 0 device0\n"]);
    assert!(place.path("mount/log/job-proc-rank-0-device-1.txt").exists());
    let shown = finish(&mut place.launcher(&["rank-table", "show", "../table.json"]));
    shown.prints(&["rank 0     device 1 (physical 6, 192.1.0.1)", "rank 1     device 0 (physical 5, 192.1.0.2)"]);
}

#[test]
fn ranks_of_a_v1_table_get_it_as_it_is() {
    let place = TestFolder::new();
    fs::write(place.path("table.json"), ONE).unwrap();
    let mut command =
        place.shell("--rank-table ../table.json", "cmp $RANK_TABLE_FILE ../table.json && echo $DEVICE_ID");
    finish(&mut command).ends(0);
    assert_eq!(place.log(0) + &place.log(1), "0\n1\n");
    assert!(!place.path("mount/rank_table").exists());
}

/// A 1.2 table of two servers in one super pod, as MindCluster writes it.
const SUPER: &str = r#"{"status":"completed","version":"1.2","server_count":"2","server_list":[
{"server_id":"node-a","host_ip":"10.0.0.1","container_ip":"192.168.7.1","device":[{"device_id":"2","super_device_id":"114622475","rank_id":"0"},
{"device_id":"3","super_device_id":"114688012","rank_id":"1"}]},
{"server_id":"node-b","host_ip":"10.0.0.2","container_ip":"192.168.7.2","device":[{"device_id":"0","super_device_id":"114884621","rank_id":"2"}]}],
"super_pod_list":[{"super_pod_id":"0","server_list":[{"server_id":"node-a"},{"server_id":"node-b"}]}]}"#;

/// A 2.0 table of two nodes with two devices each.
fn ranks() -> String {
    let rank = |rank: u32| {
        let (node, device) = (rank / 2, 4 + rank % 2);
        format!(
            r#"{{"rank_id":{rank},"local_id":{device},"device_id":{device},"level_list":[{{"net_layer":0,"net_instance_id":"rack{node}",
            "net_type":"TOPO_FILE_DESC","net_attr":"","rank_addr_list":[{{"addr_type":"EID","addr":"000000000000002000100000df00100{rank}",
            "ports":["0/1"],"plane_id":"plane0"}}]}}]}}"#
        )
    };
    let list: Vec<String> = (0..4).map(rank).collect();
    format!(r#"{{"version":"2.0","status":"completed","rank_count":4,"rank_list":[{}]}}"#, list.join(","))
}

#[test]
fn ranks_of_a_super_pod_get_its_table_as_it_is() {
    let place = TestFolder::new();
    fs::create_dir(place.path("config")).unwrap();
    fs::write(place.path("config/hccl.json"), SUPER).unwrap();
    let script = "cmp $RANK_TABLE_FILE ../config/hccl.json && echo ${RANK_TABLE_FILE##*/} $RANK/$RANK_SIZE $DEVICE_ID $MASTER_ADDR";
    let mut command = place.shell("", script);
    command.env("RANK_TABLE_FILE", place.path("config")).env("MA_CURRENT_HOST_IP", "10.0.0.1");
    finish(&mut command).ends(0);
    assert_eq!(place.log(0) + &place.log(1), "hccl.json 0/3 0 192.168.7.1\nhccl.json 1/3 1 192.168.7.1\n");
    assert!(!place.path("mount/rank_table").exists());
}

#[test]
fn ranks_of_a_table_without_servers_get_it_as_it_is() {
    let place = TestFolder::new();
    fs::write(place.path("table.json"), ranks()).unwrap();
    let run = |variables: &[(&str, &str)]| {
        let script =
            "cmp $RANK_TABLE_FILE ../table.json && echo $RANK/$RANK_SIZE $LOCAL_RANK $DEVICE_ID ${MASTER_ADDR-unset}";
        let mut command = place.shell("--rank-table ../table.json", script);
        finish(command.envs(variables.iter().copied()))
    };
    let finished = run(&[("VC_TASK_INDEX", "1"), ("VC_WORKER_NUM", "2")]).ends(0);
    finished.prints(&["[rank 2] 2/4 0 0 unset\n", "[rank 3] 3/4 1 1 unset\n"]);
    finished.says(&["nothing says where node 0 is, so MASTER_ADDR is not set"]);
    let finished = run(&[("VC_TASK_INDEX", "0"), ("VC_WORKER_NUM", "2"), ("MASTER_ADDR", "node-a")]).ends(0);
    finished.prints(&["[rank 0] 0/4 0 0 node-a\n", "[rank 1] 1/4 1 1 node-a\n"]);
    assert!(!finished.stderr.contains("MASTER_ADDR"), "{}", finished.stderr);
    // Nothing says that the nodes begin where they seem to.
    let finished = run(&[("VC_TASK_INDEX", "1")]).ends(2);
    finished.says(&["which of the 2 nodes", "the table has ranks 0-1, ranks 2-3", "hint: set VC_TASK_INDEX"]);
}

#[test]
fn newer_tables_are_shown_and_checked_and_not_converted() {
    let place = TestFolder::new();
    fs::write(place.path("super.json"), SUPER).unwrap();
    fs::write(place.path("ranks.json"), ranks()).unwrap();
    let ask = |what: &str, file: &str| finish(&mut place.launcher(&["rank-table", what, file]));
    ask("show", "../super.json").ends(0).prints(&[
        "version 1.2 table, 3 ranks\n",
        "node-a, super pod 0\n",
        "  rank 1     device 1 (physical 3, -, super device 114688012)\n",
    ]);
    ask("show", "../ranks.json")
        .ends(0)
        .prints(&["version 2.0 table, 4 ranks\n", "node 1\n  rank 2     device 0 (physical 4, -)\n"]);
    ask("check", "../super.json").ends(0).prints(&["is a complete version 1.2 table: servers 2, ranks 3\n"]);
    ask("check", "../ranks.json").ends(0).prints(&["is a complete version 2.0 table: nodes 2, ranks 4\n"]);
    ask("convert", "../super.json")
        .ends(2)
        .says(&["`../super.json` is a table of version 1.2", "its super pods would be lost"]);
    ask("convert", "../ranks.json").ends(2).says(&["`../ranks.json` is a table of version 2.0", "`level_list`"]);
}

#[test]
fn a_v1_table_is_converted_with_its_optional_fields() {
    let place = TestFolder::new();
    let text = ONE.replacen("\"rank_id\":\"0\"", "\"rank_id\":\"0\",\"device_port\":16666", 1);
    let text = text.replacen("\"device\":", "\"host_ip\":\"10.0.0.1\",\"device\":", 1);
    fs::write(place.path("table.json"), &text).unwrap();
    let converted = finish(&mut place.launcher(&["rank-table", "convert", "../table.json"])).ends(0).stdout;
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(read(&converted), read(&text));
}
