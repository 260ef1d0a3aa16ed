//! A process that was started, and why all of them came to an end.

use std::io::PipeReader;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use libc::c_int;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::job::engine::Engine;
use crate::job::{Job, Processes, Rank};
use crate::ranks::reap::End;
use crate::ranks::signals;
use crate::ranks::start::StartError;
use crate::units;

/// What a process of the launcher's is in the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Rank(Rank),
    /// Of MindSpore, which its ranks register with. It ends by itself when they have ended, and they don't without it.
    Scheduler,
}

/// A process under the launcher's eyes.
#[derive(Debug)]
pub struct Watched {
    pub role: Role,
    /// Its process, its session and its group; `None` where it could not be started.
    pub pid: Option<i32>,
    /// What it writes; `None` at its end.
    pub pipe: Option<PipeReader>,
    pub sink: usize,
    pub log: PathBuf,
    pub started: Instant,
    /// The same for people.
    pub started_wall: SystemTime,
    /// When it was first heard of, and last.
    pub first_output: Option<Instant>,
    pub last_output: Option<Instant>,
    pub ended: Option<Ended>,
    pub not_started: Option<StartError>,
    /// Its last lines, where it failed.
    pub last_lines: Vec<String>,
    /// They tell of the end of another rank.
    pub is_follower: bool,
    /// MASTER_PORT, as it got it.
    pub master_port: Option<String>,
    /// ASCEND_PROCESS_LOG_PATH, the same.
    pub process_log: Option<PathBuf>,
    /// CANN's log of it, where it failed.
    pub plog: Option<PathBuf>,
}

/// What became of a rank, or of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankOutcome {
    /// It ended with 0 by itself.
    Succeeded,
    /// It ended otherwise by itself.
    Failed,
    Stopped,
    NotStarted,
}

/// The end of one of them.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub end: End,
    /// When it was noticed.
    pub at: Instant,
    /// The same for people.
    pub wall: SystemTime,
    /// After the launcher had begun to stop it.
    pub stopped: bool,
    /// The kernel has killed processes for want of memory since the ranks were started.
    pub out_of_memory: bool,
}

impl Watched {
    pub fn new(role: Role, log: PathBuf, sink: usize) -> Watched {
        Watched {
            role,
            pid: None,
            pipe: None,
            sink,
            log,
            started: Instant::now(),
            started_wall: SystemTime::now(),
            first_output: None,
            last_output: None,
            ended: None,
            not_started: None,
            last_lines: Vec::new(),
            is_follower: false,
            master_port: None,
            process_log: None,
            plog: None,
        }
    }

    pub fn rank(&self) -> Option<Rank> {
        match self.role {
            Role::Rank(rank) => Some(rank),
            Role::Scheduler => None,
        }
    }

    pub fn is_rank(&self) -> bool {
        self.role != Role::Scheduler
    }

    /// Whether its process is alive, or dead and not yet taken.
    pub fn runs(&self) -> bool {
        self.pid.is_some() && self.ended.is_none()
    }

    /// A point in its life on the clock that it was started by.
    pub fn wall(&self, at: Instant) -> SystemTime {
        self.started_wall + at.saturating_duration_since(self.started)
    }

    pub fn outcome(&self) -> RankOutcome {
        match self.ended {
            None if self.pid.is_none() => RankOutcome::NotStarted,
            // It could not be killed.
            None => RankOutcome::Stopped,
            Some(ended) if ended.stopped => RankOutcome::Stopped,
            Some(ended) if ended.end == End::Code(0) => RankOutcome::Succeeded,
            Some(_) => RankOutcome::Failed,
        }
    }
}

/// How the ranks ended, or the whole run, as the report has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Each of them ended with 0.
    Succeeded,
    Failed,
    /// A signal from outside.
    Terminated,
    /// No output and no work for too long.
    Stalled,
    NotStarted,
    /// The ranks succeeded, but the output could not be copied to object storage.
    NotSaved,
    /// The launcher itself; the guardian alone can tell.
    LauncherKilled,
}

/// Why there are no ranks any more.
#[derive(Debug, Clone)]
pub struct Ending {
    pub outcome: Outcome,
    /// What the launcher exits with.
    pub exit: Exit,
    /// In a sentence.
    pub text: String,
    /// The process that was the first to fail, or not to start, by its place among those of the attempt.
    pub first: Option<usize>,
}

impl Ending {
    pub fn succeeded(job: &Job) -> Ending {
        let text = match job.ranks.len() {
            _ if !job.starts_ranks() => format!("{} succeeded", job.who(&[])),
            1 => "the only rank succeeded".to_owned(),
            count => format!("all {count} ranks of this server succeeded"),
        };
        Ending { outcome: Outcome::Succeeded, exit: Exit::SUCCESS, text, first: None }
    }

    /// The process at `first` ended in a way that is none of success.
    pub fn failed(first: usize, watched: &Watched, ended: &Ended, job: &Job) -> Ending {
        let (end, host) = (ended.end, &job.host);
        let how = if job.processes == Processes::Scripts { end.of_several() } else { end.to_string() };
        let why = if ended.out_of_memory { ": the kernel was out of memory" } else { "" };
        let (pid, after) = (watched.pid.unwrap_or_default(), units::shown(ended.at - watched.started));
        let device = watched.rank().filter(|_| job.starts_ranks()).map(|it| format!(", device {}", it.device));
        let (who, on) = (who(job, [watched]), device.unwrap_or_default());
        let text = format!("{who} (host {host}{on}, pid {pid}) {how}{why} after {after}");
        Ending { outcome: Outcome::Failed, exit: end.exit(), text, first: Some(first) }
    }

    /// The command ended with 0, but not all that it has started did.
    pub fn left_behind(count: usize, job: &Job) -> Ending {
        let processes = if count == 1 { "process" } else { "processes" };
        let text = format!("{} ended and left {count} {processes} behind, which were stopped", job.who(&[]));
        Ending { outcome: Outcome::Failed, exit: Exit::LAUNCHER, text, first: None }
    }

    /// A signal from outside stopped the launcher: the engine's, if that sends such a one.
    pub fn terminated(signal: c_int, engine: Option<Engine>) -> Ending {
        // Whoever interrupts is at a terminal.
        let engine = engine.filter(|_| signal == libc::SIGTERM);
        let by = engine.map(|it| format!(", most likely by {}", it.name())).unwrap_or_default();
        let text = format!("stopped from outside by {}{by}", signals::name(signal));
        Ending { outcome: Outcome::Terminated, exit: Exit::signal(signal), text, first: None }
    }

    pub fn stalled(limit: Duration) -> Ending {
        let text = format!("stalled: no rank had output or used its CPU for {}", units::shown(limit));
        Ending { outcome: Outcome::Stalled, exit: Exit::STALLED, text, first: None }
    }

    pub fn not_started(first: usize, watched: &Watched, error: &StartError, job: &Job) -> Ending {
        let text = format!("{} could not be started: {error}", who(job, [watched]));
        Ending { outcome: Outcome::NotStarted, exit: error.exit(), text, first: Some(first) }
    }

    /// Whether another attempt may help: a command that does not wait for its ranks would not the next time, either.
    pub fn may_be_repeated(&self) -> bool {
        self.outcome == Outcome::Stalled || self.outcome == Outcome::Failed && self.first.is_some()
    }
}

/// These processes, as people call them: `ranks 0-3 and the scheduler`.
pub fn who<'a>(job: &Job, watched: impl IntoIterator<Item = &'a Watched>) -> String {
    let (ranks, others): (Vec<&Watched>, Vec<&Watched>) = watched.into_iter().partition(|it| it.is_rank());
    let ranks: Vec<u32> = ranks.iter().filter_map(|it| Some(it.rank()?.rank)).collect();
    match (ranks.is_empty(), others.is_empty()) {
        (true, _) => "the scheduler".to_owned(),
        (false, true) => job.who(&ranks),
        (false, false) => format!("{} and the scheduler", job.who(&ranks)),
    }
}

/// Which of several failures that were noticed at once counts: of a rank, without which the scheduler fails, too; of one that
/// does not tell of another's end; of one that was not killed by a signal; then of the lowest rank. Nobody can tell in which
/// order they happened.
pub fn first_of(failed: &[(usize, Ended)], watched: &[Watched]) -> Option<(usize, Ended)> {
    let order = |(index, ended): &&(usize, Ended)| {
        let it = &watched[*index];
        (!it.is_rank(), it.is_follower, matches!(ended.end, End::Signal(_)), it.rank().map(|it| it.rank))
    };
    failed.iter().min_by_key(order).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_several_failures() {
        let role = |rank| Role::Rank(Rank { rank, local: 0, device: 0, physical: 0 });
        let roles = [role(4), role(7), role(5), role(3), Role::Scheduler];
        let mut ranks = roles.map(|it| Watched::new(it, PathBuf::new(), 0));
        let ends = [End::Signal(9), End::Code(3), End::Code(4), End::Signal(6), End::Code(1)];
        let (at, wall) = (Instant::now(), SystemTime::now());
        let ended = |index: usize| Ended { end: ends[index], at, wall, stopped: false, out_of_memory: false };
        for (failed, expected) in [
            (&[0, 3][..], Some(3)),
            (&[0, 1], Some(1)),
            (&[1, 2, 3], Some(2)),
            (&[4, 0], Some(0)),
            (&[4], Some(4)),
            (&[], None),
        ] {
            let failed: Vec<_> = failed.iter().map(|index| (*index, ended(*index))).collect();
            assert_eq!(first_of(&failed, &ranks).map(|it| it.0), expected, "{failed:?}");
        }
        ranks[1].is_follower = true;
        let failed = [0, 1].map(|index| (index, ended(index)));
        assert_eq!(first_of(&failed, &ranks).map(|it| it.0), Some(0));
    }
}
