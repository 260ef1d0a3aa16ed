//! The nodes of a job, and which of them this server is: what the flags say, what a cluster's variables do, and that all of
//! these agree.
//!
//! Each source is a function of the environment to a [`Claim`]. All that they say has to agree: with two opinions of a
//! node's number, two servers would start the same ranks. There is no default where several nodes are known.

mod claim;
mod host_list;
mod model_arts;
mod mpi;
mod operators;
mod slurm;

use std::collections::BTreeSet;
use std::net::IpAddr;

use rank_table::RankTable;

use self::claim::{Claim, Said, set};
use self::operators::is_loopback;
pub use self::operators::totals;
use super::{Lookup, is_rank, master_port};
use crate::exit::{Exit, Failure};
use crate::options::{Master, NodeFlags};

/// As many as a list of hosts may have. With that, no number of a rank is out of bounds.
const MAX_NODES: u32 = host_list::MAX_HOSTS;
const OTHER_TABLE: &str = "hint: correct or unset the one that is wrong, or give the table of this job";

/// The nodes of a job, numbered from 0. All have the same number of ranks; a rank table alone may say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// At least 1.
    pub count: u32,
    /// Which of them this server is, below `count`.
    pub index: u32,
    /// Where the ranks meet: node 0, as it was named. `None` where nobody names it.
    pub master: Option<Master>,
    /// What says so, to follow "by": `--nnodes and --node-rank`, `VC_WORKER_NUM and VC_TASK_INDEX`; empty for a job that
    /// has one node because nothing says otherwise.
    pub by: String,
}

impl Nodes {
    /// This server alone.
    pub fn alone() -> Nodes {
        Nodes { count: 1, index: 0, master: None, by: String::new() }
    }

    /// What several nodes can call their job, by node 0; `None` where that is not named, or by an address that each has.
    pub fn name(&self) -> Option<String> {
        let host = &self.master.as_ref().filter(|it| self.count > 1 && !is_loopback(&it.host))?.host;
        let plain =
            |it: char| if it.is_ascii_alphanumeric() || "-_.".contains(it) { it.to_ascii_lowercase() } else { '_' };
        Some(format!("master-{}", host.chars().map(plain).collect::<String>()))
    }

    /// What Slurm calls the job of these nodes. Nodes that other means join may be a job of Slurm each.
    pub fn slurm_id(&self, lookup: Lookup) -> Option<String> {
        let are_its = self.count > 1 && slurm::claim(lookup).counts.iter().any(|it| it.value == self.count);
        set(lookup, "SLURM_JOB_ID").filter(|_| are_its).map(|it| format!("slurm-{it}"))
    }
}

/// What all sources say, flags first.
#[derive(Debug)]
pub struct Claims {
    claims: Vec<Claim>,
    /// What is not heard, as this is a rank's environment: a variable that says there are several nodes.
    unheard: Option<String>,
    /// `--master`.
    master: Option<Master>,
    /// MASTER_ADDR, which the user may have set by hand.
    master_addr: Option<String>,
    /// MASTER_PORT, `None` inside for what is not a port.
    master_port: Option<Option<u16>>,
}

/// Asks all sources. `tasks` are the tasks of a Volcano job, see [`model_arts`].
pub fn claims(flags: &NodeFlags, lookup: Lookup, tasks: &[String]) -> Claims {
    let torch = operators::torch(lookup);
    let mut clusters = vec![
        model_arts::claim(lookup, tasks, !torch.counts.is_empty()),
        operators::elastic(lookup),
        torch,
        operators::mindspore(lookup),
        slurm::claim(lookup),
        mpi::open_mpi(lookup),
        mpi::pmi(lookup),
    ];
    let mut unheard = clusters.iter().find_map(|it| it.unheard.clone());
    if is_rank(lookup) {
        let mut counts = clusters.iter().flat_map(|it| &it.counts);
        unheard = counts.find(|it| it.value > 1).map(|it| it.words.clone()).or(unheard);
        clusters.clear();
    }
    Claims {
        claims: [of_flags(flags)].into_iter().chain(clusters).collect(),
        unheard,
        master: flags.master.clone(),
        master_addr: set(lookup, "MASTER_ADDR"),
        master_port: master_port::given(lookup).map(Result::ok),
    }
}

const NNODES: &str = "--nnodes";
const NODE_RANK: &str = "--node-rank";

fn of_flags(flags: &NodeFlags) -> Claim {
    let said = |name: &str, value| Said { value, by: name.to_owned(), words: format!("`{name}` is {value}") };
    Claim {
        counts: flags.count.map(|it| said(NNODES, it)).into_iter().collect(),
        indexes: flags.index.map(|it| said(NODE_RANK, it)).into_iter().collect(),
        hint: "give `--node-rank`",
        ..Claim::default()
    }
}

impl Claims {
    /// Whether something says that the job has several nodes.
    pub fn are_several(&self) -> bool {
        self.claims.iter().flat_map(|it| &it.counts).any(|it| it.value > 1)
    }

    /// The nodes of a job without a rank table, if anything says that it has several, or names node 0; and what the user
    /// should know about it.
    ///
    /// # Errors
    ///
    /// With exit code 2: a count without a number of this node or the other way around, a number that is not below the
    /// count, sources that contradict each other, with both values, and a job of this node alone that something speaks
    /// against, unless `--nnodes` says so.
    pub fn nodes(&self) -> Result<(Option<Nodes>, Vec<String>), Failure> {
        refuse_problems(self.claims.iter())?;
        let counts: Vec<_> = self.claims.iter().flat_map(|it| &it.counts).collect();
        let indexes: Vec<_> = self.claims.iter().flat_map(|it| &it.indexes).collect();
        agree(&counts, "how many nodes the job has")?;
        agree(&indexes, "which node this is")?;
        if let Some(count) = counts.iter().find(|it| it.value > MAX_NODES) {
            let text = format!("{}, and a job has {MAX_NODES} nodes at most", count.words);
            return refused(format!("{text}\nhint: correct it or unset it"));
        }
        if counts.is_empty() {
            self.refuse_without_count(&indexes)?;
        }
        let mut notes = Vec::new();
        let is_given = counts.first().is_some_and(|it| it.by == NNODES);
        if !is_given && counts.iter().all(|it| it.value == 1) {
            let mut doubts = self.claims.iter().flat_map(|it| &it.doubts);
            doubts.next().map_or(Ok(()), |it| refused(it.clone()))?;
            let note = |words| format!("this launcher was started by a rank and is a job of its own, though {words}");
            notes.extend(self.unheard.as_ref().map(note));
        }
        let (count, index, by) = match (counts.first(), indexes.first()) {
            (None, index) => {
                if let Some(index) = index.filter(|it| it.value > 0) {
                    let text = format!("{}, but nothing says how many nodes there are", index.words);
                    notes.push(format!("{text}: this one is a job of its own"));
                }
                (1, 0, String::new())
            }
            (Some(count), Some(index)) if index.value >= count.value => {
                let text = format!("{}, but {}: nodes are numbered from 0", index.words, count.words);
                return refused(format!("{text}\nhint: correct or unset the one that is wrong"));
            }
            (Some(count), None) if count.value == 1 => (1, 0, count.by.clone()),
            (Some(count), None) => {
                let hint = self.claims.iter().find(|it| !it.counts.is_empty()).map_or("", |it| it.hint);
                let text = format!("{}, and nothing says which of them this node is", count.words);
                return refused(format!("{text}\nhint: {hint}"));
            }
            (Some(count), Some(index)) if count.by == index.by => (count.value, index.value, count.by.clone()),
            (Some(count), Some(index)) => (count.value, index.value, format!("{} and {}", count.by, index.by)),
        };
        if count == 1 {
            // Where it is node 0 of itself, nothing has to be said.
            let is_silent = counts.is_empty() && self.master.is_none();
            let nodes = Nodes { count, index, master: self.master.clone(), by };
            return Ok(((!is_silent).then_some(nodes), notes));
        }
        let (master, notes) = self.meeting_point(None)?;
        Ok((Some(Nodes { count, index, master, by }), notes))
    }

    /// Refuses what is said of a node among others, where nothing says how many there are.
    fn refuse_without_count(&self, indexes: &[&Said<u32>]) -> Result<(), Failure> {
        let nothing = "and nothing says how many nodes there are";
        if let Some(flag) = indexes.iter().find(|it| it.by == NODE_RANK) {
            return refused(format!("{}, {nothing}\nhint: give `--nnodes`", flag.words));
        }
        if let Some(master) = self.master.as_ref().filter(|it| !is_loopback(&it.host)) {
            return refused(format!(
                "`--master` is `{}`, {nothing}\n\
                 hint: give `--nnodes` and `--node-rank`, with `--nnodes 1` for a job of this node alone",
                master.host
            ));
        }
        // Volcano numbers pods that know nothing of each other, too.
        let is_of_job = |it: &&&Said<u32>| !["VC_TASK_INDEX", "VK_TASK_INDEX"].contains(&it.by.as_str());
        match indexes.iter().find(|it| it.value > 0 && is_of_job(it)) {
            Some(index) => refused(format!(
                "{}, {nothing}\nhint: give `--nnodes`, or unset it where this node is a job of its own",
                index.words
            )),
            None => Ok(()),
        }
    }

    /// Checks that all speak of as many nodes as a rank table has. The platform's own variables are not compared:
    /// [`rank_table::find`] does so by its rules.
    ///
    /// # Errors
    ///
    /// With exit code 2, where the flags or another cluster's variables say that there are more or fewer nodes.
    pub fn agree_with(&self, table: &RankTable) -> Result<(), Failure> {
        let others = || self.claims.iter().filter(|it| !it.is_judged_by_table);
        refuse_problems(others())?;
        let count = table.instances().len();
        let machines: BTreeSet<_> = table.instances().iter().filter_map(|it| it.server_id.as_ref()).collect();
        let is_other = |it: &&Said<u32>| usize::try_from(it.value).is_ok_and(|it| it != count && it != machines.len());
        match others().flat_map(|it| &it.counts).find(is_other) {
            None => Ok(()),
            Some(said) => {
                let servers = if count == 1 { "server" } else { "servers" };
                refused(format!("{}, but the rank table has {count} {servers}\n{OTHER_TABLE}", said.words))
            }
        }
    }

    /// The nodes of a rank table, met where the flags and MASTER_ADDR say; and what the user should know about it.
    ///
    /// The table may have the nodes in another order than a cluster has, so that their numbers are compared to the flags'
    /// alone.
    ///
    /// # Errors
    ///
    /// With exit code 2, where `--node-rank` is the number of another server of the table.
    pub fn with_table(&self, nodes: Nodes) -> Result<(Nodes, Vec<String>), Failure> {
        let flags = self.claims.first().map(|it| it.indexes.as_slice()).unwrap_or_default();
        if let Some(index) = flags.iter().find(|it| it.value != nodes.index) {
            return refused(format!(
                "{}, but this server is number {} of the rank table\n{OTHER_TABLE}",
                index.words, nodes.index
            ));
        }
        let (master, notes) = self.meeting_point(nodes.master.as_ref())?;
        Ok((Nodes { master, ..nodes }, notes))
    }

    /// Where the ranks of several nodes meet: `--master`, MASTER_ADDR, the table, or what the sources say, and the port
    /// likewise. One who sets MASTER_ADDR knows another network of node 0 than the cluster, so that it may differ.
    fn meeting_point(&self, table: Option<&Master>) -> Result<(Option<Master>, Vec<String>), Failure> {
        let said: Vec<_> = self.claims.iter().filter_map(|it| it.master.as_ref()).filter(|_| table.is_none()).collect();
        if self.master.is_none() && self.master_addr.is_none() {
            refuse_two_addresses(&said)?;
        }
        let mut notes = Vec::new();
        let own = self.master_addr.as_ref();
        let host = match (&self.master, own) {
            (Some(master), own) => {
                if let Some(own) = own.filter(|it| !is_same(it, &master.host)) {
                    notes.push(format!(
                        "`--master` is `{}`, and comes before MASTER_ADDR, which is `{own}`",
                        master.host
                    ));
                }
                Some(&master.host)
            }
            (None, Some(own)) => Some(own),
            (None, None) => table.map(|it| &it.host).or_else(|| said.first().map(|it| &it.value.host)),
        };
        let Some(host) = host else {
            notes.push("nothing says where node 0 is, so MASTER_ADDR is not set; `--master` names it".to_owned());
            return Ok((None, notes));
        };
        if self.master.is_none()
            && let Some(other) = said.iter().find(|it| !is_same(&it.value.host, host))
        {
            notes.push(format!("the ranks meet at `{host}`, but {}", other.words));
        }
        let flag = self.master.as_ref().and_then(|it| it.port);
        if let (Some(port), Some(Some(set))) = (flag, self.master_port)
            && port != set
        {
            notes.push(format!("the port of `--master` is {port}, and comes before MASTER_PORT, which is {set}"));
        }
        // One that is not a port is refused by whoever chooses one.
        let port = match (flag, self.master_port) {
            (Some(port), _) => Some(port),
            (None, Some(set)) => set,
            (None, None) => said.iter().find_map(|it| it.value.port),
        };
        Ok((Some(Master { host: host.clone(), port }), notes))
    }
}

fn refuse_problems<'c>(claims: impl Iterator<Item = &'c Claim>) -> Result<(), Failure> {
    let mut problems: Vec<&str> = claims.flat_map(|it| &it.problems).map(String::as_str).collect();
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { refused(problems.join("\n")) }
}

fn agree(said: &[&Said<u32>], what: &str) -> Result<(), Failure> {
    let Some((one, others)) = said.split_first() else { return Ok(()) };
    match others.iter().find(|it| it.value != one.value) {
        None => Ok(()),
        Some(other) => refused(format!(
            "{}, but {}: both say {what}\nhint: correct the one that is wrong, or unset it",
            one.words, other.words
        )),
    }
}

/// A node may have several names, and a name stands for an address; but two addresses differ.
fn refuse_two_addresses(said: &[&Said<Master>]) -> Result<(), Failure> {
    let mut addresses = said.iter().filter_map(|it| Some((it.value.host.parse::<IpAddr>().ok()?, &it.words)));
    let Some((first, words)) = addresses.next() else { return Ok(()) };
    match addresses.find(|it| it.0 != first) {
        None => Ok(()),
        Some((_, other)) => refused(format!(
            "{words}, but {other}: both say where node 0 is\n\
             hint: correct or unset the one that is wrong, or give `--master`"
        )),
    }
}

fn refused<T>(text: String) -> Result<T, Failure> {
    Err(Failure::new(Exit::USAGE, text))
}

/// Whether two names are plainly the same host's: equal, or one without the domain of the other.
fn is_same(one: &str, other: &str) -> bool {
    let short = |it: &str| it.split('.').next().unwrap_or(it).to_ascii_lowercase();
    let is_address = |it: &str| it.parse::<IpAddr>().is_ok();
    let is_whole = [one, other].iter().all(|it| it.contains('.')) || [one, other].into_iter().any(is_address);
    one.eq_ignore_ascii_case(other) || !is_whole && short(one) == short(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::of_test;

    /// Flags and variables as they would be typed, and what is made of them.
    fn case(words: &str) -> String {
        let (mut flags, mut variables) = (NodeFlags::default(), Vec::new());
        for word in words.split(' ') {
            match word.split_once('=').expect("a name and a value") {
                ("--nnodes", value) => flags.count = value.parse().ok(),
                ("--node-rank", value) => flags.index = value.parse().ok(),
                ("--master", value) => flags.master = Master::read(value).ok(),
                variable => variables.push(variable),
            }
        }
        let task = |it: &(&str, &str)| {
            let task = it.0.strip_prefix("VC_")?;
            Some(task.strip_suffix("_HOSTS").or_else(|| task.strip_suffix("_NUM"))?.to_owned())
        };
        let tasks: BTreeSet<_> = variables.iter().filter_map(task).collect();
        let lookup = of_test(&variables);
        match claims(&flags, &lookup, &tasks.into_iter().collect::<Vec<_>>()).nodes() {
            Err(Failure { text, .. }) => format!("refused: {text}"),
            Ok((None, notes)) => ["alone".to_owned()].into_iter().chain(notes).collect::<Vec<_>>().join("\n"),
            Ok((Some(Nodes { count, index, master, by }), notes)) => {
                let master = master.map_or("no master".to_owned(), |it| format!("master {it}"));
                let line = format!("node {index} of {count}, {master}, by {by}");
                let notes = notes.into_iter().map(|it| format!("note: {it}"));
                [line].into_iter().chain(notes).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// `UPDATE_EXPECT=1 cargo test -p launcher every_source` writes them anew.
    #[test]
    fn every_source_and_every_contradiction() {
        const CASES: &str = include_str!("../../../tests/nodes.txt");
        let mut made = String::new();
        for line in CASES.lines().filter(|it| !it.starts_with(' ')) {
            match line {
                "" => made += "\n",
                title if title.starts_with('#') => made += &format!("{title}\n"),
                words => {
                    let said = case(words);
                    made += &format!("{words}\n");
                    said.lines().for_each(|it| made += &format!("    {it}\n"));
                }
            }
        }
        expect_test::expect_file!["../../../tests/nodes.txt"].assert_eq(&made);
    }

    #[test]
    fn a_table_has_to_agree_with_flags_and_other_clusters() {
        let table = |index| Nodes {
            count: 2,
            index,
            master: Some(Master { host: "10.0.0.1".to_owned(), port: None }),
            by: "the rank table".to_owned(),
        };
        // Two pods on one machine.
        let servers = br#"{"status":"completed","group_count":"1","group_list":[{"group_name":"g","device_count":"2",
            "instance_count":"2","instance_list":[
            {"pod_name":"j-0","server_id":"10.0.0.1","devices":[{"device_id":"0","device_ip":"1.1.1.1"}]},
            {"pod_name":"j-1","server_id":"10.0.0.1","devices":[{"device_id":"1","device_ip":"1.1.1.2"}]}]}]}"#;
        let servers = rank_table::parse(servers).expect("a table");
        let mut said = String::new();
        for (count, index, variables) in [
            (None, None, &[][..]),
            (Some(2), Some(1), &[("MASTER_ADDR", "10.1.0.1"), ("MASTER_PORT", "7")]),
            (Some(3), None, &[]),
            (None, Some(0), &[]),
            // The table's own rules are for these.
            (None, None, &[("VC_WORKER_NUM", "3"), ("VC_TASK_INDEX", "x")]),
            (None, None, &[("RANK", "0"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "10.0.0.9")]),
            (None, None, &[("SLURM_NNODES", "4"), ("SLURM_NODEID", "0")]),
            (None, None, &[("OMPI_COMM_WORLD_SIZE", "1")]),
            (None, None, &[("SLURM_LOCALID", "1")]),
        ] {
            let flags = NodeFlags { count, index, master: None };
            let claims = claims(&flags, &of_test(variables), &[]);
            let made = claims.agree_with(&servers).and_then(|()| claims.with_table(table(1)));
            let made = made.map_or_else(|it| it.text, |it| format!("{}", it.0.master.expect("one")));
            said += &format!("{count:?} {index:?} {variables:?}\n  {}\n", made.lines().next().unwrap_or_default());
        }
        expect_test::expect![[r#"
            None None []
              10.0.0.1
            Some(2) Some(1) [("MASTER_ADDR", "10.1.0.1"), ("MASTER_PORT", "7")]
              10.1.0.1:7
            Some(3) None []
              `--nnodes` is 3, but the rank table has 2 servers
            None Some(0) []
              `--node-rank` is 0, but this server is number 1 of the rank table
            None None [("VC_WORKER_NUM", "3"), ("VC_TASK_INDEX", "x")]
              10.0.0.1
            None None [("RANK", "0"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "10.0.0.9")]
              WORLD_SIZE is `4`, but the rank table has 2 servers
            None None [("SLURM_NNODES", "4"), ("SLURM_NODEID", "0")]
              SLURM_NNODES is `4`, but the rank table has 2 servers
            None None [("OMPI_COMM_WORLD_SIZE", "1")]
              10.0.0.1
            None None [("SLURM_LOCALID", "1")]
              SLURM_LOCALID is `1`: another launcher runs on this node
        "#]]
        .assert_eq(&said);
    }
}
