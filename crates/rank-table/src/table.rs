//! A table that is known to be right.

use std::collections::HashMap;

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

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
    pub fn to_v1(&self) -> String {
        #[expect(clippy::expect_used, reason = "keys are text and writing to memory does not fail: nothing else can")]
        let text = serde_json::to_string(&V1 { servers: self.servers() }).expect("a table is always JSON");
        text + "\n"
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

/// Keys in the order in which the vendor's scripts write them.
struct V1<'t> {
    servers: Vec<(&'t str, Vec<&'t Device>)>,
}

impl Serialize for V1<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_struct("RankTable", 4)?;
        table.serialize_field("status", "completed")?;
        table.serialize_field("version", "1.0")?;
        table.serialize_field("server_count", &self.servers.len().to_string())?;
        table.serialize_field("server_list", &Servers(&self.servers))?;
        table.end()
    }
}

struct Servers<'t>(&'t [(&'t str, Vec<&'t Device>)]);

impl Serialize for Servers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (server_id, devices) in self.0 {
            list.serialize_element(&Server { server_id, device: devices.iter().map(|it| V1Device(it)).collect() })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Server<'t> {
    server_id: &'t str,
    device: Vec<V1Device<'t>>,
}

struct V1Device<'t>(&'t Device);

impl Serialize for V1Device<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut device = serializer.serialize_struct("Device", 3)?;
        device.serialize_field("device_id", &self.0.id.to_string())?;
        if let Some(ip) = &self.0.ip {
            device.serialize_field("device_ip", ip)?;
        }
        device.serialize_field("rank_id", &self.0.rank.to_string())?;
        device.end()
    }
}
