//! Operators of Kubernetes: Kubeflow's, the Ascend Operator, Volcano's `pytorch` plugin.
//!
//! In all of them RANK is the number of the **pod**. What WORLD_SIZE counts differs:
//!
//! | who | WORLD_SIZE | source |
//! |---|---|---|
//! | Kubeflow's training operator, older | pods | pkg/controller.v1/pytorch/envvar.go |
//! | the same since it has `nprocPerNode` | pods × PET_NPROC_PER_NODE, 1 where that is no number; PET_NNODES counts the pods | the same |
//! | Volcano | pods of the tasks `master` and `worker` | plugins/distributed-framework/pytorch/pytorch.go |
//! | Ascend Operator | devices of all pods; LOCAL_WORLD_SIZE has those of one, LOCAL_RANK all of them: `0,1,2` | mind-cluster, ascend-operator, `setPytorchEnv` |
//!
//! The Ascend Operator's MS_WORKER_NUM and MS_LOCAL_WORKER count devices likewise, and MS_NODE_RANK is the pod's number.
//! Kubeflow's trainer (v2) has the five PET_ variables alone.
//!
//! The same names are in the environment of a rank, with the numbers of that rank: see [`is_of_rank`].

use std::net::IpAddr;

use super::super::Lookup;
use super::claim::{Claim, Said, is, set};

/// PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT, which torchrun reads.
pub fn elastic(lookup: Lookup) -> Claim {
    let mut claim = Claim { hint: "set PET_NODE_RANK, or give `--node-rank`", ..Claim::default() };
    let name = "PET_NNODES";
    let Some(text) = set(lookup, name) else { return claim };
    match text.split_once(':') {
        Some((least, most)) if least == most => {
            let fixed = |it: &str| (it == name).then(|| most.into());
            claim.count(&fixed, name);
        }
        Some(_) => claim.problems.push(format!(
            "{}, a job whose nodes come and go, which this launcher does not run\n\
             hint: give the job a fixed number of nodes, or start torchrun without the launcher",
            is(name, &text)
        )),
        None => drop(claim.count(lookup, name)),
    }
    claim.index(lookup, "PET_NODE_RANK");
    claim.master(lookup, "PET_MASTER_ADDR", "PET_MASTER_PORT");
    claim
}

/// RANK, WORLD_SIZE and MASTER_ADDR where they are a pod's.
pub fn torch(lookup: Lookup) -> Claim {
    let mut claim = Claim { hint: "set RANK, or give `--node-rank`", ..Claim::default() };
    let names = ["RANK", "WORLD_SIZE", "MASTER_ADDR"];
    let is_of_one_host = set(lookup, "MASTER_ADDR").is_some_and(|it| is_loopback(&it));
    // Scripts export these for the ranks of one machine, too.
    if names.iter().any(|it| lookup(it).is_none()) || is_of_one_host || is_of_rank(lookup) {
        return claim;
    }
    let Some((text, size)) = claim.number(lookup, "WORLD_SIZE") else { return claim };
    let pods = set(lookup, "PET_NNODES").and_then(|it| it.parse::<u32>().ok());
    let each = |name: &str| Some((name.to_owned(), set(lookup, name)?.trim().parse::<u32>().ok()?));
    let each = each("LOCAL_WORLD_SIZE").or_else(|| each("PET_NPROC_PER_NODE"));
    let count = match each.filter(|it| it.1 > 1) {
        // An older operator counts the pods.
        _ if pods == Some(size) => Said { value: size, by: "WORLD_SIZE".to_owned(), words: is("WORLD_SIZE", &text) },
        None => Said { value: size.max(1), by: "WORLD_SIZE".to_owned(), words: is("WORLD_SIZE", &text) },
        Some((name, each)) => match ranks_of_nodes("WORLD_SIZE", size, &name, each) {
            Ok(count) => count,
            Err(problem) => {
                claim.problems.push(problem);
                return claim;
            }
        },
    };
    claim.counts.push(count);
    claim.index(lookup, "RANK");
    claim.master(lookup, "MASTER_ADDR", "MASTER_PORT");
    claim
}

/// MS_WORKER_NUM, MS_LOCAL_WORKER, MS_NODE_RANK, MS_SCHED_HOST and MS_SCHED_PORT, which msrun takes the like of as flags.
pub fn mindspore(lookup: Lookup) -> Claim {
    let mut claim = Claim { hint: "set MS_NODE_RANK, or give `--node-rank`", ..Claim::default() };
    let (all, local) = ("MS_WORKER_NUM", "MS_LOCAL_WORKER");
    if [all, local].iter().any(|it| lookup(it).is_none()) {
        return claim;
    }
    let (Some((_, size)), Some((_, each))) = (claim.number(lookup, all), claim.number(lookup, local)) else {
        return claim;
    };
    match ranks_of_nodes(all, size, local, each) {
        Ok(count) => claim.counts.push(count),
        Err(problem) => {
            claim.problems.push(problem);
            return claim;
        }
    }
    claim.index(lookup, "MS_NODE_RANK");
    claim.master(lookup, "MS_SCHED_HOST", "MS_SCHED_PORT");
    claim
}

/// The nodes that ranks of this number are on, with so many on each.
fn ranks_of_nodes(all: &str, size: u32, local: &str, each: u32) -> Result<Said<u32>, String> {
    match size.checked_rem(each) {
        Some(0) if size > 0 => {
            let value = size / each;
            let nodes = if value == 1 { "1 node".to_owned() } else { format!("{value} nodes") };
            let words = format!("{all} is `{size}` and {local} is `{each}`, which makes {nodes}");
            Ok(Said { value, by: format!("{all}, {local}"), words })
        }
        _ => Err(format!(
            "{all} is `{size}`, but {local} is `{each}`: not all nodes would have the same number of ranks\n\
             hint: correct or unset the one that is wrong"
        )),
    }
}

/// Whether RANK and the like are those of a rank, as something has set LOCAL_RANK to one number. The Ascend Operator sets it to
/// a list, and to one number only where the pod has one device: then a rank's number is its node's.
fn is_of_rank(lookup: Lookup) -> bool {
    let is_number = set(lookup, "LOCAL_RANK").is_some_and(|it| !it.contains(','));
    is_number && set(lookup, "LOCAL_WORLD_SIZE").is_none_or(|it| it.trim() != "1")
}

pub fn is_loopback(host: &str) -> bool {
    host.parse::<IpAddr>().map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |it| it.is_loopback())
}
