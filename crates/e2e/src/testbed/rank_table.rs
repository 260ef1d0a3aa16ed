//! Rank tables as the platform writes them.

use serde_json::{Value, json};

pub const TABLE: &str = "jobstart_hccl.json";

/// A table of version 0 with one group: pod name, server and devices of each instance.
pub fn v0(instances: &[(&str, &str, &[u32])]) -> Value {
    let list = instances.iter().map(|(pod, server, devices)| {
        let address = |device: &u32| device_address(server, *device);
        let device = |number: &u32| json!({ "device_id": number.to_string(), "device_ip": address(number) });
        let devices = devices.iter().map(device).collect::<Vec<_>>();
        json!({ "pod_name": pod, "server_id": server, "devices": devices })
    });
    let count: usize = instances.iter().map(|instance| instance.2.len()).sum();
    json!({
        "status": "completed", "group_count": "1",
        "group_list": [{
            "group_name": "job", "device_count": count.to_string(), "instance_count": instances.len().to_string(),
            "instance_list": list.collect::<Vec<_>>(),
        }],
    })
}

/// A table of a later version: servers and their devices, ranks in order. `number` writes the numbers.
pub fn v1(version: &str, servers: &[(&str, &[u32])], number: fn(usize) -> Value) -> Value {
    let mut ranks = 0..;
    let list = servers.iter().map(|(id, devices)| {
        let device = |(device, rank): (&u32, usize)| {
            let address = device_address(id, *device);
            json!({ "device_id": number(*device as usize), "device_ip": address, "rank_id": number(rank) })
        };
        json!({ "server_id": id, "device": devices.iter().zip(&mut ranks).map(device).collect::<Vec<_>>() })
    });
    let list = list.collect::<Vec<_>>();
    json!({ "version": version, "status": "completed", "server_count": number(servers.len()), "server_list": list })
}

/// An address of its own for each device of each server.
fn device_address(server: &str, device: u32) -> String {
    let mut parts = server.rsplit('.');
    let (last, third) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
    format!("10.{}.{third}.{last}", device + 1)
}
