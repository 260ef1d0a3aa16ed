//! ModelArts, and Volcano below it and elsewhere: VC_WORKER_HOSTS, VC_WORKER_NUM, MA_NUM_HOSTS, VC_TASK_INDEX.
//!
//! Volcano's `svc` plugin writes `VC_<TASK>_HOSTS` and `VC_<TASK>_NUM` for each task of a job, the name in capitals with `_`
//! for `-` (pkg/controllers/job/plugins/svc/svc.go). Its `env` plugin writes VC_TASK_INDEX and the older VK_TASK_INDEX, which
//! count within a task: in a job of several tasks they say nothing of the job.
//!
//! Where ModelArts has planned the routes of a job (ROUTE_PLAN=true), nodes are numbered by RANK_AFTER_ACC, and node 0 is
//! `<MA_VJ_NAME>-<MA_TASK_NAME>-<MA_MASTER_INDEX>.<MA_VJ_NAME>`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::Lookup;
use super::Master;
use super::claim::{Claim, Said, is, set};

/// `tasks` are those of which the environment has `VC_<TASK>_HOSTS` or `VC_<TASK>_NUM`. Where an operator numbers the nodes of
/// all of them, nothing is said here.
pub fn claim(lookup: Lookup, tasks: &[String], is_numbered_by_operator: bool) -> Claim {
    let hint = "set VC_TASK_INDEX to the number of this node, or give `--node-rank`";
    let mut claim = Claim { hint, is_judged_by_table: true, ..Claim::default() };
    let is_planned = set(lookup, "ROUTE_PLAN").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    match tasks {
        [] => drop(claim.count(lookup, "MA_NUM_HOSTS")),
        [task] => {
            claim.count(lookup, &format!("VC_{task}_NUM"));
            claim.count(lookup, "MA_NUM_HOSTS");
            hosts(&mut claim, &format!("VC_{task}_HOSTS"), is_planned, lookup);
        }
        _ if is_numbered_by_operator => return claim,
        _ => {
            sum(&mut claim, tasks, lookup);
            return claim;
        }
    }
    // A single node has no route.
    let is_several = claim.counts.iter().any(|it| it.value > 1);
    let names: &[_] = match is_planned {
        true if is_several => &["RANK_AFTER_ACC"],
        true => &["RANK_AFTER_ACC", "VC_TASK_INDEX", "VK_TASK_INDEX"],
        false => &["VC_TASK_INDEX", "VK_TASK_INDEX"],
    };
    match names.iter().find(|it| lookup(it).is_some()) {
        Some(name) => drop(claim.index(lookup, name)),
        None if is_planned && is_several => claim.problems.push(
            "ROUTE_PLAN is `true`, and RANK_AFTER_ACC, the number of this node, is not set\n\
             hint: unset ROUTE_PLAN on all nodes, or give `--node-rank`"
                .to_owned(),
        ),
        None => {}
    }
    if !is_planned {
        return claim;
    }
    let part = |name| set(lookup, name);
    claim.master = match (part("MA_VJ_NAME"), part("MA_TASK_NAME"), part("MA_MASTER_INDEX")) {
        (Some(job), Some(task), Some(index)) => {
            let host = format!("{job}-{task}-{index}.{job}");
            let words = format!("MA_MASTER_INDEX makes it `{host}`");
            Some(Said { value: Master { host, port: None }, by: "MA_MASTER_INDEX".to_owned(), words })
        }
        _ => None,
    };
    claim
}

/// The nodes of several tasks together.
fn sum(claim: &mut Claim, tasks: &[String], lookup: Lookup) {
    claim.hint = "VC_TASK_INDEX counts within one task: give `--node-rank` and `--master`";
    let mut value: u32 = 0;
    for task in tasks {
        let listed = set(lookup, &format!("VC_{task}_HOSTS")).map_or(0, |it| names(&it).count());
        let nodes = claim.number(lookup, &format!("VC_{task}_NUM")).map(|it| it.1);
        value = value.saturating_add(nodes.unwrap_or(u32::try_from(listed).unwrap_or(u32::MAX)));
    }
    let by = tasks.iter().map(|it| format!("VC_{it}_NUM")).collect::<Vec<_>>().join(", ");
    let nodes = if value == 1 { "node" } else { "nodes" };
    let words = format!("the Volcano tasks {} have {value} {nodes} together", tasks.join(", "));
    claim.counts.push(Said { value: value.max(1), by, words });
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// The names of the nodes; this one has to be in it where it knows its name.
fn hosts(claim: &mut Claim, name: &str, is_planned: bool, lookup: Lookup) {
    let Some(text) = set(lookup, name) else { return };
    let hosts: Vec<&str> = names(&text).collect();
    let mut seen = BTreeSet::new();
    if let Some(host) = hosts.iter().find(|it| !seen.insert(**it)) {
        let text = format!("{}, which has the node `{host}` twice\nhint: correct it or unset it", is(name, &text));
        claim.problems.push(text);
        return;
    }
    claim.hosts(name, u32::try_from(hosts.len()).unwrap_or(u32::MAX), hosts.first().map(|it| (*it).to_owned()));
    let Some(own) = set(lookup, "MA_CURRENT_INSTANCE_NAME").filter(|_| !is_planned && hosts.len() > 1) else { return };
    // The names of pods, each followed by the domain of the job. An address tells nothing of a name.
    let position = hosts.iter().position(|it| it.split('.').next() == Some(&own) || *it == own);
    match position.and_then(|it| u32::try_from(it).ok()) {
        Some(value) => {
            let words = format!("MA_CURRENT_INSTANCE_NAME is `{own}`, which is number {value} of {name}");
            claim.indexes.push(Said { value, by: "MA_CURRENT_INSTANCE_NAME".to_owned(), words });
        }
        None if hosts.iter().any(|it| it.parse::<IpAddr>().is_ok()) => {}
        None => claim.problems.push(format!(
            "MA_CURRENT_INSTANCE_NAME is `{own}`, which is not in the list of nodes: {}\n\
             hint: correct or unset the one that is wrong",
            is(name, &text)
        )),
    }
}
