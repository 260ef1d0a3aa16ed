//! What ranks get from both launchers is the same: variables, rank table, names of files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::sandbox::{Launcher, Sandbox};
use crate::testbed::{
    Log, paths,
    rank_table::{TABLE, v0, v1},
    read, read_json,
};

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

/// Small jobs: devices that do not begin with 0, pods that are not in order.
fn jobs() -> [Job; 3] {
    let servers: [(&str, &[u32]); 2] = [("203.0.113.2", &[4, 5]), ("203.0.113.1", &[6, 7])];
    let v1 = |servers: &[(&str, &[u32])]| v1("1.0", servers, |number| number.to_string().into());
    [
        Job {
            name: "a v0 table, found by the instance's name",
            table: v0(&[("job-1", "203.0.113.1", &[4, 5]), ("job-0", "203.0.113.2", &[2, 3])]),
            variables: &[("MA_CURRENT_INSTANCE_NAME", "job-1"), ("MA_VJ_NAME", "ma-job-7")],
            given: &[],
            ranks: &["2", "3"],
        },
        Job {
            name: "a v1 table, found by the host's address",
            table: v1(&servers),
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
            table: v1(&servers[..1]),
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

/// For the same job in the same folder, all that the vendor's launcher sets has the same value with ours, but for the path of
/// the table, and the files of the same names have the same in them.
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
            // Our table is in a folder of the run; what is in it is compared below.
            for name in SET.into_iter().filter(|it| *it != "RANK_TABLE_FILE") {
                let (theirs, ours) = (variables.get(name), ours.ranks[rank].get(name));
                ensure!(theirs == ours, "{}: rank {rank}: {name} is {ours:?} instead of {theirs:?}", job.name);
            }
        }
        ensure!(theirs.table == ours.table, "{}: the table is {} instead of {}", job.name, ours.table, theirs.table);
        ensure!(theirs.logs == ours.logs, "{}: logs are {:?} instead of {:?}", job.name, ours.logs, theirs.logs);
        log.say(format!("{}: {} variables, the table and {} logs are the same", job.name, SET.len(), ours.logs.len()));
    }
    Ok(())
}

/// Whether every rank has it from those that started the launcher, or from its shell.
fn inherited(name: &str) -> bool {
    let ours = "HOME LC_ALL MA_MOUNT_PATH OUT PATH PYTHONPATH PYTHONDONTWRITEBYTECODE RANK_TABLE_FILE_V_1_0";
    ours.split(' ').chain("PWD SHLVL _ OLDPWD".split(' ')).any(|one| one == name)
}

fn left(log: &Log, folder: &Path, launcher: &Launcher, job: &Job) -> anyhow::Result<Left> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to empty `{}`", folder.display()))?;
    }
    let mut sandbox = Sandbox::new(log, folder, launcher)?;
    match job.table.get("version") {
        Some(_) => sandbox.table_v1(&job.table)?,
        None => sandbox.table(&job.table)?,
    }
    sandbox.variables.extend(job.variables.iter().map(|(name, value)| (*name, (*value).into())));
    let ended = sandbox.shell("env -0 >$OUT/$RANK_ID; echo rank $RANK_ID; cp $RANK_TABLE_FILE $OUT/table.$RANK_ID")?;
    ensure!(ended.code == 0, "it ended with {}:\n{}", ended.code, ended.stderr);
    // The vendor's launcher does not wait for those that write the logs.
    ended.console()?;
    let mut left = Left { ranks: BTreeMap::new(), table: Value::Null, logs: BTreeMap::new() };
    for name in sandbox.told()? {
        let path = sandbox.path("out").join(&name);
        if name.starts_with("table.") {
            left.table = read_json(&path)?;
        } else {
            let text = read(&path)?;
            let pairs = text.split_terminator('\0').filter_map(|line| line.split_once('='));
            left.ranks.insert(name, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        }
    }
    for path in paths(&sandbox.path("mount/log"))? {
        if path.extension().is_some_and(|extension| extension == "txt") {
            left.logs.insert(crate::testbed::name(&path), read(&path)?);
        }
    }
    ensure!(left.logs.len() == left.ranks.len(), "{} logs of {} ranks", left.logs.len(), left.ranks.len());
    Ok(left)
}

/// v0 tables become the same v1 tables.
pub fn tables(log: &Log, folder: &Path, vendor: &Launcher, ours: &Path) -> anyhow::Result<()> {
    let twelve = (0..12).rev().map(|number| (format!("job-{number}"), format!("203.0.113.{}", 1 + number)));
    let twelve: Vec<(String, String)> = twelve.collect();
    let twelve: Vec<(&str, &str, &[u32])> =
        twelve.iter().map(|(pod, id)| (pod.as_str(), id.as_str(), &[0, 1, 2, 3][..])).collect();
    let one = v0(&[("job-0", "203.0.113.1", &[0])]);
    let group = |name: &str, instances: &[(&str, &str, &[u32])]| {
        let mut group = v0(instances)["group_list"][0].take();
        group["group_name"] = name.into();
        group
    };
    let mut groups = one.clone();
    groups["group_list"] = json!([
        group("first", &[("job-1", "203.0.113.1", &[0, 1]), ("job-0", "203.0.113.2", &[0, 1])]),
        group("none", &[("idle-0", "203.0.113.3", &[])]),
        // On a server that has ranks already.
        group("last", &[("more-0", "203.0.113.2", &[3])]),
    ]);
    groups["group_count"] = "3".into();
    for (name, table) in [("one", one), ("twelve", v0(&twelve)), ("groups", groups)] {
        let sandbox = Sandbox::new(log, &folder.join(name), vendor)?;
        sandbox.table(&table)?;
        let ended = sandbox.start(&["true".into()])?.end()?;
        ensure!(ended.code == 0, "{name}: the vendor's launcher ended with {}:\n{}", ended.code, ended.stderr);
        let theirs = read_json(&sandbox.path("mount/rank_table").join(TABLE))?;
        let convert = log.command(ours).args(["rank-table", "convert"]).arg(sandbox.path("config").join(TABLE));
        let ours = convert.run()?.json()?;
        ensure!(ours == theirs, "{name}: converted to\n{ours}\n-- instead of\n{theirs}");
        log.say(format!("the v0 table `{name}` is converted to the same"));
    }
    Ok(())
}
