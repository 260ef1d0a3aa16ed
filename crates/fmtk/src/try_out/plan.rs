//! What is run where, decided before an engine is asked: a pure function of the flags.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, ensure};
use serde::{Serialize, Serializer};

use crate::{
    engine,
    terminal::{report::WithHint, shell},
    try_out::TryArgs,
};

/// The platform's folder for a job.
pub const MOUNT_PATH: &str = "/home/ma-user/modelarts";
/// The folder of the job's code; ranks are to be started there.
pub const CODE: &str = "/home/ma-user/modelarts/user-job-dir/code";
/// The example in that folder.
pub const EXAMPLE: &str = "train.py";
/// Name of the job.
const JOB: &str = "ma-job-try";

/// Folders of a node on this machine, below its own, and where its container has them. All can be written to but the table's.
pub const FOLDERS: [(&str, &str, bool); 4] = [
    ("modelarts", MOUNT_PATH, false),
    ("cache", "/cache", false),
    ("tmp", "/tmp", false),
    ("config", "/user/config", true),
];

/// A job to be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// What the image is called.
    pub image: String,
    /// The platform's boot command, which is no shell's line.
    pub command: Vec<String>,
    /// User of the containers.
    #[serde(serialize_with = "as_text")]
    pub user: User,
    /// Nothing of the image can be written to.
    pub read_only: bool,
    /// Devices of a node.
    pub devices: u32,
    /// The containers.
    pub nodes: Vec<Node>,
    /// Variables that every container has besides its own.
    pub env: Vec<(String, String)>,
    /// Where everything goes.
    pub out: PathBuf,
}

/// `UID:GID` of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// From 0.
    pub index: u32,
    /// Name of its instance.
    pub name: String,
    /// The address in the table. The container has no network that knows it.
    pub address: String,
    /// What the platform tells it.
    pub env: Vec<(String, String)>,
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl Job {
    /// What the flags ask for.
    pub fn new(args: &TryArgs, image: String, out: PathBuf) -> anyhow::Result<Self> {
        let nodes = (0..args.nodes).map(|index| node(index, args.nodes)).collect();
        let env = args.env.iter().map(|text| variable(text)).collect::<anyhow::Result<_>>()?;
        let mut job = Self {
            image,
            command: args.command.clone(),
            user: User { uid: args.uid, gid: args.gid },
            read_only: args.read_only,
            devices: args.devices,
            nodes,
            env,
            out,
        };
        if job.command.is_empty() {
            job.command = default_command();
        }
        for node in &mut job.nodes {
            node.env.push(("MA_NUM_GPUS".to_owned(), args.devices.to_string()));
        }
        Ok(job)
    }

    /// The folder of a node on this machine.
    pub fn folder(&self, node: &Node) -> PathBuf {
        self.out.join(format!("node-{}", node.index))
    }

    /// What the engine is told to make the container of a node: the arguments of `create`.
    pub fn create(&self, node: &Node, container: &str, label: &str, image: &str, engine: &[&str]) -> Vec<String> {
        let user = self.user.to_string();
        let mut arguments: Vec<String> = ["create", "--name", container, "--label", label, "--network", "none"]
            .into_iter()
            .chain(["--hostname", &node.name, "--user", &user, "--security-opt", "label=disable"])
            .map(str::to_owned)
            .collect();
        if self.read_only {
            arguments.push("--read-only".to_owned());
        }
        for (folder, target, read_only) in FOLDERS {
            let mount = engine::mount(&self.folder(node).join(folder), target, read_only);
            arguments.extend(["--mount".to_owned(), mount]);
        }
        for (name, value) in node.env.iter().chain(&self.env) {
            arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        arguments.extend(engine.iter().map(|one| (*one).to_owned()));
        // The platform runs the boot command, whatever the image's entry point is.
        let (program, rest) = self.command.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        arguments.extend(["--entrypoint", program, image].map(str::to_owned));
        arguments.extend(rest.iter().cloned());
        arguments
    }

    /// Where a path of a node's container is on this machine; none where it is not in a shared folder.
    pub fn on_host(&self, node: &Node, path: &str) -> Option<PathBuf> {
        let found =
            FOLDERS.iter().find_map(|(folder, target, _)| Some((folder, Path::new(path).strip_prefix(target).ok()?)));
        found.map(|(folder, rest)| self.folder(node).join(folder).join(rest))
    }
}

/// The launcher with the example as ranks.
fn default_command() -> Vec<String> {
    ["fmtk-launch", "run", "--code-dir", CODE, "--", "python3", EXAMPLE].map(str::to_owned).into()
}

impl Node {
    /// The last two bytes of its address.
    pub fn low_address(&self) -> &str {
        self.address.strip_prefix("172.16.").unwrap_or(&self.address)
    }
}

/// Node `index` of `all`, as the platform describes it.
pub fn node(index: u32, all: u32) -> Node {
    let name = |index: u32| format!("{JOB}-worker-{index}");
    let address = format!("172.16.{}.{}", index / 250, index % 250 + 1);
    let hosts: Vec<String> = (0..all).map(|index| format!("{}.{JOB}", name(index))).collect();
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
    ];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Node { index, name: name(index), address, env }
}

fn variable(text: &str) -> anyhow::Result<(String, String)> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or_else(|| anyhow!("`--env {text}` is not `NAME=VALUE`")).input()?;
    Ok((name.to_owned(), value.to_owned()))
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
    let check = || {
        ensure!(is_free(&folder), "`{}` holds something already", folder.display());
        Ok(())
    };
    check().hint("name another folder with `--out`").input()?;
    Ok(folder)
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image    {}", self.image)?;
        writeln!(f, "command  {}", shell::line(&self.command))?;
        let root = if self.read_only { ", on a read-only root" } else { "" };
        writeln!(f, "user     {}{root}, without a network", self.user)?;
        writeln!(f, "output   {}", self.out.display())?;
        for node in &self.nodes {
            let first = node.index * self.devices;
            let last = first + self.devices - 1;
            writeln!(f, "node {}   {}, {}, ranks {first}–{last}", node.index, node.name, node.address)?;
            for (name, value) in node.env.iter().chain(&self.env) {
                writeln!(f, "  {name}={value}")?;
            }
            for (folder, target, read_only) in FOLDERS {
                let how = if read_only { "read-only" } else { "can be written to" };
                writeln!(f, "  {target}  {} ({how})", self.folder(node).join(folder).display())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
