//! Where processes hang, as far as /proc tells us.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use libc::pid_t;

use crate::ranks::proc::{self, Process};

/// What is described at most; a line says how much was left out.
const PROCESSES: usize = 64;
const THREADS: usize = 16;
const FRAMES: usize = 32;

/// Lines for people about each of `pids`: name, state, what the kernel waits for in it, its kernel stack where we may
/// read it (root only, most often), its threads.
///
/// Reads only files that answer at once whatever a process does: not `cmdline` or `maps`, which wait for its memory's lock.
pub fn describe(proc: &Path, pids: &[pid_t]) -> Vec<String> {
    let mut lines: Vec<String> = pids.iter().take(PROCESSES).flat_map(|pid| one(proc, *pid)).collect();
    if pids.len() > PROCESSES {
        lines.push(format!("and {} more processes", pids.len() - PROCESSES));
    }
    lines
}

fn one(proc: &Path, pid: pid_t) -> Vec<String> {
    let Some(process) = proc::process(proc, pid) else {
        return vec![format!("pid {pid}: has ended")];
    };
    let folder = proc.join(pid.to_string());
    let mut lines = vec![format!("pid {pid} {}", at(&folder, &process))];
    let stack = read(&folder.join("stack")).unwrap_or_default();
    lines.extend(stack.lines().take(FRAMES).map(|frame| format!("  {}", frame.escape_debug())));
    lines.extend(threads(&folder, pid));
    lines
}

/// All but the first thread, which the process's own line is about.
fn threads(folder: &Path, pid: pid_t) -> Vec<String> {
    let folder = folder.join("task");
    let names =
        fs::read_dir(&folder).into_iter().flatten().flatten().filter_map(|entry| proc::number(&entry.file_name()));
    let mut ids: Vec<pid_t> = names.filter(|id| *id != pid).collect();
    ids.sort_unstable();
    // The folder of a thread has its own `stat`, `wchan` and `syscall`.
    let mut lines: Vec<String> = ids
        .iter()
        .take(THREADS)
        .filter_map(|id| {
            Some(format!("  thread {id} {}", at(&folder.join(id.to_string()), &proc::process(&folder, *id)?)))
        })
        .collect();
    if ids.len() > THREADS {
        lines.push(format!("  and {} more threads", ids.len() - THREADS));
    }
    lines
}

/// `(python): sleeping, in futex_wait, system call 202`.
fn at(folder: &Path, process: &Process) -> String {
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
    let mut text = format!("({}): {state}", process.name());
    // "0" is what the kernel writes where it isn't waiting or won't tell.
    if let Some(wchan) = read(&folder.join("wchan")).filter(|wchan| !matches!(wchan.trim(), "" | "0")) {
        text += &format!(", in {}", wchan.trim().escape_debug());
    }
    // The call's number, then its arguments, which are of no use to people; `running` or -1 where it is in none.
    let call = read(&folder.join("syscall")).and_then(|call| call.split_whitespace().next()?.parse::<u32>().ok());
    if let Some(call) = call {
        text += &format!(", system call {call}");
    }
    text
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    // 8 KiB: more than a stack of the kernel has frames for.
    File::open(path).ok()?.take(8192).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(proc: &Path, folder: &str, pid: pid_t, comm: &str, state: char, files: &[(&str, &str)]) {
        let folder = proc.join(folder);
        fs::create_dir_all(&folder).unwrap();
        let stat = format!("{pid} ({comm}) {state} 1 1 1 0 -1 4 0 0 0 0 1 2 3 4 20 0 2 0 99 0");
        fs::write(folder.join("stat"), stat).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn says_where_a_process_and_its_threads_hang() {
        let proc = tempfile::tempdir().unwrap();
        let stack = "[<0>] futex_wait+0x1/0x2\n[<0>] do_futex+0x3/0x4\n";
        let files = [("wchan", "futex_wait"), ("syscall", "202 0x7f 0x0 0x1\n"), ("stack", stack)];
        put(proc.path(), "7", 7, "py\nthon", 'S', &files);
        put(proc.path(), "7/task/7", 7, "py\nthon", 'S', &files);
        put(proc.path(), "7/task/9", 9, "hccl", 'D', &[("wchan", "0"), ("syscall", "running\n")]);
        put(proc.path(), "7/task/8", 8, "acl", '?', &[("syscall", "-1 0x7ff 0x7f")]);
        assert_eq!(
            describe(proc.path(), &[7, 6]),
            [
                "pid 7 (py\\nthon): sleeping, in futex_wait, system call 202",
                "  [<0>] futex_wait+0x1/0x2",
                "  [<0>] do_futex+0x3/0x4",
                "  thread 8 (acl): in an unknown state",
                "  thread 9 (hccl): waiting uninterruptibly",
                "pid 6: has ended",
            ]
        );
    }

    #[test]
    fn is_bounded() {
        let proc = tempfile::tempdir().unwrap();
        let stack = "frame\n".repeat(2000);
        put(proc.path(), "1", 1, "x", 'S', &[("stack", &stack)]);
        for thread in 1..=40 {
            put(proc.path(), &format!("1/task/{thread}"), thread, "x", 'S', &[]);
        }
        let lines = describe(proc.path(), &[1]);
        assert_eq!(lines.len(), 1 + FRAMES + THREADS + 1);
        assert_eq!(lines.last().unwrap(), "  and 23 more threads");
        let many: Vec<pid_t> = (2..102).collect();
        let lines = describe(proc.path(), &many);
        assert_eq!((lines.len(), lines[64].as_str()), (65, "and 36 more processes"));
    }

    #[test]
    fn files_of_anything_do_no_harm() {
        let proc = tempfile::tempdir().unwrap();
        put(proc.path(), "1", 1, "x", 'S', &[]);
        for name in ["wchan", "syscall", "stack"] {
            fs::write(proc.path().join("1").join(name), b"\xff\x00\x1b[31m\n\xfe").unwrap();
        }
        let lines = describe(proc.path(), &[1]);
        assert!(lines.iter().all(|line| !line.contains(['\u{1b}', '\0', '\n'])), "{lines:?}");
    }

    #[test]
    fn the_real_one_shows_a_sleeping_child() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        let begin = std::time::Instant::now();
        // For a moment it bears this thread's name.
        while fs::read_to_string(&comm).unwrap() != "sleep\n" && begin.elapsed().as_secs() < 20 {
            std::thread::yield_now();
        }
        let lines = describe(Path::new("/proc"), &[pid_t::try_from(child.id()).unwrap()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lines[0].starts_with(&format!("pid {} (sleep): ", child.id())), "{lines:?}");
    }
}
