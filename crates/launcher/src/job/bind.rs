//! Which CPUs each rank gets: all, an even share, or a share of those near its device.

pub mod affinity;
mod numa;

use std::path::Path;

use crate::options::Bind;

/// The CPUs of each rank.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Binding {
    /// One ascending list a rank, none of them empty; no lists at all where nothing is to be bound.
    pub cpus: Vec<Vec<u32>>,
    /// One sentence on why `numa` became `even`.
    pub note: Option<String>,
}

/// Shares the `allowed` CPUs (ascending) among the ranks, one for each of `devices`.
///
/// `sys` is where sysfs is mounted. Where NUMA nodes aren't known for every device all ranks get even shares: a mixture
/// would give some ranks CPUs that others have to themselves.
pub fn plan(bind: Bind, devices: &[u32], allowed: &[u32], sys: &Path) -> Binding {
    if bind == Bind::None || allowed.is_empty() {
        return Binding::default();
    }
    let even = || even(devices.len(), allowed);
    match bind {
        Bind::None => Binding::default(),
        Bind::Even => Binding { cpus: even(), note: None },
        Bind::Numa => match numa::shares(devices, allowed, sys) {
            Ok(cpus) => Binding { cpus, note: None },
            Err(why) => Binding { cpus: even(), note: Some(format!("CPUs are bound evenly, not by NUMA node: {why}")) },
        },
    }
}

/// Contiguous shares whose sizes differ by one at most; with more ranks than CPUs, neighbours share one.
fn even(ranks: usize, cpus: &[u32]) -> Vec<Vec<u32>> {
    let edge = |rank: usize| rank * cpus.len() / ranks;
    (0..ranks).map(|rank| cpus[edge(rank)..edge(rank + 1).max(edge(rank) + 1)].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ranges;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A sysfs as the driver and the kernel make it: `nodes` are (number, cpulist), `devices` (id, its node's text).
    fn sysfs(class: &str, nodes: &[(u32, &str)], devices: &[(u32, &str)]) -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        for (node, list) in nodes {
            let folder = sys.path().join(format!("devices/system/node/node{node}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("cpulist"), format!("{list}\n")).unwrap();
        }
        for (device, node) in devices {
            let function = sys.path().join(format!("devices/pci0000:00/0000:00:{device:02x}.0"));
            let char_device = function.join(format!("{class}/davinci{device}"));
            fs::create_dir_all(&char_device).unwrap();
            fs::write(function.join("numa_node"), format!("{node}\n")).unwrap();
            symlink(&function, char_device.join("device")).unwrap();
            let class = sys.path().join("class").join(class);
            fs::create_dir_all(&class).unwrap();
            symlink(&char_device, class.join(format!("davinci{device}"))).unwrap();
        }
        fs::create_dir_all(sys.path().join("class/net")).unwrap();
        sys
    }

    fn check(bind: Bind, devices: &[u32], allowed: &[u32], sys: &tempfile::TempDir, expect: &str) -> Option<String> {
        let binding = plan(bind, devices, allowed, sys.path());
        let lists: Vec<String> = binding.cpus.iter().map(|cpus| ranges(cpus)).collect();
        assert_eq!(lists.join(" "), expect);
        binding.note
    }

    fn all(count: u32) -> Vec<u32> {
        (0..count).collect()
    }

    #[test]
    fn none_binds_nothing() {
        let sys = sysfs("devdrv", &[], &[]);
        assert_eq!(plan(Bind::None, &[0, 1], &all(4), sys.path()), Binding::default());
        assert_eq!(plan(Bind::Numa, &[0, 1], &[], sys.path()), Binding::default());
        assert_eq!(plan(Bind::Even, &[], &all(4), sys.path()), Binding::default());
    }

    #[test]
    fn even_spreads_what_is_left_over_and_never_gives_nothing() {
        let sys = sysfs("devdrv", &[], &[]);
        check(Bind::Even, &[0, 1], &all(8), &sys, "0-3 4-7");
        check(Bind::Even, &[0, 1, 2], &all(8), &sys, "0-1 2-4 5-7");
        check(Bind::Even, &[0, 1], &[1, 5, 6, 9], &sys, "1,5 6,9");
        check(Bind::Even, &[0, 1, 2, 3], &[2, 7], &sys, "2 2 7 7");
        check(Bind::Even, &[0, 1, 2], &[3], &sys, "3 3 3");
    }

    #[test]
    fn numa_gives_devices_of_a_node_shares_of_it() {
        let nodes = [(0, "0-3"), (1, "4-7,16-19")];
        for class in ["devdrv-class", "davinci_class"] {
            let sys = sysfs(class, &nodes, &[(0, "1"), (1, "0"), (2, "1"), (10, "0")]);
            assert_eq!(check(Bind::Numa, &[0, 1, 2], &all(20), &sys, "4-7 0-3 16-19"), None);
            assert_eq!(check(Bind::Numa, &[10, 1], &all(20), &sys, "0-1 2-3"), None);
            assert_eq!(check(Bind::Numa, &[0, 1], &[3, 4, 16, 17], &sys, "4,16-17 3"), None);
        }
    }

    #[test]
    fn numa_without_full_knowledge_is_even_and_says_why() {
        let nodes = [(0, "0-3"), (1, ""), (2, "x")];
        let devices = [(0, "0"), (1, "-1"), (2, "1"), (3, "9"), (4, "2"), (5, "what")];
        let sys = sysfs("devdrv", &nodes, &devices);
        for (device, why) in [
            (1, "the node of device 1 is not known"),
            (2, "no allowed CPU is on node 1"),
            (3, "the CPUs of node 9 are not known"),
            (4, "the CPUs of node 2 are not known"),
            (5, "the node of device 5 is not known"),
            (6, "the node of device 6 is not known"),
        ] {
            let note = check(Bind::Numa, &[0, device], &all(8), &sys, "0-3 4-7").unwrap();
            assert!(note.ends_with(why), "{note}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(check(Bind::Numa, &[0, 1], &all(8), &empty, "0-3 4-7").is_some());
    }
}
