//! What ranks get from both launchers is the same: variables, rank table, names of files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::trial::{Launcher, Place, TABLE};
use crate::testbed::Log;

/// Every variable that the vendor's launcher sets for a rank.
const SET: [&str; 8] = [
    "ASCEND_DEVICE_ID",
    "ASCEND_PROCESS_LOG_PATH",
    "DEVICE_ID",
    "HCCL_CONNECT_TIMEOUT",
    "JOB_ID",
    "RANK_ID",
    "RANK_SIZE",
    "RANK_TABLE_FILE",
];

/// A job: its table and what the platform sets.
struct Job {
    name: &'static str,
    table: Value,
    variables: &'static [(&'static str, &'static str)],
    /// Variables of [`SET`] that are given, so that nobody has to set them.
    given: &'static [&'static str],
    ranks: &'static [&'static str],
}

/// One server of a small job; devices that do not begin with 0, pods that are not in order.
fn jobs() -> Vec<Job> {
    let servers = [("203.0.113.2", &[4, 5][..], 0), ("203.0.113.1", &[6, 7], 2)];
    let server = |(id, devices, rank): &(&str, &[usize], usize)| {
        let device = |(index, number): (usize, &usize)| json!({ "device_id": number.to_string(), "device_ip": format!("198.51.100.{}", rank + index), "rank_id": (rank + index).to_string() });
        json!({ "server_id": id, "device": devices.iter().enumerate().map(device).collect::<Vec<_>>() })
    };
    let v1 = json!({
        "version": "1.0", "status": "completed", "server_count": "2",
        "server_list": servers.iter().map(server).collect::<Vec<_>>(),
    });
    let mut of_one = v1.clone();
    of_one["server_count"] = "1".into();
    if let Some(list) = of_one["server_list"].as_array_mut() {
        list.truncate(1);
    }
    vec![
        Job {
            name: "a v0 table, found by the instance's name",
            table: v0(&[("job-1", "203.0.113.1", &[4, 5]), ("job-0", "203.0.113.2", &[2, 3])]),
            variables: &[("MA_CURRENT_INSTANCE_NAME", "job-1"), ("MA_VJ_NAME", "ma-job-7")],
            given: &[],
            ranks: &["2", "3"],
        },
        Job {
            name: "a v1 table, found by the host's address",
            table: v1,
            variables: &[
                ("MA_CURRENT_HOST_IP", "203.0.113.1"),
                ("BATCH_JOB_ID", "batch"),
                ("MA_VJ_NAME", "ma-job-7"),
                ("HCCL_CONNECT_TIMEOUT", "600"),
            ],
            given: &["HCCL_CONNECT_TIMEOUT"],
            ranks: &["2", "3"],
        },
        Job {
            name: "a v1 table of one server, no name of a job",
            table: of_one,
            variables: &[],
            given: &[],
            ranks: &["0", "1"],
        },
    ]
}

/// What a launcher left: the variables of each rank, the table that they were told of, the names of log files.
#[derive(Debug, PartialEq)]
struct Left {
    ranks: BTreeMap<String, BTreeMap<String, String>>,
    table: Value,
    logs: BTreeMap<String, String>,
}

/// For the same job in the same folder, all that the vendor's launcher sets has the same value with ours, and the files of
/// the same names have the same in them.
pub fn environments(log: &Log, folder: &Path, vendor: &Launcher, ours: &Launcher) -> anyhow::Result<()> {
    for job in jobs() {
        // Paths are in values, so both have the same folder, one after the other.
        let theirs = left(log, folder, vendor, &job).with_context(|| format!("{}: the vendor's", job.name))?;
        let ours = left(log, folder, ours, &job).with_context(|| format!("{}: ours", job.name))?;
        let names = |of: &Left| of.ranks.keys().cloned().collect::<Vec<_>>();
        ensure!(names(&theirs) == job.ranks, "{}: the vendor's ranks are {:?}", job.name, names(&theirs));
        ensure!(names(&ours) == job.ranks, "{}: our ranks are {:?}", job.name, names(&ours));
        let mut expected: BTreeSet<&str> = SET.into();
        expected.retain(|name| !job.given.contains(name));
        for (rank, variables) in &theirs.ranks {
            let own = job.variables;
            let is_set = |(name, value): &(&String, &String)| {
                let from_us = own.iter().any(|it| it.0 == name.as_str() && it.1 == value.as_str());
                !from_us && !inherited(name)
            };
            let set: BTreeSet<&str> = variables.iter().filter(is_set).map(|(name, _)| name.as_str()).collect();
            ensure!(set == expected, "{}: the vendor's launcher sets {set:?} for rank {rank}", job.name);
            for name in SET {
                let (theirs, ours) = (variables.get(name), ours.ranks[rank].get(name));
                ensure!(theirs == ours, "{}: rank {rank}: {name} is {ours:?} instead of {theirs:?}", job.name);
            }
        }
        ensure!(theirs.table == ours.table, "{}: the table is {} instead of {}", job.name, ours.table, theirs.table);
        ensure!(theirs.logs == ours.logs, "{}: logs are {:?} instead of {:?}", job.name, ours.logs, theirs.logs);
        log.say(&format!("{}: {} variables, the table and {} logs are the same", job.name, SET.len(), ours.logs.len()));
    }
    Ok(())
}

/// Whether every rank has it from those that started the launcher.
fn inherited(name: &str) -> bool {
    let place = ["HOME", "LC_ALL", "MA_MOUNT_PATH", "OUT", "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"];
    // The last three are what a shell sets for itself.
    place.contains(&name) || name == "RANK_TABLE_FILE_V_1_0" || ["PWD", "SHLVL", "_", "OLDPWD"].contains(&name)
}

fn left(log: &Log, folder: &Path, launcher: &Launcher, job: &Job) -> anyhow::Result<Left> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to empty `{}`", folder.display()))?;
    }
    let mut place = Place::new(log, folder, launcher)?;
    match job.table.get("version") {
        Some(_) => place.table_v1(&job.table.to_string())?,
        None => place.table(&job.table.to_string())?,
    }
    place.variables.extend(job.variables.iter().map(|(name, value)| (*name, (*value).into())));
    let ended =
        place.shell("env -0 >$OUT/$RANK_ID; echo rank $RANK_ID; cp $RANK_TABLE_FILE $OUT/table.$RANK_ID")?.end()?;
    ensure!(ended.code == 0, "it ended with {}:\n{}", ended.code, ended.stderr);
    let code = ended.code;
    // The vendor's launcher does not wait for those that write the logs.
    ended.console()?;
    let mut left = Left { ranks: BTreeMap::new(), table: Value::Null, logs: BTreeMap::new() };
    for name in place.told()? {
        let text = fs::read_to_string(place.path("out").join(&name))?;
        match name.strip_prefix("table.") {
            Some(_) => left.table = serde_json::from_str(&text).context("the ranks' table is no JSON")?,
            None => {
                let pairs = text.split_terminator('\0').filter_map(|line| line.split_once('='));
                left.ranks.insert(name, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
            }
        }
    }
    for entry in fs::read_dir(place.path("mount/log"))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".txt") {
            left.logs.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    ensure!(code == 0 && left.logs.len() == left.ranks.len(), "{} logs of {} ranks", left.logs.len(), left.ranks.len());
    Ok(left)
}

/// v0 tables become the same v1 tables.
pub fn tables(log: &Log, folder: &Path, vendor: &Launcher, ours: &Path) -> anyhow::Result<()> {
    let ten: Vec<(String, String)> =
        (0..12).rev().map(|number| (format!("job-{number}"), format!("203.0.113.{}", 1 + number))).collect();
    let ten: Vec<(&str, &str, &[u32])> =
        ten.iter().map(|(pod, id)| (pod.as_str(), id.as_str(), &[0, 1, 2, 3][..])).collect();
    let one: &[(&str, &str, &[u32])] = &[("job-0", "203.0.113.1", &[0])];
    let mut groups = v0(one);
    let group = |name: &str, instances: &[(&str, &str, &[u32])]| {
        let mut group = v0(instances)["group_list"][0].clone();
        group["group_name"] = name.into();
        group
    };
    groups["group_list"] = json!([
        group("first", &[("job-1", "203.0.113.1", &[0, 1]), ("job-0", "203.0.113.2", &[0, 1])]),
        group("none", &[("idle-0", "203.0.113.3", &[])]),
        // On a server that has ranks already.
        group("last", &[("more-0", "203.0.113.2", &[3])]),
    ]);
    groups["group_count"] = "3".into();
    for (name, table) in [("one", v0(one)), ("twelve", v0(&ten)), ("groups", groups)] {
        let place = Place::new(log, &folder.join(name), vendor)?;
        place.table(&table.to_string())?;
        let ended = place.start(&["true".into()])?.end()?;
        ensure!(ended.code == 0, "{name}: the vendor's launcher ended with {}:\n{}", ended.code, ended.stderr);
        let theirs: Value = serde_json::from_slice(&fs::read(place.path("mount/rank_table").join(TABLE))?)?;
        let ours =
            log.command(ours).args(["rank-table", "convert"]).arg(place.path("config").join(TABLE)).run()?.json()?;
        ensure!(ours == theirs, "{name}: converted to\n{ours}\n-- instead of\n{theirs}");
        log.say(&format!("the v0 table `{name}` is converted to the same"));
    }
    Ok(())
}

/// A v0 table of one group: pod name, server and devices of each instance.
fn v0(instances: &[(&str, &str, &[u32])]) -> Value {
    let device = |id: &str, number: &u32| {
        let address = id.replace("203.0.113.", "198.51.");
        json!({ "device_id": number.to_string(), "device_ip": format!("{address}.{}", number + 1) })
    };
    let count: usize = instances.iter().map(|it| it.2.len()).sum();
    let list: Vec<Value> = instances
        .iter()
        .map(|(pod, id, devices)| {
            let devices: Vec<Value> = devices.iter().map(|number| device(id, number)).collect();
            json!({ "pod_name": pod, "server_id": id, "devices": devices })
        })
        .collect();
    json!({
        "status": "completed", "group_count": "1",
        "group_list": [{
            "group_name": "job", "device_count": count.to_string(), "instance_count": instances.len().to_string(),
            "instance_list": list,
        }],
    })
}
