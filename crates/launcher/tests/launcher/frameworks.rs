//! What ranks meet by: the choice of a framework, its variables, MindSpore's scheduler, and commands that start the ranks.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command};

use crate::harness::{Finished, TestFolder, finish, kill, launcher_of, start, stop, until, wait};

const TABLE: &str = r#"{"version":"1.0","status":"completed","server_count":"1","server_list":[{"server_id":"10.0.0.1",
"device":[{"device_id":"0","device_ip":"192.1.0.1","rank_id":"0"},{"device_id":"1","device_ip":"192.1.0.2","rank_id":"1"}]}]}"#;

/// Does not end by itself, and obeys.
const WAITS: &str = "echo up; exec sleep 1000";

/// A Python that is a shell: what it has are folders alone, and the scheduler is `scheduler` in the code folder.
struct Fake(TestFolder);

impl Fake {
    fn new(packages: &[&str]) -> Fake {
        let place = TestFolder::new();
        for package in packages {
            let (name, version) = package.split_once('-').unwrap_or((package, "1.0"));
            let places = place.path("py/lib/python3.11/site-packages");
            for folder in [name.to_owned(), format!("{name}-{version}.dist-info")] {
                fs::create_dir_all(places.join(folder)).unwrap();
            }
            fs::write(places.join(name).join("__init__.py"), "").unwrap();
        }
        fs::create_dir_all(place.path("py/bin")).unwrap();
        place.write("py/bin/python3", "#!/bin/sh\n[ \"$1\" != -c ] || exec sh scheduler\nexec sh \"$@\"\n", 0o755);
        Fake(place)
    }

    /// `fmtk-launch run FLAGS -- python3 rank`, where ranks and scheduler do this.
    fn command(&self, flags: &str, rank: &str, scheduler: &str) -> Command {
        self.0.write("code/rank", rank, 0o644);
        self.0.write("code/scheduler", scheduler, 0o644);
        let words = ["run"].into_iter().chain(flags.split_whitespace()).chain(["--", "python3", "rank"]);
        let mut command = self.0.launcher(&words.collect::<Vec<_>>());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.0.path("py/bin").display()));
        command
    }

    fn run(&self, flags: &str, rank: &str, scheduler: &str) -> Finished {
        finish(&mut self.command(flags, rank, scheduler))
    }

    /// With two ranks and a scheduler that have said `up`.
    fn running(&self, flags: &str, rank: &str, scheduler: &str) -> Child {
        let launcher = start(&mut self.command(flags, rank, scheduler));
        (0..2).for_each(|rank| self.0.until_log_has(rank, "up"));
        until("a scheduler", || self.scheduler_log().contains("up"));
        launcher
    }

    fn scheduler_log(&self) -> String {
        fs::read_to_string(self.0.path("mount/log/job-scheduler.txt")).unwrap_or_default()
    }

    fn scheduler(&self) -> serde_json::Value {
        self.0.report()["attempts"][0]["scheduler"].clone()
    }
}

#[test]
fn the_framework_is_found_and_said() {
    for (packages, flags, expected) in [
        (&["torch"][..], "--devices 0-1", "torch, found in "),
        (&["mindspore-2.7.1"], "--devices 0-1", "mindspore, 2.7 found in "),
        (&["mindspore-2.7.1"], "--rank-table ../table", "plain, as MindSpore 2.7 found in "),
        (&["mindspore-2.8.0"], "--rank-table ../table", "mindspore, 2.8 found in "),
        (&["mindspore_ascend-1.8.1", "mindspore"], "--rank-table ../table", "plain, as MindSpore 1."),
        (&["torch", "mindspore-2.7.1"], "--devices 0-1", "plain, as "),
        (&[], "--devices 0-1", "plain, as "),
        (&["torch"], "--devices 0", "plain, single rank"),
        (&["torch"], "--devices 0 --framework mindspore", "mindspore, by `--framework`"),
        (&["torch"], "--devices 0-1 --framework plain", "plain, by `--framework`"),
    ] {
        let fake = Fake::new(packages);
        fs::write(fake.0.path("table"), TABLE).unwrap();
        let flags = format!("--dry-run {flags}");
        fake.run(&flags, "", "").ends(0).prints(&[&format!("\nframework   {expected}")]);
    }
    let fake = Fake::new(&["torch"]);
    fake.run("--devices 0-1", "", "").ends(0).says(&[", framework torch (found in "]);
    let both = Fake::new(&["torch", "mindspore-2.7.1"]);
    both.run("--devices 0-1 --nnodes 2 --node-rank 0 --master 127.0.0.1:7 --dry-run", "", "").ends(0).prints(&[
        "has both torch and mindspore: choose their framework with `--framework torch` or `--framework mindspore`",
    ]);
    // Before it is told how to choose, what is wrong with the command line is.
    let wrong = both.run("--devices 0-1 --nnodes 2 --master 127.0.0.1:7", "", "").ends(2);
    assert!(!wrong.stderr.contains("choose their framework"), "{}", wrong.stderr);
    // It is a script.
    let shim = Fake::new(&[]);
    shim.run("--devices 0-1 --nnodes 2 --node-rank 1 --master 127.0.0.1:7", "", "")
        .ends(0)
        .says(&["is a script, whose packages can't be told: choose their framework"]);
}

#[test]
fn ranks_of_torch_get_no_table_and_wait_for_none() {
    let fake = Fake::new(&["torch"]);
    let script = "echo $GROUP_RANK $GROUP_WORLD_SIZE $ROLE_RANK $ROLE_WORLD_SIZE $TORCHELASTIC_RUN_ID $RANK_ID
        env | grep -E '^(RANK_TABLE|TORCHELASTIC_USE|MS_)'; exit 0";
    let mut command = fake.command("--devices 0-1", script, "");
    command.env("TORCHELASTIC_USE_AGENT_STORE", "True");
    for name in ["RANK_TABLE_FILE", "RANK_TABLE_FILE_V_1_0"] {
        command.env(name, fake.0.path("table"));
    }
    finish(&mut command).ends(0);
    assert_eq!(fake.0.log(1), "0 1 1 2 job 1\n");
    assert_eq!(fake.scheduler(), serde_json::Value::Null);
    // One that does not exist is not waited for.
    let mut command = fake.command("--framework torch", script, "");
    finish(command.env("RANK_TABLE_FILE", fake.0.path("none"))).ends(0);
    // One that is there tells the ranks, but is not theirs.
    fs::write(fake.0.path("table"), TABLE).unwrap();
    let fake = Fake::new(&["torch"]);
    fs::write(fake.0.path("table"), TABLE).unwrap();
    let mut command = fake.command("", script, "");
    finish(command.env("RANK_TABLE_FILE", fake.0.path("table"))).ends(0);
    assert_eq!(fake.0.log(1), "0 1 1 2 job 1\n");
}

/// The table has come to one node alone, and has the nodes in the other order.
#[test]
fn nodes_of_torch_have_different_ranks_whether_or_not_a_table_has_come() {
    let fake = Fake::new(&["torch"]);
    let server = |id: u32, first: u32| {
        let device =
            |it: u32| format!(r#"{{"device_id":"{it}","device_ip":"192.1.{id}.{it}","rank_id":"{}"}}"#, first + it);
        format!(r#"{{"server_id":"10.0.0.{id}","device":[{},{}]}}"#, device(0), device(1))
    };
    let servers = format!("{},{}", server(0, 2), server(1, 0));
    let table = format!(r#"{{"version":"1.0","status":"completed","server_count":"2","server_list":[{servers}]}}"#);
    fs::write(fake.0.path("here"), table).unwrap();
    for (node, table) in [("0", "missing"), ("1", "here")] {
        let mut command = fake.command("--framework torch", "", "");
        command.env("RANK_TABLE_FILE", fake.0.path(table)).env("MA_CURRENT_HOST_IP", format!("10.0.0.{node}"));
        command.env("VC_WORKER_NUM", "2").env("VC_TASK_INDEX", node).env("MA_NUM_GPUS", "2");
        let finished = finish(command.env("MASTER_ADDR", "203.0.113.7")).ends(0);
        let ranks = if node == "0" { "ranks 0-1 of 4" } else { "ranks 2-3 of 4" };
        finished.says(&[ranks, "by VC_WORKER_NUM and VC_TASK_INDEX"]);
    }
}

#[test]
fn a_table_that_torch_is_asked_to_use_is_a_regular_file() {
    let fake = Fake::new(&["torch"]);
    fs::create_dir(fake.0.path("..data")).unwrap();
    // Other blanks than we would write: it is copied as it is.
    let table = TABLE.replace(':', " : ");
    fs::write(fake.0.path("..data/table"), &table).unwrap();
    symlink("..data/table", fake.0.path("link")).unwrap();
    let script = "[ -h $RANK_TABLE_FILE ] || cat $RANK_TABLE_FILE; echo; echo $RANK_TABLE_FILE";
    for (name, is_copied) in [("link", true), ("..data/table", false)] {
        let own = fake.0.path(name).display().to_string();
        fake.run(&format!("--rank-table {own}"), script, "").ends(0);
        let log = fake.0.log(0);
        let lines = log.strip_prefix(&table).unwrap_or_else(|| panic!("{log}"));
        assert_eq!(lines.trim() != own, is_copied, "{log}");
        fs::remove_file(fake.0.path("mount/log/job-proc-rank-0-device-0.txt")).unwrap();
    }
}

#[test]
fn ranks_of_mindspore_find_their_scheduler() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let show = "env | grep -E '^(MS_|RANK_ID|RANK_SIZE|DEVICE_ID|OMPI|RANK_TABLE)' | sort";
    let mut command = fake.command("--devices 4-5 --nnodes 2 --node-rank 0 --master 127.0.0.1:7117", show, show);
    for (name, value) in [("MS_ROLE", "MS_WORKER"), ("MS_NODE_ID", "9"), ("RANK_TABLE_FILE", "/none")] {
        command.env(name, value);
    }
    finish(&mut command).ends(0).says(&[", framework mindspore (2.7 found in "]);
    let log = |name: &str| fs::read_to_string(fake.0.path(&format!("mount/log/job-{name}.txt"))).unwrap();
    let common = "MS_SCHED_HOST=127.0.0.1\nMS_SCHED_PORT=7117\nMS_TOPO_TIMEOUT=600\nMS_WORKER_NUM=4\n";
    assert_eq!(
        log("proc-rank-1-device-5"),
        format!("DEVICE_ID=5\nMS_NODE_ID=1\nMS_NODE_RANK=0\nMS_ROLE=MS_WORKER\n{common}RANK_ID=1\nRANK_SIZE=4\n")
    );
    assert_eq!(
        log("scheduler"),
        format!("DEVICE_ID=4\nMS_NODE_RANK=0\nMS_ROLE=MS_SCHED\n{common}RANK_ID=0\nRANK_SIZE=4\n")
    );
    // The other node has none.
    fs::remove_file(fake.0.path("mount/log/job-scheduler.txt")).unwrap();
    fake.run("--devices 0-1 --nnodes 2 --node-rank 1 --master 127.0.0.1:7117", show, show).ends(0);
    assert_eq!(fake.scheduler_log(), "");
    assert!(log("proc-rank-3-device-1").contains("MS_NODE_ID=3\nMS_NODE_RANK=1\n"));
}

#[test]
fn the_scheduler_ends_after_the_ranks() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let until_ranks_end = "until [ -e done0 -a -e done1 ]; do sleep 0.01; done; echo bye; exit 0";
    let finished = fake.run("--devices 0-1", "> done$RANK", until_ranks_end).ends(0);
    assert!(!finished.stderr.contains("stopping"), "{}", finished.stderr);
    assert!(finished.last_line().contains("all 2 ranks of this server succeeded"), "{}", finished.stderr);
    let scheduler = fake.scheduler();
    assert_eq!((&scheduler["outcome"], &scheduler["code"]), (&"succeeded".into(), &0.into()));
    assert_eq!(scheduler["log"], fake.0.path("mount/log/job-scheduler.txt").display().to_string());
    assert_eq!(scheduler["log_bytes"], 4);
    assert_eq!(scheduler["rank"], serde_json::Value::Null);
    assert_eq!(fake.0.report()["attempts"][0]["ranks"].as_array().unwrap().len(), 2);
}

#[test]
fn a_scheduler_that_stays_is_stopped_and_no_failure() {
    // A release can't be hurried.
    if std::env::var_os("FMTK_TEST_LAUNCHER").is_some() {
        return;
    }
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let mut command = fake.command("--devices 0-1", "exit 0", WAITS);
    finish(command.env("FMTK_TEST_HURRY", "20"))
        .ends(0)
        .says(&["the ranks have ended; stopping the scheduler by SIGTERM"]);
    assert_eq!(fake.scheduler()["outcome"], "stopped");
    fake.0.leaves_nothing();
}

#[test]
fn the_scheduler_of_several_nodes_stays_for_the_others() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let script = "until [ -e over ]; do sleep 0.01; done; exit 3";
    let mut command =
        fake.command("--devices 0-1 --nnodes 2 --node-rank 0 --master 127.0.0.1:7118", "> done$RANK", script);
    let said = fake.0.path("said");
    let stderr = fs::File::create(&said).unwrap();
    let launcher = command.env("FMTK_TEST_HURRY", "1000").stderr(stderr).spawn().unwrap();
    let says = |line: &str| until(line, || fs::read_to_string(&said).unwrap().contains(line));
    says(
        "the ranks of this node have ended; waiting for the scheduler, which serves the other nodes, however long that takes",
    );
    // What is due at once would be done by the time that a signal has been passed on.
    kill(launcher.id() as i32, libc::SIGUSR1);
    fs::write(fake.0.path("code/over"), "").unwrap();
    wait(launcher).ends(0);
    says("the scheduler exited with code 3 after the ranks of this node had ended");
    assert_eq!(fake.scheduler()["outcome"], "failed");
}

#[test]
fn a_scheduler_that_hangs_does_not_hold_its_node_for_ever() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let flags = "--devices 0-1 --nnodes 2 --node-rank 0 --master 127.0.0.1:7119 --stall 1s";
    let finished = fake.run(flags, "exit 0", WAITS).ends(0);
    finished.says(&[
        "which serves the other nodes, until it has no output and does not use its CPU for 1.0 s",
        "the scheduler had no output and did not use its CPU for 1.0 s",
        "the ranks have ended; stopping the scheduler by SIGTERM",
    ]);
    assert_eq!(finished.stderr.matches("waiting for the scheduler").count(), 1, "{}", finished.stderr);
    assert_eq!(fake.scheduler()["outcome"], "stopped");
    // Its output counts.
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let script = "for _ in $(seq 50); do echo here; sleep 0.1; done; exit 0";
    fake.run(&flags.replace("1s", "2s"), "exit 0", script).ends(0);
    assert_eq!(fake.scheduler()["outcome"], "succeeded");
    fake.0.leaves_nothing();
}

#[test]
fn a_scheduler_that_ends_before_the_ranks_is_told() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let child = fake.running(
        "--devices 0-1",
        "echo up; until [ -e over ]; do sleep 0.01; done; exit 0",
        "echo up; echo $$ > pid",
    );
    let pid = fake.0.path("code/pid");
    until("the end of the scheduler", || {
        fs::read_to_string(&pid)
            .is_ok_and(|it| it.ends_with('\n') && !std::path::Path::new("/proc").join(it.trim()).exists())
    });
    fs::write(fake.0.path("code/over"), "").unwrap();
    wait(child).ends(0).says(&["the scheduler exited with code 0 while ranks of this node run"]);
    assert_eq!(fake.scheduler()["outcome"], "succeeded");
}

#[test]
fn a_scheduler_that_fails_while_ranks_run_is_the_cause() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let script = "until [ -e up0 -a -e up1 ]; do sleep 0.01; done; echo Address already in use; exit 9";
    let finished = fake.run("--devices 0-1", "> up$RANK; exec sleep 1000", script).ends(9);
    let block = finished.stderr.split_once("FAILED with exit code 9").expect("a block").1;
    for part in [
        "the scheduler (host ",
        ") exited with code 9",
        "job-scheduler.txt",
        "| Address already in use",
        "stopped  ranks 0-1 by",
    ] {
        assert!(block.contains(part), "no `{part}` in {block}");
    }
    let scheduler = fake.scheduler();
    assert_eq!(
        (&scheduler["outcome"], &scheduler["last_lines"][0]),
        (&"failed".into(), &"Address already in use".into())
    );
    fake.0.leaves_nothing();
}

#[test]
fn a_rank_that_fails_is_the_cause_and_the_scheduler_is_stopped() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let script = "trap 'exit 5' TERM; > up; while :; do sleep 0.01; done";
    let rank = "until [ -e up ]; do sleep 0.01; done; [ $RANK = 1 ] && exit 7; exec sleep 1000";
    let finished = fake.run("--devices 0-1", rank, script).ends(7);
    finished.says(&[
        "rank 1 (host ",
        "stopping rank 0 and the scheduler by SIGTERM",
        "stopped  rank 0 by the launcher: killed by SIGTERM",
        "stopped  the scheduler by the launcher: exited with code 5",
    ]);
    assert_eq!(fake.scheduler()["outcome"], "stopped");
    fake.0.leaves_nothing();
}

#[test]
fn a_rank_that_takes_the_scheduler_with_it_is_the_cause() {
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let scheduler = "echo $$ > pid; exec sleep 1000";
    // Both are gone when the launcher is let go on.
    let rank = "[ $RANK = 1 ] || exec sleep 1000
        until [ -s pid ]; do sleep 0.01; done; kill -STOP $PPID; kill -9 $(cat pid); (sleep 0.2; kill -CONT $PPID) & exit 7";
    fake.run("--devices 0-1", rank, scheduler)
        .ends(7)
        .says(&["rank 1 (host ", "in the same moment the scheduler was killed by SIGKILL"]);
    fake.0.leaves_nothing();
}

#[test]
fn a_scheduler_that_can_t_be_started_is_named() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0-1 --framework mindspore", WAITS);
    // A shell, and no Python.
    fs::create_dir(place.path("bin")).unwrap();
    for name in ["sh", "sleep"] {
        symlink(format!("/bin/{name}"), place.path("bin").join(name)).unwrap();
    }
    finish(command.env("PATH", place.path("bin")))
        .ends(127)
        .says(&["the scheduler could not be started: failed to start `python3`"]);
    place.leaves_nothing();
}

#[test]
fn kill_matrix_with_a_scheduler() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Victim {
        Guardian,
        Launcher,
        Rank,
        Scheduler,
    }
    for (victim, signal, code) in [
        (Victim::Guardian, libc::SIGTERM, 143),
        (Victim::Guardian, libc::SIGINT, 130),
        (Victim::Guardian, libc::SIGKILL, 137),
        (Victim::Launcher, libc::SIGTERM, 143),
        (Victim::Launcher, libc::SIGKILL, 137),
        (Victim::Rank, libc::SIGKILL, 137),
        (Victim::Scheduler, libc::SIGKILL, 137),
        (Victim::Scheduler, libc::SIGTERM, 143),
    ] {
        let what = format!("{victim:?} {signal}");
        println!("{what}");
        let fake = Fake::new(&["mindspore-2.7.1"]);
        let script = "echo $$ > pid-$MS_ROLE$MS_NODE_ID; echo up; exec sleep 1000";
        let child = fake.running("--devices 0-1 --grace 500ms", script, script);
        let pid_of =
            |name: &str| -> i32 { fs::read_to_string(fake.0.path("code").join(name)).unwrap().trim().parse().unwrap() };
        let pid = match victim {
            Victim::Guardian => child.id() as i32,
            Victim::Launcher => launcher_of(&child),
            Victim::Rank => pid_of("pid-MS_WORKER1"),
            Victim::Scheduler => pid_of("pid-MS_SCHED"),
        };
        kill(pid, signal);
        let finished = wait(child).ends(code);
        fake.0.until_nothing_is_left(&what);
        if victim == Victim::Scheduler {
            finished.says(&["FAILED with exit code", "the scheduler (host "]);
        }
    }
    // What ranks are told by it would be the end of a scheduler.
    let fake = Fake::new(&["mindspore-2.7.1"]);
    let rank = "trap 'echo saved' USR1; echo up; while :; do sleep 0.01; done";
    let child = fake.running("--devices 0-1", rank, WAITS);
    kill(child.id() as i32, libc::SIGUSR1);
    (0..2).for_each(|rank| fake.0.until_log_has(rank, "saved"));
    stop(child, libc::SIGTERM).ends(143);
}

#[test]
fn a_command_per_node_finds_addresses_and_no_rank() {
    let place = TestFolder::new();
    let words = "--per-node --nnodes 2 --node-rank 1 --master 127.0.0.1:7119 --devices 0-7";
    let script = "echo $@; env | grep -E '^(PET_|MASTER_|RANK|LOCAL_|WORLD_|DEVICE_|MS_|OMPI_)' | sort";
    let filled =
        ["{nnodes}", "{node_rank}", "{master_addr}:{master_port}", "--n={nproc_per_node}", "{world_size}", "{x}"];
    let words: Vec<&str> = ["run"]
        .into_iter()
        .chain(words.split_whitespace())
        .chain(["--", "sh", "-c", script, "sh"])
        .chain(filled)
        .collect();
    let mut command = place.launcher(&words);
    for name in ["RANK_TABLE_FILE", "RANK_ID", "DEVICE_ID", "MS_ROLE", "RANK_SIZE"] {
        command.env(name, "3");
    }
    let finished = finish(&mut command).ends(0);
    assert_eq!(
        fs::read_to_string(place.path("mount/log/job-command-node-1.txt")).unwrap(),
        "2 1 127.0.0.1:7119 --n=8 16 {x}\nMASTER_ADDR=127.0.0.1\nMASTER_PORT=7119\nPET_MASTER_ADDR=127.0.0.1\n\
         PET_MASTER_PORT=7119\nPET_NNODES=2\nPET_NODE_RANK=1\nPET_NPROC_PER_NODE=8\n"
    );
    assert!(finished.stdout.starts_with("[node 1] 2 1 127.0.0.1:7119 "), "{}", finished.stdout);
    finished.says(&["starting the command on ", "SUCCEEDED", "the command succeeded"]);
    let report = crate::harness::read_report(&place.path("mount/log/job-report-node-1.json"));
    assert_eq!(report["rank_size"], serde_json::Value::Null);
    let dry: Vec<&str> = ["run", "--dry-run"].into_iter().chain(words[1..].iter().copied()).collect();
    finish(&mut place.launcher(&dry)).ends(0).prints(&["127.0.0.1:7119 --n=8 16 {x}\n"]);
}

#[test]
fn a_launcher_of_ranks_is_not_started_for_each_rank() {
    let place = TestFolder::new();
    for words in [&["torchrun", "a.py"][..], &["accelerate", "launch", "a.py"]] {
        for dry in [&[][..], &["--dry-run"]] {
            let finished = finish(&mut place.launcher(&[&["run", "--devices", "0-1"], dry, &["--"], words].concat()));
            let name = words.iter().filter(|it| **it != "a.py").copied().collect::<Vec<_>>().join(" ");
            finished
                .ends(2)
                .says(&[&format!("error: `{name}` starts ranks itself"), "\nhint: `fmtk-launch run --per-node`"]);
        }
    }
}

#[test]
fn a_command_per_node_that_does_not_wait_for_its_ranks_has_failed() {
    let place = TestFolder::new();
    let flags = "--per-node --devices 0-1 --nnodes 2 --node-rank 1 --master 127.0.0.1 --max-restarts 1";
    let mut command = place.shell(flags, "sleep 1000 & sleep 1000 & exit 0");
    let finished = finish(command.env("FMTK_TEST_HURRY", "20")).ends(125);
    let left = "the command ended and left 2 processes behind, which were stopped";
    finished.says(&[left, "FAILED with exit code 125"]);
    let hint = "the command has to run until its ranks have ended; `msrun` does so with `--join=True`";
    assert_eq!(finished.last_line(), format!("fmtk-launch:   hint: {hint}"));
    for line in ["the next one begins", "scheduler"] {
        assert!(!finished.stderr.contains(line), "{}", finished.stderr);
    }
    place.leaves_nothing();
    let report = crate::harness::read_report(&place.path("mount/log/job-report-node-1.json"));
    assert_eq!((&report["outcome"], &report["cause"]), (&"failed".into(), &left.into()));
    assert_eq!(report["hint"], hint);
    // A helper that ends by itself is no failure: this one waits for the end of the command.
    let helper = "sh -c 'while kill -0 $0 2>/dev/null; do :; done' $$ & exit 0";
    finish(&mut place.shell("--per-node --devices 0-1", helper)).ends(0).says(&["SUCCEEDED"]);
}

/// What is left may still end by itself then.
#[test]
fn a_stop_after_the_command_of_a_node_has_ended_is_a_stop() {
    let place = TestFolder::new();
    let launcher = start(&mut place.shell("--per-node --devices 0-1", "sleep 1000 & echo $$; exit 0"));
    let log = place.path("mount/log/job-command-node-0.txt");
    until("the end of the command", || {
        let pid = fs::read_to_string(&log).unwrap_or_default();
        pid.ends_with('\n') && !std::path::Path::new("/proc").join(pid.trim()).exists()
    });
    stop(launcher, libc::SIGTERM).ends(143).says(&["STOPPED"]);
    place.leaves_nothing();
}
