//! The rank table as the platform shows it to a container: a folder that a config map is mounted in.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::json;

use super::plan::Node;

/// Name of the table in its folder.
const FILE: &str = "jobstart_hccl.json";

/// The table before the platform knows all servers.
pub fn initializing() -> String {
    json!({ "status": "initializing" }).to_string()
}

/// The complete table, version 0: every node an instance with so many devices.
pub fn completed(nodes: &[Node], devices: u32) -> String {
    let instance = |node: &Node| {
        let device = |device: u32| {
            // A network of its own for each device, as on the platform.
            json!({ "device_id": device.to_string(), "device_ip": format!("192.{}.{}", device + 1, node.low_address()) })
        };
        json!({
            "pod_name": node.name,
            "server_id": node.address,
            "devices": (0..devices).map(device).collect::<Vec<_>>(),
        })
    };
    let all = nodes.len() as u64 * u64::from(devices);
    let group = json!({
        "group_name": "try",
        "device_count": all.to_string(),
        "instance_count": nodes.len().to_string(),
        "instance_list": nodes.iter().map(instance).collect::<Vec<_>>(),
    });
    json!({ "status": "completed", "group_count": "1", "group_list": [group] }).to_string()
}

/// A folder that changes as a mounted config map does: files lie in a folder of their own, `..data` is a link to it, and
/// that link is replaced (Kubernetes, `AtomicWriter`).
#[derive(Debug)]
pub struct ConfigMap {
    folder: PathBuf,
}

impl ConfigMap {
    /// Makes the folder, with a table in it.
    pub fn create(folder: &Path, text: &str) -> anyhow::Result<Self> {
        let map = Self { folder: folder.to_owned() };
        map.write("..1", text)?;
        let link = folder.join(FILE);
        symlink(Path::new("..data").join(FILE), &link)
            .with_context(|| format!("failed to create the link `{}`", link.display()))?;
        Ok(map)
    }

    /// Replaces the table.
    pub fn swap(&self, text: &str) -> anyhow::Result<()> {
        self.write("..2", text)
    }

    fn write(&self, version: &str, text: &str) -> anyhow::Result<()> {
        let folder = self.folder.join(version);
        let file = folder.join(FILE);
        let failed = || format!("failed to write `{}`", file.display());
        fs::create_dir_all(&folder).with_context(failed)?;
        fs::write(&file, text).with_context(failed)?;
        let new = self.folder.join("..data_tmp");
        symlink(version, &new).and_then(|()| fs::rename(&new, self.folder.join("..data"))).with_context(failed)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::try_out::plan;

    #[test]
    fn two_nodes_are_two_instances_and_every_address_is_there_once() {
        let nodes: Vec<Node> = (0..2).map(|index| plan::node(index, 2, 2)).collect();
        let table = completed(&nodes, 2);
        expect![[r#"{"status":"completed","group_count":"1","group_list":[{"group_name":"try","device_count":"4","instance_count":"2","instance_list":[{"pod_name":"ma-job-try-worker-0","server_id":"127.0.0.1","devices":[{"device_id":"0","device_ip":"192.1.0.1"},{"device_id":"1","device_ip":"192.2.0.1"}]},{"pod_name":"ma-job-try-worker-1","server_id":"127.0.0.2","devices":[{"device_id":"0","device_ip":"192.1.0.2"},{"device_id":"1","device_ip":"192.2.0.2"}]}]}]}"#]]
        .assert_eq(&table);
    }

    #[test]
    fn the_table_changes_at_once_and_by_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let read = || fs::read_to_string(folder.path().join(FILE)).unwrap();
        let map = ConfigMap::create(folder.path(), "one").unwrap();
        let link = |name: &str| fs::read_link(folder.path().join(name)).unwrap();
        assert_eq!((read().as_str(), link("..data")), ("one", "..1".into()));
        map.swap("two").unwrap();
        assert_eq!((read().as_str(), link("..data")), ("two", "..2".into()));
        assert_eq!(link(FILE), Path::new("..data").join(FILE));
        assert!(!folder.path().join("..data_tmp").exists());
    }
}
