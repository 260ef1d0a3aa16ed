//! Every fault of a complete table, by the table.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use expect_test::{Expect, expect};
use rank_table::{MAX_FAULTS, TableError, parse};

fn check(text: &str, expected: Expect) {
    let error = parse(text.as_bytes()).map(|table| table.rank_count()).unwrap_err();
    expected.assert_eq(&error.to_string());
}

/// A v0 table of two pods with two devices each, with some of its text replaced.
fn v0(replace: &[(&str, &str)], expected: Expect) {
    let table = r#"{"status":"completed","group_count":"1","group_list":[{"group_name":"g","device_count":"4","instance_count":"2","instance_list":[
        {"pod_name":"job-0","server_id":"10.0.0.1","devices":[{"device_id":"0","device_ip":"192.1.0.1"},{"device_id":"1","device_ip":"192.1.0.2"}]},
        {"pod_name":"job-1","server_id":"10.0.0.2","devices":[{"device_id":"0","device_ip":"192.1.0.3"},{"device_id":"1","device_ip":"192.1.0.4"}]}]}]}"#;
    edited(table, replace, expected);
}

/// The same as v1.
fn v1(replace: &[(&str, &str)], expected: Expect) {
    let table = r#"{"version":"1.0","status":"completed","server_count":"2","server_list":[
        {"server_id":"10.0.0.1","device":[{"device_id":"0","device_ip":"192.1.0.1","rank_id":"0"},{"device_id":"1","device_ip":"192.1.0.2","rank_id":"1"}]},
        {"server_id":"10.0.0.2","device":[{"device_id":"0","device_ip":"192.1.0.3","rank_id":"2"},{"device_id":"1","device_ip":"192.1.0.4","rank_id":"3"}]}]}"#;
    edited(table, replace, expected);
}

fn edited(table: &str, replace: &[(&str, &str)], expected: Expect) {
    assert!(parse(table.as_bytes()).is_ok(), "the table is right before");
    let mut text = table.to_owned();
    for (from, to) in replace {
        assert!(text.contains(from), "`{from}` is not in the table");
        text = text.replacen(from, to, 1);
    }
    check(&text, expected);
}

#[test]
fn counts_of_v0() {
    v0(
        &[(r#""group_count":"1""#, r#""group_count":"2""#)],
        expect![[r#"
        has 1 fault:
        `$.group_count` is 2, but the length of `group_list` is 1"#]],
    );
    v0(
        &[(r#""group_count":"1","#, "")],
        expect![[r#"
        has 1 fault:
        `$.group_count` is missing"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":5"#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is 5, but the devices of its instances are 4"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":"0""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is 0, but the devices of its instances are 4"#]],
    );
    v0(
        &[(r#""instance_count":"2""#, r#""instance_count":"1""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_count` is 1, but the length of `instance_list` is 2"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":"four""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is `four`, not a whole number"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":-4"#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is not a whole number from 0 to 4294967295"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":"+4""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is `+4`, not a whole number"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":4.5"#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is not a whole number from 0 to 4294967295"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":"99999999999""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is `99999999999`, more than the 4294967295 allowed"#]],
    );
    v0(
        &[(r#""device_count":"4""#, r#""device_count":null"#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].device_count` is null, not a whole number"#]],
    );
}

#[test]
fn shapes_of_v0() {
    v0(
        &[(r#""pod_name":"job-0","#, "")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].pod_name` is missing"#]],
    );
    v0(
        &[(r#""pod_name":"job-0""#, r#""pod_name":"""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].pod_name` is empty"#]],
    );
    v0(
        &[(r#""pod_name":"job-0""#, r#""pod_name":7"#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].pod_name` is a number, not text"#]],
    );
    v0(
        &[(r#""pod_name":"job-0""#, r#""pod_name":"job-x""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].pod_name` is `job-x`, which does not end in `-` and a number to order by"#]],
    );
    v0(
        &[(r#""pod_name":"job-0""#, r#""pod_name":"job-""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].pod_name` is `job-`, which does not end in `-` and a number to order by"#]],
    );
    v0(
        &[(r#""pod_name":"job-0""#, r#""pod_name":"job-1""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[1].pod_name` is `job-1`, which `$.group_list[0].instance_list[0].pod_name` is already"#]],
    );
    v0(
        &[(r#""devices":["#, r#""device":["#)],
        expect![[r#"
        has 2 faults:
        `$.group_list[0].instance_list[0].devices` is missing
        `$.group_list[0].device_count` is 4, but the devices of its instances are 2"#]],
    );
    v0(
        &[(r#""devices":["#, r#""devices":{},"x":["#)],
        expect![[r#"
        has 2 faults:
        `$.group_list[0].instance_list[0].devices` is an object, not a list
        `$.group_list[0].device_count` is 4, but the devices of its instances are 2"#]],
    );
    v0(
        &[(r#"{"device_id":"0","device_ip":"192.1.0.1"}"#, "0")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[0]` is a number, not an object"#]],
    );
    check(
        r#"{"status":"completed","group_count":"0","group_list":[]}"#,
        expect![[r#"
        has 1 fault:
        `$.group_list` has no device at all"#]],
    );
    check(
        r#"{"status":"completed","group_count":"1","group_list":{}}"#,
        expect![[r#"
        has 2 faults:
        `$.group_list` is an object, not a list
        `$.group_count` is 1, but the length of `group_list` is 0"#]],
    );
    check(
        r#"{"status":"completed","group_count":1,"group_list":[{"device_count":0,"instance_count":1,"instance_list":[{"pod_name":"a-0"}]}]}"#,
        expect![[r#"
            has 1 fault:
            `$.group_list` has no device at all"#]],
    );
}

#[test]
fn devices_of_v0() {
    v0(
        &[(r#""device_id":"1""#, r#""device_id":"0""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[1].device_id` is 0, which this server has at `$.group_list[0].instance_list[0].devices[0].device_id` already"#]],
    );
    v0(
        &[(r#""device_id":"1""#, r#""device_id":"70000""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[1].device_id` is `70000`, more than the 65535 allowed"#]],
    );
    v0(
        &[(r#""device_id":"1""#, r#""device_id":"\u001b[31m""#)],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[1].device_id` is `\u{1b}[31m`, not a whole number"#]],
    );
    v0(
        &[("192.1.0.1", "192.1.0.256")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[0].device_ip` is `192.1.0.256`, which is not an IP address"#]],
    );
    v0(
        &[("192.1.0.1", "0.0.0.0")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[0].device_ip` is `0.0.0.0`, which is no device's address"#]],
    );
    v0(
        &[("192.1.0.1", "224.0.0.1")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[0].device_ip` is `224.0.0.1`, which is no device's address"#]],
    );
    v0(
        &[("192.1.0.1", "::")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[0].device_ip` is `::`, which is no device's address"#]],
    );
    v0(
        &[("192.1.0.1", "192.1.0.4")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[1].devices[1].device_ip` is `192.1.0.4`, which `$.group_list[0].instance_list[0].devices[0].device_ip` is already"#]],
    );
    v0(
        &[("192.1.0.1", "")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[0].device_ip` is empty, and the table has several servers"#]],
    );
    v0(
        &[(r#","device_ip":"192.1.0.1""#, "")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].devices[0].device_ip` is missing, and the table has several servers"#]],
    );
    v0(
        &[("10.0.0.1", r"10.0.0.1\u0000")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].server_id` is `10.0.0.1\u{0}`, which has control characters"#]],
    );
    v0(
        &[("10.0.0.1", "10.0.0.1000")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].server_id` is `10.0.0.1000`, which is not an IP address"#]],
    );
    v0(
        &[("10.0.0.1", "")],
        expect![[r#"
        has 1 fault:
        `$.group_list[0].instance_list[0].server_id` is empty"#]],
    );
    // Two pods on one server share its devices.
    v0(
        &[("10.0.0.2", "10.0.0.1")],
        expect![[r#"
        has 2 faults:
        `$.group_list[0].instance_list[1].devices[0].device_id` is 0, which this server has at `$.group_list[0].instance_list[0].devices[0].device_id` already
        `$.group_list[0].instance_list[1].devices[1].device_id` is 1, which this server has at `$.group_list[0].instance_list[0].devices[1].device_id` already"#]],
    );
}

#[test]
fn faults_of_v1() {
    v1(
        &[(r#""server_count":"2""#, r#""server_count":"3""#)],
        expect![[r#"
        has 1 fault:
        `$.server_count` is 3, but the length of `server_list` is 2"#]],
    );
    v1(
        &[("10.0.0.2", "10.0.0.1")],
        expect![[r#"
        has 3 faults:
        `$.server_list[1].server_id` is `10.0.0.1`, which `$.server_list[0].server_id` is already
        `$.server_list[1].device[0].device_id` is 0, which this server has at `$.server_list[0].device[0].device_id` already
        `$.server_list[1].device[1].device_id` is 1, which this server has at `$.server_list[0].device[1].device_id` already"#]],
    );
    v1(
        &[(r#""rank_id":"3""#, r#""rank_id":"2""#)],
        expect![[r#"
        has 2 faults:
        `$.server_list[1].device[1].rank_id` is 2, which `$.server_list[1].device[0].rank_id` is already
        `$.server_list` lacks rank 3: 4 devices have the ranks 0 to 3"#]],
    );
    v1(
        &[(r#""rank_id":"3""#, r#""rank_id":"7""#)],
        expect![[r#"
            has 2 faults:
            `$.server_list[1].device[1].rank_id` is 7, but 4 devices have the ranks 0 to 3
            `$.server_list` lacks rank 3: 4 devices have the ranks 0 to 3"#]],
    );
    v1(
        &[(r#","rank_id":"3""#, "")],
        expect![[r#"
        has 1 fault:
        `$.server_list[1].device[1].rank_id` is missing"#]],
    );
    v1(
        &[(r#""rank_id":"0""#, r#""rank_id":"9""#), (r#""rank_id":"1""#, r#""rank_id":"8""#)],
        expect![[r#"
            has 3 faults:
            `$.server_list[0].device[1].rank_id` is 8, but 4 devices have the ranks 0 to 3
            `$.server_list[0].device[0].rank_id` is 9, but 4 devices have the ranks 0 to 3
            `$.server_list` lacks rank 0-1: 4 devices have the ranks 0 to 3"#]],
    );
    v1(
        &[(r#""device":["#, r#""devices":["#)],
        expect![[r#"
            has 1 fault:
            `$.server_list[0].device` is missing"#]],
    );
    v1(
        &[("192.1.0.3", "fe80::g")],
        expect![[r#"
        has 1 fault:
        `$.server_list[1].device[0].device_ip` is `fe80::g`, which is not an IP address"#]],
    );
    check(
        r#"{"status":"completed","server_list":[]}"#,
        expect![[r#"
        has 1 fault:
        `$.server_list` has no device at all"#]],
    );
    check(
        r#"{"status":"completed","server_list":["a",null]}"#,
        expect![[r#"
        has 2 faults:
        `$.server_list[0]` is text, not an object
        `$.server_list[1]` is null, not an object"#]],
    );
}

#[test]
fn all_faults_are_reported_at_once() {
    v1(
        &[
            (r#""server_count":"2""#, r#""server_count":"x""#),
            (r#""device_id":"1""#, r#""device_id":"0""#),
            ("192.1.0.3", "here"),
            (r#""rank_id":"3""#, r#""rank_id":"5""#),
        ],
        expect![[r#"
            has 5 faults:
            `$.server_count` is `x`, not a whole number
            `$.server_list[1].device[0].device_ip` is `here`, which is not an IP address
            `$.server_list[1].device[1].rank_id` is 5, but 4 devices have the ranks 0 to 3
            `$.server_list` lacks rank 3: 4 devices have the ranks 0 to 3
            `$.server_list[0].device[1].device_id` is 0, which this server has at `$.server_list[0].device[0].device_id` already"#]],
    );
    let servers = vec!["{}"; 100].join(",");
    let error = parse(format!(r#"{{"status":"completed","server_list":[{servers}]}}"#).as_bytes()).unwrap_err();
    let TableError::Faults(faults) = &error else { panic!("{error}") };
    assert_eq!((faults.as_slice().len(), faults.count()), (MAX_FAULTS, 200));
    assert!(error.to_string().starts_with("has 200 faults:\n`$.server_list[0].server_id` is missing\n"), "{error}");
    assert!(error.to_string().ends_with("\nand 150 more"), "{error}");
}

#[test]
fn lists_are_bounded() {
    let devices = vec![r#"{"device_id":"0","device_ip":"10.0.0.1","rank_id":"0"}"#; 257].join(",");
    let text = format!(r#"{{"status":"completed","server_list":[{{"server_id":"a","device":[{devices}]}}]}}"#);
    let first = parse(text.as_bytes()).unwrap_err().to_string();
    expect!["`$.server_list[0].device` has 257 entries, more than the 256 allowed"]
        .assert_eq(first.lines().nth(1).unwrap());
    // Next to nothing is kept of what is too much.
    let zeros = vec!["0"; 1_000_000].join(",");
    let text = format!(r#"{{"status":"completed","group_count":"1000000","group_list":[{zeros}]}}"#);
    let error = parse(text.as_bytes()).unwrap_err().to_string();
    expect![[r#"
        has 1025 faults:
        `$.group_list` has 1000000 entries, more than the 1024 allowed
        `$.group_list[0]` is a number, not an object"#]]
    .assert_eq(&error.lines().take(3).collect::<Vec<_>>().join("\n"));
}
