//! A table that is known to be right.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::error::Error;

/// Which format a table came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `group_list` → `instance_list` → `devices`, with the names of the pods and without ranks: the platform's config map.
    V0,
    /// `server_list` → `device`, with a `rank_id` each: what the collective library reads.
    V1,
    /// The same with `super_pod_list`, of Atlas A3.
    V1_2,
    /// `rank_list` → `level_list` → `rank_addr_list`, of Ascend 950: ranks and their networks, without servers.
    V2,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::V0 => "v0",
            Format::V1 => "v1",
            Format::V1_2 => "version 1.2",
            Format::V2 => "version 2.0",
        })
    }
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
    /// `super_device_id` of a 1.2 table: the number in the super pod.
    #[serde(skip)]
    pub super_id: Option<u32>,
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// Keys of an object that nothing here reads, `device_port` and `host_ip` for example, and their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extra(pub Vec<(String, Value)>);

impl Extra {
    /// The value of a key, if it is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|it| it.0 == key)?.1.as_str()
    }

    /// Takes over those of another object whose keys are not here yet.
    fn add(&mut self, other: &Extra) {
        for (key, value) in &other.0 {
            if self.0.iter().all(|it| it.0 != *key) {
                self.0.push((key.clone(), value.clone()));
            }
        }
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// What one launcher starts the ranks of: a pod of a v0 table, a server of a 1.x table, a node of a 2.0 table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// `pod_name`; only a v0 table has it.
    pub name: Option<String>,
    /// `server_id`, as it was written: an IP address of the host, or any name. Two pods may be on one server. `None` in a
    /// 2.0 table.
    pub server_id: Option<String>,
    /// `super_pod_id` of the super pod that has the server, in a 1.2 table with any.
    pub super_pod: Option<String>,
    /// Every IP address by which the instance can be recognised: `server_id`, `host_ip`, `container_ip`; in a 2.0 table
    /// those in `rank_addr_list`.
    pub addresses: Vec<IpAddr>,
    /// Its devices in the order of the file, in a 2.0 table in the order of their ranks. May be empty.
    pub devices: Vec<Device>,
    pub(crate) extra: Extra,
}

impl Instance {
    /// The driver's number of a device in the instance's container, from 0: the driver counts the devices that a container
    /// has by their physical numbers, whatever their order in the table is.
    pub fn logical_id(&self, device: &Device) -> u32 {
        // Bounded to far less by the limits of a table.
        u32::try_from(self.devices.iter().filter(|it| it.id < device.id).count()).unwrap_or(u32::MAX)
    }

    /// Where the other servers reach the processes of this one: `container_ip`, which is the pod's own, else `server_id` if
    /// it is an IP address, else `host_ip`, else the name in `server_id`. `None` in a 2.0 table.
    pub fn address(&self) -> Option<&str> {
        let is_address = |it: &&str| it.parse::<IpAddr>().is_ok();
        let id = self.server_id.as_deref();
        let extra = |key| self.extra.text(key).filter(is_address);
        extra("container_ip").or(id.filter(is_address)).or_else(|| extra("host_ip")).or(id)
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
    pub(crate) extra: Extra,
}

/// The text of a v1 file, with its keys in the order in which the vendor's scripts write them.
#[derive(Serialize)]
struct V1<'t> {
    status: &'static str,
    version: &'static str,
    server_count: String,
    server_list: Vec<Server<'t>>,
    #[serde(flatten)]
    extra: &'t Extra,
}

#[derive(Serialize)]
struct Server<'t> {
    server_id: &'t str,
    device: Vec<&'t Device>,
    #[serde(flatten)]
    extra: Extra,
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
    /// Keys of devices, servers and the table that this crate does not read are kept with their values, `device_port` and
    /// `host_ip` for example; of instances on the same server the first that has a key decides. The names of pods and
    /// whatever is said of groups have no place in a v1 file.
    ///
    /// # Errors
    ///
    /// [`Error`], the end of a sentence about the file, for a table of a version that can say more.
    pub fn to_v1(&self) -> Result<String, Error> {
        let lost = match self.format {
            Format::V0 | Format::V1 => None,
            Format::V1_2 => Some("its super pods"),
            Format::V2 => Some("the networks of its ranks (`level_list`)"),
        };
        if let Some(lost) = lost {
            let format = self.format;
            return Err(Error::lasting(format!("is a table of {format}, and {lost} would be lost in version 1.0")));
        }
        let mut positions = HashMap::new();
        let mut server_list: Vec<Server<'_>> = Vec::new();
        for Instance { server_id, devices, extra, .. } in &self.instances {
            let server_id = server_id.as_deref().unwrap_or_default();
            let position = *positions.entry(server_id).or_insert(server_list.len());
            if position == server_list.len() {
                server_list.push(Server { server_id, device: Vec::new(), extra: Extra::default() });
            }
            server_list[position].device.extend(devices);
            server_list[position].extra.add(extra);
        }
        let server_count = server_list.len().to_string();
        let table = V1 { status: "completed", version: "1.0", server_count, server_list, extra: &self.extra };
        // Text, numbers and lists of them are always JSON.
        Ok(serde_json::to_string(&table).unwrap_or_default() + "\n")
    }
}
