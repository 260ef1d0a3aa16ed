//! Which ranks are this server's.

pub mod bind;
pub mod devices;
pub mod engine;
pub mod files;
pub mod framework;
mod launchers;
pub mod master_port;
pub mod nodes;
pub mod paths;
mod placeholders;
pub mod programs;
pub mod python;
mod recovery;
mod restarts;
pub mod setup;
pub mod variables;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::net::if_::InterfaceFlags;
use rank_table::{Clues, Format, Instance, Location, Origin, RankTable, Ready};

use self::framework::Choice;
use self::nodes::Nodes;
use crate::exit::{Exit, Failure};
use crate::options::{Framework, Master, NodeFlags, RunOptions};
use crate::units;

/// Looks up a variable; one that is empty counts as not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// One training process to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// RANK_ID: its number in the job.
    pub rank: u32,
    /// Its number on this server, from 0.
    pub local: u32,
    /// DEVICE_ID: the logical number of its device on this server.
    pub device: u32,
    /// The number that the driver gives the device on this server.
    pub physical: u32,
}

/// What this server does in the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// JOB_ID.
    pub id: String,
    /// This server in messages: its `server_id`, or the host's name.
    pub host: String,
    pub ranks: Vec<Rank>,
    /// RANK_SIZE: ranks of the whole job.
    pub size: u32,
    /// The nodes of the job, and which of them this server is.
    pub nodes: Nodes,
    /// What the ranks meet by.
    pub choice: Choice,
    pub table: Option<Table>,
    pub processes: Processes,
}

/// What the launcher starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// One for each rank of this server.
    Ranks,
    /// One, which starts so many ranks itself. It has the node's number for a rank's.
    PerNode(u32),
    /// The vendor's scripts, which start the ranks. Their process has the node's number for a rank's.
    Scripts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The file, as it was read.
    pub path: PathBuf,
    pub table: RankTable,
    /// What told which of its servers this one is.
    pub by: String,
    /// What speaks against that.
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A table that is there, or has to come.
    Table(Location),
    /// No table: a rank for each of these devices.
    Devices(Vec<u32>),
    /// No table, and no flag with devices: see [`devices::of_node`].
    Node,
}

/// Where the ranks come from: the flags, then the environment. Looks whether the platform's table is there.
///
/// A platform mounts its table's folder before the container starts. Without that, and without a variable that names a
/// table, a job of several nodes has none; on the platform one is waited for, but not long.
pub fn source(options: &RunOptions, has_several_nodes: bool, lookup: Lookup) -> Source {
    if let Some(devices) = &options.devices {
        return Source::Devices(devices.clone());
    }
    if let Some(path) = &options.rank_table {
        return Source::Table(Location::given(path));
    }
    let location = rank_table::locate(lookup);
    let is_expected = location.origin != Origin::Default
        || !has_several_nodes && lookup("MA_VJ_NAME").is_some()
        || is_there_or_its_folder(&location);
    if is_expected { Source::Table(location) } else { Source::Node }
}

impl Source {
    /// The same, but for a framework that wants no table: one that the platform has is not waited for. If it is there, it
    /// still tells the ranks, unless the nodes are numbered without one: a table has an order of its own, and may not have
    /// come to all nodes yet.
    pub fn for_ranks_of(self, framework: Framework, options: &RunOptions, are_numbered: bool) -> Source {
        let wants_table = options.rank_table.is_some() || framework.wants_table();
        match self {
            Source::Table(location) if !wants_table && (are_numbered || !location.paths().any(Path::exists)) => {
                Source::Node
            }
            source => source,
        }
    }
}

/// Whether a table that is not there yet is worth a long wait. The platform mounts its folder before the container starts,
/// and mounts none for a job that needs no table, one of PyTorch on a single server for example.
pub fn is_table_likely(location: &Location, has_several_nodes: bool, lookup: Lookup) -> bool {
    let is_of_platform = location.origin != Origin::Given && lookup("MA_VJ_NAME").is_some();
    !is_of_platform || has_several_nodes || is_there_or_its_folder(location)
}

fn is_there_or_its_folder(location: &Location) -> bool {
    location.paths().any(|it| it.exists() || it.parent().is_some_and(Path::exists))
}

impl Job {
    /// The job of a complete table.
    ///
    /// # Errors
    ///
    /// With exit code 2 if it can't be told which server this is, or this server has no devices.
    pub fn of_table(ready: Ready, flags: &NodeFlags, lookup: Lookup, addresses: Vec<IpAddr>) -> Result<Job, Failure> {
        let path = ready.path.display();
        let is_counted =
            |_: &u32| flags.count.is_some_and(|it| usize::try_from(it) == Ok(ready.table.instances().len()));
        let clues = Clues { node_rank: flags.index.filter(is_counted), ..Clues::new(lookup, addresses) };
        let found = rank_table::find(&ready.table, &clues)
            .map_err(|why| Failure::new(Exit::USAGE, format!("rank table `{path}`: {why}")))?;
        let server = found.instance;
        let host = server.server_id.clone().unwrap_or_else(host_name);
        if server.devices.is_empty() {
            let text = format!("rank table `{path}`: the server `{host}` has no devices, so no rank is its");
            return Err(Failure::new(Exit::USAGE, text));
        }
        // LOCAL_RANK is DEVICE_ID: PyTorch's scripts take the one for the other.
        let rank = |device: &rank_table::Device| {
            let logical = server.logical_id(device);
            Rank { rank: device.rank, local: logical, device: logical, physical: device.id }
        };
        let ranks = server.devices.iter().map(rank).collect();
        // A 2.0 table does not say where its nodes are; the only one is here.
        let here = (ready.table.instances().len() == 1).then_some("127.0.0.1");
        let master = ready.table.instance_of_rank_0().and_then(Instance::address).or(here);
        let nodes = Nodes {
            // Bounded to far less by the limits of a table.
            count: u32::try_from(ready.table.instances().len()).unwrap_or(u32::MAX),
            // Node 0 has rank 0, wherever the table has it.
            index: u32::try_from(found.number).unwrap_or(u32::MAX),
            master: master.map(|it| Master { host: it.to_owned(), port: None }),
            by: "the rank table".to_owned(),
        };
        let (by, note, size) = (found.by, found.note, ready.table.rank_count());
        let table = Some(Table { path: ready.path, table: ready.table, by, note });
        Ok(Job {
            id: id(&nodes, lookup),
            host,
            ranks,
            size,
            nodes,
            choice: Choice::default(),
            table,
            processes: Processes::Ranks,
        })
    }

    /// The job of nodes that have as many devices each as this one.
    pub fn of_devices(devices: &[u32], nodes: Nodes, lookup: Lookup) -> Job {
        // `devices::of_node` has counted all of them.
        let each = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        let first = nodes.index.saturating_mul(each);
        let rank = |(local, device): (u32, &u32)| Rank {
            rank: first.saturating_add(local),
            local,
            device: *device,
            physical: *device,
        };
        Job {
            id: id(&nodes, lookup),
            host: host_name(),
            ranks: (0..).zip(devices).map(rank).collect(),
            size: nodes.count.saturating_mul(each),
            nodes,
            choice: Choice::default(),
            table: None,
            processes: Processes::Ranks,
        }
    }

    /// The job of the vendor's scripts on the server of this number.
    pub fn of_scripts(server: u32, lookup: Lookup) -> Job {
        let mut job = Job::of_devices(&[0], Nodes::alone(), lookup);
        job.ranks.iter_mut().for_each(|it| it.rank = server);
        Job { processes: Processes::Scripts, ..job }
    }

    /// The job of a command that starts a rank for each device of its node itself.
    pub fn per_node(devices: &[u32], nodes: Nodes, lookup: Lookup) -> Job {
        let each = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        let size = nodes.count.saturating_mul(each);
        Job { size, processes: Processes::PerNode(each), ..Job::of_devices(&[0], nodes, lookup) }
    }

    /// The same job, whose ranks meet as was chosen.
    pub fn meeting(self, choice: Choice) -> Job {
        Job { choice, ..self }
    }

    pub fn framework(&self) -> Framework {
        self.choice.framework
    }

    /// The same job, whose nodes are these.
    pub fn with_nodes(self, nodes: Nodes, lookup: Lookup) -> Job {
        Job { id: id(&nodes, lookup), nodes, ..self }
    }

    /// Whether the process that the ranks of MindSpore register with is this node's.
    pub fn has_scheduler(&self) -> bool {
        self.framework() == Framework::MindSpore && self.nodes.index == 0 && self.starts_ranks()
    }

    /// Whether the ranks of this node are all that there are.
    pub fn is_whole(&self) -> bool {
        self.nodes.count <= 1 || self.ranks.len() == self.size as usize
    }

    /// Whether the launcher starts the ranks themselves, and not something that does.
    pub fn starts_ranks(&self) -> bool {
        self.processes == Processes::Ranks
    }

    /// Where rank 0 is: an address, or a name.
    pub fn master(&self) -> &str {
        self.nodes.master.as_ref().map_or("127.0.0.1", |it| &it.host)
    }

    /// These ranks, as people call them.
    pub fn who(&self, ranks: &[u32]) -> String {
        match self.processes {
            Processes::Ranks => units::ranks(ranks),
            Processes::PerNode(_) => "the command".to_owned(),
            Processes::Scripts => "the vendor's scripts".to_owned(),
        }
    }

    /// Whether the table was found by this path, its own or its folder's.
    pub fn is_table_of(&self, path: &Path) -> bool {
        self.table.as_ref().is_some_and(|it| it.path == path || it.path.parent() == Some(path))
    }

    /// Whether the ranks need a v1 table that this server has to write.
    pub fn needs_conversion(&self) -> bool {
        self.table.as_ref().is_some_and(|it| it.table.format() == Format::V0)
    }
}

/// JOB_ID, the same on all nodes wherever they know something in common. Without a given id it is the name of node 0, which
/// is no id of this job alone: the next one may meet there, too.
fn id(nodes: &Nodes, lookup: Lookup) -> String {
    let text = |name| lookup(name).map(|it| it.to_string_lossy().into_owned());
    let own = || given_id(nodes, lookup).or_else(|| nodes.name()).unwrap_or_else(host_name);
    // Each rank may start a launcher: jobs, logs and reports of their own.
    match text("RANK").filter(|_| is_rank(lookup)) {
        None => own(),
        Some(_) if nodes.count > 1 => format!("{}-in-ranks", own()),
        Some(rank) => format!("{}-in-rank-{rank}", text("JOB_ID").unwrap_or_else(own)),
    }
}

/// The id that all servers of this job are given, and no other job: as the vendor's scripts have it, else Slurm's.
fn given_id(nodes: &Nodes, lookup: Lookup) -> Option<String> {
    let set = |name| lookup(name).map(|it| it.to_string_lossy().into_owned());
    set("BATCH_JOB_ID")
        .or_else(|| set("MA_VJ_NAME").map(|name| name.replacen("ma-job", "modelarts-job", 1)))
        .or_else(|| nodes.slurm_id(lookup))
}

/// Whether this launcher was started by a rank, of another launcher or of torchrun: each of the node's ranks may start one, so
/// what the cluster says of the node is not said of it.
fn is_rank(lookup: Lookup) -> bool {
    lookup("FMTK_ATTEMPT").and(lookup("RANK")).is_some() || lookup("TORCHELASTIC_RUN_ID").is_some()
}

fn host_name() -> String {
    // Never more than 64 bytes; a kernel that does not tell leaves nothing to be wrong about.
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |it| it.trim().to_owned())
}

/// Addresses of this machine's interfaces; none where they can't be listed. Not of one that is down: there kube-proxy keeps
/// those of all of the cluster's services.
pub fn local_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let address = |it: nix::ifaddrs::InterfaceAddress| {
        let address = it.address?;
        let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
    };
    interfaces.filter(|it| it.flags.contains(InterfaceFlags::IFF_UP)).filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::files::Folders;
    use super::*;
    use crate::options::Given;

    /// An environment for tests.
    pub fn of_test<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| variables.iter().find(|it| it.0 == name && !it.1.is_empty()).map(|it| it.1.into())
    }

    pub fn job(id: &str) -> Job {
        let nodes = Nodes {
            count: 8,
            index: 4,
            master: Some(Master { host: "10.0.0.9".to_owned(), port: None }),
            by: "the test".to_owned(),
        };
        Job { id: id.to_owned(), host: "10.0.0.1".to_owned(), ..Job::of_devices(&[0, 1], nodes, &|_| None) }
    }

    pub fn folders() -> Folders {
        Folders {
            code: "/code".into(),
            logs: "/log".into(),
            table: Some("/mount/rank_table/jobstart_hccl.json".into()),
            work: "/w".into(),
            replace_home: false,
        }
    }

    #[test]
    fn a_table_is_expected_where_something_says_so() {
        let options = RunOptions::read(&Given::default()).unwrap();
        for (variables, several, expected) in [
            (&[][..], false, Source::Node),
            (&[("MA_NUM_HOSTS", "1"), ("RANK_TABLE_FILE", "")], false, Source::Node),
            (&[("MA_NUM_HOSTS", "2")], true, Source::Node),
            (&[("MA_VJ_NAME", "ma-job-1"), ("VC_WORKER_NUM", "4")], true, Source::Node),
            (&[("MA_VJ_NAME", "ma-job-1")], false, Source::Table(rank_table::locate(|_| None))),
        ] {
            assert_eq!(source(&options, several, &of_test(variables)), expected, "{variables:?}");
        }
        let named = [("RANK_TABLE_FILE", "/tables")];
        let Source::Table(location) = source(&options, true, &of_test(&named)) else { panic!() };
        assert_eq!(location.path, Path::new("/tables"));
        let devices = RunOptions { devices: Some(vec![4, 5]), ..options };
        assert_eq!(source(&devices, true, &of_test(&named)), Source::Devices(vec![4, 5]));
    }

    #[test]
    fn numbered_nodes_have_their_ranks_by_no_table_that_the_framework_does_not_want() {
        let folder = tempfile::tempdir().unwrap();
        let (here, missing) = (folder.path().join("here"), folder.path().join("missing"));
        std::fs::write(&here, "").unwrap();
        let options = RunOptions::read(&Given::default()).unwrap();
        let given = RunOptions { rank_table: Some(here.clone()), ..options.clone() };
        for (framework, options, path, are_numbered, expected) in [
            (Framework::Torch, &options, &here, true, false),
            (Framework::Torch, &options, &missing, true, false),
            (Framework::MindSpore, &options, &here, true, false),
            (Framework::Torch, &options, &here, false, true),
            (Framework::Torch, &options, &missing, false, false),
            (Framework::Plain, &options, &missing, true, true),
            (Framework::Torch, &given, &here, true, true),
        ] {
            let source = Source::Table(Location { origin: Origin::RankTableFile, ..Location::given(path) });
            let made = source.for_ranks_of(framework, options, are_numbered);
            assert_eq!(matches!(made, Source::Table(_)), expected, "{framework:?} {path:?} {are_numbered}");
        }
    }

    #[test]
    fn a_table_without_even_a_folder_is_not_likely_for_the_platform_s_single_server() {
        const JOB: (&str, &str) = ("MA_VJ_NAME", "ma-job-1");
        let folder = tempfile::tempdir().unwrap();
        let of_variable =
            |name: &str| Location { origin: Origin::RankTableFile, ..Location::given(folder.path().join(name)) };
        for (location, variables, several, expected) in [
            (of_variable("no/table.json"), &[JOB][..], false, false),
            (of_variable("no/table.json"), &[JOB], true, true),
            (of_variable("no/table.json"), &[], false, true),
            (of_variable("table.json"), &[JOB], false, true),
            (Location { other: Some(folder.path().join("x")), ..of_variable("no/table.json") }, &[JOB], false, true),
            (Location::given(folder.path().join("no/table.json")), &[JOB], false, true),
        ] {
            let likely = is_table_likely(&location, several, &of_test(variables));
            assert_eq!(likely, expected, "{location:?} {variables:?} {several}");
        }
    }

    #[test]
    fn job_ids() {
        const SLURM: &[(&str, &str)] =
            &[("SLURM_JOB_ID", "31"), ("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_NODES", "2"), ("SLURM_NODEID", "1")];
        const RANK: (&str, &str) = ("FMTK_ATTEMPT", "1");
        const MPI: (&str, &str) = ("OMPI_COMM_WORLD_SIZE", "2");
        let host = host_name();
        for (variables, count, master, expected, is_given) in [
            (&[("MA_VJ_NAME", "ma-job-12")][..], 2, "m", "modelarts-job-12", true),
            (&[("MA_VJ_NAME", "x-ma-job-ma-job")], 1, "", "x-modelarts-job-ma-job", true),
            (&[("MA_VJ_NAME", "ma-job-12"), ("BATCH_JOB_ID", "b")], 1, "", "b", true),
            (&[("MA_VJ_NAME", "")], 1, "", &host, false),
            (SLURM, 2, "n1", "slurm-31", true),
            (&[SLURM, &[("BATCH_JOB_ID", "b")]].concat(), 2, "n1", "b", true),
            // Jobs of Slurm with a node each, which flags make one; and a step that is mpirun's.
            (SLURM, 4, "n1", "master-n1", false),
            (&[SLURM, &[MPI]].concat(), 2, "n1", "master-n1", false),
            (SLURM, 1, "", &host, false),
            (&[], 2, "10.0.0.9", "master-10.0.0.9", false),
            (&[], 2, "fd00::9", "master-fd00__9", false),
            (&[], 2, "Node-0.Cluster", "master-node-0.cluster", false),
            (&[], 2, "../a b", "master-.._a_b", false),
            // It is the same for other machines.
            (&[], 2, "127.0.0.1", &host, false),
            (&[], 2, "", &host, false),
            (&[], 1, "10.0.0.9", &host, false),
            (&[("BATCH_JOB_ID", "b"), ("JOB_ID", "x"), ("RANK", "3")], 1, "", "b", true),
            (&[("BATCH_JOB_ID", "b"), ("JOB_ID", "b"), ("RANK", "3"), RANK], 1, "", "b-in-rank-3", true),
            (&[("JOB_ID", "b-in-rank-3"), ("RANK", "0"), RANK], 1, "", "b-in-rank-3-in-rank-0", false),
            (&[("BATCH_JOB_ID", "b"), ("RANK", "3"), ("TORCHELASTIC_RUN_ID", "none")], 1, "", "b-in-rank-3", true),
            (&[("BATCH_JOB_ID", "b"), ("JOB_ID", "b"), ("RANK", "8"), RANK], 2, "m", "b-in-ranks", true),
        ] {
            let master = (!master.is_empty()).then(|| Master { host: master.to_owned(), port: None });
            let nodes = Nodes { count, master, ..Nodes::alone() };
            let lookup = of_test(variables);
            assert_eq!((id(&nodes, &lookup).as_str(), given_id(&nodes, &lookup).is_some()), (expected, is_given));
        }
    }

    #[test]
    fn devices_are_ranks() {
        let rank = |rank, local, device| Rank { rank, local, device, physical: device };
        let job = Job::of_devices(&[4, 6], Nodes::alone(), &|_| None);
        assert_eq!((job.ranks, job.size), (vec![rank(0, 0, 4), rank(1, 1, 6)], 2));
        let job = Job::of_devices(&[4, 6], Nodes { count: 3, index: 2, ..Nodes::alone() }, &|_| None);
        assert_eq!((job.ranks, job.size), (vec![rank(4, 0, 4), rank(5, 1, 6)], 6));
    }

    #[test]
    fn a_table_gives_ranks_and_where_they_meet() {
        let text = br#"{"version":"1.0","status":"completed","server_count":"2","server_list":[
            {"server_id":"10.0.0.2","device":[{"device_id":"5","device_ip":"1.1.1.1","rank_id":"2"},
                                              {"device_id":"4","device_ip":"1.1.1.2","rank_id":"3"}]},
            {"server_id":"10.0.0.1","device":[{"device_id":"0","device_ip":"1.1.1.3","rank_id":"0"},
                                              {"device_id":"1","device_ip":"1.1.1.4","rank_id":"1"}]}]}"#;
        let ready = Ready { table: rank_table::parse(text).expect("a table"), path: "/t".into() };
        let here = [("MA_CURRENT_HOST_IP", "10.0.0.2"), ("MA_VJ_NAME", "ma-job-1")];
        let none = NodeFlags::default();
        let job = Job::of_table(ready.clone(), &none, &of_test(&here), Vec::new()).expect("a job");
        assert_eq!(
            job.ranks,
            [Rank { rank: 2, local: 1, device: 1, physical: 5 }, Rank { rank: 3, local: 0, device: 0, physical: 4 }],
            "the driver's numbers follow the physical ones and not the order of the table"
        );
        assert_eq!((job.size, job.master(), job.host.as_str()), (4, "10.0.0.1", "10.0.0.2"));
        assert_eq!((job.nodes.count, job.nodes.index), (2, 1), "node 0 is the one with rank 0");
        let by_flags = |count, index| {
            let flags = NodeFlags { count, index, ..NodeFlags::default() };
            Job::of_table(ready.clone(), &flags, &|_| None, Vec::new())
        };
        for (index, host) in [(0, "10.0.0.1"), (1, "10.0.0.2")] {
            let job = by_flags(Some(2), Some(index)).expect("a job");
            assert_eq!((job.nodes.index, job.host.as_str(), job.id.as_str()), (index, host, "master-10.0.0.1"));
        }
        for (count, index) in [(None, None), (Some(2), None), (None, Some(1)), (Some(2), Some(2)), (Some(3), Some(1))] {
            let lost = by_flags(count, index).expect_err("no clue").text;
            assert!(lost.starts_with("rank table `/t`: it can't be told which of the 2 servers"), "{lost}");
        }
    }
}
