//! A table that is known to be right.

use std::collections::HashMap;

use serde::{Serialize, Serializer};

/// Which of the two formats a table came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `group_list` → `instance_list` → `devices`, with the names of the pods and without ranks: the platform's config map.
    V0,
    /// `server_list` → `device`, with a `rank_id` each: what the collective library reads.
    V1,
}

/// One device of the job. Written as in a v1 file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `device_id`: the physical number on its server. What ranks get as DEVICE_ID is another one: [`Instance::logical_id`].
    #[serde(rename = "device_id", serialize_with = "as_text")]
    pub id: u32,
    /// `device_ip`, as it was written. `None` where a table of one server leaves it out.
    #[serde(rename = "device_ip", skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The rank, from 0, unique in the job. Read from a v1 table, numbered for a v0 one.
    #[serde(rename = "rank_id", serialize_with = "as_text")]
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

impl Instance {
    /// The driver's number of a device in the instance's container, from 0: the driver counts the devices that a container
    /// has by their physical numbers, whatever their order in the table is.
    pub fn logical_id(&self, device: &Device) -> u32 {
        // Bounded to far less by the limits of a table.
        u32::try_from(self.devices.iter().filter(|it| it.id < device.id).count()).unwrap_or(u32::MAX)
    }
}

/// A complete table without faults.
///
/// Ranks are unique and go from 0 to [`RankTable::rank_count`] − 1 without gaps; `pod_name`s are unique; a device is there
/// once; addresses of devices are IP addresses and unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankTable {
    pub(crate) format: Format,
    pub(crate) instances: Vec<Instance>,
    /// `pod_name`s in groups whose `device_count` is 0. No rank is theirs.
    pub(crate) without_devices: Vec<String>,
}

/// The text of a v1 file, with its keys in the order in which the vendor's scripts write them.
#[derive(Serialize)]
struct V1<'t> {
    status: &'static str,
    version: &'static str,
    server_count: String,
    server_list: Vec<Server<'t>>,
}

#[derive(Serialize)]
struct Server<'t> {
    server_id: &'t str,
    device: Vec<&'t Device>,
}

fn as_text<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
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
    pub fn to_v1(&self) -> String {
        let mut positions = HashMap::new();
        let mut server_list: Vec<Server<'_>> = Vec::new();
        for Instance { server_id, devices, .. } in &self.instances {
            let position = *positions.entry(server_id.as_str()).or_insert(server_list.len());
            if position == server_list.len() {
                server_list.push(Server { server_id, device: Vec::new() });
            }
            server_list[position].device.extend(devices);
        }
        let server_count = server_list.len().to_string();
        let table = V1 { status: "completed", version: "1.0", server_count, server_list };
        // Text and lists of it are always JSON.
        serde_json::to_string(&table).unwrap_or_default() + "\n"
    }
}
