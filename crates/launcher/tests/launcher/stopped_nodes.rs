//! One of several nodes that the cluster's engine stops: told apart from a failure of its own.

use std::process::Stdio;

use crate::ending::{ranks_of, state};
use crate::harness::{TestFolder, kill, launcher_of, start, stop, until, wait};

const NODE: &str = "--devices 0-1 --nnodes 2 --node-rank 0 --master 127.0.0.1 --grace 1h";

#[test]
fn a_stop_by_the_engine_is_told_with_where_to_look() {
    let place = TestFolder::new();
    let mut command = place.shell(NODE, "trap 'exit 1' TERM; echo up; while :; do sleep 0.01; done");
    let child = start(command.env("OMPI_COMM_WORLD_SIZE", "2"));
    (0..2).for_each(|rank| place.until_log_has(rank, "up"));
    let finished = stop(child, libc::SIGTERM).ends(143);
    finished.says(&["stopped from outside by SIGTERM, most likely by Open MPI; stopping ranks 0-1 by SIGTERM"]);
    finished.says(&["STOPPED with exit code 143 in ", "  hint: another node may have failed, if nobody has cancelled"]);
    assert!(!finished.stderr.contains("FAILED"), "{}", finished.stderr);
    let report = place.report();
    assert_eq!(report["outcome"], "terminated");
    assert_eq!(report["cause"], "stopped from outside by SIGTERM, most likely by Open MPI");
    assert!(report["hint"].as_str().unwrap().starts_with("another node may have failed"), "{report}");
}

/// Ranks whose peers on other nodes are gone fail by themselves, in the moment in which the stop arrives.
#[test]
fn ranks_that_fail_as_the_stop_comes_are_not_the_cause() {
    for (flags, code, outcome) in [(NODE, 143, "terminated"), ("--devices 0-1", 6, "failed")] {
        let place = TestFolder::new();
        let child = place.running(flags, "trap 'exit 6' USR1; echo up; while :; do sleep 0.01; done", 2);
        let launcher = launcher_of(&child);
        let ranks = ranks_of(&place, launcher);
        kill(launcher, libc::SIGSTOP);
        kill(ranks[1], libc::SIGUSR1);
        until("a death", || state(ranks[1]) == Some('Z'));
        kill(launcher, libc::SIGTERM);
        kill(launcher, libc::SIGCONT);
        wait(child).ends(code);
        assert_eq!(place.report()["outcome"], outcome, "{flags}");
    }
}

#[test]
fn a_failure_before_the_stop_stays_one_and_says_that_it_may_be_a_consequence() {
    let place = TestFolder::new();
    let script = "[ $RANK = 1 ] && { until [ -e up ]; do sleep 0.01; done; exit 6; }
                  trap 'echo asked' TERM; trap 'exit' INT; touch up; while :; do sleep 0.01; done";
    let child = start(&mut place.shell(NODE, script));
    place.until_log_has(0, "asked");
    stop(child, libc::SIGINT)
        .ends(6)
        .says(&["FAILED with exit code 6", "  hint: the launcher was told to stop at about"]);
    assert_eq!(place.report()["outcome"], "failed");
}

/// mpirun gives what it has asked to end one second, and then sends SIGKILL to the process that it knows.
#[test]
fn a_stop_that_turns_into_a_kill_is_not_waited_for() {
    let place = TestFolder::new();
    let deaf = "(setsid sh -c 'trap \"\" TERM; exec sleep 1000' &); trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done";
    // Without pipes, which a launcher that goes on would keep open.
    let mut command = place.shell(NODE, deaf);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (0..2).for_each(|rank| place.until_log_has(rank, "up"));
    kill(child.id() as i32, libc::SIGTERM);
    (0..2).for_each(|rank| place.until_log_has(rank, "asked"));
    kill(child.id() as i32, libc::SIGKILL);
    child.wait().unwrap();
    place.until_nothing_is_left("an end in spite of a grace of an hour");
    assert_eq!(place.report()["outcome"], "terminated");
}
