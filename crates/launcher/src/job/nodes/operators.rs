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
    let text = set(lookup, name).unwrap_or_default();
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
    let Some(rank) = set(lookup, "RANK") else { return claim };
    let size = set(lookup, "WORLD_SIZE").filter(|it| it.parse().is_ok_and(|it: u32| it > 1));
    let unheard = size.map(|it| is("WORLD_SIZE", &it));
    if is_of_rank(lookup) {
        return Claim { unheard, ..claim };
    }
    let count = match pods(&mut claim, lookup) {
        Ok(count) => count,
        Err(problem) => {
            claim.problems.push(problem);
            return claim;
        }
    };
    // Of older operators the first pod has this address in place of its name. Scripts for one machine export it, too.
    let is_first_pod = rank == "0" && lookup("KUBERNETES_SERVICE_HOST").is_some();
    let master = set(lookup, "MASTER_ADDR");
    match (count, &master) {
        (Some(count), Some(master)) if is_first_pod || !is_loopback(master) => {
            claim.counts.push(count);
            claim.index(lookup, "RANK");
            claim.master(lookup, "MASTER_ADDR", "MASTER_PORT");
        }
        (count, master) => {
            let is_alone = count.as_ref().is_none_or(|it| it.value == 1) && rank.parse() == Ok(0);
            if !is_alone {
                claim.unheard = unheard;
                let size = count.map_or("WORLD_SIZE is not set".to_owned(), |it| it.words);
                let master = master.as_ref().map_or("MASTER_ADDR is not set".to_owned(), |it| is("MASTER_ADDR", it));
                claim.doubts.push(format!(
                    "{}, {size} and {master}: this process is one of several, and nothing says which nodes they are on\n\
                     hint: give `--nnodes` and `--node-rank`, with `--nnodes 1` for a job of this node alone, or unset RANK",
                    is("RANK", &rank)
                ));
            }
        }
    }
    claim
}

/// The pods that WORLD_SIZE counts, if it is set.
fn pods(claim: &mut Claim, lookup: Lookup) -> Result<Option<Said<u32>>, String> {
    let Some((text, size)) = claim.number(lookup, "WORLD_SIZE") else { return Ok(None) };
    let pods = set(lookup, "PET_NNODES").and_then(|it| it.parse::<u32>().ok());
    let each = |name: &str| Some((name.to_owned(), set(lookup, name)?.parse::<u32>().ok()?));
    let each = each("LOCAL_WORLD_SIZE").or_else(|| each("PET_NPROC_PER_NODE"));
    match each.filter(|it| it.1 > 1) {
        // An older operator counts the pods.
        Some((name, each)) if pods != Some(size) => ranks_of_nodes("WORLD_SIZE", size, &name, each).map(Some),
        _ => Ok(Some(Said { value: size.max(1), by: "WORLD_SIZE".to_owned(), words: is("WORLD_SIZE", &text) })),
    }
}

/// MS_WORKER_NUM, MS_LOCAL_WORKER, MS_NODE_RANK, MS_SCHED_HOST and MS_SCHED_PORT, which msrun takes the like of as flags.
pub fn mindspore(lookup: Lookup) -> Claim {
    let mut claim = Claim { hint: "set MS_NODE_RANK, or give `--node-rank`", ..Claim::default() };
    let (all, local) = ("MS_WORKER_NUM", "MS_LOCAL_WORKER");
    claim.index(lookup, "MS_NODE_RANK");
    if [all, local].iter().any(|it| lookup(it).is_none()) {
        return claim;
    }
    let (Some((_, size)), Some((_, each))) = (claim.number(lookup, all), claim.number(lookup, local)) else {
        return claim;
    };
    match ranks_of_nodes(all, size, local, each) {
        Ok(count) => claim.counts.push(count),
        Err(problem) => claim.problems.push(problem),
    }
    claim.master(lookup, "MS_SCHED_HOST", "MS_SCHED_PORT");
    claim
}

/// The variables that say how many ranks the whole job has, with what they say.
pub fn totals(lookup: Lookup) -> impl Iterator<Item = (&'static str, u32)> {
    let counts_ranks = !is_of_rank(lookup) && set(lookup, "LOCAL_WORLD_SIZE").is_some();
    let names = [Some("MS_WORKER_NUM"), counts_ranks.then_some("WORLD_SIZE")];
    names.into_iter().flatten().filter_map(move |it| Some((it, set(lookup, it)?.parse().ok()?)))
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
    is_number && set(lookup, "LOCAL_WORLD_SIZE").is_none_or(|it| it != "1")
}

pub fn is_loopback(host: &str) -> bool {
    host.parse::<IpAddr>().map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |it| it.is_loopback())
}
