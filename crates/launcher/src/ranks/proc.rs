//! The processes of this machine, or container, as /proc has them.
//!
//! A scan is no snapshot: processes come and go while it runs, so who must find all of them scans again until none is new.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use libc::pid_t;

/// How many ticks of [`Process::ticks`] make a second: USER_HZ, which is 100 on x86-64 and
/// aarch64 whatever the kernel's own clock is.
pub const TICKS_PER_SECOND: u64 = 100;

/// A process at the moment its `stat` was read, proc(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid, or of a thread's file, the thread's id.
    pub pid: pid_t,
    /// The pid of its parent; 0 for one from outside our pid namespace.
    pub parent: pid_t,
    pub session: pid_t,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, `X` or another letter of the kernel's.
    pub state: char,
    /// CPU time of all its threads and of the children that it has reaped, in ticks: a child's end takes nothing away.
    pub ticks: u64,
    /// How many threads it has; 0 once it has ended altogether.
    threads: u64,
    /// Its name, at most 15 bytes of anything; a kernel thread's may be longer.
    comm: Vec<u8>,
}

impl Process {
    /// Whether any of its threads can still run. The first thread may have ended, which shows as `Z`, with others at work.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }

    /// Its name for people: what is not printable is escaped.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.comm).escape_debug().to_string()
    }
}

/// Whether `proc` shows this process by the number that it has here. In a pid namespace without a mount of its own, /proc
/// shows those of another namespace, and each number there is somebody else's here.
pub fn is_own(proc: &Path) -> bool {
    let status = fs::read(proc.join("self/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // One number for each namespace from the mount's to ours; kernels without namespaces have but the plain one.
    field("NSpid:").or(field("Pid:")).is_some_and(|it| it.trim() == std::process::id().to_string())
}

/// Every process, zombies too (see [`Process::is_alive`]). `proc` is where procfs is mounted.
///
/// Those that end meanwhile, and what can't be read or understood, are left out.
pub fn list(proc: &Path) -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir(proc)? {
        // An error in the middle means that /proc itself is broken; what there is so far would pass for all.
        processes.extend(number(&entry?.file_name()).and_then(|pid| process(proc, pid)));
    }
    Ok(processes)
}

/// One process; `None` where it has gone.
pub fn process(proc: &Path, pid: pid_t) -> Option<Process> {
    let mut text = Vec::new();
    // 52 numbers of at most 20 digits and a name of at most 64 bytes: more is not a stat file.
    File::open(proc.join(pid.to_string()).join("stat")).ok()?.take(4096).read_to_end(&mut text).ok()?;
    parse(&text)
}

/// The direct children of `pid`, zombies too; none where it has gone.
///
/// Read from each thread's `children` where the kernel has that file (CONFIG_PROC_CHILDREN), else by a scan of all.
pub fn children(proc: &Path, pid: pid_t) -> io::Result<Vec<pid_t>> {
    let Ok(threads) = fs::read_dir(proc.join(pid.to_string()).join("task")) else { return Ok(Vec::new()) };
    let mut children = Vec::new();
    for thread in threads.flatten().map(|thread| thread.path()) {
        match fs::read_to_string(thread.join("children")) {
            Ok(text) => children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<pid_t>().ok())),
            // Without the file a living thread still has its `stat`; one that ended has neither.
            Err(_) if thread.join("stat").exists() => {
                return Ok(list(proc)?.iter().filter(|it| it.parent == pid).map(|it| it.pid).collect());
            }
            Err(_) => {}
        }
    }
    Ok(children)
}

/// All below `ancestors` in `processes`, without themselves, parents before their children. Each pid is taken once: a scan
/// during which pids were used again can show a circle.
pub fn descendants(processes: &[Process], ancestors: &[pid_t]) -> Vec<pid_t> {
    let mut children: HashMap<pid_t, Vec<pid_t>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let (mut seen, mut parents): (HashSet<pid_t>, _) = (ancestors.iter().copied().collect(), ancestors.to_vec());
    let mut found = Vec::new();
    while let Some(parent) = parents.pop() {
        let new: Vec<pid_t> =
            children.remove(&parent).unwrap_or_default().into_iter().filter(|it| seen.insert(*it)).collect();
        found.extend(&new);
        parents.extend(new);
    }
    found
}

/// What belongs to the rank that `leader` leads: its session, and all that descends from a member of it.
///
/// Double forks that left the session have another parent by then and are not found here.
fn of_session(processes: &[Process], leader: pid_t) -> Vec<&Process> {
    let is_member = |it: &&Process| it.session == leader || it.pid == leader;
    let members: Vec<pid_t> = processes.iter().filter(is_member).map(|it| it.pid).collect();
    let all: HashSet<pid_t> = descendants(processes, &members).into_iter().chain(members).collect();
    processes.iter().filter(|it| all.contains(&it.pid)).collect()
}

/// CPU time of what belongs to each of `leaders` (see [`of_session`]), and at last of all others below `ancestor`.
pub fn ticks(processes: &[Process], ancestor: pid_t, leaders: &[pid_t]) -> Vec<u64> {
    let mut others: HashSet<pid_t> = descendants(processes, &[ancestor]).into_iter().collect();
    let mut ticks = Vec::new();
    for leader in leaders {
        let its = of_session(processes, *leader);
        others.retain(|pid| its.iter().all(|it| it.pid != *pid));
        ticks.push(its.iter().map(|it| it.ticks).sum());
    }
    ticks.push(processes.iter().filter(|it| others.contains(&it.pid)).map(|it| it.ticks).sum());
    ticks
}

/// A pid or thread id from the name of its folder.
pub fn number(name: &OsStr) -> Option<pid_t> {
    let name = name.to_str()?;
    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok())?
}

/// Parses a whole `stat` file: a pid, a name in parentheses that may hold anything, numbers and a letter.
fn parse(text: &[u8]) -> Option<Process> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let comm = text.get(open + 1..close)?.to_vec();
    let pid = std::str::from_utf8(&text[..open]).ok()?.trim_end().parse().ok()?;
    let fields: Vec<&str> = std::str::from_utf8(&text[close + 1..]).ok()?.split_ascii_whitespace().collect();
    // proc(5) numbers fields from 1 and the state is its third.
    let field = |number: usize| fields.get(number - 3).copied();
    let id = |number| field(number)?.parse::<pid_t>().ok();
    // Children's times are signed in the file, and a kernel of old may have got one below zero.
    let ticks = |number| Some(u64::try_from(field(number)?.parse::<i64>().ok()?).unwrap_or(0));
    Some(Process {
        pid,
        parent: id(4)?,
        session: id(6)?,
        state: field(3)?.parse().ok()?,
        ticks: (14..=17).try_fold(0_u64, |sum, number| Some(sum.saturating_add(ticks(number)?)))?,
        threads: field(20)?.parse().ok()?,
        comm,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A /proc of (pid, parent, session), each with one thread.
    fn fake(processes: &[(pid_t, pid_t, pid_t)]) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (pid, parent, session) in processes {
            let stat = format!("{pid} (a) b) S {parent} {pid} {session} 0 -1 4 0 0 0 0 1 2 3 4 20 0 1 0 99 0");
            for folder in [format!("{pid}"), format!("{pid}/task/{pid}")] {
                fs::create_dir_all(proc.path().join(&folder)).unwrap();
                fs::write(proc.path().join(folder).join("stat"), &stat).unwrap();
            }
        }
        proc
    }

    fn sorted(pids: impl IntoIterator<Item = pid_t>) -> Vec<pid_t> {
        let mut pids: Vec<pid_t> = pids.into_iter().collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn lists_processes_and_nothing_else() {
        let proc = fake(&[(1, 0, 1), (20, 1, 20)]);
        fs::write(proc.path().join("uptime"), "1 1").unwrap();
        for name in ["sys", "30", "40"] {
            fs::create_dir(proc.path().join(name)).unwrap();
        }
        fs::write(proc.path().join("40/stat"), "40 (x S").unwrap();
        assert_eq!(sorted(list(proc.path()).unwrap().iter().map(|it| it.pid)), [1, 20]);
        assert_eq!(process(proc.path(), 20).unwrap().comm, b"a) b");
        assert_eq!(list(Path::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn children_come_from_their_file_or_from_a_scan() {
        let proc = fake(&[(1, 0, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2)]);
        assert_eq!(sorted(children(proc.path(), 1).unwrap()), [2, 3]);
        // The file is believed where it is, and every thread has its own; one that ended meanwhile has no files.
        for (thread, pids) in [(1, Some("2 ")), (7, Some("8 9 ")), (6, None)] {
            let folder = proc.path().join(format!("1/task/{thread}"));
            fs::create_dir_all(&folder).unwrap();
            pids.into_iter().for_each(|pids| fs::write(folder.join("children"), pids).unwrap());
        }
        assert_eq!(sorted(children(proc.path(), 1).unwrap()), [2, 8, 9]);
        assert!(children(proc.path(), 77).unwrap().is_empty());
    }

    #[test]
    fn descendants_are_found_through_circles_and_a_session_has_its_members_with_theirs() {
        let proc = fake(&[(1, 0, 1), (2, 1, 2), (3, 2, 2), (4, 3, 4), (5, 1, 5), (8, 9, 8), (9, 8, 8)]);
        let all = list(proc.path()).unwrap();
        for (ancestor, expect) in [(2, &[3, 4][..]), (1, &[2, 3, 4, 5]), (8, &[9]), (77, &[])] {
            assert_eq!(sorted(descendants(&all, &[ancestor])), expect);
        }
        // 6 was left behind by its parent but kept the session; 7 left the session but kept its parent.
        let proc = fake(&[(1, 0, 1), (2, 1, 2), (6, 1, 2), (7, 6, 7), (8, 7, 7), (3, 1, 3)]);
        let all = list(proc.path()).unwrap();
        assert_eq!(sorted(of_session(&all, 2).iter().map(|it| it.pid)), [2, 6, 7, 8]);
    }

    #[test]
    fn time_is_that_of_each_rank_and_of_the_daemons() {
        // The launcher is 2 and has ranks 3 and 4, a daemon 6 of one of them with a child, and a stranger 9 beside it. Each has
        // 10 ticks.
        let proc = fake(&[(2, 1, 2), (3, 2, 3), (4, 2, 4), (5, 4, 4), (6, 2, 6), (7, 6, 6), (9, 1, 9)]);
        let all = list(proc.path()).unwrap();
        for (ranks, expect) in [(&[3, 4][..], &[10, 20, 20][..]), (&[3], &[10, 40]), (&[], &[50])] {
            assert_eq!(ticks(&all, 2, ranks), expect);
        }
        assert_eq!(ticks(&[], 2, &[3]), [0, 0]);
    }

    #[test]
    fn only_a_proc_that_knows_us_by_our_number_is_our_own() {
        assert!(is_own(Path::new("/proc")) && !is_own(Path::new("/nowhere")));
        let (proc, us) = (tempfile::tempdir().unwrap(), std::process::id());
        fs::create_dir(proc.path().join("self")).unwrap();
        for (status, expect) in [
            (format!("Name:\ta\nPid:\t{us}\nNSpid:\t{us}\n"), true),
            // One of before 4.1.
            (format!("Pid:\t{us}\n"), true),
            (format!("Pid:\t{}\n", us + 1), false),
            // Of a namespace above, where we have the same number by chance.
            (format!("Pid:\t{us}\nNSpid:\t{us}\t{us}\n"), false),
            (String::new(), false),
        ] {
            fs::write(proc.path().join("self/status"), &status).unwrap();
            assert_eq!(is_own(proc.path()), expect, "{status}");
        }
    }

    #[test]
    fn the_real_one_has_us_and_our_child() {
        let (proc, us) = (Path::new("/proc"), pid_t::try_from(std::process::id()).unwrap());
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = pid_t::try_from(child.id()).unwrap();
        let (ours, its) = (process(proc, us).unwrap(), process(proc, pid).unwrap());
        let (found, all) = (children(proc, us).unwrap(), list(proc).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ours.is_alive() && its.is_alive());
        assert_eq!((its.parent, its.session), (us, ours.session));
        assert!(found.contains(&pid) && descendants(&all, &[us]).contains(&pid));
        assert_eq!(process(proc, pid), None);
    }

    const REST: &str = "0 -1 4194304 100 0 0 0 10 20 3 4 20 0 7 0 1272558 3133440 380 18446744073709551615";

    #[test]
    fn fields_are_those_of_the_manual_and_names_may_hold_anything() {
        let (pid, parent, session, state) = (14910, 14901, 6146, 'R');
        for comm in ["cat", "", "a b", ") S 1 1 1 (", "((", "))", "a\nb", ")\n9 (x) Z 1 2 3"] {
            let text = format!("14910 ({comm}) R 14901 14902 6146 {REST}\n");
            let comm = comm.as_bytes().to_vec();
            assert_eq!(
                parse(text.as_bytes()),
                Some(Process { pid, parent, session, state, ticks: 37, threads: 7, comm })
            );
        }
        let raw = [b"5 (\xff\x1b) S 1 2 3 ", REST.as_bytes()].concat();
        assert_eq!(parse(&raw).unwrap().name(), "\u{fffd}\\u{1b}");
        // Times out of range do not overflow.
        let most = i64::MAX;
        let text = format!("1 (x) S 0 1 1 0 -1 4 0 0 0 0 {most} {most} {most} -5 20 0 1 0 5");
        assert_eq!(parse(text.as_bytes()).unwrap().ticks, u64::MAX);
    }

    #[test]
    fn a_process_lives_as_long_as_a_thread_does() {
        for (state, threads, expect) in
            [("S", 1, true), ("T", 1, true), ("D", 3, true), ("Z", 2, true), ("Z", 1, false), ("X", 0, false)]
        {
            let text = format!("1 (x) {state} 0 1 1 0 -1 4 0 0 0 0 1 2 3 4 20 0 {threads} 0 5");
            assert_eq!(parse(text.as_bytes()).unwrap().is_alive(), expect, "{state} {threads}");
        }
    }

    #[test]
    fn what_is_cut_or_wrong_is_refused() {
        let whole = format!("14910 (cat) R 14901 14902 6146 {REST}\n");
        // Cut within the last number it is still a number; one byte less and a field is missing.
        for end in 0..=whole.find(" 7 0 ").unwrap() {
            assert_eq!(parse(&whole.as_bytes()[..end]), None, "{end}");
        }
        for (from, to) in [(") R ", ") RR "), ("14901", "x"), ("14910 ", "99999999999 "), (" 7 0 ", " -7 0 ")] {
            assert_eq!(parse(whole.replacen(from, to, 1).as_bytes()), None, "{to}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn near_lines_are_parsed_or_refused(text in "[0-9]{0,12} ?[()]{0,3}[a-z() \n]{0,16}[)]? ?[RSZ]?( -?[0-9]{0,21}){0,25}") {
            let _ = parse(text.as_bytes());
        }
    }
}
