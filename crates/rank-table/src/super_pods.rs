//! What version 1.2 adds to a table: super pods, and the numbers of devices in them.

use std::collections::HashMap;

use serde_json::Value;

use crate::check::{Check, JsonPath, Object, repeated};
use crate::error::quote;
use crate::table::Instance;

/// Super pods of a table.
const MAX_SUPER_PODS: usize = 16_384;

/// Servers of a super pod.
const MAX_SERVERS: usize = 16_384;

/// What was seen in `server_list` that `super_pod_list` has to fit.
#[derive(Default)]
pub(crate) struct SuperPods {
    /// The server's number in [`Check`], if its id is one, and where the id is. In the order of the table's instances.
    pub servers: Vec<(Option<usize>, JsonPath)>,
    /// The number of the server, and the device's in its super pod.
    devices: Vec<((usize, u32), JsonPath)>,
    without_id: Vec<JsonPath>,
}

impl SuperPods {
    /// `super_device_id` of a device of the server with that number.
    pub fn device(
        &mut self,
        device: &Object,
        entry: JsonPath,
        server: Option<usize>,
        check: &mut Check,
    ) -> Option<u32> {
        let path = entry.key("super_device_id");
        let Some(value) = device.get("super_device_id") else {
            self.without_id.push(path);
            return None;
        };
        let id = check.whole(Some(value), path, u32::MAX)?;
        self.devices.extend(server.map(|server| ((server, id), path)));
        Some(id)
    }

    /// Reads `super_pod_list`, and says in which super pod each instance is. Without the list, and without a single
    /// `super_device_id`, the collective library takes the servers for ordinary ones, and so does this.
    pub fn read(self, top: &Object, instances: &mut [Instance], check: &mut Check) {
        let Some(list) = top.get("super_pod_list") else { return };
        let (pods, _) = check.list(Some(list), JsonPath::top("super_pod_list"), MAX_SUPER_PODS);
        if !list.is_array() {
            return;
        }
        check.is_one_super_pod = pods.len() == 1;
        let positions =
            (0..).zip(&self.servers).filter_map(|(position, (server, _))| Some((*server.as_ref()?, position)));
        let positions: HashMap<usize, usize> = positions.collect();
        let mut ids = HashMap::new();
        // By the server's number: the number of the super pod, and where that was said.
        let mut pod_of = HashMap::new();
        for (number, (entry, pod)) in pods.iter().enumerate() {
            let path = entry.key("super_pod_id");
            let id = match pod.get("super_pod_id") {
                Some(Value::Number(id)) if id.is_u64() => Some(id.to_string()),
                other => check.text(other, path).map(str::to_owned),
            };
            if let Some(id) = &id
                && let Some(first) = ids.insert(id.clone(), path)
            {
                check.add(path, format!("is {}, which `{first}` is already", quote(id)));
            }
            let (servers, _) = check.list(pod.get("server_list"), entry.key("server_list"), MAX_SERVERS);
            for (entry, server) in servers {
                let path = entry.key("server_id");
                let Some(text) = check.text(server.get("server_id"), path) else { continue };
                let Some(server) = check.number_of_server(text) else {
                    check.add(path, format!("is {}, which is not a server of `$.server_list`", quote(text)));
                    continue;
                };
                if let Some((_, first)) = pod_of.insert(server, (number, path)) {
                    check.add(path, format!("is {}, which `{first}` is already", quote(text)));
                }
                if let Some(instance) = positions.get(&server).and_then(|it| instances.get_mut(*it)) {
                    instance.super_pod = id.clone();
                }
            }
        }
        for ((server, path), instance) in self.servers.iter().zip(instances) {
            if server.is_some_and(|it| !pod_of.contains_key(&it)) {
                let id = quote(instance.server_id.as_deref().unwrap_or_default());
                check.add(*path, format!("is {id}, which is in no super pod of `$.super_pod_list`"));
            }
        }
        if !self.devices.is_empty() {
            self.without_id.iter().for_each(|path| check.add(*path, "is missing, and other devices have one"));
        }
        let in_pod = |((server, id), path): &((usize, u32), JsonPath)| Some(((pod_of.get(server)?.0, *id), *path));
        let mut devices: Vec<((usize, u32), JsonPath)> = self.devices.iter().filter_map(in_pod).collect();
        for ((_, id), first, path) in repeated(&mut devices) {
            check.add(path, format!("is {id}, which this super pod has at `{first}` already"));
        }
    }
}
