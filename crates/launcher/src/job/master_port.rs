//! MASTER_PORT: where rank 0 listens for the others. Jobs that share a host have one each.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::{Job, Lookup, Processes, files, given_id};
use crate::exit::{Exit, Failure};

/// PyTorch's default, and the first that is tried.
const FIRST: u16 = 29_500;

/// Ports from the first on: all below 32,768, from where the kernel takes its own for outgoing connections.
const COUNT: u16 = 3_000;

/// All addresses of this machine. One after the other: the first listens for both families as a rule.
pub const ANY: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];

#[derive(Debug)]
pub struct MasterPort {
    pub number: u16,
    /// Keeps other launchers from taking the same one until rank 0 listens.
    _reserved: Option<UnixDatagram>,
}

/// The port of a job: the one that node 0 is named with, else the one that is set, else a free one where all ranks are on this server. Servers of a larger job can't
/// ask each other, so they derive it from what all of them are given, the job's id.
///
/// # Errors
///
/// With exit code 2 if what is set is not a port.
pub fn choose(job: &Job, lookup: Lookup) -> Result<MasterPort, Failure> {
    // Among several nodes it was decided what comes first, a port of node 0 or MASTER_PORT.
    let decided = job.nodes.master.as_ref().and_then(|it| it.port);
    let number = match (decided, given(lookup)) {
        // The scripts' own to judge.
        _ if job.processes == Processes::Scripts => FIRST,
        (Some(port), _) => port,
        (None, Some(given)) => given.map_err(|set| {
            let text = format!("MASTER_PORT is `{}`, which is not a port from 1 to 65535", set.display());
            Failure::new(Exit::USAGE, format!("{text}\nhint: correct it or unset it"))
        })?,
        (None, None) if job.is_whole() => {
            return Ok(free().unwrap_or(MasterPort { number: FIRST, _reserved: None }));
        }
        (None, None) => given_id(&job.nodes, lookup).map_or(FIRST, |id| FIRST + hash(&id) % COUNT),
    };
    Ok(MasterPort { number, _reserved: None })
}

/// MASTER_PORT as it is set, and as an error where that is not a port.
pub fn given(lookup: Lookup) -> Option<Result<u16, OsString>> {
    // In the pods beside a service called `master`, Kubernetes sets it to the URL of that.
    let set = lookup("MASTER_PORT").filter(|it| !it.as_encoded_bytes().starts_with(b"tcp://"))?;
    Some(set.to_str().and_then(|it| it.parse().ok()).filter(|it| *it > 0).ok_or(set))
}

fn free() -> Option<MasterPort> {
    (FIRST..FIRST + COUNT).find_map(|number| {
        let reserved = reserve(number);
        let is_taken = reserved.as_ref().is_err_and(is_in_use) || is_taken(&ANY, number);
        (!is_taken).then(|| MasterPort { number, _reserved: reserved.ok() })
    })
}

/// Whether somebody listens there. What closed connections have left is none, as with the ranks' own sockets. An address that
/// is not this machine's, a service's for example, can't be taken here.
pub fn is_taken(addresses: &[IpAddr], port: u16) -> bool {
    addresses.iter().any(|it| TcpListener::bind((*it, port)).as_ref().is_err_and(is_in_use))
}

/// Whether one of these is an address of this machine, as the kernel sees it.
pub fn can_be_bound(addresses: &[IpAddr]) -> bool {
    let is_foreign = |it: io::Error| it.kind() == io::ErrorKind::AddrNotAvailable;
    addresses.iter().any(|it| !TcpListener::bind((*it, 0)).is_err_and(is_foreign))
}

fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// A name that one process of a network namespace can have, and that is free again when the process has ended. The port
/// itself can't be kept: rank 0 could not listen there.
fn reserve(number: u16) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("fmtk-launch/master-port/{number}"))?)
}

fn hash(id: &str) -> u16 {
    // 16 bits fit.
    u16::try_from(files::fnv_1a(id) >> 48).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::nodes::Nodes;
    use crate::job::tests::{job, of_test};

    #[test]
    fn one_server_has_a_port_that_nobody_listens_on_and_no_other_launcher_has() {
        let job = Job::of_devices(&[0, 1], Nodes::alone(), &|_| None);
        let choose = || choose(&job, &of_test(&[("BATCH_JOB_ID", "j")])).unwrap();
        let (one, other) = (choose(), choose());
        assert_ne!(one.number, other.number);
        for any in ["0.0.0.0", "127.0.0.1"] {
            let taken = choose();
            let listener = TcpListener::bind((any, taken.number)).expect("a free port");
            drop(taken);
            assert_ne!(choose().number, listener.local_addr().expect("an address").port(), "{any}");
        }
    }

    #[test]
    fn servers_of_a_larger_job_agree() {
        let of = |variables: &[(&str, &str)]| choose(&job("j"), &of_test(variables)).unwrap().number;
        assert_eq!(of(&[]), 29_500, "no id that all of them have");
        let numbers = [of(&[("MA_VJ_NAME", "ma-job-1")]), of(&[("BATCH_JOB_ID", "ma-job-2")])];
        assert_eq!(numbers, [30_602, 31_719], "for ever the same");
    }

    #[test]
    fn what_is_set_is_kept_if_it_is_a_port() {
        for (set, expected) in [("7", Some(7)), ("65535", Some(65_535)), ("0", None), ("65536", None), ("abc", None)] {
            let chosen = choose(&job("j"), &of_test(&[("MASTER_PORT", set)]));
            assert_eq!(chosen.as_ref().ok().map(|it| it.number), expected, "{set}");
            assert!(chosen.is_ok() || chosen.is_err_and(|it| it.text.starts_with(&format!("MASTER_PORT is `{set}`"))));
        }
        let of_service = choose(&job("j"), &of_test(&[("MASTER_PORT", "tcp://10.247.0.9:80")]));
        assert_eq!(of_service.unwrap().number, FIRST, "as where it is not set");
        let scripts = Job::of_scripts(0, &|_| None);
        assert!(choose(&scripts, &of_test(&[("MASTER_PORT", "abc")])).is_ok());
    }
}
