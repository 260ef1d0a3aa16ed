//! Shares by NUMA node, as far as sysfs tells where a device is.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use super::even;

/// The CPUs of each device's rank, or what sysfs doesn't tell.
pub fn shares(devices: &[u32], allowed: &[u32], sys: &Path) -> Result<Vec<Vec<u32>>, String> {
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

fn cpus(sys: &Path, node: u32, allowed: &[u32]) -> Option<Vec<u32>> {
    let list = fs::read_to_string(sys.join(format!("devices/system/node/node{node}/cpulist"))).ok()?;
    let ranges = parse(&list)?;
    Some(allowed.iter().copied().filter(|cpu| ranges.iter().any(|range| range.contains(cpu))).collect())
}

/// The ranges of a list as the kernel writes it, `0-3,8`; an empty list has none, as a node without CPUs. `None` for anything else.
///
/// Ranges, not numbers, so that `0-4294967295` costs nothing.
fn parse(list: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let list = list.trim();
    if list.is_empty() {
        return Some(Vec::new());
    }
    list.split(',').map(range).collect()
}

fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone would take a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_the_kernel_writes_and_nothing_else() {
        assert_eq!(parse("0-3,8\n"), Some(vec![0..=3, 8..=8]));
        assert_eq!(parse("\n"), Some(vec![]));
        assert_eq!(parse("0-4294967295"), Some(vec![0..=u32::MAX]));
        for wrong in ["x", "1,", ",1", "3-1", "+1", "1--2", "-1", "1-", "0-31:2/4", "4294967296", "1 2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_parsed_or_refused(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn near_lists_are_parsed_or_refused(text in "[-0-9,\n +:/]{0,40}") {
            let _ = parse(&text);
        }
    }
}
