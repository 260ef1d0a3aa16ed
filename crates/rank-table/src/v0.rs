//! Version 0: checked, put in order, ranks numbered.

use std::collections::HashMap;

use crate::check::{Check, is_digits};
use crate::fault::{Faults, Place, quote};
use crate::json::{Kind, List, Scalar};
use crate::limits::{MAX_DEVICES_PER_SERVER, MAX_GROUPS, MAX_INSTANCES};
use crate::raw::{Group, InstanceV0, Top};
use crate::table::{Format, Instance, RankTable};

/// A table of a complete v0 file.
///
/// Ranks are numbered consecutively over groups, instances and devices. Groups are in the order of the file, those without
/// devices are skipped; the instances of the first group are in the order of [`pod_index`], those of others in the order of
/// the file, which is what the vendor's scripts do.
pub(crate) fn read(top: &Top<'_>) -> Result<RankTable, Faults> {
    let mut check = Check::default();
    let list = Place::Top("group_list");
    let (groups, count) = check.list(&top.group_list, list, |g| Place::Group(g, ""), MAX_GROUPS);
    check.count(&top.group_count, Place::Top("group_count"), count, "the length of `group_list` is");
    let mut names = HashMap::new();
    let mut instances = Vec::new();
    let mut without_devices = Vec::new();
    for (g, group) in groups {
        let is_empty = says_zero(&group.device_count);
        let mut of_group = read_group(g, group, is_empty, &mut check, &mut names);
        if is_empty {
            without_devices.extend(of_group.into_iter().filter_map(|it| it.name));
            continue;
        }
        // One instance has no order, whatever its name.
        if g == 0 && of_group.len() > 1 {
            // Stable, as the vendor's: of equal numbers the first in the file stays the first.
            of_group.sort_by_key(|it| it.name.as_deref().and_then(pod_index));
        }
        instances.append(&mut of_group);
    }
    let mut devices = 0;
    for (rank, device) in (0..).zip(instances.iter_mut().flat_map(|it: &mut Instance| &mut it.devices)) {
        device.rank = rank;
        devices += 1;
    }
    let faults = check.end(devices, "group_list");
    if faults.count() > 0 {
        return Err(faults);
    }
    Ok(RankTable { format: Format::V0, instances, without_devices })
}

/// The integer after the last `-` of a pod's name, or the whole name where there is no `-`.
///
/// `None` where that is not digits only, or beyond 64 bits.
pub(crate) fn pod_index(name: &str) -> Option<u64> {
    let digits = name.rsplit_once('-').map_or(name, |(_, behind)| behind);
    if is_digits(digits) { digits.parse().ok() } else { None }
}

fn says_zero(count: &Scalar<'_>) -> bool {
    match count {
        Scalar::Number(number) => *number == 0,
        Scalar::Text(text) => !text.is_empty() && text.bytes().all(|it| it == b'0'),
        Scalar::Missing | Scalar::Other(_) => false,
    }
}

fn read_group(
    g: usize,
    group: &Group<'_>,
    is_empty: bool,
    check: &mut Check,
    names: &mut HashMap<String, Place>,
) -> Vec<Instance> {
    let place = Place::Group(g, "instance_list");
    let entry = |i| Place::Instance(g, i, "");
    let (raw, count) = check.list(&group.instance_list, place, entry, MAX_INSTANCES);
    check.count(&group.instance_count, place.key("instance_count"), count, "the length of `instance_list` is");
    let mut instances = Vec::with_capacity(raw.len());
    let mut devices = 0;
    for (i, it) in raw {
        let place = entry(i).key("pod_name");
        let name = check.text(&it.pod_name, place);
        if let Some(name) = &name {
            if let Some(first) = names.insert(name.clone(), place) {
                check.faults.add(place, || format!("is {}, which `{first}` is already", quote(name)));
            }
            if g == 0 && count > 1 && !is_empty && pod_index(name).is_none() {
                check
                    .faults
                    .add(place, || format!("is {}, which does not end in `-` and a number to order by", quote(name)));
            }
        }
        let (instance, listed) = read_instance(g, i, it, name, is_empty, check);
        devices += listed;
        instances.push(instance);
    }
    check.count(&group.device_count, Place::Group(g, "device_count"), devices, "the devices of its instances are");
    instances
}

/// An instance, and how many devices the file lists for it.
fn read_instance(
    g: usize,
    i: usize,
    raw: &InstanceV0<'_>,
    name: Option<String>,
    without_devices: bool,
    check: &mut Check,
) -> (Instance, usize) {
    let mut instance = Instance { name, server_id: String::new(), devices: Vec::new() };
    if without_devices {
        // Nothing is done with the instances of such a group; the vendor's scripts don't look at them either.
        let listed = if let List::Is { count, .. } = raw.devices { count } else { 0 };
        return (instance, listed);
    }
    let server = check.server(&raw.server_id, Place::Instance(g, i, "server_id"));
    let number = server.as_ref().map(|(_, number, _)| *number);
    instance.server_id = server.map(|(text, ..)| text).unwrap_or_default();
    // What the platform writes for none.
    if matches!(raw.devices, List::Other(Kind::Null)) {
        return (instance, 0);
    }
    let entry = |d| Place::DeviceV0(g, i, d, "");
    let place = Place::Instance(g, i, "devices");
    let (devices, count) = check.list(&raw.devices, place, entry, MAX_DEVICES_PER_SERVER);
    let devices = devices.into_iter().map(|(d, it)| check.device(&it.device_id, &it.device_ip, number, entry(d)));
    instance.devices = devices.flatten().collect();
    (instance, count)
}
