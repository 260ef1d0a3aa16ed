//! Shares by NUMA node, as far as sysfs tells where a device is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{cpulist, even};

/// The CPUs of each device's rank, or what sysfs doesn't tell.
pub fn shares(devices: &[u32], allowed: &[usize], sys: &Path) -> Result<Vec<Vec<usize>>, String> {
    let mut ranks_of_node: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (rank, device) in devices.iter().enumerate() {
        let node = node(sys, *device).ok_or_else(|| format!("the node of device {device} is not known"))?;
        ranks_of_node.entry(node).or_default().push(rank);
    }
    let mut shares = vec![Vec::new(); devices.len()];
    for (node, ranks) in ranks_of_node {
        let cpus = cpus(sys, node, allowed).ok_or_else(|| format!("the CPUs of node {node} are not known"))?;
        if cpus.is_empty() {
            return Err(format!("no allowed CPU is on node {node}"));
        }
        for (share, rank) in even(ranks.len(), &cpus).into_iter().zip(ranks) {
            shares[rank] = share;
        }
    }
    Ok(shares)
}

/// The node that `davinci<D>` is on. The class of that name differs by version of the driver, so all are searched.
fn node(sys: &Path, device: u32) -> Option<u32> {
    let entry = format!("davinci{device}/device/numa_node");
    fs::read_dir(sys.join("class")).ok()?.flatten().find_map(|class| {
        // -1, which is "unknown", doesn't parse.
        fs::read_to_string(class.path().join(&entry)).ok()?.trim().parse().ok()
    })
}

fn cpus(sys: &Path, node: u32, allowed: &[usize]) -> Option<Vec<usize>> {
    let list = fs::read_to_string(sys.join(format!("devices/system/node/node{node}/cpulist"))).ok()?;
    let ranges = cpulist::parse(&list)?;
    Some(allowed.iter().copied().filter(|cpu| ranges.iter().any(|range| range.contains(cpu))).collect())
}
