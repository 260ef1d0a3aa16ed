//! Where the ranks of several nodes meet, checked before any of them starts: what this node can tell by itself is said in
//! seconds, and not by a time-out of the ranks.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::exit::{Exit, Failure};
use crate::job::master_port;
use crate::job::nodes::Nodes;
use crate::job::setup::Setup;
use crate::job::{self, Processes, variables};
use crate::options::{Framework, Master};
use crate::ranks::background;
use crate::ranks::signals::Signals;
use crate::ranks::wait;
use crate::units;

/// How long to wait for node 0's name where `--wait` does not say it: the names of pods come with the last of them.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Between two looks.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the first answer of a name server may take before it is said that it is waited for.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a port may be in use that an earlier attempt of the job may hold: its processes take a while to go.
const RELEASE: Duration = Duration::from_secs(60);

const RESOLVE: &str = "look for the address of node 0";

/// What was told of node 0 that may be so, or may be a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// `--master`.
    Flag,
    /// MASTER_ADDR, or the like of an operator: scripts set them by hand, too.
    Variable,
    /// What has a name for each node, so that this one can't be meant: a host list, or the rank table.
    List,
}

/// Checks what has to be so for the ranks to meet; waits where that may still come.
///
/// # Errors
///
/// With exit code 2 where nothing names node 0, or it is named by an address of this node, which is another, or by one that
/// it can't have; with 125 if its
/// name does not resolve in time or its port is in use; with 128 + the signal if one stops the launcher.
pub fn check(setup: &Setup, signals: &Signals, say: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    let nodes = &setup.job.nodes;
    let meets_by_table = setup.job.framework() == Framework::Plain && setup.job.table.is_some();
    if nodes.count == 1 || meets_by_table || setup.job.processes == Processes::Scripts {
        return Ok(());
    }
    let Some(master) = &nodes.master else {
        // Who meets by none of these may have other means.
        return if setup.job.framework() == Framework::Plain { Ok(()) } else { Err(unnamed(nodes)) };
    };
    let patience = if setup.options.dry_run { Duration::ZERO } else { setup.options.wait.unwrap_or(PATIENCE) };
    let addresses = resolve(&master.host, patience, AGAIN, look_up, signals, say).map_err(|failure| {
        let is_hinted = failure.exit == Exit::LAUNCHER;
        let hint = "\nhint: check the name; `--wait 2h` waits longer, and `--master` names node 0 otherwise";
        if is_hinted { Failure { text: failure.text + hint, ..failure } } else { failure }
    })?;
    // One and the same address, however it is written.
    let addresses: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
    if addresses.iter().any(IpAddr::is_unspecified) {
        return Err(unreachable(&master.host));
    }
    if nodes.index > 0 {
        let note = judge(nodes, master, named_by(setup, master), &addresses, &job::local_addresses())?;
        note.iter().for_each(|it| say(it));
        return Ok(());
    }
    // The scheduler of MindSpore listens at its address alone, PyTorch at all.
    let listens_at = match setup.job.framework() {
        Framework::MindSpore if !master_port::can_be_bound(&addresses) => return Err(no_place(&master.host)),
        Framework::MindSpore => addresses,
        Framework::Torch | Framework::Plain => {
            elsewhere(master, &addresses, &job::local_addresses()).iter().for_each(|it| say(it));
            master_port::ANY.to_vec()
        }
    };
    let patience = if setup.first_attempt > 1 && !setup.options.dry_run { RELEASE } else { Duration::ZERO };
    wait_for_port(master, &listens_at, setup.master_port(), wait::shortened_for_tests(patience), signals, say)
}

/// What [`check`] would say, after one look, and what would stop it.
///
/// # Errors
///
/// With 128 + the signal if one stops the launcher.
pub fn outlook(setup: &Setup, signals: &Signals) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    let checked = check(setup, signals, &mut |line| notes.push(line.to_owned()));
    match checked {
        Err(failure) if ![Exit::USAGE, Exit::LAUNCHER].contains(&failure.exit) => return Err(failure),
        Err(failure) => notes.extend(format!("would not start: {}", failure.text).lines().map(str::to_owned)),
        Ok(()) => {}
    }
    Ok(notes)
}

fn unnamed(nodes: &Nodes) -> Failure {
    let Nodes { count, index, .. } = nodes;
    let text = format!("nothing says where node 0 is, and this is node {index} of {count}: their ranks would not meet");
    Failure::new(Exit::USAGE, format!("{text}\nhint: name it, the same on all nodes: `--master HOST`"))
}

/// Where node 0 is named by what stands for all addresses of any machine.
fn unreachable(host: &str) -> Failure {
    let text =
        format!("node 0 is `{host}`, which is not the address of a machine: each node would look for it on itself");
    let hint = "`--master` has to be an address of node 0 that the other nodes reach, the same on all nodes";
    Failure::new(Exit::USAGE, format!("{text}\nhint: {hint}"))
}

/// Where this is node 0, and its address another machine's.
fn no_place(host: &str) -> Failure {
    let text = format!(
        "node 0 is `{host}`, which is not an address of this machine: MindSpore's scheduler can't listen there"
    );
    let hint = "name node 0 by an address that this machine has, the same on all nodes: `--master HOST`";
    Failure::new(Exit::USAGE, format!("{text}\nhint: {hint}"))
}

fn look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|it| it.ip()).collect())
}

/// The addresses of node 0, which may not have a name yet.
fn resolve(
    host: &str,
    patience: Duration,
    again: Duration,
    look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Clone + Send + 'static,
    signals: &Signals,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let deadline = Instant::now() + patience;
    let mut has_said = false;
    let mut why = "the name server does not answer".to_owned();
    loop {
        let (name, look_up) = (host.to_owned(), look_up.clone());
        // Once it is said, one that hangs is given all the time that there is: each look leaves a thread behind.
        let until = if has_said { deadline } else { Instant::now() + ANSWER };
        match background::apart(signals, RESOLVE, Some(until), move || look_up(&name))? {
            Some(Ok(addresses)) if !addresses.is_empty() => {
                if has_said {
                    say(&format!("the name `{host}` has an address now"));
                }
                return Ok(addresses);
            }
            Some(Ok(_)) => why = "it has none".to_owned(),
            Some(Err(error)) => why = error.to_string(),
            // The last look may have had no time left: what an earlier one was answered says more.
            None => {}
        }
        if Instant::now() >= deadline {
            let after = if patience.is_zero() { String::new() } else { format!(" after {}", units::shown(patience)) };
            return Err(Failure::new(Exit::LAUNCHER, format!("node 0 (`{host}`) has no address{after}: {why}")));
        }
        if !has_said {
            let most = units::shown(patience);
            say(&format!("waiting for the name of node 0, `{host}`, to get an address, {most} at most: {why}"));
            has_said = true;
        }
        background::pause(signals, RESOLVE, deadline.min(Instant::now() + again))?;
    }
}

fn named_by(setup: &Setup, master: &Master) -> NamedBy {
    let is_set = |name: &str| variables::own(name).is_some_and(|it| *it == *master.host);
    if setup.options.nodes.master.is_some() {
        NamedBy::Flag
    } else if ["MASTER_ADDR", "PET_MASTER_ADDR", "MS_SCHED_HOST"].into_iter().any(is_set) {
        NamedBy::Variable
    } else {
        NamedBy::List
    }
}

/// What is to be said of the addresses of node 0 where this one is another. `local` are this machine's.
fn judge(
    nodes: &Nodes,
    master: &Master,
    by: NamedBy,
    addresses: &[IpAddr],
    local: &[IpAddr],
) -> Result<Option<String>, Failure> {
    let is_loopback = addresses.iter().any(IpAddr::is_loopback);
    if !is_loopback && !addresses.iter().any(|it| local.contains(it)) {
        return Ok(None);
    }
    let (Nodes { count, index, .. }, host) = (nodes, &master.host);
    match by {
        // A loopback address is nobody's by mistake.
        NamedBy::Flag if is_loopback => {}
        NamedBy::List => {}
        NamedBy::Flag | NamedBy::Variable => {
            let what = if by == NamedBy::Flag { "`--master`" } else { "the variable that names it" };
            let text = format!("node 0 is `{host}`, which is this machine, but this is node {index} of {count}");
            let hint = format!(
                "{what} has to be the same address of node 0 on all nodes; if all of them are on this machine, give \
                 `--master 127.0.0.1`"
            );
            return Err(Failure::new(Exit::USAGE, format!("{text}\nhint: {hint}")));
        }
    }
    Ok(Some(format!("node 0 (`{host}`) is this machine, and so is node {index}: correct only if both run here")))
}

/// What is to be said of the addresses of node 0 where this one is it, and has none of them. A service or a translated address
/// may lead here; otherwise a second node 0 is where the others meet.
fn elsewhere(master: &Master, addresses: &[IpAddr], local: &[IpAddr]) -> Option<String> {
    let is_here = |it: &IpAddr| it.is_loopback() || local.contains(it);
    (!local.is_empty() && !addresses.iter().any(is_here)).then(|| {
        let host = &master.host;
        format!(
            "node 0 is `{host}`, which is not an address of this machine: this is node 0, and the other nodes reach it only if \
             `{host}` leads here, as the name of a service does"
        )
    })
}

/// Waits until the ranks of this node, which is node 0, can listen where the others look for them.
fn wait_for_port(
    master: &Master,
    listens_at: &[IpAddr],
    port: u16,
    patience: Duration,
    signals: &Signals,
    say: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    let mut has_said = false;
    while master_port::is_taken(listens_at, port) {
        if Instant::now() >= deadline {
            let text = format!("port {port} of node 0 (`{}`), which is this one, is in use", master.host);
            let hint =
                "end what listens there (`ss -ltnp` shows it), or name another port on all nodes: `--master HOST:PORT`";
            return Err(Failure::new(Exit::LAUNCHER, format!("{text}\nhint: {hint}")));
        }
        if !has_said {
            let most = units::shown(RELEASE);
            say(&format!("waiting for port {port}, which an earlier attempt may still hold, {most} at most"));
            has_said = true;
        }
        background::pause(
            signals,
            "wait for the port of node 0",
            deadline.min(Instant::now() + wait::shortened_for_tests(AGAIN)),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const NODE_0: &str = "job-worker-0.job";

    fn nodes(index: u32) -> Nodes {
        Nodes { count: 2, index, ..Nodes::alone() }
    }

    #[test]
    fn a_name_that_comes_late_is_waited_for_and_that_is_said_once() {
        let signals = Signals::block().unwrap();
        let looks = Arc::new(AtomicU32::new(0));
        let late = move |name: &str| {
            assert_eq!(name, NODE_0);
            match looks.fetch_add(1, Ordering::Relaxed) {
                0 => Err(io::Error::other("no such name")),
                1 => Ok(Vec::new()),
                _ => Ok(vec![IpAddr::from([10, 0, 0, 1])]),
            }
        };
        let mut said = Vec::new();
        let say = &mut |line: &str| said.push(line.to_owned());
        let found = resolve(NODE_0, PATIENCE, Duration::ZERO, late, &signals, say).unwrap();
        assert_eq!(found, [IpAddr::from([10, 0, 0, 1])]);
        let waiting =
            "waiting for the name of node 0, `job-worker-0.job`, to get an address, 10 min 0 s at most: no such name";
        assert_eq!(said, [waiting, "the name `job-worker-0.job` has an address now"]);
    }

    #[test]
    fn a_name_server_that_hangs_is_not_waited_for_longer_than_is_allowed() {
        let signals = Signals::block().unwrap();
        let (answer, question) = io::pipe().unwrap();
        // Ends when the other end is closed.
        let hangs = move || io::Read::read(&mut &answer, &mut [0]);
        let looked = background::apart(&signals, RESOLVE, Some(Instant::now()), hangs).unwrap();
        assert!(looked.is_none(), "nothing was answered");
        drop(question);
        let fails = |_: &str| Err(io::Error::other("no such name"));
        let failure = resolve(NODE_0, Duration::ZERO, AGAIN, fails, &signals, &mut |_| panic!("said")).unwrap_err();
        assert_eq!(failure.text, "node 0 (`job-worker-0.job`) has no address: no such name");
        assert_eq!(failure.exit, Exit::LAUNCHER);
    }

    #[test]
    fn what_the_name_server_answered_is_told_though_the_last_look_has_no_answer() {
        let signals = Signals::block().unwrap();
        let (answer, question) = io::pipe().unwrap();
        let (answer, looks) = (Arc::new(answer), Arc::new(AtomicU32::new(0)));
        let answered_once = move |_: &str| {
            if looks.fetch_add(1, Ordering::Relaxed) > 0 {
                // Ends when the other end is closed.
                io::Read::read(&mut &*answer, &mut [0])?;
            }
            Err(io::Error::other("no such name"))
        };
        let patience = Duration::from_millis(100);
        let failure = resolve(NODE_0, patience, Duration::ZERO, answered_once, &signals, &mut |_| {}).unwrap_err();
        drop(question);
        assert_eq!(failure.text, "node 0 (`job-worker-0.job`) has no address after 0.1 s: no such name");
    }

    #[test]
    fn node_0_is_told_that_it_is_named_by_another_address() {
        let local = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 7])];
        let other = IpAddr::from([10, 0, 0, 1]);
        for (addresses, local, is_told) in [
            (&[other][..], &local[..], true),
            (&[other, local[1]], &local, false),
            // All of 127.0.0.0/8 are this machine's.
            (&[IpAddr::from([127, 0, 1, 1])], &local, false),
            // What can't be listed is not known to be elsewhere.
            (&[other], &[], false),
        ] {
            let master = Master { host: NODE_0.to_owned(), port: None };
            let note = elsewhere(&master, addresses, local);
            assert_eq!(note.is_some(), is_told, "{addresses:?}");
            let begin = "node 0 is `job-worker-0.job`, which is not an address of this machine";
            assert!(note.is_none_or(|it| it.starts_with(begin)));
        }
    }

    #[test]
    fn this_machine_is_node_0_only_where_that_is_meant() {
        let local = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 7])];
        let other = [IpAddr::from([10, 0, 0, 1])];
        use NamedBy::{Flag, List, Variable};
        for (by, addresses, expected) in [
            (Flag, &other[..], "silent"),
            (Variable, &other, "silent"),
            (Flag, &local[..1], "note"),
            (Flag, &local[1..], "refused"),
            (Variable, &local[..1], "refused"),
            (Variable, &local[1..], "refused"),
            (List, &local[..1], "note"),
            (List, &local[1..], "note"),
            // All of 127.0.0.0/8 are.
            (Variable, &[IpAddr::from([127, 0, 1, 1])], "refused"),
            (Variable, &[IpAddr::from(Ipv6Addr::LOCALHOST), local[0]], "refused"),
        ] {
            let master = Master { host: NODE_0.to_owned(), port: None };
            let judged = match judge(&nodes(1), &master, by, addresses, &local) {
                Ok(None) => "silent",
                Ok(Some(_)) => "note",
                Err(failure) => {
                    assert!(failure.exit == Exit::USAGE && failure.text.contains("but this is node 1 of 2\nhint: "));
                    "refused"
                }
            };
            assert_eq!(judged, expected, "{by:?} {addresses:?}");
        }
    }
}
