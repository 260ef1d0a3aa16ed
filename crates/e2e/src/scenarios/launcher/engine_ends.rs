//! A cluster's engine ends the launchers of all nodes when one of them fails: the real `mpirun` around two of them, and
//! `timeout`, which asks first and kills then.

use std::{ffi::OsString, fs, path::Path};

use anyhow::{Context, ensure};
use fmtk::resolve::tools;
use serde_json::Value;

use super::sandbox::{Launcher, Sandbox};
use crate::scenarios::world::World;

/// One process for each of two nodes, all on this machine and over loopback alone.
const MPIRUN: &str = "mpirun --allow-run-as-root --oversubscribe --mca oob_tcp_if_include lo -np 2";

/// What each of them becomes: the launcher and its arguments. That both are on one machine would be refused.
const NODE: &str = r#"unset OMPI_COMM_WORLD_LOCAL_SIZE; exec "$0" run --devices 0-1 --master 127.0.0.1 "$@""#;

/// What all ranks do. Rank 3 fails as soon as all of them are there.
const RANK: &str = r#"(setsid sleep 1000 &); : >"$OUT/$RANK"
[ "$RANK" = 3 ] && { until [ "$(ls "$OUT" | wc -l)" = 4 ]; do sleep 0.02; done; exit 7; }
while :; do sleep 0.02; done"#;

/// Before it: ranks 0 and 1 and what they start do not obey.
const DEAF: &str = r#"[ "$RANK" -lt 2 ] && trap "" TERM"#;

pub fn run(world: &World) -> anyhow::Result<()> {
    let folder = world.folder("launcher-engine-ends")?;
    let program = tools::own_launcher()?;
    let launcher = Launcher::ours(&program, &folder.join("modules"));
    let sandbox = |name: &str| {
        let mut sandbox = Sandbox::new(&world.log, &folder.join(name), &launcher)?;
        sandbox.set("BATCH_JOB_ID", "mpi");
        // The devices are named.
        sandbox.set("RANK_TABLE_FILE", "");
        anyhow::Ok(sandbox)
    };
    for (name, script) in [("obedient", RANK.to_owned()), ("deaf", format!("{DEAF}\n{RANK}"))] {
        fails_on_one_node(sandbox(name)?, &program, &script).with_context(|| format!("{name} ranks under mpirun"))?;
        world.say(format!("mpirun, {name} ranks: one node failed, the other was stopped, nothing is left"));
    }
    is_asked_and_killed(sandbox("timeout")?, &program).context("deaf ranks under timeout")?;
    world.say("timeout: deaf ranks were asked, their launcher was killed, nothing is left");
    Ok(())
}

/// The code is the failed rank's, and each report says which end was whose.
fn fails_on_one_node(mut sandbox: Sandbox, program: &Path, script: &str) -> anyhow::Result<()> {
    let mut command: Vec<OsString> = MPIRUN.split(' ').chain(["sh", "-c", NODE]).map(OsString::from).collect();
    // Nobody waits for it: mpirun kills after a second.
    command.extend([program.as_os_str().to_owned(), "--grace".into(), "1h".into(), "--".into()]);
    sandbox.launcher.command = command;
    let ended = sandbox.shell(script)?;
    sandbox.until_nothing_is_left()?;
    ensure!(ended.code == 7, "mpirun ended with {}:\n{}", ended.code, ended.stderr);
    let failed = report(&sandbox, "mpi-report-rank-2.json")?;
    ensure!(failed["outcome"] == "failed" && failed["exit_code"] == 7, "the node that failed: {failed}");
    let stopped = report(&sandbox, "mpi-report-rank-0.json")?;
    ensure!(stopped["outcome"] == "terminated" && stopped["exit_code"] == 143, "the other node: {stopped}");
    ensure!(stopped["cause"] == "stopped from outside by SIGTERM, most likely by Open MPI", "its cause: {stopped}");
    let hint = stopped["hint"].as_str().unwrap_or_default();
    ensure!(hint.starts_with("another node may have failed"), "its hint: {stopped}");
    Ok(())
}

fn is_asked_and_killed(mut sandbox: Sandbox, program: &Path) -> anyhow::Result<()> {
    let mut command: Vec<OsString> = ["timeout", "--kill-after=1", "1000"].map(OsString::from).into();
    command.push(program.into());
    command.extend("run --devices 0-1 --grace 1h --".split(' ').map(OsString::from));
    sandbox.launcher.command = command;
    let running = sandbox.start_shell(&format!("{DEAF}\n{RANK}"))?;
    running.until_told(2)?;
    running.signal("TERM")?;
    let ended = running.end()?;
    sandbox.until_nothing_is_left()?;
    ensure!(ended.code == 137, "timeout ended with {}:\n{}", ended.code, ended.stderr);
    let report = report(&sandbox, "mpi-report-rank-0.json")?;
    ensure!(report["outcome"] == "terminated" && report["exit_code"] == 143, "the report: {report}");
    Ok(())
}

fn report(sandbox: &Sandbox, name: &str) -> anyhow::Result<Value> {
    let path = sandbox.path("mount/log").join(name);
    let text = fs::read(&path).with_context(|| format!("no report `{}`", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}
