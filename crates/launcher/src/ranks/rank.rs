//! A rank that was started, and why all of them came to an end.

use std::io::PipeReader;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use libc::c_int;
use serde::Serialize;

use crate::exit::Exit;
use crate::job::{Job, Rank};
use crate::ranks::reap::End;
use crate::ranks::signals;
use crate::ranks::start::StartError;
use crate::units;

/// A rank under the launcher's eyes.
#[derive(Debug)]
pub struct Watched {
    pub rank: Rank,
    /// Its process, its session and its group; `None` where it could not be started.
    pub pid: Option<i32>,
    /// What it writes; `None` at its end.
    pub pipe: Option<PipeReader>,
    pub sink: usize,
    pub log: PathBuf,
    pub started: Instant,
    pub ended: Option<Ended>,
    pub not_started: Option<StartError>,
    /// Its last lines, where it failed.
    pub last_lines: Vec<String>,
}

/// What became of a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankOutcome {
    /// It ended with 0 by itself.
    Succeeded,
    /// It ended otherwise by itself.
    Failed,
    Stopped,
    NotStarted,
}

/// The end of a rank.
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
    pub fn new(rank: Rank, log: PathBuf, sink: usize) -> Watched {
        let (started, last_lines) = (Instant::now(), Vec::new());
        Watched { rank, pid: None, pipe: None, sink, log, started, ended: None, not_started: None, last_lines }
    }

    /// Whether its process is alive, or dead and not yet taken.
    pub fn runs(&self) -> bool {
        self.pid.is_some() && self.ended.is_none()
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

/// Why there are no ranks any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Each of them ended with 0.
    Succeeded,
    /// This one, by its place among the ranks, was the first that did not.
    Failed(usize),
    Terminated(c_int),
    /// No output and no work for that long.
    Stalled(Duration),
    /// This one could not be started; with the exit code for that.
    NotStarted(usize, Exit),
}

impl Ending {
    /// Which of several failures that were noticed at once counts: of one that was not killed by a signal, then of the lowest
    /// rank. Nobody can tell in which order they happened.
    pub fn first_of(failed: &[usize], ranks: &[Watched]) -> Option<usize> {
        let key = |index: &&usize| {
            let by_signal = matches!(ranks[**index].ended, Some(Ended { end: End::Signal(_), .. }));
            (by_signal, ranks[**index].rank.rank)
        };
        failed.iter().min_by_key(key).copied()
    }

    pub fn exit(&self, ranks: &[Watched]) -> Exit {
        match self {
            Ending::Succeeded => Exit::SUCCESS,
            Ending::Failed(index) => ranks[*index].ended.map_or(Exit::FAILURE, |it| it.end.exit()),
            Ending::Terminated(signal) => Exit::signal(*signal),
            Ending::Stalled(_) => Exit::STALLED,
            Ending::NotStarted(_, exit) => *exit,
        }
    }

    /// Whether another attempt may help.
    pub fn may_be_repeated(&self) -> bool {
        matches!(self, Ending::Failed(_) | Ending::Stalled(_))
    }

    /// The cause in a sentence.
    pub fn text(&self, ranks: &[Watched], job: &Job) -> String {
        match self {
            Ending::Succeeded if job.by_scripts => "the vendor's scripts succeeded".to_owned(),
            Ending::Succeeded => match &ranks {
                [_] => "the only rank succeeded".to_owned(),
                _ => format!("all {} ranks of this server succeeded", ranks.len()),
            },
            Ending::Failed(index) => {
                let it = &ranks[*index];
                let how = it.ended.map_or_else(String::new, |it| {
                    let how = if job.by_scripts { it.end.of_several() } else { it.end.to_string() };
                    if it.out_of_memory { how + ": the kernel was out of memory" } else { how }
                });
                let Rank { rank, device, .. } = it.rank;
                let pid = it.pid.unwrap_or_default();
                let after = it.ended.map_or(Duration::ZERO, |ended| ended.at - it.started);
                let (host, after) = (&job.host, units::shown(after));
                match job.by_scripts {
                    true => format!("{} (host {host}, pid {pid}) {how} after {after}", job.who(&[rank])),
                    false => format!("rank {rank} (host {host}, device {device}, pid {pid}) {how} after {after}"),
                }
            }
            Ending::Terminated(signal) => format!("stopped from outside by {}", signals::name(*signal)),
            Ending::Stalled(limit) => {
                format!("stalled: no rank had output or used its CPU for {}", units::shown(*limit))
            }
            Ending::NotStarted(index, _) => {
                let it = &ranks[*index];
                let why = it.not_started.as_ref().map_or_else(String::new, |it| format!(": {it}"));
                format!("{} could not be started{why}", job.who(&[it.rank.rank]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_several_failures() {
        let watched = |rank, end| {
            let rank = Rank { rank, local: 0, device: 0, physical: 0 };
            let mut watched = Watched::new(rank, PathBuf::new(), 0);
            let now = Instant::now();
            watched.ended = Some(Ended { end, at: now, wall: SystemTime::now(), stopped: false, out_of_memory: false });
            watched
        };
        let ranks = [
            watched(4, End::Signal(9)),
            watched(7, End::Code(3)),
            watched(5, End::Code(4)),
            watched(3, End::Signal(6)),
        ];
        for (failed, expected) in [(&[0, 3][..], Some(3)), (&[0, 1], Some(1)), (&[1, 2, 3], Some(2)), (&[], None)] {
            assert_eq!(Ending::first_of(failed, &ranks), expected, "{failed:?}");
        }
        assert_eq!(Ending::Failed(0).exit(&ranks), Exit(137));
        assert_eq!(Ending::Failed(1).exit(&ranks), Exit(3));
    }
}
