//! Version 2.0, the format with ranks and no servers.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::check::{Check, JsonPath, MAX_DEVICE_ID, Object, repeated};
use crate::error::{Error, quote};
use crate::formats::check_ranks;
use crate::table::{Device, Extra, Format, Instance, RankTable};

/// Ranks of a table.
const MAX_RANKS: usize = 65_536;

/// Networks of a rank. The collective library knows 8 at most.
const MAX_LEVELS: usize = 64;

/// Addresses of a rank in a network. The collective library knows 24 at most.
const MAX_ADDRESSES: usize = 256;

/// What is known of a rank.
struct Rank {
    number: u32,
    device: u32,
    local: u32,
    addresses: Vec<IpAddr>,
}

/// A table of a complete 2.0 file. The ranks may be in any order in it.
///
/// It has no servers, so a node is what can be one: ranks that follow each other, as long as no `device_id` (the number on
/// the server) and no `local_id` (that in the rack, which may have eight servers) comes again. That is the order in which
/// the Ascend Operator numbers ranks: pod by pod.
pub(crate) fn v2(top: &Object) -> Result<RankTable, Error> {
    let mut check = Check::default();
    let list = JsonPath::top("rank_list");
    let (entries, count) = check.list(top.get("rank_list"), list, MAX_RANKS);
    check.count(top.get("rank_count"), list.key("rank_count"), count, "the length of `rank_list` is");
    let (mut ranks, mut numbers) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for (entry, rank) in entries {
        let mut whole = |key, max| check.whole(rank.get(key), entry.key(key), max);
        let (number, local, device) =
            (whole("rank_id", u32::MAX), whole("local_id", MAX_DEVICE_ID), whole("device_id", MAX_DEVICE_ID));
        numbers.extend(number.map(|number| (number, entry.key("rank_id"))));
        let addresses = levels(rank, entry, &mut check);
        if let (Some(number), Some(local), Some(device)) = (number, local, device) {
            ranks.push(Rank { number, device, local, addresses });
        }
    }
    for (rank, first, path) in repeated(&mut numbers) {
        check.add(path, format!("is {rank}, which `{first}` is already"));
    }
    if numbers.len() == count && count > 0 {
        check_ranks(&numbers, "rank_list", &mut check);
    }
    check.end(count, "rank_list")?;
    ranks.sort_by_key(|it| it.number);
    Ok(RankTable { format: Format::V2, instances: nodes(ranks), without_devices: Vec::new(), extra: Extra::default() })
}

/// The IP addresses of a rank in all of its networks.
fn levels(rank: &Object, entry: JsonPath, check: &mut Check) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut before = None;
    for (entry, level) in check.list(rank.get("level_list"), entry.key("level_list"), MAX_LEVELS).0 {
        let path = entry.key("net_layer");
        let layer = check.whole(level.get("net_layer"), path, u32::MAX);
        if let (Some(layer), Some(before)) = (layer, before)
            && layer <= before
        {
            check.add(path, format!("is {layer} after {before}, but layers ascend"));
        }
        before = layer.or(before);
        // What the Ascend Operator writes for none.
        if level.get("rank_addr_list") == Some(&Value::Null) {
            continue;
        }
        let list = check.list(level.get("rank_addr_list"), entry.key("rank_addr_list"), MAX_ADDRESSES);
        addresses.extend(list.0.into_iter().filter_map(|(entry, it)| address(it, entry, check)));
    }
    addresses
}

/// An entry of `rank_addr_list`, if its address is one of IP: an EID is none.
fn address(raw: &Object, entry: JsonPath, check: &mut Check) -> Option<IpAddr> {
    let (path, ports) = (entry.key("addr"), entry.key("ports"));
    match raw.get("ports") {
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {}
        Some(Value::Array(_)) => check.add(ports, "has an entry that is not text"),
        // Says why that is not a list.
        other => drop(check.list(other, ports, 0)),
    }
    let kind = check.text(raw.get("addr_type"), entry.key("addr_type"));
    let text = check.text(raw.get("addr"), path)?;
    let address = kind.filter(|it| it.starts_with("IP")).map(|_| text.parse())?;
    if address.is_err() {
        check.add(path, format!("is {}, which is not an IP address", quote(text)));
    }
    address.ok()
}

fn nodes(ranks: Vec<Rank>) -> Vec<Instance> {
    let mut nodes: Vec<Instance> = Vec::new();
    let (mut devices, mut locals) = (HashSet::new(), HashSet::new());
    for Rank { number, device, local, addresses } in ranks {
        if devices.contains(&device) || locals.contains(&local) || nodes.is_empty() {
            devices.clear();
            locals.clear();
            nodes.push(Instance::default());
        }
        devices.insert(device);
        locals.insert(local);
        if let Some(node) = nodes.last_mut() {
            node.devices.push(Device { id: device, ip: None, rank: number, super_id: None, extra: Extra::default() });
            node.addresses.extend(addresses);
        }
    }
    nodes
}
