//! An old kernel: system calls that Linux 4.19 does not have are refused.

use std::io;
use std::process::Command;

use crate::harness::{TestFolder, arranged, finish, start, stop};

/// pidfd_send_signal, of Linux 5.1: from there on all architectures number alike, and nothing of before is above it.
const FIRST_NEW: u32 = 424;

/// Does what `FMTK_TEST_DENY` says.
pub fn deny_if_asked(command: &mut Command) {
    match std::env::var("FMTK_TEST_DENY").as_deref() {
        Err(_) => {}
        Ok("EPERM") => deny(command, libc::EPERM),
        Ok("ENOSYS") => deny(command, libc::ENOSYS),
        Ok(other) => panic!("FMTK_TEST_DENY is EPERM or ENOSYS, not {other}"),
    }
}

/// Answers new system calls of the command, and of all that it starts, with `errno`: docker 18.09 says EPERM, an old kernel
/// ENOSYS.
pub fn deny(command: &mut Command, errno: i32) {
    arranged(command, move || refuse_new_calls(errno));
}

fn refuse_new_calls(errno: i32) -> io::Result<()> {
    filter(&[
        // The number of the call is the first word of what is judged.
        statement(LOAD, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, FIRST_NEW, 1, 0),
        statement(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0),
        statement(ANSWER, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(), 0, 0),
    ])
}

/// Refuses to make anyone a subreaper, as qemu-user 7.2 does.
fn refuse_subreapers() -> io::Result<()> {
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    filter(&[
        statement(LOAD, 0, 0, 0),
        statement(equal, libc::SYS_prctl as u32, 0, 3),
        // The lower half of the first argument.
        statement(LOAD, if cfg!(target_endian = "little") { 16 } else { 20 }, 0, 0),
        statement(equal, libc::PR_SET_CHILD_SUBREAPER as u32, 0, 1),
        statement(ANSWER, libc::SECCOMP_RET_ERRNO | libc::EINVAL.unsigned_abs(), 0, 0),
        statement(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0),
    ])
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;

/// `jt` and `jf` say how many statements to leave out where it is so and where it is not.
fn statement(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

#[allow(unsafe_code)]
fn filter(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program and its filter live on this stack while the kernel copies them.
    let answered = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program)
    };
    if answered == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Without this the other tests could pass for want of a filter. The filter stays, so it is tried in a thread of its own.
#[test]
#[allow(unsafe_code)]
fn new_calls_are_refused_where_that_is_asked_for() {
    for expected in [libc::EPERM, libc::ENOSYS] {
        let ask = move || {
            refuse_new_calls(expected).unwrap();
            // SAFETY: pidfd_open, of Linux 5.3, takes no pointers.
            let answer = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) };
            (answer, io::Error::last_os_error().raw_os_error())
        };
        assert_eq!(std::thread::spawn(ask).join().unwrap(), (-1, Some(expected)));
    }
}

#[test]
fn an_old_kernel_is_enough() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0-7", "echo $RANK");
    deny(&mut command, libc::ENOSYS);
    let finished = finish(&mut command).ends(0);
    assert_eq!(finished.stdout.lines().count(), 8);
    place.leaves_nothing();
}

#[test]
fn no_subreaper_is_told_and_stops_nothing() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0-3", "[ $RANK = 2 ] && exit 7; sleep 1000");
    arranged(&mut command, refuse_subreapers);
    finish(&mut command).ends(7).says(&["daemons that ranks leave behind are not stopped"]);
    // What a rank has started got the signal too, but is init's child now: nobody here can wait for its end.
    place.until_nothing_is_left("the end of what the ranks have started");
    assert!(!place.run("--devices 0", "true").stderr.contains("daemons"));
}

/// In a pid namespace without a mount of its own, /proc has other processes. A release knows nothing of the variable.
#[test]
fn the_proc_of_others_is_not_believed() {
    let foreign = tempfile::tempdir().unwrap();
    std::fs::create_dir(foreign.path().join("self")).unwrap();
    std::fs::write(foreign.path().join("self/status"), "Name:\tx\nPid:\t4711\nNSpid:\t4711\t7\n").unwrap();
    for (flags, script, code) in [
        ("", "[ $RANK = 1 ] && exit 7; exec sleep 1000", 7),
        ("", "setsid sh -c 'sleep 1000 & exit' & wait", 0),
        ("--grace 200ms", "setsid sh -c 'trap \"\" TERM; (setsid sleep 1000 &); sleep 1000' & sleep 0.1; exit 7", 7),
        ("--stall 1s", "sleep 1000", 124),
    ] {
        println!("{script}");
        let place = TestFolder::new();
        let mut command = place.shell(&format!("--devices 0-3 {flags}"), script);
        let finished = finish(command.env("FMTK_TEST_PROC", foreign.path())).ends(code);
        if std::env::var_os("FMTK_TEST_LAUNCHER").is_none() {
            finished.says(&["/proc does not show the processes of this pid namespace"]);
        }
        place.leaves_nothing();
    }
    let place = TestFolder::new();
    let mut command =
        place.shell("--devices 0 --grace 200ms", "(setsid sleep 1000 &); trap '' TERM; echo up; sleep 1000");
    let child = start(command.env("FMTK_TEST_PROC", foreign.path()));
    place.until_log_has(0, "up");
    stop(child, libc::SIGTERM).ends(143);
    place.leaves_nothing();
}
