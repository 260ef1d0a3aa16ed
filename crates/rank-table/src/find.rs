//! Which instance of a table this server is.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::IpAddr;

use crate::error::{Error, quote};
use crate::formats::pod_index;
use crate::table::{Format, Instance, RankTable};

/// Instances and addresses that a message lists; those beyond are counted.
const MAX_NAMED: usize = 8;

/// What a server knows about itself. Whatever is not known is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// MA_CURRENT_INSTANCE_NAME: a `pod_name`.
    pub instance_name: Option<String>,
    /// MA_CURRENT_HOST_IP: a `server_id` or a `host_ip`.
    pub host_ip: Option<String>,
    /// Addresses of this machine's interfaces. Loopback addresses are passed over.
    pub local_addresses: Vec<IpAddr>,
    /// VC_TASK_INDEX, else VK_TASK_INDEX: the number of the pod, from 0.
    pub task_index: Option<String>,
    /// VC_WORKER_NUM and MA_NUM_HOSTS, those that are set: how many pods there are.
    pub counts: Vec<(&'static str, String)>,
    /// `--node-rank`, where `--nnodes` is the number of servers in the table: the number of this server, from 0, in the order
    /// of the servers' lowest ranks. It counts in a v1 table, where nothing else tells.
    pub node_rank: Option<u32>,
}

impl Clues {
    /// The clues of an environment, which `variable` looks up. A variable that is empty counts as not set.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, local_addresses: Vec<IpAddr>) -> Clues {
        let set = |name| variable(name).filter(|it| !it.is_empty()).map(|it| it.to_string_lossy().into_owned());
        Clues {
            instance_name: set("MA_CURRENT_INSTANCE_NAME"),
            host_ip: set("MA_CURRENT_HOST_IP"),
            local_addresses,
            task_index: set("VC_TASK_INDEX").or_else(|| set("VK_TASK_INDEX")),
            counts: ["VC_WORKER_NUM", "MA_NUM_HOSTS"].into_iter().filter_map(|it| Some((it, set(it)?))).collect(),
            node_rank: None,
        }
    }
}

/// This server's instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnInstance<'t> {
    /// Its place in [`RankTable::instances`].
    pub position: usize,
    /// Its number among the instances, from 0, in the order of their lowest ranks: 0 has rank 0.
    pub number: usize,
    /// The instance.
    pub instance: &'t Instance,
    /// What decided, to follow "found by".
    pub by: String,
    /// What does not fit, where that is no contradiction: a sentence with both values.
    pub note: Option<String>,
}

/// Finds this server in a table, by the first clue that fits exactly one instance: MA_CURRENT_INSTANCE_NAME (v0),
/// MA_CURRENT_HOST_IP, the addresses of the machine, VC_TASK_INDEX, that there is no other instance, and last
/// [`Clues::node_rank`].
///
/// Addresses that fit several pods of one server leave the choice between these to the index. An index fits any table, so
/// it is believed only where no name and no host address speaks against it. The only instance is not this server where an
/// instance name or an index above 0 says so. Looks nothing up itself.
///
/// A 2.0 table has no names and no host addresses. Its nodes are told apart by their ranks alone, so there the index is
/// believed only where VC_WORKER_NUM or MA_NUM_HOSTS confirms their number, and all have equally many ranks.
///
/// # Errors
///
/// [`Error`], on several lines: every contradiction between the clues, or with the number of servers in the table; or, where
/// it can't be told, what was tried, what the table has, a hint. There is no default.
pub fn find<'t>(table: &'t RankTable, clues: &Clues) -> Result<OwnInstance<'t>, Error> {
    let wrong = contradictions(table, clues);
    if !wrong.is_empty() {
        let wrong = wrong.join("\n  ");
        let hint = "correct or unset the variable that is wrong, or give the table of this job";
        return Err(Error::lasting(format!(
            "the platform's variables contradict it or each other\n  {wrong}\nhint: {hint}"
        )));
    }
    let mut tried = Vec::new();
    match decide(table, clues, &mut tried) {
        Some((position, by)) => Ok(OwnInstance {
            position,
            number: number(table, position),
            instance: &table.instances[position],
            by,
            note: doubt(table, position, clues),
        }),
        None => Err(not_found(table, &tried)),
    }
}

/// Clues of which one at least is another server's, or another job's: ranks that are started twice, or not at all.
fn contradictions(table: &RankTable, clues: &Clues) -> Vec<String> {
    let count = table.instances.len();
    let machines = match table.format {
        Format::V2 => count,
        _ => table.instances.iter().map(|it| &it.server_id).collect::<BTreeSet<_>>().len(),
    };
    // The platform may count the pods that have no devices, too, or the machines under the pods; 0 is what it writes for a
    // single one.
    let counts = [0, count, count + table.without_devices.len(), machines];
    let is_count = |said: &str| said.trim().parse().is_ok_and(|it| counts.contains(&it));
    let miscounted = clues.counts.iter().filter(|(_, said)| !is_count(said));
    let servers = servers(table);
    let mut wrong: Vec<String> =
        miscounted.map(|(name, said)| format!("{name} is {}, but the table has {servers}", quote(said))).collect();

    let (name, host, index) = (&clues.instance_name, &clues.host_ip, &clues.task_index);
    let number: Option<u64> = index.as_ref().and_then(|it| it.parse().ok());
    let has_number = |it: &Instance| number.is_some() && it.name.as_deref().and_then(pod_index) == number;
    // Each says which instances it fits: none where it is of another network or another count. The servers of a v1 table
    // have no numbers: see [`doubt`].
    let says: Vec<(&str, String, Vec<usize>)> = [
        ("MA_CURRENT_INSTANCE_NAME", name, fitting(table, |it| it.name == *name)),
        ("MA_CURRENT_HOST_IP", host, host.as_ref().map_or_else(Vec::new, |host| fitting_host(table, host))),
        ("VC_TASK_INDEX", index, fitting(table, has_number)),
    ]
    .into_iter()
    .filter_map(|(variable, value, fits)| Some((variable, quote(value.as_ref()?), fits)))
    .filter(|(_, _, fits)| !fits.is_empty())
    .collect();
    for (at, (one, value, fits)) in says.iter().enumerate() {
        for (other, said, others) in &says[at + 1..] {
            if !fits.iter().any(|it| others.contains(it)) {
                wrong.push(format!("{one} is {value}, but {other} is {said}, which is another server of the table"));
            }
        }
    }
    wrong
}

/// How many instances there are, in words.
fn servers(table: &RankTable) -> String {
    let what = if table.format == Format::V2 { "node" } else { "server" };
    let count = table.instances.len();
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What does not fit the instance that was found, and need not:
/// - A container knows another address than the server's, if its pods have a network of their own.
/// - The servers of a v1 table are in the order of the pods for ModelArts and the Ascend Operator. They are in the order in
///   which pods came up for the HCCL controller, and in that of the network for a platform that plans routes.
fn doubt(table: &RankTable, position: usize, clues: &Clues) -> Option<String> {
    let own = &table.instances[position];
    let id = named(own);
    let is_by_name = own.name.is_some() && own.name == clues.instance_name;
    match &clues.host_ip {
        Some(host)
            if table.instances.len() == 1
                && table.format != Format::V2
                && !is_by_name
                && !own.addresses.is_empty()
                && fitting_host(table, host).is_empty() =>
        {
            return Some(format!("MA_CURRENT_HOST_IP is {}, but the only server of the table is {id}", quote(host)));
        }
        _ => {}
    }
    let index: usize = clues.task_index.as_ref()?.parse().ok().filter(|_| own.name.is_none())?;
    (![position, number(table, position)].contains(&index))
        .then(|| format!("VC_TASK_INDEX is `{index}`, but this server, {id}, is number {position} of the table"))
}

/// The number of the instance at a position, in the order of their lowest ranks.
fn number(table: &RankTable, position: usize) -> usize {
    let first = |it: &Instance| it.devices.iter().map(|device| device.rank).min();
    table.instances.iter().filter(|it| first(it) < first(&table.instances[position])).count()
}

/// Positions of the instances that are so.
fn fitting(table: &RankTable, is_so: impl Fn(&Instance) -> bool) -> Vec<usize> {
    (0..).zip(&table.instances).filter(|(_, it)| is_so(it)).map(|(position, _)| position).collect()
}

/// Positions of the instances on a server of that address or name. The addresses in a 2.0 table are those of devices.
fn fitting_host(table: &RankTable, host: &str) -> Vec<usize> {
    let address: Option<IpAddr> = host.parse().ok();
    let is_on = |it: &Instance| {
        it.server_id.as_deref() == Some(host) || address.is_some_and(|address| it.addresses.contains(&address))
    };
    if table.format == Format::V2 { Vec::new() } else { fitting(table, is_on) }
}

/// The instance and what decided. `tried` gets a sentence for each clue that did not.
fn decide(table: &RankTable, clues: &Clues, tried: &mut Vec<String>) -> Option<(usize, String)> {
    let instances = &table.instances;
    let (mut is_name_wrong, mut is_address_wrong) = (false, false);
    tried.push(match &clues.instance_name {
        None => "MA_CURRENT_INSTANCE_NAME is not set".to_owned(),
        Some(name) if table.format != Format::V0 => {
            let format = table.format;
            format!("MA_CURRENT_INSTANCE_NAME is {}, but a {format} table has no `pod_name`s", quote(name))
        }
        Some(name) => {
            if let Some(position) = instances.iter().position(|it| it.name.as_ref() == Some(name)) {
                return Some((position, "its name in MA_CURRENT_INSTANCE_NAME".to_owned()));
            }
            if table.without_devices.contains(name) {
                // Whoever is on the same server.
                tried.push(format!("MA_CURRENT_INSTANCE_NAME is {}, which is in a group without devices", quote(name)));
                return None;
            }
            is_name_wrong = true;
            format!("MA_CURRENT_INSTANCE_NAME is {}, which is no `pod_name` of the table", quote(name))
        }
    });

    // Those that may be this server, as far as is known.
    let mut candidates: Vec<usize> = (0..instances.len()).collect();
    tried.push(match &clues.host_ip {
        None => "MA_CURRENT_HOST_IP is not set".to_owned(),
        Some(host) if table.format == Format::V2 => {
            format!("MA_CURRENT_HOST_IP is {}, but a version 2.0 table has no `server_id`s", quote(host))
        }
        Some(host) => {
            let fitting = fitting_host(table, host);
            match fitting.len() {
                0 => {
                    // Servers may have names in place of addresses.
                    is_address_wrong = instances.iter().any(|it| !it.addresses.is_empty());
                    format!("MA_CURRENT_HOST_IP is {}, which is not a `server_id` of the table", quote(host))
                }
                1 => return Some((fitting[0], "its address in MA_CURRENT_HOST_IP".to_owned())),
                count => {
                    candidates = fitting;
                    format!("MA_CURRENT_HOST_IP is {}, on which the table has {count} instances", quote(host))
                }
            }
        }
    });

    let own: Vec<IpAddr> = clues.local_addresses.iter().filter(|it| !it.is_loopback()).copied().collect();
    let own_address = |n: usize| instances[n].addresses.iter().find(|ip| own.contains(ip));
    let is_own = |n: &usize| own_address(*n).is_some();
    let fitting: Vec<usize> = candidates.iter().copied().filter(is_own).collect();
    tried.push(match fitting.len() {
        _ if own.is_empty() => "no address of this machine is known".to_owned(),
        0 => {
            let shown = some_of(own.iter().map(|it| format!("`{it}`")));
            let more = if own.len() > MAX_NAMED { ", …" } else { "" };
            let what = if table.format == Format::V2 { "an `addr`" } else { "a `server_id`" };
            format!("this machine's addresses {shown}{more}: none is {what} of the table")
        }
        1 => return own_address(fitting[0]).map(|ip| (fitting[0], format!("its own address {ip}"))),
        count => {
            candidates = fitting;
            format!("this machine's addresses fit {count} instances of the table")
        }
    });

    let count = instances.len();
    let index = clues.task_index.as_ref().map(|text| text.parse::<u64>().map_err(|_| quote(text)));
    tried.push(match &index {
        None => "VC_TASK_INDEX is not set".to_owned(),
        Some(Err(text)) => format!("VC_TASK_INDEX is {text}, which is not a number"),
        Some(Ok(index)) if is_name_wrong || is_address_wrong => {
            format!("VC_TASK_INDEX is `{index}`, but an index fits any table, and the above does not")
        }
        Some(Ok(index)) if table.format == Format::V2 && !is_sure_of_nodes(table, clues) => {
            let why = "a version 2.0 table does not say where a node begins";
            let needed = "so its nodes must be as many as VC_WORKER_NUM or MA_NUM_HOSTS says, with equally many ranks";
            format!("VC_TASK_INDEX is `{index}`, but {why}, {needed}")
        }
        Some(Ok(index)) => {
            // The number of the pod in a v0 table, the position in a v1 one.
            let is_number = |n: &usize| match &instances[*n].name {
                Some(name) => pod_index(name) == Some(*index),
                None => *n as u64 == *index,
            };
            let fitting: Vec<usize> = candidates.iter().copied().filter(is_number).collect();
            if let [position] = fitting[..] {
                return Some((position, "its number in VC_TASK_INDEX".to_owned()));
            }
            let what = if fitting.is_empty() { "no instance" } else { "more than one instance" };
            format!("VC_TASK_INDEX is `{index}`, which fits {what} of the table")
        }
    });
    let is_another = is_name_wrong || matches!(index, Some(Ok(index)) if index > 0);
    if count == 1 && !is_another {
        return Some((0, "being the only one".to_owned()));
    }
    let given = clues.node_rank.filter(|_| matches!(table.format, Format::V1 | Format::V1_2))?;
    let numbered = candidates.into_iter().find(|n| usize::try_from(given) == Ok(number(table, *n)));
    if is_address_wrong || numbered.is_none() {
        let why =
            if is_address_wrong { "a number fits any table, and the above does not" } else { "that is none of these" };
        tried.push(format!("`--node-rank` is {given}, but {why}"));
        return None;
    }
    numbered.map(|position| (position, "its number in `--node-rank`".to_owned()))
}

/// Whether the nodes of a 2.0 table, which are told apart by what their ranks have, are those of the platform.
fn is_sure_of_nodes(table: &RankTable, clues: &Clues) -> bool {
    let sizes: BTreeSet<usize> = table.instances.iter().map(|it| it.devices.len()).collect();
    // None that is set says otherwise, but 0 says nothing.
    let is_confirmed = clues.counts.iter().any(|(_, said)| said.trim().parse() == Ok(table.instances.len()));
    sizes.len() == 1 && is_confirmed
}

fn not_found(table: &RankTable, tried: &[String]) -> Error {
    let count = table.instances.len();
    let what = match count {
        1 => "that this server is the one in the rank table".to_owned(),
        _ => format!("which of the {} in the rank table this one is", servers(table)),
    };
    let named = some_of(table.instances.iter().map(|it| match &it.name {
        Some(name) => format!("{} ({})", named(it), quote(name)),
        None => named(it),
    }));
    let more = if count > MAX_NAMED { format!(" and {} more", count - MAX_NAMED) } else { String::new() };
    let hint = match table.format {
        Format::V0 => "set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server",
        Format::V1 | Format::V1_2 => {
            "set MA_CURRENT_HOST_IP to the `server_id` of this server, or give `--nnodes` and `--node-rank`"
        }
        Format::V2 => "set VC_TASK_INDEX to the number of this node, from 0, and VC_WORKER_NUM to the number of all",
    };
    let tried = tried.join("\n  ");
    Error::lasting(format!("it can't be told {what}\n  {tried}\nthe table has {named}{more}\nhint: {hint}"))
}

/// The first [`MAX_NAMED`].
fn some_of(names: impl Iterator<Item = String>) -> String {
    names.take(MAX_NAMED).collect::<Vec<_>>().join(", ")
}

/// An instance in a message.
fn named(instance: &Instance) -> String {
    let ranks = || instance.devices.iter().map(|it| it.rank);
    match &instance.server_id {
        Some(id) => quote(id),
        // Those of a node follow each other.
        None => match (ranks().min(), ranks().max()) {
            (Some(first), Some(last)) if first < last => format!("ranks {first}-{last}"),
            (only, _) => format!("rank {}", only.unwrap_or_default()),
        },
    }
}
