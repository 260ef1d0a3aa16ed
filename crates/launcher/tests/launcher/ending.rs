//! How it ends: exit codes, signals, and that nothing is left.

use std::time::Instant;

use crate::harness::{PATIENCE, TestFolder, arranged, children_of, kill, launcher_of, start, stop, until, wait};

#[test]
fn exit_code_is_that_of_the_first_failure() {
    for (script, code) in [
        ("exit 0", 0),
        ("[ $RANK = 2 ] && exit 7; exec sleep 100", 7),
        ("[ $RANK = 2 ] && exit 255; exec sleep 100", 255),
        ("[ $RANK = 2 ] && kill -9 $$; exec sleep 100", 137),
        ("[ $RANK = 2 ] && kill -SEGV $$; exec sleep 100", 139),
        ("[ $RANK = 2 ] && kill -34 $$; exec sleep 100", 162),
        // What a peer says when it is stopped is not the cause.
        ("[ $RANK = 2 ] && exit 7; trap 'exit 3' TERM; while :; do sleep 0.01; done", 7),
        // One that is done does not end the others.
        ("[ $RANK = 2 ] && exit 0; sleep 0.2; exit 0", 0),
    ] {
        println!("{script}");
        let place = TestFolder::new();
        place.run("--devices 0-3", script).ends(code);
        place.leaves_nothing();
    }
}

#[test]
fn a_stop_from_outside_is_no_success() {
    for (signal, code) in [
        (libc::SIGTERM, 143),
        (libc::SIGINT, 130),
        (libc::SIGHUP, 129),
        (libc::SIGQUIT, 131),
        // What lxc and systemd-nspawn stop a container by.
        (libc::SIGPWR, 143),
        (37, 143),
    ] {
        let place = TestFolder::new();
        // Ranks that obey and end with 0 do not make it one.
        let script = "trap 'echo got; exit 0' TERM INT HUP QUIT; echo up; while :; do sleep 0.01; done";
        let child = place.running("--devices 0-3", script, 4);
        stop(child, signal).ends(code);
        assert!((0..4).all(|rank| place.own_words(rank) == "up\ngot\n"), "{}", place.log(0));
        place.leaves_nothing();
    }
}

#[test]
fn other_signals_only_pass_through() {
    let place = TestFolder::new();
    let script = "trap 'echo one' USR1; trap 'echo two; exit 4' USR2; echo up; while :; do sleep 0.01; done";
    let child = place.running("--devices 0-1", script, 2);
    kill(child.id() as i32, libc::SIGUSR1);
    (0..2).for_each(|rank| place.until_log_has(rank, "one"));
    stop(child, libc::SIGUSR2).ends(4);
}

#[test]
fn ranks_and_their_daemons_stand_still_until_they_are_continued() {
    let place = TestFolder::new();
    let daemon = "echo $$ > daemon; exec sleep 1000";
    let script =
        format!("(setsid sh -c '{daemon}' &); until [ -s daemon ]; do sleep 0.01; done; echo up; exec sleep 1000");
    let child = place.running("--devices 0 --stall 1h", &script, 1);
    let (guardian, launcher) = (child.id() as i32, launcher_of(&child));
    let mut stopped = ranks_of(&place, launcher);
    stopped.extend([std::fs::read_to_string(place.path("code/daemon")).unwrap().trim().parse().unwrap(), guardian]);
    kill(guardian, libc::SIGTSTP);
    until("all are stopped", || stopped.iter().all(|pid| state(*pid) == Some('T')));
    kill(guardian, libc::SIGCONT);
    until("all go on", || stopped.iter().all(|pid| state(*pid) != Some('T')));
    // Whoever is stopped when the end comes has to hear of it.
    kill(guardian, libc::SIGTSTP);
    until("all are stopped again", || stopped.iter().all(|pid| state(*pid) == Some('T')));
    kill(launcher, libc::SIGTERM);
    until("the end of the launcher", || state(launcher) == Some('Z'));
    stop(child, libc::SIGCONT).ends(143).says(&["paused by SIGTSTP until SIGCONT"]);
    place.leaves_nothing();
}

#[test]
fn who_does_not_obey_is_killed() {
    for script in [
        // It ignores the signal.
        "trap '' TERM; echo up; exec sleep 1000",
        // Its child does.
        "sh -c 'trap \"\" TERM; echo up; sleep 1000 & wait; sleep 1000'",
        // It is stopped.
        "echo up; kill -STOP $$",
        // It has left the group and ignores the signal.
        "setsid sh -c 'trap \"\" TERM; echo up; sleep 1000' & wait",
        // What is born while it is killed.
        "trap : TERM; echo up; while :; do setsid sleep 1000 & sleep 0.01; done",
    ] {
        println!("{script}");
        let place = TestFolder::new();
        let child = place.running("--devices 0-1 --grace 200ms", script, 2);
        stop(child, libc::SIGTERM).ends(143);
        place.leaves_nothing();
    }
}

#[test]
fn what_ranks_leave_behind_is_gone_before_the_launcher() {
    for script in [
        "sleep 1000 &",
        "setsid sleep 1000 &",
        // A daemon: its parent is gone.
        "sh -c 'setsid sleep 1000 & exit' & wait",
        "(setsid sh -c 'trap \"\" TERM; (sleep 1000 &); setsid sleep 1000' &)",
    ] {
        let place = TestFolder::new();
        let finished = place.run("--devices 0-1 --grace 200ms", script);
        assert_eq!(finished.code, 0, "{script}");
        place.leaves_nothing();
    }
}

#[test]
fn what_ranks_leave_behind_is_buried_while_they_run() {
    let place = TestFolder::new();
    let script = "i=0; while [ $i -lt 50 ]; do (sh -c : &); i=$((i+1)); done; echo up; exec sleep 1000";
    let child = place.running("--devices 0-1", script, 2);
    let launcher = launcher_of(&child);
    until("two children, none of them dead", || {
        let children = children_of(launcher);
        children.len() == 2 && children.iter().all(|pid| state(*pid) != Some('Z'))
    });
    stop(child, libc::SIGTERM).ends(143);
}

#[test]
fn all_that_a_rank_has_started_is_asked_first() {
    let asked = r#"trap "echo asked; exit" TERM; echo up; while :; do sleep 0.01; done"#;
    for (flags, script) in [
        // One of its group; the outer shell's first `wait` is cut short by its trap.
        ("", format!("trap : TERM; sh -c '{asked}' & wait; wait; exit 5")),
        // A daemon.
        ("", format!("setsid sh -c '{asked}' & sleep 1000")),
        // A daemon, while its rank does not obey.
        ("--grace 1s", format!("trap : TERM; setsid sh -c '{asked}' & while :; do sleep 0.01; done")),
    ] {
        println!("{script}");
        let place = TestFolder::new();
        let child = place.running(&format!("--devices 0 {flags}"), &script, 1);
        stop(child, libc::SIGTERM).ends(143);
        assert_eq!(place.own_words(0), "up\nasked\n");
    }
}

#[test]
fn a_stopped_rank_is_asked_too() {
    let place = TestFolder::new();
    let script = "trap 'echo asked; exit 0' TERM; echo up; kill -STOP $$; while :; do sleep 0.01; done";
    let child = place.running("--devices 0 --grace 1h", script, 1);
    let rank = ranks_of(&place, launcher_of(&child))[0];
    until("it is stopped", || state(rank) == Some('T'));
    stop(child, libc::SIGTERM).ends(143);
    assert_eq!(place.own_words(0), "up\nasked\n");
}

#[test]
fn a_second_interrupt_is_at_once() {
    let script = "trap 'echo asked' TERM; trap 'echo got' INT; echo up; while :; do sleep 0.01; done";
    for (first, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let place = TestFolder::new();
        let child = place.running("--devices 0 --grace 1h", script, 1);
        if first == libc::SIGTERM {
            kill(child.id() as i32, first);
            place.until_log_has(0, "asked");
        }
        kill(child.id() as i32, libc::SIGINT);
        place.until_log_has(0, "got");
        stop(child, libc::SIGINT).ends(code);
    }
}

#[test]
fn hangups_that_nohup_ignores_stay_ignored() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0", "echo up; sleep 0.5; exit 3");
    #[allow(unsafe_code)]
    arranged(&mut command, || {
        // SAFETY: sets a disposition.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        Ok(())
    });
    let child = start(&mut command);
    place.until_log_has(0, "up");
    stop(child, libc::SIGHUP).ends(3);
}

#[test]
fn a_terminal_s_interrupt_arrives_once() {
    let place = TestFolder::new();
    let mut command =
        place.shell("--devices 0 --grace 5s", "trap 'echo got' INT; echo up; while :; do sleep 0.01; done");
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    let child = start(&mut command);
    place.until_log_has(0, "up");
    let launcher = launcher_of(&child);
    let stat = std::fs::read_to_string(format!("/proc/{launcher}/stat")).unwrap();
    let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().to_owned();
    assert_eq!(session, launcher.to_string(), "what a terminal sends goes to a session");
    // As ctrl-C does: to everything in the group of the one that was started.
    kill(-(child.id() as i32), libc::SIGINT);
    place.until_log_has(0, "got");
    stop(child, libc::SIGINT).ends(130);
    assert_eq!(place.own_words(0), "up\ngot\n");
}

#[test]
fn deaths_that_are_noticed_together_are_one() {
    let place = TestFolder::new();
    let script = "echo up; trap 'kill -9 $$' USR1; trap 'exit 6' USR2; while :; do sleep 0.01; done";
    let child = place.running("--devices 0-3", script, 4);
    let launcher = launcher_of(&child);
    let ranks = ranks_of(&place, launcher);
    kill(launcher, libc::SIGSTOP);
    // In the order of the ranks: killed, code, killed, code.
    for (rank, signal) in [(0, libc::SIGUSR1), (1, libc::SIGUSR2), (2, libc::SIGUSR1), (3, libc::SIGUSR2)] {
        kill(ranks[rank], signal);
    }
    until("four deaths", || ranks.iter().all(|pid| state(*pid) == Some('Z')));
    kill(launcher, libc::SIGCONT);
    wait(child).ends(6);
    let report = place.report();
    let outcomes: Vec<_> = report["attempts"][0]["ranks"].as_array().unwrap().iter().map(|it| &it["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "failed", "failed", "failed"]);
    assert!(report["cause"].as_str().unwrap().starts_with("rank 1 "), "{}", report["cause"]);
}

#[test]
fn a_death_and_an_interrupt_at_once_are_one_interrupt() {
    let place = TestFolder::new();
    let script = "trap 'echo got; sleep 0.2; echo clean; exit 0' INT; echo up; while :; do sleep 0.01; done";
    let child = place.running("--devices 0-1 --grace 1h", script, 2);
    let launcher = launcher_of(&child);
    let ranks = ranks_of(&place, launcher);
    kill(launcher, libc::SIGSTOP);
    kill(launcher, libc::SIGINT);
    kill(ranks[0], libc::SIGKILL);
    until("a death", || state(ranks[0]) == Some('Z'));
    kill(launcher, libc::SIGCONT);
    wait(child).ends(130);
    assert_eq!(place.own_words(1), "up\ngot\nclean\n");
}

/// Process ids of the ranks, by rank.
pub fn ranks_of(place: &TestFolder, launcher: i32) -> Vec<i32> {
    let mut ranks: Vec<(u32, i32)> = (children_of(launcher).into_iter())
        .filter_map(|pid| {
            let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
            // None for a moment where a daemon, which is the launcher's child too, is in the middle of an exec.
            let rank = environment.split('\0').find_map(|it| it.strip_prefix("RANK="))?;
            Some((rank.parse().unwrap(), pid))
        })
        .collect();
    ranks.sort_unstable();
    // What they have left behind has the same variables, and came later.
    ranks.dedup_by_key(|it| it.0);
    assert!(!place.survivors().is_empty());
    ranks.into_iter().map(|it| it.1).collect()
}

pub fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn failures_one_after_the_other_are_told_in_order() {
    for _ in 0..3 {
        let place = TestFolder::new();
        let script =
            "[ $RANK = 3 ] && { : > gone; exit 43; }; until [ -e gone ]; do sleep 0.01; done; sleep 2; exit 4$RANK";
        place.run("--devices 0-3", script).ends(43);
    }
}

#[test]
fn ranks_that_do_nothing_take_no_time() {
    // No figure, that is the bench's; only that nothing waits for a clock.
    let begin = Instant::now();
    let place = TestFolder::new();
    place.run("--devices 0-7 --grace 1h", "exit 0").ends(0);
    // Nor does the end of the others, once one has failed.
    let script = "[ $RANK = 7 ] && exit 9; exec sleep 1000";
    place.run("--devices 0-7 --grace 1h", script).ends(9);
    assert!(begin.elapsed() < PATIENCE);
}
