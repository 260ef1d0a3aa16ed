//! Who am I: every clue alone, together, and against each other.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::net::IpAddr;

use expect_test::{Expect, expect};
use rank_table::{By, Clues, RankTable, find, parse};

/// A v0 table with a pod of one device on each of the servers.
fn v0(pods: &[(&str, &str)]) -> RankTable {
    let pods = pods.iter().enumerate().map(|(n, (name, server))| {
        format!(
            r#"{{"pod_name":"{name}","server_id":"{server}","devices":[{{"device_id":"{n}","device_ip":"192.1.0.{}"}}]}}"#,
            n + 1
        )
    });
    let pods: Vec<String> = pods.collect();
    let text = format!(
        r#"{{"status":"completed","group_count":"2","group_list":[
            {{"device_count":"{n}","instance_count":"{n}","instance_list":[{}]}},
            {{"device_count":"0","instance_count":"1","instance_list":[{{"pod_name":"ps-0"}}]}}]}}"#,
        pods.join(","),
        n = pods.len(),
    );
    parse(text.as_bytes()).unwrap()
}

fn v1(servers: &[&str]) -> RankTable {
    let pods: Vec<_> = servers.iter().enumerate().map(|(n, server)| (format!("x-{n}"), *server)).collect();
    let pods: Vec<_> = pods.iter().map(|(name, server)| (name.as_str(), *server)).collect();
    parse(v0(&pods).to_v1().as_bytes()).unwrap()
}

fn three() -> RankTable {
    v0(&[("job-2", "10.0.0.12"), ("job-1", "10.0.0.11"), ("job-0", "10.0.0.10")])
}

/// Clues of variables and addresses, written as `NAME=value` and `address`.
fn clues(words: &[&str]) -> Clues {
    let set: HashMap<&str, &str> = words.iter().filter_map(|it| it.split_once('=')).collect();
    let addresses = words.iter().filter(|it| !it.contains('=')).map(|it| it.parse().unwrap()).collect();
    Clues::new(|name| set.get(name).map(OsString::from), addresses)
}

fn check(table: &RankTable, words: &[&str], expected: Expect) {
    let shown = match find(table, &clues(words)) {
        Ok(found) => {
            assert_eq!(&table.instances()[found.position], found.instance);
            format!("{} at {} by {:?}", found.instance.server_id, found.position, found.by)
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn by_name() {
    check(&three(), &["MA_CURRENT_INSTANCE_NAME=job-1"], expect!["10.0.0.11 at 1 by InstanceName"]);
    // What the vendor's scripts go by; addresses may be of another network.
    check(
        &three(),
        &["MA_CURRENT_INSTANCE_NAME=job-1", "MA_CURRENT_HOST_IP=10.0.0.12", "VC_TASK_INDEX=0"],
        expect!["10.0.0.11 at 1 by InstanceName"],
    );
}

#[test]
fn by_host_address() {
    check(&three(), &["MA_CURRENT_HOST_IP=10.0.0.12"], expect!["10.0.0.12 at 2 by HostIp"]);
    check(
        &three(),
        &["MA_CURRENT_INSTANCE_NAME=unknown", "MA_CURRENT_HOST_IP=10.0.0.12"],
        expect!["10.0.0.12 at 2 by HostIp"],
    );
    check(&v1(&["10.0.0.1", "10.0.0.2"]), &["MA_CURRENT_HOST_IP=10.0.0.2"], expect!["10.0.0.2 at 1 by HostIp"]);
    check(&v1(&["node-a", "node-b"]), &["MA_CURRENT_HOST_IP=node-b"], expect!["node-b at 1 by HostIp"]);
    // One address in two spellings.
    check(
        &v1(&["fd00:0:0:0:0:0:0:1", "fd00::2"]),
        &["MA_CURRENT_HOST_IP=fd00::1"],
        expect!["fd00:0:0:0:0:0:0:1 at 0 by HostIp"],
    );
}

#[test]
fn by_an_address_of_this_machine() {
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &["127.0.0.1", "172.17.0.1", "10.0.0.2"],
        expect!["10.0.0.2 at 1 by LocalAddress(10.0.0.2)"],
    );
    // A loopback address is every machine's.
    check(
        &v1(&["127.0.0.1", "127.0.0.2"]),
        &["127.0.0.1"],
        expect![[r#"
        it can't be told which of the 2 servers in the rank table this one is
          MA_CURRENT_INSTANCE_NAME is not set
          MA_CURRENT_HOST_IP is not set
          no address of this machine is known
          VC_TASK_INDEX is not set
        the table has `127.0.0.1`, `127.0.0.2`
        hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
}

#[test]
fn by_index() {
    check(&three(), &["VC_TASK_INDEX=2"], expect!["10.0.0.12 at 2 by TaskIndex"]);
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &["VK_TASK_INDEX=1", "VC_WORKER_NUM=2"],
        expect!["10.0.0.2 at 1 by TaskIndex"],
    );
    // Pods are counted from where the platform began, not from 0.
    check(
        &v0(&[("job-7", "10.0.0.1"), ("job-8", "10.0.0.2")]),
        &["VC_TASK_INDEX=8"],
        expect!["10.0.0.2 at 1 by TaskIndex"],
    );
    // Names of servers that a host address says nothing about.
    check(
        &v1(&["node-a", "node-b"]),
        &["MA_CURRENT_HOST_IP=10.0.0.1", "VC_TASK_INDEX=1"],
        expect!["node-b at 1 by TaskIndex"],
    );
}

#[test]
fn two_pods_on_one_server_are_told_apart_by_the_index() {
    let table = v0(&[("job-0", "10.0.0.1"), ("job-1", "10.0.0.2"), ("job-2", "10.0.0.1")]);
    check(&table, &["MA_CURRENT_HOST_IP=10.0.0.1", "VC_TASK_INDEX=2"], expect!["10.0.0.1 at 2 by TaskIndex"]);
    check(&table, &["10.0.0.1", "VC_TASK_INDEX=2"], expect!["10.0.0.1 at 2 by TaskIndex"]);
    check(
        &table,
        &["MA_CURRENT_HOST_IP=10.0.0.1", "VC_TASK_INDEX=1"],
        expect![[r#"
            it can't be told which of the 3 servers in the rank table this one is
              MA_CURRENT_INSTANCE_NAME is not set
              MA_CURRENT_HOST_IP is `10.0.0.1`, on which the table has 2 instances
              no address of this machine is known
              VC_TASK_INDEX is `1`, which fits no instance of the table
            the table has `10.0.0.1` (`job-0`), `10.0.0.2` (`job-1`), `10.0.0.1` (`job-2`)
            hint: set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server"#]],
    );
    check(
        &table,
        &["10.0.0.1"],
        expect![[r#"
            it can't be told which of the 3 servers in the rank table this one is
              MA_CURRENT_INSTANCE_NAME is not set
              MA_CURRENT_HOST_IP is not set
              this machine's addresses fit 2 instances of the table
              VC_TASK_INDEX is not set
            the table has `10.0.0.1` (`job-0`), `10.0.0.2` (`job-1`), `10.0.0.1` (`job-2`)
            hint: set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server"#]],
    );
}

#[test]
fn the_only_instance_needs_no_clue() {
    check(&v1(&["10.0.0.1"]), &[], expect!["10.0.0.1 at 0 by OnlyInstance"]);
    check(&v0(&[("x", "10.0.0.1")]), &["VC_TASK_INDEX=0", "10.9.9.9"], expect!["10.0.0.1 at 0 by OnlyInstance"]);
    // As for the vendor's scripts, which don't compare the address then.
    check(&v1(&["10.0.0.1"]), &["MA_CURRENT_HOST_IP=10.9.9.9"], expect!["10.0.0.1 at 0 by OnlyInstance"]);
    check(
        &v1(&["10.0.0.1"]),
        &["VC_TASK_INDEX=3"],
        expect![[r#"
            it can't be told that this server is the one in the rank table
              MA_CURRENT_INSTANCE_NAME is not set
              MA_CURRENT_HOST_IP is not set
              no address of this machine is known
              VC_TASK_INDEX is `3`, which fits no instance of the table
            the table has `10.0.0.1`
            hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
    check(
        &v0(&[("x-0", "10.0.0.1")]),
        &["MA_CURRENT_INSTANCE_NAME=y-0"],
        expect![[r#"
            it can't be told that this server is the one in the rank table
              MA_CURRENT_INSTANCE_NAME is `y-0`, which is no `pod_name` of the table
              MA_CURRENT_HOST_IP is not set
              no address of this machine is known
              VC_TASK_INDEX is not set
            the table has `10.0.0.1` (`x-0`)
            hint: set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server"#]],
    );
}

#[test]
fn never_server_0_by_default() {
    check(
        &three(),
        &[],
        expect![[r#"
            it can't be told which of the 3 servers in the rank table this one is
              MA_CURRENT_INSTANCE_NAME is not set
              MA_CURRENT_HOST_IP is not set
              no address of this machine is known
              VC_TASK_INDEX is not set
            the table has `10.0.0.10` (`job-0`), `10.0.0.11` (`job-1`), `10.0.0.12` (`job-2`)
            hint: set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server"#]],
    );
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &[],
        expect![[r#"
        it can't be told which of the 2 servers in the rank table this one is
          MA_CURRENT_INSTANCE_NAME is not set
          MA_CURRENT_HOST_IP is not set
          no address of this machine is known
          VC_TASK_INDEX is not set
        the table has `10.0.0.1`, `10.0.0.2`
        hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &["MA_CURRENT_INSTANCE_NAME=", "MA_CURRENT_HOST_IP="],
        expect![[r#"
        it can't be told which of the 2 servers in the rank table this one is
          MA_CURRENT_INSTANCE_NAME is not set
          MA_CURRENT_HOST_IP is not set
          no address of this machine is known
          VC_TASK_INDEX is not set
        the table has `10.0.0.1`, `10.0.0.2`
        hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
}

#[test]
fn an_index_is_not_believed_against_a_name_or_an_address() {
    check(
        &three(),
        &["MA_CURRENT_INSTANCE_NAME=other-0", "VC_TASK_INDEX=0"],
        expect![[r#"
            it can't be told which of the 3 servers in the rank table this one is
              MA_CURRENT_INSTANCE_NAME is `other-0`, which is no `pod_name` of the table
              MA_CURRENT_HOST_IP is not set
              no address of this machine is known
              VC_TASK_INDEX is `0`, but an index fits any table, and the above does not
            the table has `10.0.0.10` (`job-0`), `10.0.0.11` (`job-1`), `10.0.0.12` (`job-2`)
            hint: set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server"#]],
    );
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &["MA_CURRENT_HOST_IP=10.9.9.9", "10.9.9.9", "172.17.0.1", "VC_TASK_INDEX=0"],
        expect![[r#"
            it can't be told which of the 2 servers in the rank table this one is
              MA_CURRENT_INSTANCE_NAME is not set
              MA_CURRENT_HOST_IP is `10.9.9.9`, which is no `server_id` of the table
              this machine's addresses `10.9.9.9`, `172.17.0.1`: none is a `server_id` of the table
              VC_TASK_INDEX is `0`, but an index fits any table, and the above does not
            the table has `10.0.0.1`, `10.0.0.2`
            hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &["VC_TASK_INDEX=0", "VC_WORKER_NUM=8"],
        expect![[r#"
        it can't be told which of the 2 servers in the rank table this one is
          MA_CURRENT_INSTANCE_NAME is not set
          MA_CURRENT_HOST_IP is not set
          no address of this machine is known
          VC_TASK_INDEX is `0` of `8`, but the table has 2
        the table has `10.0.0.1`, `10.0.0.2`
        hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &["VC_TASK_INDEX=2"],
        expect![[r#"
        it can't be told which of the 2 servers in the rank table this one is
          MA_CURRENT_INSTANCE_NAME is not set
          MA_CURRENT_HOST_IP is not set
          no address of this machine is known
          VC_TASK_INDEX is `2`, which fits no instance of the table
        the table has `10.0.0.1`, `10.0.0.2`
        hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
    check(
        &v1(&["10.0.0.1", "10.0.0.2"]),
        &["VC_TASK_INDEX=first"],
        expect![[r#"
        it can't be told which of the 2 servers in the rank table this one is
          MA_CURRENT_INSTANCE_NAME is not set
          MA_CURRENT_HOST_IP is not set
          no address of this machine is known
          VC_TASK_INDEX is `first`, which is not a number
        the table has `10.0.0.1`, `10.0.0.2`
        hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
    check(
        &three(),
        &["MA_CURRENT_INSTANCE_NAME=ps-0"],
        expect![[r#"
            it can't be told which of the 3 servers in the rank table this one is
              MA_CURRENT_INSTANCE_NAME is `ps-0`, which is in a group without devices
              MA_CURRENT_HOST_IP is not set
              no address of this machine is known
              VC_TASK_INDEX is not set
            the table has `10.0.0.10` (`job-0`), `10.0.0.11` (`job-1`), `10.0.0.12` (`job-2`)
            hint: set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server"#]],
    );
}

#[test]
fn a_long_table_is_not_written_out() {
    let servers: Vec<String> = (0..40).map(|n| format!("10.0.0.{n}")).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    check(
        &v1(&servers),
        &["MA_CURRENT_HOST_IP=\u{1b}[31mred"],
        expect![[r#"
        it can't be told which of the 40 servers in the rank table this one is
          MA_CURRENT_INSTANCE_NAME is not set
          MA_CURRENT_HOST_IP is `\u{1b}[31mred`, which is no `server_id` of the table
          no address of this machine is known
          VC_TASK_INDEX is not set
        the table has `10.0.0.0`, `10.0.0.1`, `10.0.0.2`, `10.0.0.3`, `10.0.0.4`, `10.0.0.5`, `10.0.0.6`, `10.0.0.7` and 32 more
        hint: set MA_CURRENT_HOST_IP to the `server_id` of this server"#]],
    );
}

/// What 64 launchers of one job see: each has its own environment and the same file, before and after the conversion.
#[test]
fn the_64_nodes_of_one_table_have_all_ranks_once() {
    let address = |n: usize| IpAddr::from([10, 0, 1, u8::try_from(n).unwrap()]);
    let pods: Vec<(String, String)> =
        (0..64).map(|n| (n * 37) % 64).map(|n| (format!("job-{n}"), address(n).to_string())).collect();
    let instances: Vec<String> = pods
        .iter()
        .enumerate()
        .map(|(n, (name, server))| {
            let device = |d| format!(r#"{{"device_id":"{d}","device_ip":"192.{d}.{n}.1"}}"#);
            let devices: Vec<String> = (0..8).map(device).collect();
            format!(r#"{{"pod_name":"{name}","server_id":"{server}","devices":[{}]}}"#, devices.join(","))
        })
        .collect();
    let text = format!(
        r#"{{"status":"completed","group_count":"1","group_list":[{{"device_count":"512","instance_count":"64","instance_list":[{}]}}]}}"#,
        instances.join(",")
    );
    let first = parse(text.as_bytes()).unwrap();
    let again = parse(first.to_v1().as_bytes()).unwrap();
    let words = |n: usize| {
        [
            format!("MA_CURRENT_INSTANCE_NAME=job-{n}"),
            format!("MA_CURRENT_HOST_IP={}", address(n)),
            address(n).to_string(),
            format!("VC_TASK_INDEX={n}"),
        ]
    };
    for (table, which, by) in [
        (&first, 0, "InstanceName"),
        (&first, 1, "HostIp"),
        (&first, 2, "LocalAddress"),
        (&first, 3, "TaskIndex"),
        (&again, 1, "HostIp"),
        (&again, 2, "LocalAddress"),
        (&again, 3, "TaskIndex"),
    ] {
        let mut seen = BTreeSet::new();
        for node in 0..64 {
            let found = find(table, &clues(&[&words(node)[which]])).unwrap();
            assert!(format!("{:?}", found.by).starts_with(by));
            assert_eq!(found.instance.server_id, address(node).to_string());
            let ranks: Vec<u32> = found.instance.devices.iter().map(|it| it.rank).collect();
            let first = u32::try_from(node).unwrap() * 8;
            assert_eq!(ranks, (first..first + 8).collect::<Vec<_>>(), "node {node} by {by}");
            seen.extend(ranks);
        }
        assert_eq!(seen, (0..512).collect(), "by {by}");
    }
    // With everything set, as on the platform.
    let words = words(5);
    let found = find(&again, &clues(&words.each_ref().map(String::as_str))).unwrap();
    assert_eq!((found.position, found.by), (5, By::HostIp));
}
