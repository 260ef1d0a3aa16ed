//! One line of `/proc/<pid>/stat`, proc(5): a pid, a name in parentheses that may hold anything, numbers.

use libc::pid_t;

/// A process at the moment its `stat` was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid, or of a thread's file, the thread's id.
    pub pid: pid_t,
    /// The pid of its parent; 0 for one from outside our pid namespace.
    pub parent: pid_t,
    /// Its session.
    pub session: pid_t,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, `X` or another letter of the kernel's.
    pub state: char,
    /// CPU time of all its threads and of the children that it has reaped, in ticks: a child's end takes nothing away.
    pub ticks: u64,
    /// How many threads it has; 0 once it has ended altogether.
    pub threads: u64,
    /// Its name, at most 15 bytes of anything; a kernel thread's may be longer.
    pub comm: Vec<u8>,
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

/// Parses a whole `stat` file; `None` for anything that isn't one.
pub fn parse(text: &[u8]) -> Option<Process> {
    // The name may hold blanks, parentheses and newlines; after it there are only numbers and a letter.
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let comm = text.get(open + 1..close)?.to_vec();
    let pid = std::str::from_utf8(&text[..open]).ok()?.trim_end().parse().ok()?;
    let fields: Vec<&str> = std::str::from_utf8(&text[close + 1..]).ok()?.split_ascii_whitespace().collect();
    // proc(5) numbers fields from 1 and the state is its third.
    let field = |number: usize| fields.get(number - 3).copied();
    let id = |number| field(number)?.parse::<pid_t>().ok();
    let count = |number| field(number)?.parse::<u64>().ok();
    // Children's times are signed in the file, and a kernel of old may have got one below zero.
    let ticks = |number| Some(u64::try_from(field(number)?.parse::<i64>().ok()?).unwrap_or(0));
    let mut state = field(3)?.chars();
    let process = Process {
        pid,
        parent: id(4)?,
        session: id(6)?,
        state: state.next()?,
        ticks: (14..=17).try_fold(0_u64, |sum, number| Some(sum.saturating_add(ticks(number)?)))?,
        threads: count(20)?,
        comm,
    };
    state.next().is_none().then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: &str = "0 -1 4194304 100 0 0 0 10 20 3 4 20 0 7 0 1272558 3133440 380 18446744073709551615";

    fn line(comm: &str) -> String {
        format!("14910 ({comm}) R 14901 14902 6146 {REST}\n")
    }

    #[test]
    fn fields_are_those_of_the_manual() {
        let expected = Process {
            pid: 14910,
            parent: 14901,
            session: 6146,
            state: 'R',
            ticks: 37,
            threads: 7,
            comm: b"cat".to_vec(),
        };
        assert_eq!(parse(line("cat").as_bytes()), Some(expected));
    }

    #[test]
    fn names_may_hold_anything() {
        for comm in ["", "a b", ") S 1 1 1 (", "((", "))", "a\nb", ")\n9 (x) Z 1 2 3"] {
            let process = parse(line(comm).as_bytes()).unwrap();
            assert_eq!((process.comm, process.parent, process.state), (comm.as_bytes().to_vec(), 14901, 'R'));
        }
        let raw = [b"5 (\xff\x1b) S 1 2 3 ", REST.as_bytes()].concat();
        assert_eq!(parse(&raw).unwrap().name(), "\u{fffd}\\u{1b}");
    }

    #[test]
    fn a_process_lives_as_long_as_a_thread_does() {
        let alive = |state: &str, threads: u32| {
            parse(format!("1 (x) {state} 0 1 1 0 -1 4 0 0 0 0 1 2 3 4 20 0 {threads} 0 5").as_bytes())
                .unwrap()
                .is_alive()
        };
        assert!(alive("S", 1) && alive("T", 1) && alive("D", 3) && alive("Z", 2));
        assert!(!alive("Z", 1) && !alive("X", 0) && !alive("Z", 0));
    }

    #[test]
    fn what_is_cut_or_wrong_is_refused() {
        let whole = line("cat");
        let enough = whole.find(" 3133440").unwrap();
        // Cut within the last number it is still a number; one byte less and a field is missing.
        let threads = whole.find(" 7 0 ").unwrap();
        for end in 0..=threads {
            assert_eq!(parse(&whole.as_bytes()[..end]), None, "{end}");
        }
        assert!(parse(&whole.as_bytes()[..enough]).is_some());
        for (from, to) in [(") R ", ") RR "), ("14901", "x"), ("14910 ", "99999999999 "), (" 7 0 ", " -7 0 ")] {
            assert_eq!(parse(whole.replacen(from, to, 1).as_bytes()), None, "{to}");
        }
    }

    #[test]
    fn times_out_of_range_do_not_overflow() {
        let most = i64::MAX;
        let text = format!("1 (x) S 0 1 1 0 -1 4 0 0 0 0 {most} {most} {most} -5 20 0 1 0 5");
        assert_eq!(parse(text.as_bytes()).unwrap().ticks, u64::MAX);
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

        #[test]
        fn any_name_comes_back(comm in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = [b"7 (", &comm[..], b") S 1 2 3 ", REST.as_bytes()].concat();
            let process = parse(&text).unwrap();
            let _ = process.name();
            prop_assert_eq!((process.comm, process.session), (comm, 3));
        }
    }
}
