//! The copies of a task as part of the event loop: one at a time, tried again when it fails, given up when its time is over.

mod helper;
pub mod local;
pub mod transfers;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::helper::Helper;
use crate::ranks::background::Background;
use crate::ranks::reap::End;
use crate::units;

/// Between two copies of the logs, unless a flag says otherwise.
pub const PERIOD: Duration = Duration::from_secs(30);

/// Between two copies of the logs, in times of what one takes: large logs shall not keep the disk busy.
const SHARE: u32 = 10;

/// Before a copy that failed is tried again: doubled each time.
const BACKOFF: Duration = Duration::from_secs(1);

/// At most.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Tries of a copy that is not repeated anyway: half a minute of them.
const MAX_TRIES: u32 = 6;

/// Something to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The parameter that asks for it.
    pub what: &'static str,
    /// `get-file` and `get-folder` from object storage, `put` of a whole folder to it, or `sync`: files of a folder that begin
    /// with the prefix and have changed since they were copied last.
    pub verb: &'static str,
    /// A path, or a URL of object storage.
    pub from: OsString,
    pub to: OsString,
    /// May be empty.
    pub prefix: OsString,
}

impl Copy {
    /// A copy of everything.
    pub fn new(what: &'static str, verb: &'static str, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Copy {
        Copy { what, verb, from: from.as_ref().into(), to: to.as_ref().into(), prefix: OsString::new() }
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "copying `{}` (`{}`) to `{}`", self.from.display(), self.what, self.to.display())
    }
}

/// All that is copied; without jobs it does nothing.
#[derive(Debug)]
pub struct Storage {
    jobs: Vec<Job>,
    helper: Helper,
    current: Option<Current>,
    lines: Vec<String>,
}

#[derive(Debug)]
struct Job {
    copy: Copy,
    state: State,
    /// Copied again and again until the end, with that in between.
    period: Option<Duration>,
    /// How long a try may take.
    timeout: Duration,
    /// After that it is not tried any more.
    give_up: Option<Instant>,
    tries: u32,
    failures: u32,
    files: u64,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Due(Instant),
    /// Asked for; and asked for once more since.
    Running(bool),
    Copied,
    GivenUp,
}

#[derive(Debug)]
struct Current {
    job: usize,
    began: Instant,
    deadline: Instant,
}

impl Storage {
    pub fn new(helper: Vec<OsString>, log: PathBuf) -> Storage {
        Storage { jobs: Vec::new(), helper: Helper::new(helper, log), current: None, lines: Vec::new() }
    }

    /// Something to copy: once, from now on for `timeout` at most, or every `period`; then each try may take `timeout`.
    pub fn add(&mut self, copy: Copy, period: Option<Duration>, timeout: Duration, now: Instant) {
        let (due, give_up) = match period {
            None => (now, Some(now + timeout)),
            Some(period) => (now + period, None),
        };
        let (state, error) = (State::Due(due), None);
        self.jobs.push(Job { copy, state, period, timeout, give_up, tries: 0, failures: 0, files: 0, error });
    }

    /// Has what is repeated copied for a last time, until `until` at the latest.
    pub fn settle(&mut self, until: Instant, now: Instant) {
        for job in self.jobs.iter_mut().filter(|it| it.period.is_some()) {
            job.give_up = Some(until);
            job.state = if matches!(job.state, State::Running(_)) { State::Running(true) } else { State::Due(now) };
        }
    }

    /// Leaves no more time than until `until` for anything.
    pub fn hurry(&mut self, until: Instant) {
        for job in &mut self.jobs {
            job.give_up = Some(job.give_up.map_or(until, |it| it.min(until)));
        }
        self.current.iter_mut().for_each(|it| it.deadline = it.deadline.min(until));
    }

    /// Whether there is nothing to copy at all.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether all that is not repeated for ever is copied or given up.
    pub fn is_settled(&self) -> bool {
        let is_over = |it: &Job| it.give_up.is_none() || matches!(it.state, State::Copied | State::GivenUp);
        self.jobs.iter().all(is_over)
    }

    /// What could not be copied, a sentence each.
    pub fn given_up(&self) -> impl Iterator<Item = (&'static str, String)> {
        let given_up = self.jobs.iter().filter(|it| it.state == State::GivenUp);
        given_up.map(|it| (it.copy.what, format!("{}: {}", it.copy, it.why())))
    }

    /// Whether there is a process to be waited for.
    pub fn has_helper(&self) -> bool {
        self.helper.is_there()
    }

    /// Lets the helper end; kills it where `is_hard`.
    pub fn close(&mut self, is_hard: bool) {
        if is_hard { self.helper.kill("did not end") } else { self.helper.close() }
    }

    /// What the report tells of it: the copies in the order in which they were asked for, the report's own not among them.
    pub fn report(&self) -> Value {
        let copy = |it: &Job| {
            json!({
                "what": it.copy.what,
                "from": it.copy.from.to_string_lossy(),
                "to": it.copy.to.to_string_lossy(),
                "complete": it.state == State::Copied,
                "tries": it.tries,
                "files": it.files,
                "error": it.error,
            })
        };
        let is_complete = self.jobs.iter().all(|it| it.state == State::Copied);
        json!({ "complete": is_complete, "copies": self.jobs.iter().map(copy).collect::<Vec<_>>() })
    }

    /// Begins what is due, if nothing else is being copied.
    fn begin(&mut self, now: Instant) {
        while self.current.is_none() && self.helper.is_free() {
            let due = |it: &Job| matches!(it.state, State::Due(at) if at <= now);
            let Some(index) = self.jobs.iter().position(due) else { return };
            let job = &mut self.jobs[index];
            job.state = State::Running(false);
            job.tries += 1;
            let deadline = now + job.timeout;
            let deadline = job.give_up.map_or(deadline, |it| it.min(deadline));
            let asked = self.helper.ask(&job.copy);
            self.current = Some(Current { job: index, began: now, deadline });
            if let Err(error) = asked {
                self.over(Err(error.to_string()), now);
            }
        }
    }

    fn over(&mut self, result: Result<u64, String>, now: Instant) {
        let Some(current) = self.current.take() else { return };
        let job = &mut self.jobs[current.job];
        let is_last = job.give_up.is_some();
        let error = match result {
            Ok(files) => {
                if job.failures > 0 {
                    self.lines.push(format!("{} worked at last", job.copy));
                }
                (job.failures, job.error) = (0, None);
                job.files += files;
                let pause = job.period.unwrap_or(PERIOD).max((now - current.began) * SHARE);
                job.state = match job.state {
                    State::Running(true) => State::Due(now),
                    _ if is_last => State::Copied,
                    _ => State::Due(now + pause),
                };
                return;
            }
            Err(error) => error,
        };
        job.failures += 1;
        let pause = BACKOFF.saturating_mul(1 << (job.failures - 1).min(8)).min(MAX_BACKOFF);
        let is_news = job.error.as_ref() != Some(&error);
        job.error = Some(error);
        let out_of_tries = job.period.is_none() && job.tries >= MAX_TRIES;
        if out_of_tries || job.give_up.is_some_and(|it| it <= now + pause) {
            job.state = State::GivenUp;
            self.lines.push(format!("{} is given up: {}", job.copy, job.why()));
            return;
        }
        job.state = State::Due(now + pause);
        if is_news {
            let again = units::shown(pause);
            self.lines.push(format!("{} failed: {}; trying again in {again}", job.copy, job.why()));
        }
    }
}

impl Background for Storage {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.helper.fd()
    }

    fn deadline(&self) -> Option<Instant> {
        if let Some(current) = &self.current {
            return Some(current.deadline);
        }
        // While a killed helper is there, nothing but its death or the end of patience changes anything.
        let is_free = self.helper.is_free();
        let next = |it: &Job| match it.state {
            State::Due(at) if is_free => Some(it.give_up.map_or(at, |give_up| at.min(give_up))),
            State::Due(_) => it.give_up,
            _ => None,
        };
        self.jobs.iter().filter_map(next).min()
    }

    fn ended(&mut self, pid: i32, end: End) -> bool {
        self.helper.ended(pid, end)
    }

    fn turn(&mut self, is_readable: bool, now: Instant) -> Vec<String> {
        if is_readable && let Some(answer) = self.helper.read() {
            self.over(answer, now);
        }
        if let (Some(_), Some(fate)) = (&self.current, self.helper.fate()) {
            let fate = fate.to_owned();
            self.over(Err(fate), now);
        }
        if let Some(current) = self.current.as_ref().filter(|it| it.deadline <= now) {
            let took = units::shown(now - current.began);
            self.helper.kill("hung");
            self.over(Err(format!("not done after {took}")), now);
        }
        for index in 0..self.jobs.len() {
            let job = &mut self.jobs[index];
            if matches!(job.state, State::Due(_)) && job.give_up.is_some_and(|it| it <= now) {
                job.state = State::GivenUp;
                self.lines.push(format!("{} is given up: {}", job.copy, job.why()));
            }
        }
        self.begin(now);
        std::mem::take(&mut self.lines)
    }
}

impl Job {
    fn why(&self) -> &str {
        self.error.as_deref().unwrap_or("there was no time left for it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::wait;

    /// Copies that a shell makes, which fail if `to` is `bad`; the times are the tests' own.
    struct Trial {
        storage: Storage,
        _folder: tempfile::TempDir,
    }

    impl Trial {
        fn new() -> Trial {
            let folder = tempfile::tempdir().unwrap();
            let script = "while read -r number verb from to; do \
                          case $to in never) exec sleep 1000;; bad) r='failed\tbad luck';; *) r='ok\t2';; esac; printf \"$number\\t$r\\n\"; done";
            let program = ["sh", "-c", script].map(Into::into).into();
            Trial { storage: Storage::new(program, folder.path().join("log")), _folder: folder }
        }

        fn copy(to: &str) -> Copy {
            Copy::new("log_path", "sync", "from", to)
        }

        /// What is said until the copy that was begun at `begun` is over; it is at `over`.
        fn turn(&mut self, begun: Instant, over: Instant) -> Vec<String> {
            let mut said = self.storage.turn(false, begun);
            while self.storage.current.is_some() {
                let patience = Instant::now() + Duration::from_secs(20);
                assert_eq!(wait::readable(&[self.storage.fd().unwrap()], Some(patience)).unwrap(), [true]);
                said.extend(self.storage.turn(true, over));
            }
            said
        }

        fn tries(&self) -> Vec<u32> {
            self.storage.jobs.iter().map(|it| it.tries).collect()
        }
    }

    impl Drop for Trial {
        fn drop(&mut self) {
            self.storage.close(true);
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn logs_are_copied_every_half_minute_and_once_more() {
        let (mut trial, begin) = (Trial::new(), Instant::now());
        trial.storage.add(Trial::copy("good"), Some(PERIOD), 60 * SECOND, begin);
        assert!(trial.turn(begin + 29 * SECOND, begin).is_empty());
        assert_eq!((trial.tries(), trial.storage.deadline()), (vec![0], Some(begin + 30 * SECOND)));
        trial.turn(begin + 30 * SECOND, begin + 31 * SECOND);
        assert_eq!((trial.tries(), trial.storage.deadline()), (vec![1], Some(begin + 61 * SECOND)));
        // One that takes long is not made so often.
        trial.turn(begin + 61 * SECOND, begin + 71 * SECOND);
        assert_eq!(trial.storage.deadline(), Some(begin + 171 * SECOND));
        assert!(trial.storage.is_settled());
        trial.storage.settle(begin + 100 * SECOND, begin + 80 * SECOND);
        assert!(!trial.storage.is_settled());
        trial.turn(begin + 80 * SECOND, begin + 80 * SECOND);
        assert_eq!((trial.tries(), trial.storage.is_settled(), trial.storage.deadline()), (vec![3], true, None));
        assert!(trial.storage.report()["complete"] == true && trial.storage.report()["copies"][0]["files"] == 6);
    }

    #[test]
    fn failures_are_told_once_and_tried_less_and_less_often() {
        let (mut trial, begin) = (Trial::new(), Instant::now());
        trial.storage.add(Trial::copy("bad"), Some(PERIOD), 60 * SECOND, begin);
        let mut at = begin + 30 * SECOND;
        let mut pauses = Vec::new();
        for number in 0..7 {
            let said = trial.turn(at, at);
            assert_eq!(said.len(), usize::from(number == 0), "{said:?}");
            let next = trial.storage.deadline().unwrap();
            pauses.push((next - at).as_secs());
            at = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        trial.storage.settle(at + 5 * SECOND, at);
        let said = trial.turn(at, at);
        assert_eq!(said, ["copying `from` (`log_path`) to `bad` is given up: bad luck"]);
        assert!(trial.storage.is_settled() && trial.storage.report()["complete"] == false);
    }

    #[test]
    fn what_is_copied_once_has_six_tries_and_its_time() {
        let (mut trial, begin) = (Trial::new(), Instant::now());
        trial.storage.add(Trial::copy("bad"), None, 600 * SECOND, begin);
        trial.storage.add(Trial::copy("good"), None, 600 * SECOND, begin);
        let mut at = begin;
        while !trial.storage.is_settled() {
            trial.turn(at, at);
            at = trial.storage.deadline().unwrap_or(at);
        }
        assert_eq!((trial.tries(), at - begin), (vec![6, 1], 31 * SECOND));
        assert_eq!(trial.storage.given_up().count(), 1);
        trial.storage.add(Trial::copy("bad"), None, 2 * SECOND, at);
        trial.turn(at, at);
        trial.turn(at + SECOND, at + SECOND);
        assert_eq!((trial.tries()[2], trial.storage.is_settled()), (2, true));
    }

    #[test]
    fn one_that_hangs_is_replaced() {
        let (mut trial, begin) = (Trial::new(), Instant::now());
        trial.storage.add(Trial::copy("never"), Some(PERIOD), 60 * SECOND, begin);
        trial.storage.turn(false, begin + 30 * SECOND);
        assert_eq!(trial.storage.deadline(), Some(begin + 90 * SECOND));
        let said = trial.storage.turn(false, begin + 90 * SECOND);
        assert!(said[0].contains("not done after 1 min 0 s; trying again in"), "{said:?}");
        // Until it is buried nothing else is begun.
        let pid = trial.storage.helper.pid().unwrap();
        trial.storage.turn(false, begin + 100 * SECOND);
        assert_eq!((trial.tries(), trial.storage.helper.pid()), (vec![1], Some(pid)));
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
        assert!(trial.storage.ended(pid, End::Signal(9)));
        trial.storage.jobs[0].copy.to = "good".into();
        trial.turn(begin + 100 * SECOND, begin + 100 * SECOND);
        assert_eq!((trial.tries(), trial.storage.jobs[0].files), (vec![2], 2));
    }

    #[test]
    fn paths_that_would_be_other_requests_are_refused() {
        let (mut trial, begin) = (Trial::new(), Instant::now());
        trial.storage.add(Trial::copy("a\nb"), None, 600 * SECOND, begin);
        let said = trial.turn(begin, begin);
        assert!(said[0].contains("control characters"), "{said:?}");
        assert!(!trial.storage.has_helper());
    }
}
