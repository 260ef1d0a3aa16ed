//! The devices of this node: how many ranks it has without a rank table, and what ASCEND_RT_VISIBLE_DEVICES leaves of them.
//!
//! CANN shows a process only the devices of that list, and numbers them anew from 0 in the order of the list. So DEVICE_ID is
//! a place in it.

use super::nodes::{self, Nodes};
use super::{Job, Lookup};
use crate::exit::{Exit, Failure};
use crate::units;

const VISIBLE: &str = "ASCEND_RT_VISIBLE_DEVICES";

/// Variables with the number of devices or ranks of a node: ModelArts', the Ascend Operator's two, Kubeflow's.
const COUNTS: [&str; 4] = ["MA_NUM_GPUS", "MS_LOCAL_WORKER", "LOCAL_WORLD_SIZE", "PET_NPROC_PER_NODE"];

/// A node has no more of them; a number above it is a mistake.
const MAX: u32 = 1024;

/// The devices of this node where no table names them, and what the user should know about it.
///
/// # Errors
///
/// With exit code 2, where nothing says it for a job of several nodes, or two variables say it differently; and where all
/// nodes together would have other ranks than the cluster has counted: one of them was given other devices.
pub fn of_node(
    given: Option<&[u32]>,
    nodes: Option<&Nodes>,
    lookup: Lookup,
) -> Result<(Vec<u32>, Option<String>), Failure> {
    let (devices, note) = match given {
        Some(given) => (given.to_vec(), other_count(given, nodes, lookup)),
        None => by_variables(nodes, lookup)?,
    };
    let Some(Nodes { count, .. }) = nodes.filter(|it| it.count > 1) else { return Ok((devices, note)) };
    let each = devices.len();
    let ranks = u32::try_from(each).ok().and_then(|it| it.checked_mul(*count));
    let words =
        format!("{count} nodes with {}", if each == 1 { "1 device".to_owned() } else { format!("{each} devices") });
    let Some(ranks) = ranks else {
        let text = format!("{words} each are more ranks than can be numbered");
        return Err(Failure::new(Exit::USAGE, format!("{text}\nhint: correct `--devices` or `--nnodes`")));
    };
    // In a rank of an outer launcher they are that launcher's.
    let mut totals = nodes::totals(lookup).filter(|_| !super::is_rank(lookup));
    match totals.find(|it| it.1 != ranks) {
        None => Ok((devices, note)),
        Some((name, total)) => {
            let text = format!("{name} is `{total}`, but {words} each make {ranks} ranks");
            let hint = "hint: give every node the devices that the cluster has counted, or unset the variable";
            Err(Failure::new(Exit::USAGE, format!("{text}\n{hint}")))
        }
    }
}

/// What the user should know where a variable has another number of devices than the flag. One may want some of them only, but
/// has to say so on all nodes.
fn other_count(given: &[u32], nodes: Option<&Nodes>, lookup: Lookup) -> Option<String> {
    nodes.filter(|it| it.count > 1 && !super::is_rank(lookup))?;
    let (name, count) = COUNTS.iter().find_map(|name| Some((*name, number(name, lookup)?)))?;
    let each = given.len();
    (usize::try_from(count) != Ok(each)).then(|| {
        format!("`--devices` has {each}, though {name} has {count}: right only if it is the same on all nodes")
    })
}

fn number(name: &str, lookup: Lookup) -> Option<u32> {
    lookup(name)?.to_str()?.trim().parse().ok().filter(|it| (1..=MAX).contains(it))
}

/// In a job of one node that is one, as scripts expect.
fn by_variables(nodes: Option<&Nodes>, lookup: Lookup) -> Result<(Vec<u32>, Option<String>), Failure> {
    // `auto` and the like are for torchrun to find out. In a rank of an outer launcher, some are that launcher's.
    let is_rank = lookup("FMTK_ATTEMPT").is_some();
    let mut said: Vec<(&str, u32)> = COUNTS.iter().filter_map(|name| Some((*name, number(name, lookup)?))).collect();
    if let Some(visible) = visible(lookup)? {
        said.push((VISIBLE, u32::try_from(visible.len()).unwrap_or(u32::MAX)));
    }
    let is_alone = nodes.is_none_or(|it| it.count == 1);
    if is_alone {
        let more = said.iter().find(|it| it.1 > 1 && !is_rank);
        let note = more.map(|(name, count)| {
            let last = count - 1;
            format!(
                "one rank is started, on device 0, though {name} has {count}: `--devices 0-{last}` starts one for each"
            )
        });
        return Ok((vec![0], note));
    }
    let hint = "hint: name the devices with `--devices 0-7`, on all nodes the same";
    let Some((name, count)) = said.first() else {
        let text = "the job has several nodes and no rank table, and nothing says how many devices this one has";
        return Err(Failure::new(Exit::USAGE, format!("{text}\n{hint}, or the table with `--rank-table`")));
    };
    if let Some((other, devices)) = said.iter().find(|it| it.1 != *count) {
        let text = format!("{name} says {count} devices, but {other} says {devices}");
        return Err(Failure::new(Exit::USAGE, format!("{text}\n{hint}")));
    }
    Ok((
        (0..*count).collect(),
        Some(format!("the devices of this node are {}, by {name}", units::ranges(&(0..*count).collect::<Vec<_>>()))),
    ))
}

/// Gives the ranks of a job the numbers that their devices have below ASCEND_RT_VISIBLE_DEVICES.
///
/// Those of `--devices` are places in the list already. A table has the numbers of the server, or those of the container
/// where that has only some of the server's devices.
///
/// # Errors
///
/// With exit code 2: a device that is not visible, with both values, and a variable that is no list of devices.
pub fn renumber(mut job: Job, lookup: Lookup) -> Result<Job, Failure> {
    let Some(visible) = visible(lookup)?.filter(|_| job.starts_ranks()) else { return Ok(job) };
    let list = units_of(&visible);
    let place = |number: u32| visible.iter().position(|it| *it == number).and_then(|it| u32::try_from(it).ok());
    let has_table = job.table.is_some();
    let are_physical = has_table && job.ranks.iter().all(|it| place(it.physical).is_some());
    for rank in &mut job.ranks {
        let device = rank.device;
        let (found, hint) = if !has_table {
            let physical = usize::try_from(device).ok().and_then(|it| visible.get(it)).copied();
            rank.physical = physical.unwrap_or(rank.physical);
            let last = visible.len() - 1;
            let hint =
                format!("`--devices` counts the devices of that list from 0: `--devices 0-{last}` names all of them");
            (physical.map(|_| device), hint)
        } else {
            let number = if are_physical { rank.physical } else { device };
            (place(number), "unset it, or give the table of the devices that are visible".to_owned())
        };
        let Some(found) = found else {
            let from = if has_table { "the rank table gives this server" } else { "the ranks are given" };
            let text = format!("{from} device {device}, which is not visible: {VISIBLE} is `{list}`");
            return Err(Failure::new(Exit::USAGE, format!("{text}\nhint: {hint}")));
        };
        rank.device = found;
    }
    Ok(job)
}

fn units_of(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn visible(lookup: Lookup) -> Result<Option<Vec<u32>>, Failure> {
    let Some(text) = lookup(VISIBLE) else { return Ok(None) };
    let text = text.to_string_lossy();
    let numbers: Option<Vec<u32>> = text.split(',').map(|it| it.trim().parse().ok().filter(|it| *it < MAX)).collect();
    let mut sorted = numbers.clone().unwrap_or_default();
    sorted.sort_unstable();
    sorted.dedup();
    match numbers {
        Some(numbers) if sorted.len() == numbers.len() => Ok(Some(numbers)),
        _ => {
            let text = format!("{VISIBLE} is `{text}`, which is not a list of different devices");
            Err(Failure::new(Exit::USAGE, format!("{text}\nhint: write it like `4,5`, or unset it")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::of_test;
    use crate::options::NodeFlags;

    #[test]
    fn devices_that_contradict_what_the_cluster_has_counted() {
        let mut said = String::new();
        let total = [("WORLD_SIZE", "16"), ("LOCAL_WORLD_SIZE", "8"), ("LOCAL_RANK", "0,1,2,3,4,5,6,7")];
        let of_rank = [("WORLD_SIZE", "16"), ("LOCAL_WORLD_SIZE", "8"), ("RANK", "9"), ("FMTK_ATTEMPT", "1")];
        for (given, count, variables) in [
            (4, 2, &[][..]),
            (4, 2, &[("MA_NUM_GPUS", "8")]),
            (8, 2, &[("MA_NUM_GPUS", "8")]),
            (4, 1, &[("MA_NUM_GPUS", "8"), ("MS_WORKER_NUM", "8")]),
            (4, 2, &total),
            (8, 2, &total),
            (4, 2, &of_rank),
            (1, 2, &[("MS_WORKER_NUM", "4"), ("MS_LOCAL_WORKER", "2")]),
            (0, 2, &[("MS_WORKER_NUM", "4"), ("MA_NUM_GPUS", "8")]),
            // Pods.
            (4, 2, &[("WORLD_SIZE", "2")]),
            (1 << 20, 65_536, &[]),
        ] {
            let nodes = Nodes { count, ..Nodes::alone() };
            let devices: Vec<u32> = (0..given).collect();
            let given = (!devices.is_empty()).then_some(devices.as_slice());
            let made = of_node(given, Some(&nodes), &of_test(variables));
            let made = made.map_or_else(|it| it.text, |it| it.1.unwrap_or("agreed".to_owned()));
            said += &format!("{} {count} {variables:?}\n", devices.len());
            made.lines().for_each(|it| said += &format!("  {it}\n"));
        }
        expect_test::expect![[r#"
            4 2 []
              agreed
            4 2 [("MA_NUM_GPUS", "8")]
              `--devices` has 4, though MA_NUM_GPUS has 8: right only if it is the same on all nodes
            8 2 [("MA_NUM_GPUS", "8")]
              agreed
            4 1 [("MA_NUM_GPUS", "8"), ("MS_WORKER_NUM", "8")]
              agreed
            4 2 [("WORLD_SIZE", "16"), ("LOCAL_WORLD_SIZE", "8"), ("LOCAL_RANK", "0,1,2,3,4,5,6,7")]
              WORLD_SIZE is `16`, but 2 nodes with 4 devices each make 8 ranks
              hint: give every node the devices that the cluster has counted, or unset the variable
            8 2 [("WORLD_SIZE", "16"), ("LOCAL_WORLD_SIZE", "8"), ("LOCAL_RANK", "0,1,2,3,4,5,6,7")]
              agreed
            4 2 [("WORLD_SIZE", "16"), ("LOCAL_WORLD_SIZE", "8"), ("RANK", "9"), ("FMTK_ATTEMPT", "1")]
              agreed
            1 2 [("MS_WORKER_NUM", "4"), ("MS_LOCAL_WORKER", "2")]
              MS_WORKER_NUM is `4`, but 2 nodes with 1 device each make 2 ranks
              hint: give every node the devices that the cluster has counted, or unset the variable
            0 2 [("MS_WORKER_NUM", "4"), ("MA_NUM_GPUS", "8")]
              MS_WORKER_NUM is `4`, but 2 nodes with 8 devices each make 16 ranks
              hint: give every node the devices that the cluster has counted, or unset the variable
            4 2 [("WORLD_SIZE", "2")]
              agreed
            1048576 65536 []
              65536 nodes with 1048576 devices each are more ranks than can be numbered
              hint: correct `--devices` or `--nnodes`
        "#]]
        .assert_eq(&said);
    }

    #[test]
    fn devices_of_a_node() {
        let mut said = String::new();
        for (count, variables) in [
            (1, &[][..]),
            (1, &[("PET_NPROC_PER_NODE", "8")]),
            (1, &[("PET_NPROC_PER_NODE", "8"), ("FMTK_ATTEMPT", "1")]),
            (1, &[(VISIBLE, "4,5")]),
            (2, &[]),
            (2, &[("PET_NPROC_PER_NODE", "auto")]),
            (2, &[("MA_NUM_GPUS", "0")]),
            (2, &[("MA_NUM_GPUS", "8")]),
            (2, &[("MS_LOCAL_WORKER", "2"), (VISIBLE, "4,5")]),
            (2, &[(VISIBLE, "4, 5,6")]),
            (2, &[("MA_NUM_GPUS", "8"), (VISIBLE, "4,5")]),
            (2, &[(VISIBLE, "4,4")]),
            (2, &[(VISIBLE, "0-3")]),
        ] {
            let nodes = Nodes { count, ..Nodes::alone() };
            let made = match of_node(None, Some(&nodes), &of_test(variables)) {
                Ok((devices, note)) => format!("{devices:?} {}", note.unwrap_or_default()),
                Err(failure) => failure.text.replace('\n', " / "),
            };
            said += &format!("{count} {variables:?}\n  {}\n", made.trim_end());
        }
        expect_test::expect![[r#"
            1 []
              [0]
            1 [("PET_NPROC_PER_NODE", "8")]
              [0] one rank is started, on device 0, though PET_NPROC_PER_NODE has 8: `--devices 0-7` starts one for each
            1 [("PET_NPROC_PER_NODE", "8"), ("FMTK_ATTEMPT", "1")]
              [0]
            1 [("ASCEND_RT_VISIBLE_DEVICES", "4,5")]
              [0] one rank is started, on device 0, though ASCEND_RT_VISIBLE_DEVICES has 2: `--devices 0-1` starts one for each
            2 []
              the job has several nodes and no rank table, and nothing says how many devices this one has / hint: name the devices with `--devices 0-7`, on all nodes the same, or the table with `--rank-table`
            2 [("PET_NPROC_PER_NODE", "auto")]
              the job has several nodes and no rank table, and nothing says how many devices this one has / hint: name the devices with `--devices 0-7`, on all nodes the same, or the table with `--rank-table`
            2 [("MA_NUM_GPUS", "0")]
              the job has several nodes and no rank table, and nothing says how many devices this one has / hint: name the devices with `--devices 0-7`, on all nodes the same, or the table with `--rank-table`
            2 [("MA_NUM_GPUS", "8")]
              [0, 1, 2, 3, 4, 5, 6, 7] the devices of this node are 0-7, by MA_NUM_GPUS
            2 [("MS_LOCAL_WORKER", "2"), ("ASCEND_RT_VISIBLE_DEVICES", "4,5")]
              [0, 1] the devices of this node are 0-1, by MS_LOCAL_WORKER
            2 [("ASCEND_RT_VISIBLE_DEVICES", "4, 5,6")]
              [0, 1, 2] the devices of this node are 0-2, by ASCEND_RT_VISIBLE_DEVICES
            2 [("MA_NUM_GPUS", "8"), ("ASCEND_RT_VISIBLE_DEVICES", "4,5")]
              MA_NUM_GPUS says 8 devices, but ASCEND_RT_VISIBLE_DEVICES says 2 / hint: name the devices with `--devices 0-7`, on all nodes the same
            2 [("ASCEND_RT_VISIBLE_DEVICES", "4,4")]
              ASCEND_RT_VISIBLE_DEVICES is `4,4`, which is not a list of different devices / hint: write it like `4,5`, or unset it
            2 [("ASCEND_RT_VISIBLE_DEVICES", "0-3")]
              ASCEND_RT_VISIBLE_DEVICES is `0-3`, which is not a list of different devices / hint: write it like `4,5`, or unset it
        "#]].assert_eq(&said);
    }

    #[test]
    fn a_device_is_its_place_among_the_visible() {
        let table = |ids: &[u32]| {
            let device = |(at, id): (usize, &u32)| {
                format!(r#"{{"device_id":"{id}","device_ip":"1.1.1.{id}","rank_id":"{at}"}}"#)
            };
            let devices: Vec<_> = ids.iter().enumerate().map(device).collect();
            let text = format!(
                r#"{{"version":"1.0","status":"completed","server_count":"1","server_list":[{{"server_id":"10.0.0.1","device":[{}]}}]}}"#,
                devices.join(",")
            );
            let table = rank_table::parse(text.as_bytes()).expect("a table");
            Job::of_table(rank_table::Ready { table, path: "/t".into() }, &NodeFlags::default(), &|_| None, Vec::new())
                .expect("a job")
        };
        let list = |ids: &[u32]| Job::of_devices(ids, Nodes::alone(), &|_| None);
        let mut said = String::new();
        for (name, job, visible) in [
            ("--devices 0,1", list(&[0, 1]), "4,5"),
            ("--devices 1", list(&[1]), "7,2"),
            ("--devices 4,5", list(&[4, 5]), "4,5"),
            ("--devices 0", list(&[0]), "x"),
            ("table 4,5", table(&[4, 5]), "4,5"),
            ("table 4,5", table(&[4, 5]), "5,4"),
            ("table 4,5 in a container of its own", table(&[4, 5]), "0,1"),
            ("table 0-3", table(&[0, 1, 2, 3]), "2,3"),
        ] {
            let made = match renumber(job, &of_test(&[(VISIBLE, visible)])) {
                Ok(job) => job.ranks.iter().map(|it| format!("{}: {} ", it.local, it.device)).collect::<String>(),
                Err(failure) => failure.text.replace('\n', " / "),
            };
            said += &format!("{name}, visible {visible}\n  {}\n", made.trim_end());
        }
        expect_test::expect![[r#"
            --devices 0,1, visible 4,5
              0: 0 1: 1
            --devices 1, visible 7,2
              0: 1
            --devices 4,5, visible 4,5
              the ranks are given device 4, which is not visible: ASCEND_RT_VISIBLE_DEVICES is `4,5` / hint: `--devices` counts the devices of that list from 0: `--devices 0-1` names all of them
            --devices 0, visible x
              ASCEND_RT_VISIBLE_DEVICES is `x`, which is not a list of different devices / hint: write it like `4,5`, or unset it
            table 4,5, visible 4,5
              0: 0 1: 1
            table 4,5, visible 5,4
              0: 1 1: 0
            table 4,5 in a container of its own, visible 0,1
              0: 0 1: 1
            table 0-3, visible 2,3
              the rank table gives this server device 0, which is not visible: ASCEND_RT_VISIBLE_DEVICES is `2,3` / hint: unset it, or give the table of the devices that are visible
        "#]].assert_eq(&said);
        let physical: Vec<u32> = renumber(list(&[0, 1]), &of_test(&[(VISIBLE, "4,5")]))
            .expect("a job")
            .ranks
            .iter()
            .map(|it| it.physical)
            .collect();
        assert_eq!(physical, [4, 5]);
    }
}
