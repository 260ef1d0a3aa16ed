//! What is taken for a table at all, and the message where it is not.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use expect_test::{Expect, expect};
use rank_table::{MAX_BYTES, parse};

fn check(text: &str, expected: Expect) {
    let error = parse(text.as_bytes()).map(|table| table.rank_count()).unwrap_err();
    expected.assert_eq(&error.to_string());
}

#[test]
fn not_a_table() {
    check("", expect!["is empty"]);
    check("{", expect!["breaks off in line 1, column 1, as if it were half-written"]);
    check("{\"status\":\n\"comp", expect!["breaks off in line 2, column 5, as if it were half-written"]);
    check("status: completed", expect!["is not valid JSON: expected value in line 1, column 1"]);
    check("{} {}", expect!["is not valid JSON: trailing characters in line 1, column 4"]);
    check("[]", expect!["is a list, not a JSON object"]);
    check("null", expect!["is null, not a JSON object"]);
    check("\"completed\"", expect!["is text, not a JSON object"]);
    check("{\"a\":\u{0}}", expect!["is not valid JSON: expected value in line 1, column 6"]);
    check(&"[".repeat(100_000), expect!["breaks off in line 1, column 100000, as if it were half-written"]);
    check(&" ".repeat(MAX_BYTES + 1), expect!["is larger than the 4194304 bytes allowed"]);
    let error = parse(b"{\n\"a\":\"\xff\"}").unwrap_err();
    expect!["is not valid JSON: a byte that is not UTF-8 in line 2, column 6"].assert_eq(&error.to_string());
    let error = parse(&"{\"a\":\"ä".as_bytes()[..7]).unwrap_err();
    expect!["breaks off in line 1, column 7, as if it were half-written"].assert_eq(&error.to_string());
}

#[test]
fn status() {
    check("{}", expect!["has no `status`"]);
    check(r#"{"status":"initializing"}"#, expect!["has the status `initializing`"]);
    check(r#"{"version":"1.0","status":"initializing","server_list":null}"#, expect!["has the status `initializing`"]);
    check(r#"{"status":"failed\nhard"}"#, expect![[r#"has the status `failed\nhard`, not `completed`"#]]);
    check(
        r#"{"status":1}"#,
        expect![[r#"
        has 1 fault:
        `$.status` is not text"#]],
    );
    check(
        r#"{"status":"completed"}"#,
        expect![[r#"
        has 1 fault:
        `$` has neither `group_list` (v0) nor `server_list` (v1)"#]],
    );
    check(
        r#"{"status":"completed","group_list":[],"server_list":[]}"#,
        expect![[r#"
        has 1 fault:
        `$` has both `group_list` (v0) and `server_list` (v1)"#]],
    );
    // The last of equal keys counts.
    check(r#"{"status":"completed","status":"initializing"}"#, expect!["has the status `initializing`"]);
}

#[test]
fn newer_formats_are_refused_by_name() {
    check(
        r#"{"version":"1.2","status":"completed"}"#,
        expect![
            "is a super-pod table (its version is `1.2`), which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are"
        ],
    );
    check(
        r#"{"version":"1.2","status":"completed","super_pod_list":[]}"#,
        expect![
            "is a super-pod table of version `1.2` (it has `super_pod_list`), which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are"
        ],
    );
    check(
        r#"{"status":"completed","super_pod_list":[]}"#,
        expect![
            "is a super-pod table (it has `super_pod_list`), which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are"
        ],
    );
    check(
        r#"{"version":"1.0","status":"completed","server_group_list":[]}"#,
        expect![
            "is a global table of version `1.0` (it has `server_group_list`), which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are"
        ],
    );
    check(
        r#"{"version":"2.0","status":"completed","server_list":[]}"#,
        expect![
            "is a table of version `2.0`, which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are"
        ],
    );
    check(
        r#"{"version":2,"status":"completed","server_list":[]}"#,
        expect![
            "is a table of version `2`, which is not supported: v0 (`group_list`) and version 1.0 (`server_list`) are"
        ],
    );
    check(
        r#"{"version":1.2,"status":"completed","server_list":[]}"#,
        expect![[r#"
        has 1 fault:
        `$.version` is a number, not the text `1.0`"#]],
    );
}

#[test]
fn what_works_today_is_accepted() {
    let accepted = |text: &str, ranks: u32| {
        let table = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text} {error}"));
        assert_eq!(table.rank_count(), ranks);
        assert_eq!(parse(table.to_v1().as_bytes()).unwrap().rank_count(), ranks, "{}", table.to_v1());
    };
    // Neither a version nor a count, which the vendor's scripts don't look at.
    accepted(
        r#"{"status":"completed","server_list":[{"server_id":"a","device":[{"device_id":0,"device_ip":"","rank_id":0}]}]}"#,
        1,
    );
    // One server may do without addresses of devices, one pod without a number in its name.
    accepted(
        r#"{"status":"completed","group_count":1,"group_list":[{"device_count":"01","instance_count":1,"instance_list":[{"pod_name":"x","server_id":"a","devices":[{"device_id":"0"}]}]}]}"#,
        1,
    );
    // A pod without devices in a group with some.
    accepted(
        r#"{"status":"completed","group_count":1,"group_list":[{"device_count":1,"instance_count":2,"instance_list":[{"pod_name":"x-0","server_id":"a","devices":null},{"pod_name":"x-1","server_id":"b","devices":[{"device_id":"0","device_ip":"fd00::1"}]}]}]}"#,
        1,
    );
    accepted(
        "\n {\"status\":\"completed\",\"server_list\":[{\"server_id\":\"\\u0061\",\"device\":[{\"device_id\":\"0\",\"device_ip\":\"192.1.0.1\",\"rank_id\":\"0\"}]}]}\n ",
        1,
    );
}
