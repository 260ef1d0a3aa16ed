//! What is checked before the ranks of several nodes start.

use std::fs;
use std::net::TcpListener;

use crate::harness::{TestFolder, finish, stop, until, wait};

/// A name that no name server is asked for: a part of it is empty.
const NO_NAME: &str = "job-worker-0..invalid";

#[test]
fn a_name_that_never_comes_is_told_by_node_and_name() {
    let place = TestFolder::new();
    for index in 0..2 {
        let flags = format!("--devices 0 --nnodes 2 --node-rank {index} --master {NO_NAME} --wait 100ms");
        place.run(&flags, "touch started").ends(125).says(&[
            &format!("waiting for the name of node 0, `{NO_NAME}`, to get an address, 0.1 s at most: "),
            &format!("error: node 0 (`{NO_NAME}`) has no address after 0.1 s: "),
        ]);
    }
    assert!(!place.path("code/started").exists());
    // A dry run looks once.
    let arguments = ["run", "--devices", "0", "--nnodes", "2", "--node-rank", "1", "--master", NO_NAME];
    let plan = finish(&mut place.launcher(&[&arguments[..], &["--dry-run", "true"]].concat())).ends(0);
    plan.prints(&[
        &format!("note        now, the ranks would not be started: node 0 (`{NO_NAME}`) has no address: "),
        "hint: check the name; `--wait 2h` waits longer",
    ]);
}

#[test]
fn a_stop_while_a_name_is_waited_for_is_heard() {
    let place = TestFolder::new();
    let mut command = place.shell(&format!("--devices 0 --nnodes 2 --node-rank 1 --master {NO_NAME}"), "true");
    let stderr = place.path("stderr");
    let child = command.stderr(fs::File::create(&stderr).unwrap()).spawn().unwrap();
    until("the wait", || fs::read_to_string(&stderr).unwrap().contains("10 min 0 s at most"));
    stop(child, libc::SIGTERM).ends(143);
    let said = fs::read_to_string(&stderr).unwrap();
    assert!(said.ends_with("error: stopped from outside by SIGTERM before any rank was started\n"), "{said}");
    assert_eq!(said.matches("waiting").count(), 1, "{said}");
    place.leaves_nothing();
}

#[test]
fn a_port_in_use_is_told_on_node_0_alone() {
    let place = TestFolder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let run = |index: u32| {
        let flags = format!("--devices 0 --nnodes 2 --node-rank {index} --master 127.0.0.1:{port}");
        let mut command = place.shell(&flags, "echo $RANK of $WORLD_SIZE");
        finish(command.env("MASTER_PORT", port.to_string()).env("BATCH_JOB_ID", ""))
    };
    run(0)
        .ends(125)
        .says(&[&format!("error: port {port} of node 0 (`127.0.0.1`), which is this one, is in use\nhint: ")]);
    let other = run(1).ends(0);
    other.says(&["node 0 is `127.0.0.1`, which is this machine, as this node 1 is: right only if they share it"]);
    assert_eq!(other.stdout, "[rank 1] 1 of 2\n");
    drop(listener);
    assert_eq!(run(0).ends(0).stdout, "[rank 0] 0 of 2\n");
}

/// The ranks of the first run may take a while to go.
#[test]
fn a_port_that_an_earlier_attempt_holds_is_waited_for() {
    let place = TestFolder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shell = |script| {
        let flags = format!("--devices 0 --nnodes 2 --node-rank 0 --master 127.0.0.1:{port}");
        let mut command = place.shell(&flags, script);
        command.env("MASTER_PORT", port.to_string());
        command
    };
    fs::write(place.path("mount/log/job-proc-rank-0-device-0.txt"), "of the first\n").unwrap();
    let stderr = place.path("stderr");
    let child = shell("exit 3").stderr(fs::File::create(&stderr).unwrap()).spawn().unwrap();
    until("the wait", || fs::read_to_string(&stderr).unwrap().contains("1 min 0 s at most"));
    drop(listener);
    wait(child).ends(3);
    let said = fs::read_to_string(&stderr).unwrap();
    assert!(said.contains(&format!("waiting for port {port}, which an earlier attempt may still hold")), "{said}");
    // It does not last for ever.
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    finish(shell("true").env("FMTK_TEST_HURRY", "1000")).ends(125).says(&["is in use\nhint: "]);
}

#[test]
fn an_own_address_of_this_machine_is_not_node_0_elsewhere() {
    let place = TestFolder::new();
    let addresses = nix::ifaddrs::getifaddrs().unwrap().filter_map(|it| Some(it.address?.as_sockaddr_in()?.ip()));
    // A container without a network has none.
    let Some(own) = addresses.filter(|it| !it.is_loopback()).last() else { return };
    let flags = format!("--devices 0 --nnodes 3 --node-rank 2 --master {own}");
    place.run(&flags, "touch started").ends(2).says(&[
        &format!("error: node 0 is `{own}`, which is this machine, but this is node 2 of 3\nhint: "),
        "give `--master 127.0.0.1`",
    ]);
    // As where each node names itself, or somebody has left what a single node needs.
    for host in [own.to_string(), "localhost".to_owned()] {
        let mut command = place.shell("--devices 0 --nnodes 3 --node-rank 2", "touch started");
        finish(command.env("MASTER_ADDR", &host)).ends(2).says(&[
            &format!("error: node 0 is `{host}`, which is this machine, but this is node 2 of 3\nhint: "),
            "give `--master 127.0.0.1`",
        ]);
    }
    // A list has a name for each node, so that two may share a machine.
    let mut command = place.shell("--devices 0", "echo $RANK at $MASTER_ADDR");
    command.env("VC_WORKER_HOSTS", "127.0.0.1,127.0.0.2").env("VC_WORKER_NUM", "2").env("VC_TASK_INDEX", "1");
    let listed = finish(&mut command).ends(0);
    listed.says(&["right only if they share it"]).prints(&["[rank 1] 1 at 127.0.0.1\n"]);
    assert!(!place.path("code/started").exists());
}

#[test]
fn node_0_has_an_address_of_its_own() {
    let place = TestFolder::new();
    for host in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
        for index in 0..2 {
            let mut command = place.shell(&format!("--devices 0 --nnodes 2 --node-rank {index}"), "touch started");
            finish(command.env("MASTER_ADDR", host)).ends(2).says(&[
                &format!("error: node 0 is `{host}`, which is not the address of a machine"),
                "\nhint: `--master` has to be an address of node 0",
            ]);
        }
    }
    // One of IPv4, written as one of IPv6.
    let mut command = place.shell("--devices 0 --nnodes 2 --node-rank 1", "touch started");
    finish(command.env("MASTER_ADDR", "::ffff:127.0.0.1"))
        .ends(2)
        .says(&["node 0 is `::ffff:127.0.0.1`, which is this machine, but this is node 1 of 2"]);
    assert!(!place.path("code/started").exists());
    // The scheduler listens at the address itself, PyTorch at all. This one is kept for documentation, and nobody's.
    for (framework, code) in [("mindspore", 2), ("torch", 0)] {
        let flags = format!("--devices 0 --nnodes 2 --node-rank 0 --master 203.0.113.7 --framework {framework}");
        let finished = place.run(&flags, "true").ends(code);
        let refused = "node 0 is `203.0.113.7`, which is not an address of this machine: MindSpore's scheduler can't";
        assert_eq!(finished.stderr.contains(refused), code == 2, "{}", finished.stderr);
    }
}

#[test]
fn restarts_of_one_node_are_refused_where_the_others_can_t_take_it_back() {
    let place = TestFolder::new();
    let table = r#"{"version":"1.0","status":"completed","server_count":"2","server_list":[
        {"server_id":"10.0.0.1","device":[{"device_id":"0","device_ip":"192.1.0.1","rank_id":"0"}]},
        {"server_id":"10.0.0.2","device":[{"device_id":"0","device_ip":"192.1.0.2","rank_id":"1"}]}]}"#;
    fs::write(place.path("table.json"), table).unwrap();
    let refused = "`--max-restarts` can't be used on 2 nodes: it starts the ranks of one node again, but the ranks of a rank \
                   table connect to each other once";
    for dry in ["", "--dry-run"] {
        let mut command = place.shell(&format!("--max-restarts 1 {dry}"), "touch started");
        command.env("RANK_TABLE_FILE", place.path("table.json")).env("MA_CURRENT_HOST_IP", "10.0.0.2");
        command.env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
        finish(&mut command).ends(2).says(&[refused, "\nhint: give the Ascend Operator's job a `backoffLimit`"]);
    }
    assert!(!place.path("code/started").exists() && fs::read_dir(place.path("mount/log")).unwrap().next().is_none());
    let flags = "--devices 0 --nnodes 2 --node-rank 1 --master 127.0.0.1 --max-restarts 1";
    let mut command = place.shell(flags, "[ $FMTK_ATTEMPT = 2 ]");
    finish(command.env("FMTK_TEST_HURRY", "1000")).ends(0).says(&["on attempt 2"]);
}
