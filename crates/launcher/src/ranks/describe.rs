//! Where processes hang, as far as /proc tells us.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use libc::pid_t;

use crate::ranks::proc::{self, Process};

/// What is described at most; a line says how much was left out.
const PROCESSES: usize = 64;

/// A line for people about each of `pids`: name, state, what the kernel waits for in it.
///
/// Reads only files that answer at once whatever a process does: not `cmdline` or `maps`, which wait for its memory's lock.
pub fn describe(proc: &Path, pids: &[pid_t]) -> Vec<String> {
    let line = |pid: &pid_t| match proc::process(proc, *pid) {
        Some(process) => format!("pid {pid} {}", state(&proc.join(pid.to_string()), &process)),
        None => format!("pid {pid}: has ended"),
    };
    let mut lines: Vec<String> = pids.iter().take(PROCESSES).map(line).collect();
    if pids.len() > PROCESSES {
        lines.push(format!("and {} more processes", pids.len() - PROCESSES));
    }
    lines
}

/// `(python): sleeping, in futex_wait`.
fn state(folder: &Path, process: &Process) -> String {
    let state = match process.state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "waiting uninterruptibly",
        'T' => "stopped",
        't' => "stopped by a tracer",
        'Z' => "ended, not reaped",
        'I' => "idle",
        _ => "in an unknown state",
    };
    let mut wchan = Vec::new();
    // No name of the kernel's is longer. What can't be read is not told.
    let _ = File::open(folder.join("wchan")).and_then(|it| it.take(256).read_to_end(&mut wchan));
    // "0" is what the kernel writes where it isn't waiting or won't tell.
    match String::from_utf8_lossy(&wchan).trim() {
        "" | "0" => format!("({}): {state}", process.name()),
        wchan => format!("({}): {state}, in {}", process.name(), wchan.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn says_where_processes_hang_whatever_their_files_hold() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, comm, state, wchan) in [
            (7, "py\nthon", 'S', &b"futex_wait"[..]),
            (8, "acl", '?', b"0"),
            (9, "hccl", 'D', b""),
            (10, "x", 'R', b"\xff\x00\x1b[31m\n\xfe"),
        ] {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            let stat = format!("{pid} ({comm}) {state} 1 1 1 0 -1 4 0 0 0 0 1 2 3 4 20 0 2 0 99 0");
            fs::write(folder.join("stat"), stat).unwrap();
            fs::write(folder.join("wchan"), wchan).unwrap();
        }
        let pids: Vec<pid_t> = (6..106).collect();
        let lines = describe(proc.path(), &pids);
        let expect = [
            "pid 6: has ended",
            "pid 7 (py\\nthon): sleeping, in futex_wait",
            "pid 8 (acl): in an unknown state",
            "pid 9 (hccl): waiting uninterruptibly",
            "pid 10 (x): running, in \u{fffd}\\0\\u{1b}[31m\\n\u{fffd}",
        ];
        assert_eq!(lines[..5], expect);
        assert_eq!((lines.len(), lines[64].as_str()), (65, "and 36 more processes"));
    }
}
