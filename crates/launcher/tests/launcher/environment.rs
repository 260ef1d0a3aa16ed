//! What a rank finds when it starts.

use std::fs;
use std::os::fd::AsRawFd;

use crate::harness::{TestFolder, arranged, finish, start, stop, until};

#[test]
fn folder_and_variables() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0-1 --code-dir ../work", "pwd; echo $MODEL_TASK_CWD $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR; ls -d $ASCEND_PROCESS_LOG_PATH $FMTK_WORK_DIR");
    fs::create_dir(place.path("work")).unwrap();
    finish(&mut command).ends(0);
    let code = place.path("code/../work").display().to_string();
    let log = place.path("mount/log/job/ascend/process_log/rank_1").display().to_string();
    let work = place.path("mount/workspace/device1").display().to_string();
    let real = place.path("work").display().to_string();
    assert_eq!(place.log(1), format!("{real}\n{code} 1 1 2 2 127.0.0.1\n{log}\n{work}\n"));
}

#[test]
fn the_code_folder_is_the_flag_s_the_variable_s_or_the_current_one() {
    let place = TestFolder::new();
    for name in ["flag", "variable"] {
        fs::create_dir(place.path(name)).unwrap();
    }
    let real = |name: &str| format!("[rank 0] {}\n", place.path(name).display());
    let script = "cd -P . && pwd";
    let mut command = place.shell("--devices 0", script);
    assert_eq!(finish(&mut command).stdout, real("code"));
    command.env("MODEL_TASK_CWD", "");
    assert_eq!(finish(&mut command).stdout, real("code"));
    command.env("MODEL_TASK_CWD", place.path("variable"));
    assert_eq!(finish(&mut command).stdout, real("variable"));
    let mut command = place.shell("--devices 0 --code-dir ../flag", script);
    command.env("MODEL_TASK_CWD", place.path("variable"));
    assert_eq!(finish(&mut command).stdout, real("flag"));
    command.env_remove("MODEL_TASK_CWD");
    finish(place.shell("--devices 0", script).env("MODEL_TASK_CWD", "/not/there"))
        .ends(2)
        .says(&["the code folder `/not/there` (named by MODEL_TASK_CWD) can't be entered"]);
}

#[test]
fn the_print_of_env_is_what_a_rank_has() {
    let place = TestFolder::new();
    let printed =
        finish(&mut place.launcher(&["env", "--framework", "plain", "--devices", "0-3", "--rank", "2"])).stdout;
    place.run("--devices 0-3 --console 2", "env").ends(0);
    let log = place.log(2);
    assert!(printed.lines().count() > 12, "{printed}");
    // Each takes a port that is free.
    for line in printed.lines().filter(|it| !it.starts_with("MASTER_PORT=")) {
        assert!(log.lines().any(|it| it == line), "{line}\n{log}");
    }
    let refused = finish(&mut place.launcher(&["env", "--devices", "0-3", "--rank", "4"]));
    assert_eq!((refused.code, refused.stderr.as_str()), (2, "error: rank 4 is not on this server, which has 0-3\n"));
}

#[test]
fn launchers_side_by_side_have_a_port_each() {
    let place = TestFolder::new();
    let launchers = ["one", "other"].map(|job| {
        start(place.shell("--devices 0-1", "echo $MASTER_PORT; echo up; exec sleep 60").env("BATCH_JOB_ID", job))
    });
    let ports = ["one", "other"].map(|job| {
        let of = |rank| {
            let log = place.path(&format!("mount/log/{job}-proc-rank-{rank}-device-{rank}.txt"));
            until("a port", || fs::read_to_string(&log).is_ok_and(|it| it.ends_with("up\n")));
            fs::read_to_string(log).unwrap().lines().next().unwrap().parse::<u16>().unwrap()
        };
        assert_eq!(of(0), of(1), "{job}");
        of(0)
    });
    assert!(ports[0] != ports[1] && ports.iter().all(|it| (29_500..32_500).contains(it)), "{ports:?}");
    for launcher in launchers {
        stop(launcher, libc::SIGTERM).ends(143);
    }
    let mut set = place.shell("--devices 0", "echo $MASTER_PORT");
    assert_eq!(finish(set.env("MASTER_PORT", "7")).stdout, "[rank 0] 7\n");
}

#[test]
#[allow(unsafe_code)]
fn default_signals_and_an_empty_mask() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0", "exec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status");
    arranged(&mut command, || {
        // SAFETY: sets dispositions and a mask.
        unsafe {
            for signal in [libc::SIGINT, libc::SIGPIPE, libc::SIGCHLD, libc::SIGUSR1, 34] {
                libc::signal(signal, libc::SIG_IGN);
            }
            let mut set = std::mem::zeroed();
            libc::sigfillset(&mut set);
            libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
        }
        Ok(())
    });
    finish(&mut command).ends(0);
    let status = place.log(0);
    for name in ["SigBlk", "SigIgn"] {
        assert!(status.contains(&format!("{name}:\t{:016x}", 0)), "{status}");
    }
}

#[test]
#[allow(unsafe_code)]
fn no_descriptors_but_three() {
    let place = TestFolder::new();
    let file = fs::File::open("/").unwrap();
    let number = file.as_raw_fd();
    let mut command = place.shell("--devices 0-3", "ls /proc/self/fd");
    arranged(&mut command, move || {
        // SAFETY: clears a flag of a descriptor.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        Ok(())
    });
    finish(&mut command).ends(0);
    // 3 is the folder that ls itself has opened.
    assert_eq!(place.log(3), "0\n1\n2\n3\n");
}

#[test]
fn standard_input_is_at_its_end() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0", "cat; echo done");
    // It stays open, and what comes by it is not for one of several ranks.
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"not for you\n").unwrap();
    until("an end", || child.try_wait().unwrap().is_some());
    assert_eq!(place.log(0), "done\n");
}

#[test]
fn a_session_and_a_group_of_its_own() {
    let place = TestFolder::new();
    place.run("--devices 0-1", "cut -d ' ' -f 1,5,6 /proc/$$/stat").ends(0);
    for rank in 0..2 {
        let log = place.log(rank);
        let numbers: Vec<&str> = log.split_whitespace().collect();
        assert!(numbers[0] == numbers[1] && numbers[1] == numbers[2], "{log}");
    }
}

#[test]
fn cores_are_shared_evenly() {
    let place = TestFolder::new();
    let count = std::thread::available_parallelism().unwrap().get();
    let mut command =
        place.shell(&format!("--bind even --devices 0-{}", count - 1), "grep Cpus_allowed_list /proc/self/status");
    finish(&mut command).ends(0);
    let mut seen: Vec<String> = (0..count as u32).map(|rank| place.log(rank)).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "{seen:?}");
}

#[test]
fn a_value_with_an_end_of_line_prints_one_variable() {
    let place = TestFolder::new();
    let mut command = place.launcher(&["env", "--devices", "0"]);
    let finished = finish(command.env("HCCL_CONNECT_TIMEOUT", "600\nRANK=9\u{1b}[2J")).ends(0);
    finished.prints(&["\nHCCL_CONNECT_TIMEOUT=600\\nRANK=9\\u{1b}[2J\n", "\nRANK=0\n"]);
    assert!(!finished.stdout.contains("\nRANK=9"), "{}", finished.stdout);
}
