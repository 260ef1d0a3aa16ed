//! Which CPUs each rank gets: all, an even share, or a share of those near its device.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::options::Bind;
use crate::units;

/// The CPUs of each rank, ascending, none for all; with a sentence where that is not what was asked for.
pub type Cores = (Vec<Vec<u32>>, Option<String>);

/// Shares what this process may run on among ranks, one for each of `devices`.
pub fn cores(bind: Bind, devices: &[u32]) -> Cores {
    let unbound = vec![Vec::new(); devices.len()];
    if bind == Bind::None {
        return (unbound, None);
    }
    match sched_getaffinity(Pid::from_raw(0)) {
        Ok(set) => {
            let is_allowed = |cpu: &u32| set.is_set(*cpu as usize).unwrap_or(false);
            // 1,024 at most, as the C library has it.
            let allowed: Vec<u32> = (0..).take(CpuSet::count()).filter(is_allowed).collect();
            shares(bind, devices, &allowed, Path::new("/sys"))
        }
        Err(error) => (unbound, Some(format!("ranks are not bound to cores, which can't be listed: {error}"))),
    }
}

/// Where NUMA nodes aren't known for every device all ranks get even shares: a mixture would give some ranks CPUs that
/// others have to themselves. `sys` is where sysfs is mounted.
fn shares(bind: Bind, devices: &[u32], allowed: &[u32], sys: &Path) -> Cores {
    let near = if bind == Bind::Numa { near(devices, allowed, sys).map(Some) } else { Ok(None) };
    match near {
        Ok(shares) => (shares.unwrap_or_else(|| even(devices.len(), allowed)), None),
        Err(why) => (even(devices.len(), allowed), Some(format!("CPUs are bound evenly, not by NUMA node: {why}"))),
    }
}

/// Contiguous shares whose sizes differ by one at most; with more ranks than CPUs, neighbours share one.
fn even(ranks: usize, cpus: &[u32]) -> Vec<Vec<u32>> {
    let edge = |rank: usize| rank * cpus.len() / ranks;
    (0..ranks).map(|rank| cpus[edge(rank)..edge(rank + 1).max(edge(rank) + 1)].to_vec()).collect()
}

/// Shares by NUMA node, or what sysfs doesn't tell.
fn near(devices: &[u32], allowed: &[u32], sys: &Path) -> Result<Vec<Vec<u32>>, String> {
    let mut ranks_of_node: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (rank, device) in devices.iter().enumerate() {
        let node = node(sys, *device).ok_or_else(|| format!("the node of device {device} is not known"))?;
        ranks_of_node.entry(node).or_default().push(rank);
    }
    let mut shares = vec![Vec::new(); devices.len()];
    for (node, ranks) in ranks_of_node {
        let list = fs::read_to_string(sys.join(format!("devices/system/node/node{node}/cpulist"))).unwrap_or_default();
        let cpus = match list.trim() {
            // A node without CPUs.
            "" if !list.is_empty() => Vec::new(),
            list => units::numbers(list).map_err(|_| format!("the CPUs of node {node} are not known"))?,
        };
        let cpus: Vec<u32> = allowed.iter().copied().filter(|cpu| cpus.contains(cpu)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A sysfs as the driver and the kernel make it: `nodes` are (number, cpulist), `devices` (id, its node's text).
    fn sysfs(class: &str, nodes: &[(u32, &str)], devices: &[(u32, &str)]) -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        for (node, list) in nodes {
            let folder = sys.path().join(format!("devices/system/node/node{node}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("cpulist"), format!("{list}\n")).unwrap();
        }
        let class = sys.path().join("class").join(class);
        fs::create_dir_all(&class).unwrap();
        for (device, node) in devices {
            let function = sys.path().join(format!("devices/pci0000:00/0000:00:{device:02x}.0"));
            let char_device = function.join(format!("davinci{device}"));
            fs::create_dir_all(&char_device).unwrap();
            fs::write(function.join("numa_node"), format!("{node}\n")).unwrap();
            symlink(&function, char_device.join("device")).unwrap();
            symlink(&char_device, class.join(format!("davinci{device}"))).unwrap();
        }
        sys
    }

    fn check(bind: Bind, devices: &[u32], allowed: &str, sys: &tempfile::TempDir, expect: &str) -> Option<String> {
        let (cpus, note) = shares(bind, devices, &units::numbers(allowed).unwrap(), sys.path());
        assert_eq!(cpus.iter().map(|it| units::ranges(it)).collect::<Vec<_>>().join(" "), expect);
        note
    }

    #[test]
    fn even_spreads_what_is_left_over_and_never_gives_nothing() {
        let sys = sysfs("devdrv", &[], &[]);
        for (devices, allowed, expect) in [
            (&[0, 1][..], "0-7", "0-3 4-7"),
            (&[0, 1, 2], "0-7", "0-1 2-4 5-7"),
            (&[0, 1], "1,5,6,9", "1,5 6,9"),
            (&[0, 1, 2, 3], "2,7", "2 2 7 7"),
            (&[0, 1, 2], "3", "3 3 3"),
        ] {
            assert_eq!(check(Bind::Even, devices, allowed, &sys, expect), None);
        }
        assert_eq!(cores(Bind::None, &[0, 1]), (vec![vec![], vec![]], None));
    }

    #[test]
    fn numa_gives_devices_of_a_node_shares_of_it() {
        for class in ["devdrv-class", "davinci_class"] {
            let nodes = [(0, "0-3"), (1, "4-7,16-19")];
            let sys = sysfs(class, &nodes, &[(0, "1"), (1, "0"), (2, "1"), (10, "0")]);
            for (devices, allowed, expect) in [
                (&[0, 1, 2][..], "0-19", "4-7 0-3 16-19"),
                (&[10, 1], "0-19", "0-1 2-3"),
                (&[0, 1], "3,4,16,17", "4,16-17 3"),
            ] {
                assert_eq!(check(Bind::Numa, devices, allowed, &sys, expect), None);
            }
        }
    }

    #[test]
    fn numa_without_full_knowledge_is_even_and_says_why() {
        let devices = [(0, "0"), (1, "-1"), (2, "1"), (3, "9"), (4, "2"), (5, "what")];
        let sys = sysfs("devdrv", &[(0, "0-3"), (1, ""), (2, "x")], &devices);
        for (device, why) in [
            (1, "the node of device 1 is not known"),
            (2, "no allowed CPU is on node 1"),
            (3, "the CPUs of node 9 are not known"),
            (4, "the CPUs of node 2 are not known"),
            (5, "the node of device 5 is not known"),
            (6, "the node of device 6 is not known"),
        ] {
            let note = check(Bind::Numa, &[0, device], "0-7", &sys, "0-3 4-7").unwrap();
            assert!(note.ends_with(why), "{note}");
        }
    }
}
