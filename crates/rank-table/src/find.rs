//! Which instance of a table this server is.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use crate::fault::quote;
use crate::limits::MAX_INSTANCES_NAMED;
use crate::table::{Format, Instance, RankTable};
use crate::v0::pod_index;

/// What a server knows about itself. Whatever is not known is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// MA_CURRENT_INSTANCE_NAME: a `pod_name`.
    pub instance_name: Option<String>,
    /// MA_CURRENT_HOST_IP: a `server_id`.
    pub host_ip: Option<String>,
    /// Addresses of this machine's interfaces. Loopback addresses are passed over.
    pub local_addresses: Vec<IpAddr>,
    /// VC_TASK_INDEX, else VK_TASK_INDEX: the number of the pod, from 0.
    pub task_index: Option<String>,
    /// VC_WORKER_NUM, else MA_NUM_HOSTS: how many pods there are. The index is believed only where the table has as many.
    pub worker_count: Option<String>,
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
            worker_count: set("VC_WORKER_NUM").or_else(|| set("MA_NUM_HOSTS")),
        }
    }
}

/// What decided which instance this server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `pod_name` is MA_CURRENT_INSTANCE_NAME.
    InstanceName,
    /// `server_id` is MA_CURRENT_HOST_IP.
    HostIp,
    /// `server_id` is this address of the machine.
    LocalAddress(IpAddr),
    /// VC_TASK_INDEX is the number behind the last `-` of `pod_name` (v0) or the position in `server_list` (v1).
    TaskIndex,
    /// The table has no other, and nothing says that it is not this server's.
    OnlyInstance,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::InstanceName => f.write_str("its name in MA_CURRENT_INSTANCE_NAME"),
            By::HostIp => f.write_str("its address in MA_CURRENT_HOST_IP"),
            By::LocalAddress(address) => write!(f, "its own address {address}"),
            By::TaskIndex => f.write_str("its number in VC_TASK_INDEX"),
            By::OnlyInstance => f.write_str("being the only one"),
        }
    }
}

/// This server's instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'t> {
    /// Its place in [`RankTable::instances`].
    pub position: usize,
    /// The instance.
    pub instance: &'t Instance,
    /// What decided.
    pub by: By,
}

/// It can't be told which instance this server is. Displayed on several lines: what was tried, what the table has, a hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotFound {
    /// What was tried and how it failed, a sentence each, in order.
    pub tried: Vec<String>,
    /// The first [`MAX_INSTANCES_NAMED`] instances of the table: `server_id`, and `pod_name` where there is one.
    pub instances: Vec<String>,
    /// How many instances the table has.
    pub count: usize,
    /// The format of the table, on which it depends what helps.
    pub format: Format,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => writeln!(f, "it can't be told that this server is the one in the rank table")?,
            count => writeln!(f, "it can't be told which of the {count} servers in the rank table this one is")?,
        }
        for sentence in &self.tried {
            writeln!(f, "  {sentence}")?;
        }
        write!(f, "the table has {}", self.instances.join(", "))?;
        match self.count.saturating_sub(self.instances.len()) {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        f.write_str(match self.format {
            Format::V0 => "\nhint: set MA_CURRENT_INSTANCE_NAME to the `pod_name` of this server",
            Format::V1 => "\nhint: set MA_CURRENT_HOST_IP to the `server_id` of this server",
        })
    }
}

/// Finds this server in a table, by the first clue that fits exactly one instance: MA_CURRENT_INSTANCE_NAME (v0),
/// MA_CURRENT_HOST_IP, the addresses of the machine, VC_TASK_INDEX, and last that there is no other instance.
///
/// Addresses that fit several pods of one server leave the choice between these to the index. An index fits any table, so
/// it is believed only where no name and no host address speaks against it and the number of pods, if known, is that of the
/// table. The only instance is not this server where an instance name or an index above 0 says so. Looks nothing up itself.
///
/// # Errors
///
/// [`NotFound`] where it can't be told. There is no default.
pub fn find<'t>(table: &'t RankTable, clues: &Clues) -> Result<Found<'t>, NotFound> {
    let mut search = Search { table, candidates: (0..table.instances.len()).collect(), tried: Vec::new() };
    let decided = search.by_name(clues).or_else(|wrong_name| {
        let by_address = search
            .by_host_ip(clues)
            .or_else(|wrong_address| search.by_local_address(clues).ok_or(wrong_name || wrong_address));
        by_address.or_else(|contradicted| search.by_index(clues, contradicted, wrong_name))
    });
    match decided {
        Ok((position, by)) => Ok(Found { position, instance: &table.instances[position], by }),
        Err(()) => Err(search.not_found()),
    }
}

struct Search<'t> {
    table: &'t RankTable,
    /// Instances that may be this server, as far as is known.
    candidates: Vec<usize>,
    tried: Vec<String>,
}

impl Search<'_> {
    /// An error says whether a name is set that the table does not have.
    fn by_name(&mut self, clues: &Clues) -> Result<(usize, By), bool> {
        let Some(name) = &clues.instance_name else {
            self.tried.push("MA_CURRENT_INSTANCE_NAME is not set".to_owned());
            return Err(false);
        };
        let shown = quote(name);
        if self.table.format == Format::V1 {
            self.tried.push(format!("MA_CURRENT_INSTANCE_NAME is {shown}, but a v1 table has no `pod_name`s"));
            return Err(false);
        }
        let found = self.table.instances.iter().position(|it| it.name.as_ref() == Some(name));
        found.map(|position| (position, By::InstanceName)).ok_or_else(|| {
            let sentence = if self.table.without_devices.contains(name) {
                "which is in a group without devices"
            } else {
                "which is no `pod_name` of the table"
            };
            self.tried.push(format!("MA_CURRENT_INSTANCE_NAME is {shown}, {sentence}"));
            true
        })
    }

    /// An error says whether an address is set where the table has only others.
    fn by_host_ip(&mut self, clues: &Clues) -> Result<(usize, By), bool> {
        let Some(host) = &clues.host_ip else {
            self.tried.push("MA_CURRENT_HOST_IP is not set".to_owned());
            return Err(false);
        };
        let address: Option<IpAddr> = host.parse().ok();
        let fits = |it: &Instance| it.server_id == *host || address.is_some_and(|ip| address_of(it) == Some(ip));
        let fitting: Vec<usize> = (0..).zip(&self.table.instances).filter(|(_, it)| fits(it)).map(|(n, _)| n).collect();
        let shown = quote(host);
        match fitting[..] {
            [position] => Ok((position, By::HostIp)),
            [] => {
                self.tried.push(format!("MA_CURRENT_HOST_IP is {shown}, which is no `server_id` of the table"));
                // Servers may have names in place of addresses.
                Err(self.table.instances.iter().any(|it| address_of(it).is_some()))
            }
            _ => {
                let count = fitting.len();
                self.tried.push(format!("MA_CURRENT_HOST_IP is {shown}, on which the table has {count} instances"));
                self.candidates = fitting;
                Err(false)
            }
        }
    }

    fn by_local_address(&mut self, clues: &Clues) -> Option<(usize, By)> {
        let own: Vec<IpAddr> = clues.local_addresses.iter().filter(|it| !it.is_loopback()).copied().collect();
        if own.is_empty() {
            self.tried.push("no address of this machine is known".to_owned());
            return None;
        }
        let table = self.table;
        let fits = |n: &usize| address_of(&table.instances[*n]).filter(|ip| own.contains(ip)).map(|ip| (*n, ip));
        let fitting: Vec<(usize, IpAddr)> = self.candidates.iter().filter_map(fits).collect();
        match fitting[..] {
            [(position, ip)] => return Some((position, By::LocalAddress(ip))),
            [] => {
                let shown = own.iter().take(MAX_INSTANCES_NAMED).map(|it| format!("`{it}`")).collect::<Vec<_>>();
                let more = if own.len() > MAX_INSTANCES_NAMED { ", …" } else { "" };
                let shown = shown.join(", ");
                self.tried.push(format!("this machine's addresses {shown}{more}: none is a `server_id` of the table"));
            }
            _ => {
                let count = fitting.len();
                self.tried.push(format!("this machine's addresses fit {count} instances of the table"));
                self.candidates = fitting.into_iter().map(|(n, _)| n).collect();
            }
        }
        None
    }

    /// `contradicted`: a name or an address says that this server is not in the table.
    fn by_index(&mut self, clues: &Clues, contradicted: bool, wrong_name: bool) -> Result<(usize, By), ()> {
        let count = self.table.instances.len();
        let index = clues.task_index.as_deref().map(|text| text.parse::<u64>().map_err(|_| quote(text)));
        let workers = clues.worker_count.as_deref().filter(|text| text.parse() != Ok(count));
        match (index.clone(), workers) {
            (None, _) => self.tried.push("VC_TASK_INDEX is not set".to_owned()),
            (Some(Err(text)), _) => self.tried.push(format!("VC_TASK_INDEX is {text}, which is not a number")),
            (Some(Ok(index)), _) if contradicted => {
                self.tried
                    .push(format!("VC_TASK_INDEX is `{index}`, but an index fits any table, and the above does not"));
            }
            (Some(Ok(index)), Some(workers)) => {
                let workers = quote(workers);
                self.tried.push(format!("VC_TASK_INDEX is `{index}` of {workers}, but the table has {count}"));
            }
            (Some(Ok(index)), None) => {
                let fits = |n: &&usize| match &self.table.instances[**n].name {
                    Some(name) => pod_index(name) == Some(index),
                    None => **n as u64 == index,
                };
                let fitting: Vec<usize> = self.candidates.iter().filter(fits).copied().collect();
                if let [position] = fitting[..] {
                    return Ok((position, By::TaskIndex));
                }
                let what = if fitting.is_empty() { "no instance" } else { "more than one instance" };
                self.tried.push(format!("VC_TASK_INDEX is `{index}`, which fits {what} of the table"));
            }
        }
        let is_another = matches!(index, Some(Ok(index)) if index > 0);
        if count == 1 && !wrong_name && !is_another { Ok((0, By::OnlyInstance)) } else { Err(()) }
    }

    fn not_found(self) -> NotFound {
        let named = self.table.instances.iter().take(MAX_INSTANCES_NAMED).map(|it| match &it.name {
            Some(name) => format!("{} ({})", quote(&it.server_id), quote(name)),
            None => quote(&it.server_id),
        });
        let (count, format) = (self.table.instances.len(), self.table.format);
        NotFound { tried: self.tried, instances: named.collect(), count, format }
    }
}

fn address_of(instance: &Instance) -> Option<IpAddr> {
    instance.server_id.parse().ok()
}
