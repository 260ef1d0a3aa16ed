//! 64 launchers at once as the 64 servers of one table.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use crate::harness::{TestFolder, start, wait};

const SERVERS: u32 = 64;
const DEVICES: u32 = 2;

#[test]
fn all_servers_of_a_job_at_once() {
    let place = TestFolder::new();
    let mut servers = String::new();
    for server in 0..SERVERS {
        let mut devices = String::new();
        for device in 0..DEVICES {
            let comma = if device > 0 { "," } else { "" };
            write!(devices, r#"{comma}{{"device_id":"{device}","device_ip":"192.1.{server}.{device}"}}"#).unwrap();
        }
        let comma = if server > 0 { "," } else { "" };
        write!(
            servers,
            r#"{comma}{{"pod_name":"job-x-{server}","server_id":"10.0.0.{server}","devices":[{devices}]}}"#
        )
        .unwrap();
    }
    let count = SERVERS * DEVICES;
    let table = format!(
        r#"{{"status":"completed","group_count":"1","group_list":[{{"group_name":"g","device_count":"{count}",
        "instance_count":"{SERVERS}","instance_list":[{servers}]}}]}}"#
    );
    // The platform's way: a folder that the variable names.
    fs::create_dir(place.path("table")).unwrap();
    fs::write(place.path("table/jobstart_hccl.json"), table).unwrap();
    // Every node on a file system of all of them: logs meet.
    let children: Vec<_> = (0..SERVERS)
        .map(|server| {
            let mut command = place.shell(
                "",
                "echo $RANK_ID/$RANK_SIZE $DEVICE_ID $MASTER_ADDR; grep -q 'server_count\":\"64\"' $RANK_TABLE_FILE",
            );
            command.env("RANK_TABLE_FILE", place.path("table"));
            command.env("MA_CURRENT_INSTANCE_NAME", format!("job-x-{server}"));
            start(&mut command)
        })
        .collect();
    let mut lines = BTreeSet::new();
    for child in children {
        let finished = wait(child).ends(0);
        lines.extend(finished.stdout.lines().map(str::to_owned));
    }
    let expected: BTreeSet<String> =
        (0..count).map(|rank| format!("[rank {rank}] {rank}/{count} {} 10.0.0.0", rank % DEVICES)).collect();
    assert_eq!(lines, expected);
    assert_eq!(
        fs::read_dir(place.path("mount/log")).unwrap().filter(|it| is_log(it.as_ref().unwrap())).count(),
        count as usize
    );
}

fn is_log(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().contains("-proc-rank-")
}
