//! Conversions, file by file: `tables/<name>.v0.json` becomes `tables/<name>.v1.json`.
//!
//! The v0 files are this project's own, in the shape that the platform's config map has. The v1 files have been compared
//! once with what a relative of the vendor's scripts (`davincirunsdk` 0.1.5 on PyPI) makes of the same input; it drops what
//! it does not know. The 1.2 and 2.0 files are in the shape that the manuals of HCCL and MindCluster describe; the Ascend
//! Operator adds the empty `server_list` of the latter.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rank_table::{Format, RankTable, parse, write_copy, write_v1};

fn table(name: &str) -> RankTable {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/table/tables").join(name);
    parse(&fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("`{name}` {error}"))
}

#[test]
fn v0_files_become_v1_files() {
    for (name, names) in [
        // Each pod still starts its own ranks only.
        ("pods_share_a_server", &["job-x-0", "job-x-1", "job-x-2"][..]),
        // Groups without devices are skipped, and only the first is sorted.
        ("groups", &["job-a-1", "job-a-0", "job-b-0"]),
        // By number and not by name.
        (
            "pods_out_of_order",
            &["job94dc1dbf-job-net-0", "job94dc1dbf-job-net-1", "job94dc1dbf-job-net-2", "job94dc1dbf-job-net-10"],
        ),
        ("one_server", &["job-x-0"]),
        ("integers_and_unknown_keys", &["job-x-0"]),
        // Of two pods on a server, the first that says something decides.
        ("optional_fields", &["job-x-0", "job-x-1"]),
    ] {
        let v0 = table(&format!("{name}.v0.json"));
        assert_eq!(v0.format(), Format::V0);
        let found: Vec<_> = v0.instances().iter().filter_map(|it| it.name.as_deref()).collect();
        assert_eq!(found, names, "{name}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/table/tables/{name}.v1.json"));
        assert_eq!(v0.to_v1().unwrap(), fs::read_to_string(path).unwrap(), "{name}");

        let v1 = table(&format!("{name}.v1.json"));
        assert_eq!(v1.format(), Format::V1);
        assert_eq!(v1.rank_count(), v0.rank_count());
        assert_eq!(v1.to_v1().unwrap(), v0.to_v1().unwrap(), "a v1 table is its own conversion");
    }
}

#[test]
fn super_pods_of_servers() {
    let table = table("super_pods.v1.2.json");
    assert_eq!((table.format(), table.rank_count()), (Format::V1_2, 6));
    let of_server = |n: usize| {
        let server = &table.instances()[n];
        let ids: Vec<_> = server.devices.iter().filter_map(|it| it.super_id).collect();
        (server.server_id.as_deref(), server.super_pod.as_deref(), ids)
    };
    assert_eq!(of_server(1), (Some("server-1"), Some("0"), vec![114_753_549, 114_819_086]));
    assert_eq!(of_server(2), (Some("server-2"), Some("1"), vec![114_622_475, 114_688_012]));
    let refused = table.to_v1().unwrap_err().to_string();
    assert_eq!(refused, "is a table of version 1.2, and its super pods would be lost in version 1.0");
    let refused = write_v1(&table, Path::new("/nowhere/t.json")).unwrap_err().to_string();
    assert!(refused.starts_with("failed to write the rank table `/nowhere/t.json`: it is a table of"), "{refused}");
}

#[test]
fn nodes_of_ranks() {
    let table = table("ranks.v2.json");
    assert_eq!((table.format(), table.rank_count()), (Format::V2, 4));
    let of_node = |n: usize| {
        let node = &table.instances()[n];
        let devices: Vec<_> = node.devices.iter().map(|it| (it.rank, it.id, node.logical_id(it))).collect();
        let addresses: Vec<_> = node.addresses.iter().map(ToString::to_string).collect();
        (node.server_id.as_deref(), node.address(), devices, addresses.join(" "))
    };
    assert_eq!(of_node(0), (None, None, vec![(0, 4, 0), (1, 5, 1)], "192.1.0.4 192.1.0.5".to_owned()));
    assert_eq!(of_node(1), (None, None, vec![(2, 4, 0), (3, 5, 1)], "192.1.1.4 192.1.1.5".to_owned()));
    assert_eq!(table.instances().len(), 2);
    let refused = table.to_v1().unwrap_err().to_string();
    assert!(refused.contains("the networks of its ranks (`level_list`) would be lost"), "{refused}");
}

/// What others connect to.
#[test]
fn the_address_of_a_server_is_its_pods_if_it_is_known() {
    for (server, address) in [
        (r#""server_id":"a""#, "a"),
        (r#""server_id":"a","host_ip":"10.0.0.1""#, "10.0.0.1"),
        (r#""container_ip":"","host_ip":"","server_id":"a""#, "a"),
        (r#""server_id":"10.0.0.9","host_ip":"10.0.0.1""#, "10.0.0.9"),
        (r#""server_id":"10.0.0.9","host_ip":"10.0.0.1","container_ip":"192.168.0.1""#, "192.168.0.1"),
        (r#""server_id":"10.0.0.9","container_ip":7"#, "10.0.0.9"),
    ] {
        let text = format!(
            r#"{{"status":"completed","server_list":[{{{server},"device":[{{"device_id":"0","rank_id":"0"}}]}}]}}"#
        );
        assert_eq!(parse(text.as_bytes()).unwrap().instances()[0].address(), Some(address), "{server}");
    }
}

#[test]
fn the_instance_of_rank_0_is_found_wherever_it_is() {
    assert_eq!(
        table("pods_out_of_order.v0.json").instance_of_rank_0().unwrap().server_id.as_deref(),
        Some("192.168.0.20")
    );
    let text = r#"{"status":"completed","server_list":[
        {"server_id":"192.168.0.1","device":[{"device_id":"0","device_ip":"192.1.0.1","rank_id":"1"}]},
        {"server_id":"192.168.0.2","device":[{"device_id":"0","device_ip":"192.1.0.2","rank_id":"0"}]}]}"#;
    let table = parse(text.as_bytes()).unwrap();
    assert_eq!(table.instance_of_rank_0().unwrap().server_id.as_deref(), Some("192.168.0.2"));
    assert_eq!(table.instances()[0].devices[0].rank, 1, "ranks are those of the file");
}

/// They would be there twice.
#[test]
fn keys_that_only_v1_knows_are_not_taken_over_from_v0() {
    let text = r#"{"status":"completed","version":"1.0","server_count":"9","group_count":"1","group_list":[{"device_count":"1",
        "instance_count":"1","instance_list":[{"pod_name":"x","server_id":"a","device":[],"devices":[{"device_id":"0","rank_id":"7"}]}]}]}"#;
    let v1 = parse(text.as_bytes()).unwrap().to_v1().unwrap();
    let expected = r#"{"status":"completed","version":"1.0","server_count":"1","server_list":[{"server_id":"a","device":[{"device_id":"0","rank_id":"0"}]}]}"#;
    assert_eq!(v1.trim_end(), expected);
}

#[test]
fn names_of_servers_are_quoted_as_json_demands() {
    let text = br#"{"status":"completed","version":"1.0","server_count":"1","server_list":[{"server_id":"a\"\\\u00e4/","device":[{"device_id":"0","rank_id":"0"}]}]}"#;
    let table = parse(text).unwrap();
    assert_eq!(table.instances()[0].server_id.as_deref(), Some("a\"\\ä/"));
    assert!(table.to_v1().unwrap().contains(r#""server_id":"a\"\\ä/""#), "{}", table.to_v1().unwrap());
    assert_eq!(parse(table.to_v1().unwrap().as_bytes()).unwrap(), table);
}

#[test]
fn the_converted_file_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobstart_hccl.json");
    let v0 = table("pods_out_of_order.v0.json");
    write_v1(&v0, &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), v0.to_v1().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    write_v1(&table("one_server.v0.json"), &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), table("one_server.v0.json").to_v1().unwrap());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_link_in_the_way_is_replaced_and_its_target_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (target, path) = (folder.path().join("config.json"), folder.path().join("t.json"));
    fs::write(&target, "the platform's").unwrap();
    symlink(&target, &path).unwrap();
    write_v1(&table("groups.v0.json"), &path).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "the platform's");
    assert_eq!(fs::read_to_string(&path).unwrap(), table("groups.v0.json").to_v1().unwrap());
}

#[test]
fn a_table_behind_a_link_is_copied_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let [target, link, copy] = ["config.json", "link.json", "copy.json"].map(|name| folder.path().join(name));
    symlink(&target, &link).unwrap();
    for name in ["ranks.v2.json", "super_pods.v1.2.json", "groups.v1.json"] {
        let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/table/tables").join(name)).unwrap();
        fs::write(&target, &bytes).unwrap();
        write_copy(&table(name), &link, &copy).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), bytes);
        let kept = fs::symlink_metadata(&copy).unwrap();
        assert!(kept.is_file() && kept.permissions().mode() & 0o777 == 0o644);
    }
    let before = fs::read(&copy).unwrap();
    let refused = write_copy(&table("ranks.v2.json"), &link, &copy).unwrap_err();
    assert!(refused.to_string().ends_with("link.json` is another one than at the start"), "{refused}");
    fs::remove_file(&target).unwrap();
    let refused = write_copy(&table("groups.v1.json"), &link, &copy).unwrap_err().to_string();
    assert!(refused.starts_with("failed to read the rank table `") && refused.contains("link.json`: "), "{refused}");
    assert_eq!(fs::read(&copy).unwrap(), before, "what was there stays");
}

#[test]
fn a_failure_names_the_path_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("t.json")).unwrap();
    for (path, message) in [
        ("file/t.json", "failed to write the rank table `<folder>/file/t.json`: "),
        ("t.json", "failed to write the rank table `<folder>/t.json`: "),
    ] {
        let error = write_v1(&table("groups.v0.json"), &folder.path().join(path)).unwrap_err().to_string();
        let shown = error.replace(&*folder.path().to_string_lossy(), "<folder>");
        assert!(shown.starts_with(message), "{shown}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the temporary file is gone");
}
