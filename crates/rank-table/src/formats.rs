//! The formats with servers, v0, v1 and 1.2: checked, put in order, ranks numbered.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

use crate::check::{Check, JsonPath, Object, ServerId, extra, is_digits, number, repeated};
use crate::error::{Error, quote};
use crate::super_pods::SuperPods;
use crate::table::{Device, Format, Instance, RankTable};

/// Groups of a v0 table.
const MAX_GROUPS: usize = 1_024;

/// Instances of a group of a v0 table, servers of a v1 table.
const MAX_INSTANCES: usize = 16_384;

/// Devices of an instance or a server. The driver knows 64 at most.
const MAX_DEVICES_PER_SERVER: usize = 256;

/// Ranges of missing ranks that a message names.
const MAX_GAPS_NAMED: usize = 8;

/// A table of a complete v0 file.
///
/// Ranks are numbered consecutively over groups, instances and devices. Groups are in the order of the file, those without
/// devices are skipped; the instances of the first group are in the order of [`pod_index`], those of others in the order of
/// the file, which is what the vendor's scripts do.
pub(crate) fn v0(top: &Object) -> Result<RankTable, Error> {
    let mut check = Check::default();
    let list = JsonPath::top("group_list");
    let (groups, count) = check.list(top.get("group_list"), list, MAX_GROUPS);
    check.count(top.get("group_count"), list.key("group_count"), count, "the length of `group_list` is");
    let mut names = HashMap::new();
    let mut instances: Vec<Instance> = Vec::new();
    let mut without_devices = Vec::new();
    for (path, group) in groups {
        let is_empty = number(group.get("device_count")) == Some(0);
        let is_sorted = !is_empty && path == list.entry(0);
        let mut of_group = read_group(path, group, is_empty, is_sorted, &mut check, &mut names);
        if is_empty {
            without_devices.extend(of_group.into_iter().filter_map(|it| it.name));
            continue;
        }
        // One instance has no order, whatever its name.
        if is_sorted && of_group.len() > 1 {
            // Stable, as the vendor's: of equal numbers the first in the file stays the first.
            of_group.sort_by_key(|it| it.name.as_deref().and_then(pod_index));
        }
        instances.append(&mut of_group);
    }
    let mut devices = 0;
    for (rank, device) in (0..).zip(instances.iter_mut().flat_map(|it| &mut it.devices)) {
        device.rank = rank;
        devices += 1;
    }
    check.end(devices, "group_list")?;
    // Those of a v1 file are not taken for something else.
    let extra = extra(top, |key| {
        matches!(key, "version" | "status" | "group_count" | "group_list" | "server_count" | "server_list")
    });
    Ok(RankTable { format: Format::V0, instances, without_devices, extra })
}

/// The integer after the last `-` of a pod's name, or the whole name where there is no `-`.
///
/// `None` where that is not digits only, or beyond 64 bits.
pub(crate) fn pod_index(name: &str) -> Option<u64> {
    let digits = name.rsplit_once('-').map_or(name, |(_, behind)| behind);
    if is_digits(digits) { digits.parse().ok() } else { None }
}

fn read_group<'v>(
    path: JsonPath,
    group: &'v Object,
    is_empty: bool,
    is_sorted: bool,
    check: &mut Check,
    names: &mut HashMap<&'v str, JsonPath>,
) -> Vec<Instance> {
    let (raw, count) = check.list(group.get("instance_list"), path.key("instance_list"), MAX_INSTANCES);
    let path_of_count = path.key("instance_count");
    check.count(group.get("instance_count"), path_of_count, count, "the length of `instance_list` is");
    let mut instances = Vec::with_capacity(raw.len());
    let mut listed = 0;
    for (entry, it) in raw {
        let path = entry.key("pod_name");
        let name = check.text(it.get("pod_name"), path);
        if let Some(name) = name {
            if let Some(first) = names.insert(name, path) {
                check.add(path, format!("is {}, which `{first}` is already", quote(name)));
            }
            if is_sorted && count > 1 && pod_index(name).is_none() {
                let name = quote(name);
                check.add(path, format!("is {name}, which does not end in `-` and a number to order by"));
            }
        }
        let mut instance = Instance {
            name: name.map(str::to_owned),
            extra: extra(it, |key| matches!(key, "pod_name" | "server_id" | "devices" | "device")),
            ..Instance::default()
        };
        let devices = it.get("devices");
        if is_empty {
            // Nothing is done with the instances of such a group; the vendor's scripts don't look at them either.
            listed += devices.and_then(Value::as_array).map_or(0, Vec::len);
        } else {
            let server = check.server(it.get("server_id"), entry.key("server_id"));
            let number = server.as_ref().map(|it| it.number);
            put_server(&mut instance, server);
            // What the platform writes for none.
            if devices != Some(&Value::Null) {
                let (devices, count) = check.list(devices, entry.key("devices"), MAX_DEVICES_PER_SERVER);
                instance.devices =
                    devices.into_iter().filter_map(|(path, it)| check.device(it, number, path).0).collect();
                listed += count;
            }
        }
        instances.push(instance);
    }
    check.count(group.get("device_count"), path.key("device_count"), listed, "the devices of its instances are");
    instances
}

/// Who a server is, and by which addresses.
fn put_server(instance: &mut Instance, id: Option<ServerId<'_>>) {
    let address = |key| instance.extra.text(key)?.parse::<IpAddr>().ok();
    let of_id = id.as_ref().and_then(|it| it.address);
    instance.addresses = [of_id, address("host_ip"), address("container_ip")].into_iter().flatten().collect();
    instance.server_id = id.map(|it| it.text.to_owned());
}

/// A table of a complete v1 or 1.2 file. The order of servers and devices is the file's; ranks may be in any order.
pub(crate) fn v1(top: &Object, format: Format) -> Result<RankTable, Error> {
    let mut check = Check::default();
    let list = JsonPath::top("server_list");
    let (servers, count) = check.list(top.get("server_list"), list, MAX_INSTANCES);
    // The vendor's scripts don't look at it, so a table without it works today.
    if let says @ Some(_) = top.get("server_count") {
        check.count(says, list.key("server_count"), count, "the length of `server_list` is");
    }
    let (mut ranks, mut device_count) = (Vec::new(), 0);
    // Whether every list of devices is one: else it is not known which ranks there should be.
    let mut is_complete = true;
    let mut super_pods = (format == Format::V1_2).then(SuperPods::default);
    let mut instances = Vec::with_capacity(servers.len());
    for (entry, raw) in servers {
        let path = entry.key("server_id");
        let server = check.server(raw.get("server_id"), path);
        if let Some(ServerId { text, first: Some(first), .. }) = &server {
            check.add(path, format!("is {}, which `{first}` is already", quote(text)));
        }
        let number = server.as_ref().map(|it| it.number);
        let mut instance =
            Instance { extra: extra(raw, |key| matches!(key, "server_id" | "device")), ..Instance::default() };
        put_server(&mut instance, server);
        is_complete &= raw.get("device").is_some_and(Value::is_array);
        let (raw, count) = check.list(raw.get("device"), entry.key("device"), MAX_DEVICES_PER_SERVER);
        device_count += count;
        instance.devices.reserve_exact(raw.len());
        for (entry, it) in raw {
            let super_id = super_pods.as_mut().and_then(|pods| pods.device(it, entry, number, &mut check));
            let (device, rank) = check.device(it, number, entry);
            let path = entry.key("rank_id");
            let rank = check.whole(rank, path, u32::MAX);
            ranks.extend(rank.map(|rank| (rank, path)));
            instance.devices.extend(device.zip(rank).map(|(device, rank)| Device { rank, super_id, ..device }));
        }
        if let Some(pods) = &mut super_pods {
            pods.servers.push((number, path));
        }
        instances.push(instance);
    }
    if let Some(pods) = super_pods {
        pods.read(top, &mut instances, &mut check);
    }
    for (rank, first, path) in repeated(&mut ranks) {
        check.add(path, format!("is {rank}, which `{first}` is already"));
    }
    if is_complete && ranks.len() == device_count && device_count > 0 {
        check_ranks(&ranks, "server_list", &mut check);
    }
    check.end(device_count, "server_list")?;
    let extra = extra(top, |key| matches!(key, "version" | "status" | "server_count" | "server_list"));
    Ok(RankTable { format, instances, without_devices: Vec::new(), extra })
}

/// Ranks, here in their order, are 0 to the number of devices − 1.
pub(crate) fn check_ranks(ranks: &[(u32, JsonPath)], list: &'static str, check: &mut Check) {
    let devices = ranks.len();
    let all = format!("{devices} devices have the ranks 0 to {}", devices - 1);
    let mut gaps = Vec::new();
    let mut next = 0;
    let there = ranks.iter().map(|(rank, _)| *rank as usize).filter(|rank| *rank < devices);
    for rank in there.chain([devices]) {
        match rank.saturating_sub(next) {
            0 => {}
            1 => gaps.push(next.to_string()),
            _ => gaps.push(format!("{next}-{}", rank - 1)),
        }
        next = rank + 1;
    }
    for (rank, path) in ranks.iter().filter(|(rank, _)| *rank as usize >= devices) {
        check.add(*path, format!("is {rank}, but {all}"));
    }
    if !gaps.is_empty() {
        let more = if gaps.len() > MAX_GAPS_NAMED { ", …" } else { "" };
        gaps.truncate(MAX_GAPS_NAMED);
        check.add(JsonPath::top(list), format!("lacks rank {}{more}: {all}", gaps.join(", ")));
    }
}
