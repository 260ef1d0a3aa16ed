//! Slurm: `srun --ntasks-per-node=1` starts one launcher on each node of the step.
//!
//! Source of the names: `man srun`, "OUTPUT ENVIRONMENT VARIABLES". A step may have fewer nodes than its job, and then it is
//! the step that counts. A batch script has the variables of its job, but runs on the first node alone.

use std::collections::BTreeSet;

use super::super::Lookup;
use super::claim::{Claim, Said, is, set};
use super::host_list::HostList;

const HINT: &str = "hint: start the launcher on each node once, with `srun --ntasks-per-node=1`";

pub fn claim(lookup: Lookup) -> Claim {
    let mut claim = Claim { hint: "start the launcher with `srun --ntasks-per-node=1`", ..Claim::default() };
    // These are then of the step in which mpirun started its daemons.
    if set(lookup, "OMPI_COMM_WORLD_SIZE").and_then(|it| it.parse().ok()).is_some_and(|it: u32| it > 1) {
        return claim;
    }
    let first_set = |names: &[&'static str]| names.iter().copied().find(|it| lookup(it).is_some());
    let list = first_set(&["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"]);
    let is_step_listed = list == Some("SLURM_STEP_NODELIST");
    let counts: &[_] = if is_step_listed {
        &["SLURM_STEP_NUM_NODES"]
    } else {
        &["SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"]
    };
    let mut count = first_set(counts).and_then(|name| claim.count(lookup, name));
    if let Some(name) = list {
        let listed = hosts(&mut claim, name, lookup);
        count = count.or(listed);
    }
    if let Some(problem) = several_tasks(lookup, count) {
        claim.problems.push(problem);
    }
    let is_step =
        first_set(&["SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NODELIST"]).is_some();
    if let Some(count) = count.filter(|it| *it > 1 && !is_step && lookup("SLURM_JOB_ID").is_some()) {
        claim.problems.push(format!(
            "SLURM_JOB_ID is set and SLURM_STEP_ID is not: this is no step of the job, which has {count} nodes, \
             but its script on one of them\n{HINT}"
        ));
    }
    claim.index(lookup, "SLURM_NODEID");
    claim
}

/// The list of nodes; this one has to be in it where it knows its name.
fn hosts(claim: &mut Claim, name: &str, lookup: Lookup) -> Option<u32> {
    let text = set(lookup, name)?;
    let list = match HostList::read(&text) {
        Ok(list) => list,
        Err(why) => {
            let problem = format!("{}, which {why}\nhint: unset it, and name node 0 with `--master`", is(name, &text));
            claim.problems.push(problem);
            return None;
        }
    };
    let mut seen = BTreeSet::new();
    let own = set(lookup, "SLURMD_NODENAME");
    let mut position = None;
    for (at, host) in (0..).zip(list.iter()) {
        if own.as_ref() == Some(&host) {
            position = Some(at);
        }
        if !seen.insert(host.clone()) {
            let text = format!("{}, which has the node `{host}` twice\nhint: correct it or unset it", is(name, &text));
            claim.problems.push(text);
            return None;
        }
    }
    claim.hosts(name, list.len(), list.iter().next());
    match (own, position) {
        (Some(own), Some(value)) => {
            let words = format!("SLURMD_NODENAME is `{own}`, which is number {value} of {name}");
            claim.indexes.push(Said { value, by: "SLURMD_NODENAME".to_owned(), words });
        }
        (Some(own), None) => {
            let list = is(name, &text);
            claim.problems.push(format!(
                "SLURMD_NODENAME is `{own}`, which is not in the list of nodes: {list}\nhint: correct or unset the one that is wrong"
            ));
        }
        (None, _) => {}
    }
    Some(list.len())
}

/// Why there would be several launchers on this node, if there would.
fn several_tasks(lookup: Lookup, count: Option<u32>) -> Option<String> {
    let name = "SLURM_LOCALID";
    if let Some(text) = set(lookup, name).filter(|it| it != "0") {
        return Some(format!("{}: another launcher runs on this node\n{HINT}", is(name, &text)));
    }
    let (name, tasks) = match set(lookup, "SLURM_STEP_TASKS_PER_NODE") {
        Some(tasks) => ("SLURM_STEP_TASKS_PER_NODE", tasks),
        // That of a batch script's header says nothing of what runs on the one node of the job.
        None if count.is_some_and(|it| it > 1) => ("SLURM_NTASKS_PER_NODE", set(lookup, "SLURM_NTASKS_PER_NODE")?),
        None => return None,
    };
    // `1(x2),2`: twice one, once two.
    let is_one = |it: &str| it.trim().split('(').next() == Some("1");
    (!tasks.split(',').all(is_one)).then(|| {
        format!(
            "{}: on each node, every one of these tasks would start all ranks of the node\n{HINT}",
            is(name, &tasks)
        )
    })
}
