//! What is taken for a table, and every fault of what is not.

use expect_test::expect_file;
use rank_table::{MAX_BYTES, parse};

use crate::check_cases;

/// Two pods with two devices each.
const V0: &str = r#"{"status":"completed","group_count":"1","group_list":[{"group_name":"g","device_count":"4","instance_count":"2","instance_list":[
    {"pod_name":"job-0","server_id":"10.0.0.1","devices":[{"device_id":"0","device_ip":"192.1.0.1"},{"device_id":"1","device_ip":"192.1.0.2"}]},
    {"pod_name":"job-1","server_id":"10.0.0.2","devices":[{"device_id":"0","device_ip":"192.1.0.3"},{"device_id":"1","device_ip":"192.1.0.4"}]}]}]}"#;

/// The same.
const V1: &str = r#"{"version":"1.0","status":"completed","server_count":"2","server_list":[
    {"server_id":"10.0.0.1","device":[{"device_id":"0","device_ip":"192.1.0.1","rank_id":"0"},{"device_id":"1","device_ip":"192.1.0.2","rank_id":"1"}]},
    {"server_id":"10.0.0.2","device":[{"device_id":"0","device_ip":"192.1.0.3","rank_id":"2"},{"device_id":"1","device_ip":"192.1.0.4","rank_id":"3"}]}]}"#;

/// The same with two super pods.
const V1_2: &str = r#"{"version":"1.2","status":"completed","server_count":"2","server_list":[
    {"server_id":"10.0.0.1","device":[{"device_id":"0","device_ip":"192.1.0.1","super_device_id":"7","rank_id":"0"},{"device_id":"1","device_ip":"192.1.0.2","super_device_id":"8","rank_id":"1"}]},
    {"server_id":"10.0.0.2","device":[{"device_id":"0","device_ip":"192.1.0.3","super_device_id":"7","rank_id":"2"},{"device_id":"1","device_ip":"192.1.0.4","super_device_id":"8","rank_id":"3"}]}],
    "super_pod_list":[{"super_pod_id":"0","server_list":[{"server_id":"10.0.0.1"}]},{"super_pod_id":"1","server_list":[{"server_id":"10.0.0.2"}]}]}"#;

/// Two nodes with two devices each.
const V2: &str = r#"{"version":"2.0","status":"completed","rank_count":4,"rank_list":[
    {"rank_id":0,"local_id":0,"device_id":0,"level_list":[{"net_layer":0,"net_instance_id":"a","net_type":"TOPO_FILE_DESC","net_attr":"","rank_addr_list":[{"addr_type":"EID","addr":"000000000000002000100000df001001","ports":["0/1"],"plane_id":"plane0"}]},
                                                          {"net_layer":1,"net_instance_id":"b","net_type":"CLOS","net_attr":"","rank_addr_list":[{"addr_type":"IPV4","addr":"192.1.0.1","ports":["1/1"],"plane_id":"plane0"}]}]},
    {"rank_id":1,"local_id":1,"device_id":1,"level_list":[{"net_layer":0,"rank_addr_list":null}]},
    {"rank_id":2,"local_id":8,"device_id":0,"level_list":[{"net_layer":0,"rank_addr_list":[]}]},
    {"rank_id":3,"local_id":9,"device_id":1,"level_list":[]}]}"#;

/// A case is a text, or tables of which some parts are replaced.
#[test]
fn what_is_wrong_is_said_with_its_place() {
    check_cases(include_str!("refusals.txt"), expect_file!["refusals.txt"], |lines| {
        let mut text = String::new();
        for line in lines {
            let (what, rest) = line.split_once(' ').unwrap();
            let table = match what {
                "v0" => V0,
                "v1" => V1,
                "v1.2" => V1_2,
                "v2" => V2,
                _ => {
                    text = rest.replace('⏎', "\n");
                    continue;
                }
            };
            if text.is_empty() {
                assert!(parse(table.as_bytes()).is_ok(), "the table is right before");
                text = table.to_owned();
            }
            let (from, to) = rest.split_once(" =>").unwrap();
            assert!(text.contains(from), "`{from}` is not in the table");
            text = text.replacen(from, to.trim_start(), 1);
        }
        refusal(text.as_bytes())
    });
}

fn refusal(bytes: &[u8]) -> String {
    parse(bytes).map(|table| table.rank_count()).unwrap_err().to_string()
}

#[test]
fn bytes_that_are_no_text_of_a_table() {
    for (bytes, message) in [
        (&b""[..], "is empty"),
        (b"{\"a\":\0}", "is not valid JSON: expected value in line 1, column 6"),
        (b"{\n\"a\":\"\xff\"}", "is not valid JSON: a byte that is not UTF-8 in line 2, column 6"),
        (&"{\"a\":\"ä".as_bytes()[..7], "breaks off in line 1, column 7, as if it were half-written"),
        (b"\xfe\xff\0{", "is UTF-16, not UTF-8"),
        (&[b'['; 100_000], "is not valid JSON: recursion limit exceeded in line 1, column 128"),
        (&[b' '; MAX_BYTES + 1], "is larger than the 4194304 bytes allowed"),
    ] {
        assert_eq!(refusal(bytes), message);
    }
}

#[test]
fn lists_and_faults_are_bounded() {
    let servers = vec!["{}"; 100].join(",");
    let message = refusal(format!(r#"{{"status":"completed","server_list":[{servers}]}}"#).as_bytes());
    assert!(message.starts_with("has 200 faults:\n`$.server_list[0].server_id` is missing\n"), "{message}");
    assert!(message.ends_with("\nand 150 more") && message.lines().count() == 52, "{message}");

    let devices = vec![r#"{"device_id":"0","device_ip":"10.0.0.1","rank_id":"0"}"#; 257].join(",");
    let text = format!(r#"{{"status":"completed","server_list":[{{"server_id":"a","device":[{devices}]}}]}}"#);
    let message = refusal(text.as_bytes());
    let first = "`$.server_list[0].device` has 257 entries, more than the 256 allowed";
    assert_eq!(message.lines().nth(1), Some(first));
    // Next to nothing is kept of what is too much.
    let zeros = vec!["0"; 1_000_000].join(",");
    let text = format!(r#"{{"status":"completed","group_count":"1000000","group_list":[{zeros}]}}"#);
    let message = refusal(text.as_bytes());
    let first = "has 1025 faults:\n`$.group_list` has 1000000 entries, more than the 1024 allowed\n\
                 `$.group_list[0]` is a number, not an object\n";
    assert!(message.starts_with(first), "{message}");
}

#[test]
fn what_works_today_is_accepted() {
    for (what, text) in [
        (
            "neither a version nor a count, which the vendor's scripts don't look at",
            r#"{"status":"completed","server_list":[{"server_id":"a","device":[{"device_id":0,"device_ip":"","rank_id":0}]}]}"#,
        ),
        (
            "one server without addresses of devices, one pod without a number in its name",
            r#"{"status":"completed","group_count":1,"group_list":[{"device_count":"01","instance_count":1,"instance_list":[{"pod_name":"x","server_id":"a","devices":[{"device_id":"0"}]}]}]}"#,
        ),
        (
            "a pod without devices in a group with some",
            r#"{"status":"completed","group_count":1,"group_list":[{"device_count":1,"instance_count":2,"instance_list":[{"pod_name":"x-0","server_id":"a","devices":null},{"pod_name":"x-1","server_id":"b","devices":[{"device_id":"0","device_ip":"fd00::1"}]}]}]}"#,
        ),
        (
            "escapes, space around it and a byte order mark",
            "\u{feff}\n {\"status\":\"completed\",\"server_list\":[{\"server_id\":\"\\u0061\",\"device\":[{\"device_id\":\"0\",\"device_ip\":\"192.1.0.1\",\"rank_id\":\"0\"}]}]}\n ",
        ),
    ] {
        let table = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(table.rank_count(), 1, "{what}");
        assert_eq!(parse(table.to_v1().unwrap().as_bytes()).unwrap().rank_count(), 1, "{what}");
    }
}
