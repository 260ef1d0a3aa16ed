//! What is run where, decided before an engine is asked: a pure function of the flags.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use serde::Serialize;

use crate::{
    engine,
    options::device_list,
    terminal::{report::WithHint, shell},
    try_out::{Framework, TryArgs},
};

/// The platform's folder for a job.
pub const MOUNT_PATH: &str = "/home/ma-user/modelarts";
/// The folder of the job's code; ranks are to be started there.
pub const CODE: &str = "/home/ma-user/modelarts/user-job-dir/code";
/// The example in that folder.
pub const EXAMPLE: &str = "train.py";
/// Name of the job.
pub const JOB: &str = "ma-job-try";

/// The names of nodes, as a container sees them.
const HOSTS: &str = "/etc/hosts";

/// Folders of a node on this machine, below its own, and where its container has them. All can be written to but the
/// table's, which is the last one.
const FOLDERS: [(&str, &str, bool); 4] = [
    ("modelarts", MOUNT_PATH, false),
    ("cache", "/cache", false),
    ("tmp", "/tmp", false),
    ("config", "/user/config", true),
];

/// A job to be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    pub image: String,
    /// The platform's boot command, which is no shell's line.
    pub command: Vec<String>,
    /// `UID:GID` of the containers.
    pub user: String,
    #[serde(skip)]
    pub uid: u32,
    #[serde(skip)]
    pub gid: u32,
    /// Nothing of the image can be written to.
    pub read_only: bool,
    pub devices: u32,
    /// The platform has a rank table for the job.
    pub table: bool,
    pub nodes: Vec<Node>,
    /// Variables that every container has besides its own.
    pub env: Vec<(String, String)>,
    pub out: PathBuf,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    pub index: u32,
    /// Name of its instance.
    pub name: String,
    /// Its name for other nodes.
    pub host: String,
    /// Its address for other nodes.
    pub address: String,
    /// What the platform tells it.
    pub env: Vec<(String, String)>,
}

impl Job {
    pub fn new(args: &TryArgs, image: String, out: PathBuf) -> Self {
        let &TryArgs { uid, gid, read_only, devices, no_table, framework, .. } = args;
        let command = match args.command.is_empty() {
            true => example(framework, no_table.then_some(devices)),
            false => args.command.clone(),
        };
        let nodes = (0..args.nodes).map(|index| node(index, args.nodes, devices)).collect();
        Self {
            image,
            command,
            user: format!("{uid}:{gid}"),
            uid,
            gid,
            read_only,
            devices,
            table: !no_table,
            nodes,
            env: args.env.clone(),
            out,
        }
    }

    pub fn folder(&self, node: &Node) -> PathBuf {
        self.out.join(format!("node-{}", node.index))
    }

    /// Folders of each node: on this machine, in its container, and whether that can only read it.
    pub fn folders(&self) -> &'static [(&'static str, &'static str, bool)] {
        let [writable @ .., _] = &FOLDERS;
        if self.table { &FOLDERS } else { writable }
    }

    /// The file with the names of the nodes, on this machine.
    pub fn hosts(&self) -> PathBuf {
        self.out.join("hosts")
    }

    /// What the container of a node is created with, as on the platform. Not all engines let it be named.
    pub fn options(&self, node: &Node, is_named: bool) -> Vec<String> {
        let mut options = ["--user", &self.user].map(str::to_owned).to_vec();
        if is_named {
            options.extend(["--hostname", &node.name].map(str::to_owned));
        }
        if self.read_only {
            options.push("--read-only".to_owned());
        }
        let folders = self
            .folders()
            .iter()
            .map(|&(folder, target, read_only)| engine::mount(&self.folder(node).join(folder), target, read_only));
        for mount in folders.chain([engine::mount(&self.hosts(), HOSTS, true)]) {
            options.extend(["--mount".to_owned(), mount]);
        }
        for (name, value) in node.env.iter().chain(&self.env) {
            options.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        options
    }

    /// Where a path of a node's container is on this machine; none where it is not in a shared folder.
    pub fn on_host(&self, node: &Node, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let found =
            self.folders().iter().find_map(|(folder, target, _)| Some((folder, path.strip_prefix(target).ok()?)));
        found.map(|(folder, rest)| self.folder(node).join(folder).join(rest))
    }
}

impl Node {
    /// The last two bytes of its address.
    pub fn low_address(&self) -> &str {
        self.address.strip_prefix("127.0.").unwrap_or(&self.address)
    }
}

/// What is run where no command is given: the example, by the launcher. It is told the devices where no table does.
fn example(framework: Option<Framework>, devices: Option<u32>) -> Vec<String> {
    let devices = devices.map(device_list);
    let devices = devices.iter().flat_map(|list| ["--devices", list]);
    let framework = framework.iter().flat_map(|framework| ["--framework", framework.name()]);
    let run = ["fmtk-launch", "run", "--code-dir", CODE].into_iter();
    run.chain(devices).chain(framework).chain(["--", "python3", EXAMPLE]).map(str::to_owned).collect()
}

/// Node `index` of `all`, as the platform describes it.
pub fn node(index: u32, all: u32, devices: u32) -> Node {
    let name = |index: u32| format!("{JOB}-worker-{index}");
    // All of them are this machine's, whichever it is.
    let address = format!("127.0.{}.{}", index / 250, index % 250 + 1);
    let host = |index: u32| format!("{}.{JOB}", name(index));
    let hosts: Vec<String> = (0..all).map(host).collect();
    let env = [
        ("MA_HOME", "/home/ma-user".to_owned()),
        ("MA_MOUNT_PATH", MOUNT_PATH.to_owned()),
        ("MA_JOB_DIR", format!("{MOUNT_PATH}/user-job-dir")),
        ("MA_LOG_DIR", format!("{MOUNT_PATH}/log")),
        ("MA_VJ_NAME", JOB.to_owned()),
        ("MA_TASK_NAME", "worker".to_owned()),
        ("MA_CURRENT_IP", address.clone()),
        ("MA_CURRENT_HOST_IP", address.clone()),
        ("MA_CURRENT_INSTANCE_NAME", name(index)),
        ("MA_NUM_HOSTS", all.to_string()),
        ("VC_TASK_INDEX", index.to_string()),
        ("VK_TASK_INDEX", index.to_string()),
        ("VC_WORKER_NUM", all.to_string()),
        ("VC_WORKER_HOSTS", hosts.join(",")),
        ("MA_NUM_GPUS", devices.to_string()),
    ];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Node { index, name: name(index), host: host(index), address, env }
}

/// The folder that everything goes to, which must not hold anything yet: of the default ones, the first that does not.
pub fn out(given: Option<&Path>, workspace: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let is_free = |folder: &Path| std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    let Some(given) = given else {
        let folder = workspace.join("target/try");
        let others = (2..).map(|number: u32| folder.join(format!("{name}-{number}")));
        let mut folders = std::iter::once(folder.join(name)).chain(others);
        return folders.find(|folder| is_free(folder)).context("every folder of `target/try` is taken");
    };
    let folder = std::path::absolute(given).with_context(|| format!("bad folder `{}`", given.display()))?;
    match is_free(&folder) {
        true => Ok(folder),
        false => Err(anyhow!("`{}` is not empty", folder.display())).hint("name another folder with `--out`").input(),
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image    {}", self.image)?;
        writeln!(f, "command  {}", shell::line(&self.command))?;
        let root = if self.read_only { ", on a read-only root" } else { "" };
        let network = if self.nodes.len() > 1 { "one network of the nodes alone" } else { "without a network" };
        writeln!(f, "user     {}{root}, {network}", self.user)?;
        writeln!(f, "output   {}", self.out.display())?;
        writeln!(f, "hosts    {} (read-only)", self.hosts().display())?;
        for node in &self.nodes {
            let first = node.index * self.devices;
            let last = first + self.devices - 1;
            writeln!(f, "node {}   {}, {}, ranks {first}–{last}", node.index, node.name, node.address)?;
            for (name, value) in node.env.iter().chain(&self.env) {
                writeln!(f, "  {name}={value}")?;
            }
            for (folder, target, read_only) in self.folders() {
                let how = if *read_only { "read-only" } else { "can be written to" };
                writeln!(f, "  {target}  {} ({how})", self.folder(node).join(folder).display())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
