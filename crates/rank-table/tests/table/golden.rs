//! Conversions, file by file: `tables/<name>.v0.json` becomes `tables/<name>.v1.json`.
//!
//! The v0 files are this project's own, in the shape that the platform's config map has. The v1 files have been compared
//! once with what a relative of the vendor's scripts (`davincirunsdk` 0.1.5 on PyPI) makes of the same input.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rank_table::{Format, RankTable, parse, write_v1};

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
    ] {
        let v0 = table(&format!("{name}.v0.json"));
        assert_eq!(v0.format(), Format::V0);
        let found: Vec<_> = v0.instances().iter().filter_map(|it| it.name.as_deref()).collect();
        assert_eq!(found, names, "{name}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/table/tables/{name}.v1.json"));
        assert_eq!(v0.to_v1(), fs::read_to_string(path).unwrap(), "{name}");

        let v1 = table(&format!("{name}.v1.json"));
        assert_eq!(v1.format(), Format::V1);
        assert_eq!(v1.rank_count(), v0.rank_count());
        assert_eq!(v1.to_v1(), v0.to_v1(), "a v1 table is its own conversion");
    }
}

#[test]
fn the_instance_of_rank_0_is_found_wherever_it_is() {
    assert_eq!(table("pods_out_of_order.v0.json").instance_of_rank_0().unwrap().server_id, "192.168.0.20");
    let text = r#"{"status":"completed","server_list":[
        {"server_id":"192.168.0.1","device":[{"device_id":"0","device_ip":"192.1.0.1","rank_id":"1"}]},
        {"server_id":"192.168.0.2","device":[{"device_id":"0","device_ip":"192.1.0.2","rank_id":"0"}]}]}"#;
    let table = parse(text.as_bytes()).unwrap();
    assert_eq!(table.instance_of_rank_0().unwrap().server_id, "192.168.0.2");
    assert_eq!(table.instances()[0].devices[0].rank, 1, "ranks are those of the file");
}

#[test]
fn names_of_servers_are_quoted_as_json_demands() {
    let text = br#"{"status":"completed","version":"1.0","server_count":"1","server_list":[{"server_id":"a\"\\\u00e4/","device":[{"device_id":"0","rank_id":"0"}]}]}"#;
    let table = parse(text).unwrap();
    assert_eq!(table.instances()[0].server_id, "a\"\\ä/");
    assert!(table.to_v1().contains(r#""server_id":"a\"\\ä/""#), "{}", table.to_v1());
    assert_eq!(parse(table.to_v1().as_bytes()).unwrap(), table);
}

#[test]
fn the_converted_file_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobstart_hccl.json");
    let v0 = table("pods_out_of_order.v0.json");
    write_v1(&v0, &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), v0.to_v1());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    write_v1(&table("one_server.v0.json"), &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), table("one_server.v0.json").to_v1());
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
    assert_eq!(fs::read_to_string(&path).unwrap(), table("groups.v0.json").to_v1());
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
