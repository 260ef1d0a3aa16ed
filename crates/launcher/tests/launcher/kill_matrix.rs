//! Signal × phase × victim: the exit code, that nothing is left, and what the report says.

use std::fs;

use crate::ending::ranks_of;
use crate::harness::{TestFolder, kill, launcher_of, start, stop, until, wait};

/// What a rank does until it is stopped: a child in its group and a daemon beside it, and a stop that it notices.
const BUSY: &str =
    "sleep 1000 & (setsid sleep 1000 &); trap 'echo stopping; exit 0' TERM; echo up; while :; do sleep 0.01; done";

/// The same, but it does not obey.
const DEAF: &str = "sleep 1000 & (setsid sh -c 'trap \"\" TERM; sleep 1000' &); trap 'echo stopping' TERM; echo up; while :; do sleep 0.01; done";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    Guardian,
    Launcher,
    Rank,
    Grandchild,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// While it waits for the rank table.
    Waiting,
    /// While the ranks run.
    Running,
    /// While it stops them, and they do not obey.
    Stopping,
}

#[test]
fn kill_matrix() {
    use Phase::{Running, Stopping, Waiting};
    use Victim::{Grandchild, Guardian, Launcher, Rank};
    for (victim, phase, signal, code) in [
        (Guardian, Waiting, libc::SIGTERM, 143),
        (Guardian, Waiting, libc::SIGKILL, 137),
        (Guardian, Running, libc::SIGTERM, 143),
        (Guardian, Running, libc::SIGINT, 130),
        (Guardian, Running, libc::SIGHUP, 129),
        (Guardian, Running, libc::SIGQUIT, 131),
        (Guardian, Running, libc::SIGKILL, 137),
        (Guardian, Stopping, libc::SIGTERM, 143),
        (Guardian, Stopping, libc::SIGKILL, 137),
        (Launcher, Waiting, libc::SIGTERM, 143),
        (Launcher, Waiting, libc::SIGKILL, 137),
        (Launcher, Running, libc::SIGTERM, 143),
        (Launcher, Running, libc::SIGKILL, 137),
        (Launcher, Stopping, libc::SIGTERM, 143),
        (Launcher, Stopping, libc::SIGKILL, 137),
        (Rank, Running, libc::SIGKILL, 137),
        (Rank, Stopping, libc::SIGKILL, 143),
        // That is the rank's own business; the launcher goes on until it is stopped.
        (Grandchild, Running, libc::SIGKILL, 143),
        (Grandchild, Stopping, libc::SIGKILL, 143),
    ] {
        let what = format!("{victim:?} {phase:?} {signal}");
        // Shown where the test fails.
        println!("{what}");
        let place = TestFolder::new();
        let script = if phase == Stopping { DEAF } else { BUSY };
        // Nobody may be gone before he was killed.
        let grace = match (victim, phase) {
            (Guardian | Launcher, _) if signal == libc::SIGKILL => "3s",
            (_, Stopping) => "2s",
            _ => "500ms",
        };
        let table = place.path("no-table");
        let ranks =
            if phase == Waiting { format!("--rank-table {}", table.display()) } else { "--devices 0-3".to_owned() };
        let child = start(&mut place.shell(&format!("{ranks} --grace {grace}"), script));
        let launcher = launcher_of(&child);
        let mut pids = Vec::new();
        if phase == Waiting {
            // It has blocked its signals as soon as it sleeps.
            until(&what, || crate::ending::state(launcher) == Some('S'));
        } else {
            (0..4).for_each(|rank| place.until_log_has(rank, "up"));
            pids = ranks_of(&place, launcher);
        }
        let grandchild = if victim == Grandchild { crate::harness::child_of(pids[1]) } else { 0 };
        if phase == Stopping {
            kill(child.id() as i32, libc::SIGTERM);
            (0..4).for_each(|rank| place.until_log_has(rank, "stopping"));
        }
        let pid = match victim {
            Guardian => child.id() as i32,
            Launcher => launcher,
            Rank => pids[1],
            Grandchild => grandchild,
        };
        kill(pid, signal);
        if victim == Grandchild && phase == Running {
            until(&what, || fs::metadata(format!("/proc/{pid}")).is_err() || crate::ending::state(pid) == Some('Z'));
            kill(child.id() as i32, libc::SIGTERM);
        }
        let finished = wait(child);
        assert_eq!(finished.code, code, "{what}\n{}", finished.stderr);
        if victim == Guardian && signal == libc::SIGKILL {
            // Its exit is not the end: the launcher still stops the ranks.
            place.until_nothing_is_left(&what);
        }
        place.leaves_nothing();
        if victim == Launcher && signal == libc::SIGKILL {
            finished.says(&["the launcher itself"]);
        } else if phase != Waiting {
            let report = place.report();
            let outcome = if (victim, phase) == (Rank, Running) { "failed" } else { "terminated" };
            assert_eq!(report["outcome"], outcome, "{what}");
            assert_eq!(report["attempts"][0]["ranks"].as_array().unwrap().len(), 4, "{what}");
        }
    }
}

#[test]
fn a_killed_launcher_leaves_a_report_where_one_was_asked_for() {
    let place = TestFolder::new();
    let report = place.path("report.json");
    // Of an earlier run: it would be taken for this one's.
    let earlier = place.path("mount/log/job-report-rank-0.json");
    fs::write(&earlier, r#"{"outcome":"succeeded"}"#).unwrap();
    let child = place.running(&format!("--devices 0-3 --report {}", report.display()), BUSY, 4);
    kill(launcher_of(&child), libc::SIGKILL);
    wait(child).ends(137);
    let report = crate::harness::read_report(&report);
    assert_eq!(report["outcome"], "launcher-killed");
    assert_eq!(report["exit_code"], 137);
    assert!(!earlier.exists());
}

/// What `pkill -9 NAME` and `pkill -9 -f WORD` do hits one of the two processes, whatever else it hits.
#[test]
fn killing_by_name_leaves_nothing() {
    for (file, name, ranks_are_hit) in
        [("comm", "fmtk-launch", false), ("cmdline", "fmtk-launch", false), ("cmdline", "echo stopping", true)]
    {
        println!("{file} {name}");
        let place = TestFolder::new();
        let child = place.running("--devices 0-1", BUSY, 2);
        let is_called = |pid: &i32| {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(name)
        };
        let called: Vec<i32> = place.survivors().into_iter().filter(is_called).collect();
        assert!(called.contains(&(child.id() as i32)) && !called.contains(&launcher_of(&child)), "{called:?}");
        assert_eq!(called.len() > 1, ranks_are_hit, "{called:?}");
        called.into_iter().for_each(|pid| kill(pid, libc::SIGKILL));
        wait(child).ends(137);
        place.until_nothing_is_left(name);
    }
}

#[test]
fn what_a_killed_launcher_leaves_is_asked_first() {
    let place = TestFolder::new();
    // Nobody reads from it any more, so a word of the shell's about its `sleep` would be its end.
    let daemon = "trap 'echo asked > asked; exit' TERM; echo up; exec 2> /dev/null; while :; do sleep 0.01; done";
    let child = place.running("--devices 0", &format!("setsid sh -c \"{daemon}\" & sleep 1000"), 1);
    kill(launcher_of(&child), libc::SIGKILL);
    wait(child).ends(137).says(&["stopping all that it had started by SIGTERM, by SIGKILL after 15.0 s"]);
    assert!(place.path("code/asked").exists());
    place.leaves_nothing();
}

/// One that its tracer does not bury has not ended for its parent, either: as good as one that hangs in a driver.
#[test]
#[allow(unsafe_code)]
fn what_can_t_be_killed_is_waited_for_once() {
    // A release can't be hurried, and waits for a minute.
    if std::env::var_os("FMTK_TEST_LAUNCHER").is_some() {
        return;
    }
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0-1 --grace 100ms", "echo up; exec sleep 1000");
    let child = start(command.env("FMTK_TEST_HURRY", "20"));
    (0..2).for_each(|rank| place.until_log_has(rank, "up"));
    let rank = ranks_of(&place, launcher_of(&child))[1];
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the call takes no pointers of ours.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SEIZE, rank, none, none) }, 0, "{}", std::io::Error::last_os_error());
    stop(child, libc::SIGTERM).ends(143).says(&[
        // On a busy machine rank 0 may not, either.
        "did not end in time; killed by SIGKILL",
        "rank 1 can't be killed; waiting for 50.0 s more",
        "rank 1 still can't be killed; ending without them",
    ]);
    assert_eq!(place.report()["outcome"], "terminated");
    // SAFETY: as above. Its death sets it free.
    unsafe { libc::waitpid(rank, std::ptr::null_mut(), libc::__WALL) };
    place.leaves_nothing();
}

#[test]
fn ranks_die_with_the_launcher_even_while_the_guardian_can_t_help() {
    let place = TestFolder::new();
    let child = place.running("--devices 0-3", "echo up; exec sleep 1000", 4);
    let launcher = launcher_of(&child);
    let ranks = ranks_of(&place, launcher);
    let guardian = child.id() as i32;
    kill(guardian, libc::SIGSTOP);
    kill(launcher, libc::SIGKILL);
    until("dead ranks", || ranks.iter().all(|pid| crate::ending::state(*pid) == Some('Z')));
    kill(guardian, libc::SIGCONT);
    wait(child).ends(137);
    place.leaves_nothing();
}

#[test]
fn a_stopped_launcher_hears_of_the_end() {
    let place = TestFolder::new();
    let child = place.running("--devices 0", "echo up; exec sleep 1000", 1);
    let launcher = launcher_of(&child);
    kill(launcher, libc::SIGSTOP);
    until("a stopped launcher", || crate::ending::state(launcher) == Some('T'));
    stop(child, libc::SIGTERM).ends(143);
}

#[test]
fn children_from_before_are_left_alone() {
    let place = TestFolder::new();
    become_launcher(
        &place,
        "setsid sleep 1000 & echo $! > before
         (while [ ! -e up ]; do sleep 0.01; done; sleep 1001 & echo $! > orphan) &",
        "run --devices 0-1 -- sh -c 'touch up; while [ ! -s orphan ]; do sleep 0.01; done'",
    );
    let pid = |name| -> i32 { fs::read_to_string(place.path(name)).unwrap().trim().parse().unwrap() };
    // What they leave behind meanwhile is not ours either.
    let (before, orphan) = (pid("code/before"), pid("code/orphan"));
    let mut survivors = place.survivors();
    survivors.sort_unstable();
    assert_eq!(survivors, [before, orphan]);
    survivors.into_iter().for_each(|it| kill(it, libc::SIGKILL));
    place.until_nothing_is_left("the child from before");
}

/// Another's daemon becomes the guardian's child, but has not done anything wrong.
#[test]
fn daemons_from_before_are_asked_before_they_are_killed() {
    for (trap, grace, is_asked) in [("echo asked > asked; exit", "1m", true), ("", "200ms", false)] {
        let place = TestFolder::new();
        // It is up when the guardian has become its parent.
        let adopted =
            "until read pid name state parent rest < /proc/$$/stat; [ $parent = $GUARDIAN ]; do sleep 0.01; done";
        let daemon = format!("trap \"{trap}\" TERM; {adopted}; echo > daemon; while :; do sleep 0.01; done");
        become_launcher(
            &place,
            &format!("export GUARDIAN=$$; (until [ -e up ]; do sleep 0.01; done; setsid sh -c '{daemon}' &) &"),
            &format!("run --devices 0 --grace {grace} -- sh -c 'touch up; until [ -e daemon ]; do sleep 0.01; done'"),
        );
        assert_eq!(place.path("code/asked").exists(), is_asked);
        place.leaves_nothing();
    }
}

/// Runs `before` in a shell that becomes the guardian of a launcher, so that its children were there before; to a good end.
fn become_launcher(place: &TestFolder, before: &str, arguments: &str) {
    let script = format!("{before}\nexec {} {arguments}", crate::harness::program().to_string_lossy());
    let command = place.launcher(&[]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(place.path("code")).env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    crate::kernel::deny_if_asked(&mut shell);
    assert!(shell.status().unwrap().success());
}
