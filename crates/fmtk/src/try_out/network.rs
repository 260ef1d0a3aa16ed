//! What nodes reach each other by: a network that has nothing but loopback, and names for it.
//!
//! A container of its own has the network, as in a pod of Kubernetes, so that nodes may begin and end in any order. It does
//! without bridges and a firewall of this machine, which a rootless engine can't change.

use anyhow::Context;

use super::plan::{JOB, Job, Node};
use crate::resolve::containers::{Containers, Network};

/// What the network's container runs. It does nothing until it is killed.
const COMMAND: [&str; 2] = ["sleep", "infinity"];

/// The container for the network of several nodes: by number, behind all of them.
pub fn number(job: &Job) -> Option<usize> {
    (job.nodes.len() > 1).then_some(job.nodes.len())
}

/// Starts the container for the network, where the job needs one, and gives the network of the nodes.
pub fn start(job: &Job, containers: &Containers, image: &str) -> anyhow::Result<Network> {
    let Some(number) = number(job) else { return Ok(Network::Own) };
    // The first process of a container ignores SIGTERM unless it has a handler.
    let options = ["--hostname", JOB, "--stop-signal", "KILL"].map(str::to_owned);
    containers
        .create(number, Network::Own, &options, image, &COMMAND.map(str::to_owned))
        .and_then(|()| containers.run_apart(number))
        .context("failed to start the container that has the network of the nodes")?;
    Ok(Network::Of(number))
}

/// `/etc/hosts` of all nodes. The engines' own ones differ: docker's has what was given to the network's container, podman's
/// has not.
pub fn hosts(nodes: &[Node]) -> String {
    let line = |node: &Node| format!("{}\t{} {}\n", node.address, node.host, node.name);
    let nodes: String = nodes.iter().map(line).collect();
    // Where nodes can't have a host name of their own, they have the job's.
    format!("127.0.0.1\tlocalhost {JOB}\n{nodes}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::try_out::plan::node;

    #[test]
    fn every_node_has_an_address_on_loopback_and_its_two_names() {
        let nodes: Vec<Node> = (0..2).map(|index| node(index, 2, 8)).collect();
        expect![[r#"
            127.0.0.1 localhost ma-job-try
            127.0.0.1 ma-job-try-worker-0.ma-job-try ma-job-try-worker-0
            127.0.0.2 ma-job-try-worker-1.ma-job-try ma-job-try-worker-1
        "#]]
        .assert_eq(&hosts(&nodes).replace('\t', " "));
    }
}
