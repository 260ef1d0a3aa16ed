//! A table that is known to be right.

use std::collections::HashMap;
use std::fmt::{self, Write};

/// Which of the two formats a table came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `group_list` → `instance_list` → `devices`, with the names of the pods and without ranks: the platform's config map.
    V0,
    /// `server_list` → `device`, with a `rank_id` each: what the collective library reads.
    V1,
}

/// One device of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `device_id`: the physical number on its server. What ranks get as DEVICE_ID is another number: the position of this
    /// device in [`Instance::devices`].
    pub id: u32,
    /// `device_ip`, as it was written. `None` where a table of one server leaves it out.
    pub ip: Option<String>,
    /// The rank, from 0, unique in the job. Read from a v1 table, numbered for a v0 one.
    pub rank: u32,
}

/// What one launcher starts the ranks of: a pod of a v0 table, a server of a v1 table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `pod_name`; a v1 table has none.
    pub name: Option<String>,
    /// `server_id`, as it was written: an IP address of the host, as a rule. Two instances may be on one server.
    pub server_id: String,
    /// Its devices in the order of the file. May be empty.
    pub devices: Vec<Device>,
}

/// A complete table without faults.
///
/// Ranks are unique and go from 0 to [`RankTable::rank_count`] − 1 without gaps; `pod_name`s are unique; a device is there
/// once; addresses of devices are IP addresses and unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankTable {
    pub(crate) format: Format,
    pub(crate) instances: Vec<Instance>,
    pub(crate) without_devices: Vec<String>,
}

impl RankTable {
    /// Which format it came in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The instances of a v0 table in the order in which they were numbered, the servers of a v1 table in its own order.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// `pod_name`s in groups whose `device_count` is 0. No rank is theirs.
    pub fn without_devices(&self) -> &[String] {
        &self.without_devices
    }

    /// Ranks of the whole job, at least 1.
    pub fn rank_count(&self) -> u32 {
        // As many as fit: a table is bounded to fewer devices than that.
        self.instances.iter().map(|it| u32::try_from(it.devices.len()).unwrap_or(u32::MAX)).sum()
    }

    /// The instance of rank 0, whose server the others meet at.
    pub fn instance_of_rank_0(&self) -> Option<&Instance> {
        self.instances.iter().find(|it| it.devices.iter().any(|device| device.rank == 0))
    }

    /// The table as the text of a v1 file, numbers as strings, with a final newline.
    ///
    /// Instances on the same server become one server, at the place of the first of them, as the vendor's scripts do it.
    /// Keys are in the order in which those write them.
    pub fn to_v1(&self) -> String {
        let servers = self.servers();
        let devices: usize = servers.iter().map(|it| it.1.len()).sum();
        // Room for all of it, as a rule, so that it is not copied as it grows.
        let mut text = String::with_capacity(128 + 64 * servers.len() + 80 * devices);
        text.push_str(r#"{"status":"completed","version":"1.0","server_count":""#);
        push_number(&mut text, servers.len());
        text.push_str(r#"","server_list":["#);
        for (number, (server_id, devices)) in servers.iter().enumerate() {
            text.push_str(if number == 0 { r#"{"server_id":"# } else { r#",{"server_id":"# });
            push_quoted(&mut text, server_id);
            text.push_str(r#","device":["#);
            for (number, device) in devices.iter().enumerate() {
                text.push_str(if number == 0 { r#"{"device_id":""# } else { r#",{"device_id":""# });
                push_number(&mut text, device.id);
                text.push('"');
                if let Some(ip) = &device.ip {
                    text.push_str(r#","device_ip":"#);
                    push_quoted(&mut text, ip);
                }
                text.push_str(r#","rank_id":""#);
                push_number(&mut text, device.rank);
                text.push_str(r#""}"#);
            }
            text.push_str("]}");
        }
        text.push_str("]}\n");
        text
    }

    /// Server ids in the order of their first instance, with the devices of all their instances.
    fn servers(&self) -> Vec<(&str, Vec<&Device>)> {
        let mut places = HashMap::new();
        let mut servers: Vec<(&str, Vec<&Device>)> = Vec::new();
        for instance in &self.instances {
            let place = *places.entry(instance.server_id.as_str()).or_insert(servers.len());
            if place == servers.len() {
                servers.push((&instance.server_id, Vec::new()));
            }
            servers[place].1.extend(&instance.devices);
        }
        servers
    }
}

fn push_number(text: &mut String, number: impl fmt::Display) {
    // Writing to memory does not fail.
    let _ = write!(text, "{number}");
}

/// As JSON, in quotes.
fn push_quoted(text: &mut String, value: &str) {
    if value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        text.push_str(&serde_json::Value::from(value).to_string());
    } else {
        text.extend(["\"", value, "\""]);
    }
}
