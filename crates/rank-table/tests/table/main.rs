//! Rank tables: refused for all that is wrong with them, converted, found, waited for.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod find;
mod golden;
mod properties;
mod refusals;
mod watch;

use expect_test::ExpectFile;
use serde_json::{Value, json};

/// A v0 table of groups of pods: the name, the server and the number of devices of each.
fn v0(groups: &[Vec<(String, String, usize)>]) -> Value {
    let mut pods = 0;
    let mut group = |of_group: &Vec<(String, String, usize)>| {
        let mut pod = |(name, server, devices): &(String, String, usize)| {
            pods += 1;
            let ip = |d| format!("10.{d}.{}.{}", pods / 256, pods % 256);
            let device = |d| json!({"device_id": pods * 8 + d, "device_ip": ip(d)});
            json!({"pod_name": name, "server_id": server, "devices": (0..*devices).map(device).collect::<Vec<_>>()})
        };
        let list: Vec<Value> = of_group.iter().map(&mut pod).collect();
        let devices: usize = of_group.iter().map(|(_, _, devices)| devices).sum();
        json!({"device_count": devices.to_string(), "instance_count": list.len(), "instance_list": list})
    };
    let list: Vec<Value> = groups.iter().map(&mut group).collect();
    json!({"status": "completed", "group_count": list.len().to_string(), "group_list": list})
}

/// A 1.2 table of super pods of servers, and the number of devices of each server.
fn v1_2(pods: &[Vec<(String, usize)>]) -> Value {
    let (mut rank, mut servers) = (0, Vec::new());
    for (id, devices) in pods.iter().flatten() {
        let server = servers.len();
        let mut device = |d: usize| {
            let ip = format!("10.{d}.{}.{}", server / 256, server % 256);
            rank += 1;
            json!({"device_id": d.to_string(), "device_ip": ip, "super_device_id": (server * 8 + d).to_string(), "rank_id": (rank - 1).to_string()})
        };
        let devices: Vec<Value> = (0..*devices).map(&mut device).collect();
        servers.push(json!({"server_id": id, "device": devices}));
    }
    let pod = |(number, pod): (usize, &Vec<(String, usize)>)| {
        let servers: Vec<Value> = pod.iter().map(|(id, _)| json!({"server_id": id})).collect();
        json!({"super_pod_id": number.to_string(), "server_list": servers})
    };
    let pods: Vec<Value> = pods.iter().enumerate().map(pod).collect();
    json!({"version": "1.2", "status": "completed", "server_count": servers.len().to_string(), "server_list": servers, "super_pod_list": pods})
}

/// A 2.0 table of nodes with so many devices each, whose second network has the addresses 10.1.N.D, in racks of eight.
fn v2(nodes: &[usize]) -> Value {
    let mut list = Vec::new();
    for (node, devices) in nodes.iter().enumerate() {
        for device in 0..*devices {
            let address =
                |kind, addr| json!({"addr_type": kind, "addr": addr, "ports": ["0/1", "0/2"], "plane_id": "plane0"});
            let eid = format!("{:032x}", 0x1000 + node * 256 + device);
            let ip = format!("10.1.{node}.{device}");
            list.push(json!({"rank_id": list.len(), "local_id": node % 8 * 8 + device, "device_id": device, "level_list": [
                {"net_layer": 0, "net_instance_id": format!("rack{}", node / 8), "net_type": "TOPO_FILE_DESC", "net_attr": "", "rank_addr_list": [address("EID", eid)]},
                {"net_layer": 3, "net_instance_id": "cluster", "net_type": "CLOS", "net_attr": "", "rank_addr_list": [address("IPV4", ip)]}]}));
        }
    }
    json!({"version": "2.0", "status": "completed", "rank_count": list.len(), "rank_list": list})
}

/// Runs the cases of a file: each is some lines, which `run` is given, and its answer, the lines that begin with `|`.
/// Comments begin with `#`. `UPDATE_EXPECT=1` renews the answers.
fn check_cases(cases: &str, file: ExpectFile, run: impl Fn(&[&str]) -> String) {
    let answered = cases.trim_end().split("\n\n").map(|case| {
        let (comments, lines): (Vec<&str>, Vec<&str>) =
            case.lines().filter(|line| !line.starts_with('|')).partition(|line| line.starts_with('#'));
        let answer = if lines.is_empty() { String::new() } else { run(&lines) };
        let answer = answer.lines().map(|line| format!("| {line}"));
        let all = comments.iter().chain(&lines).map(|line| (*line).to_owned()).chain(answer);
        all.collect::<Vec<_>>().join("\n")
    });
    file.assert_eq(&(answered.collect::<Vec<_>>().join("\n\n") + "\n"));
}
