//! What is told at the end: the report of a run as JSON, and the closing block that people read.

pub mod file;
mod plog;
pub mod shape;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use self::shape::{AttemptReport, Node, RankReport, Report, SchedulerReport, VERSION};
use crate::clock::Moment;
use crate::exit::Exit;
use crate::job::Job;
use crate::output::{LINES, Summary};
use crate::ranks::rank::{Ending, Outcome, RankOutcome, Watched, who};
use crate::ranks::reap::End;
use crate::ranks::signals;
use crate::ranks::supervise::Attempt;
use crate::signatures;
use crate::units;

const LAUNCHER: &str = concat!("fmtk-launch ", env!("CARGO_PKG_VERSION"));

/// Said where the failed rank tells of the end of another one: of a job of several servers, and of one.
const FOLLOWS_ELSEWHERE: &str = "  this follows from the end of another rank, and the cause is likely on another server: \
                                 `fmtk-launch report` joins the reports of all of them";
const FOLLOWS_HERE: &str = "  this follows from the end of another rank: look for the cause in the logs of the others";

/// What may help where a command that starts the ranks has not waited for them.
const HAS_TO_WAIT: &str = "the command has to run until its ranks have ended; `msrun` does so with `--join=True`";

/// The report of all attempts. `summaries` are in the order in which the ranks were opened, attempt by attempt; `stall`
/// is how long ranks may do nothing, and `sync` tells of the copies of a task.
pub fn report(
    job: &Job,
    ending: &Ending,
    attempts: &[Attempt],
    summaries: &[Summary],
    started: (SystemTime, Instant),
    stall: Option<Duration>,
    sync: Option<Value>,
) -> Report {
    let mut summaries = summaries.iter();
    let mut attempt = |it: &Attempt| {
        let logs: Vec<(&Watched, &Summary)> = it.watched.iter().zip(&mut summaries).collect();
        AttemptReport {
            attempt: it.number,
            outcome: it.ending.outcome,
            exit_code: it.ending.exit.0,
            started: it.started.into(),
            seconds: seconds(it.lasted),
            stall_seconds: stall.filter(|_| it.ending.outcome == Outcome::Stalled).map(seconds),
            survivors: it.survivors.clone(),
            ranks: logs.iter().filter_map(|it| rank(*it)).collect(),
            scheduler: logs.iter().find(|it| !it.0.is_rank()).map(|it| scheduler(*it)),
        }
    };
    Report {
        version: VERSION,
        launcher: LAUNCHER.to_owned(),
        job: Some(job.id.clone()),
        host: Some(job.host.clone()),
        node: Some(Node { index: job.nodes.index, count: job.nodes.count }),
        framework: job.starts_ranks().then(|| job.framework().to_string()),
        outcome: ending.outcome,
        exit_code: ending.exit.0,
        cause: (ending.outcome != Outcome::Succeeded).then(|| ending.text.clone()),
        hint: attempts.last().and_then(|it| hint(job, it)),
        follower: Some(attempts.last().and_then(culprit).is_some_and(|it| it.is_follower)),
        started: Some(started.0.into()),
        ended: None,
        seconds: Some(seconds(started.1.elapsed())),
        rank_size: job.starts_ranks().then_some(job.size),
        attempts: attempts.iter().map(&mut attempt).collect(),
        sync,
    }
}

fn rank((watched, log): (&Watched, &Summary)) -> Option<RankReport> {
    let rank = watched.rank()?;
    let ended = watched.ended;
    let (code, signal) = code_and_signal(watched);
    Some(RankReport {
        rank: rank.rank,
        local_rank: rank.local,
        device: rank.device,
        pid: watched.pid,
        outcome: watched.outcome(),
        code,
        signal,
        out_of_memory: ended.is_some_and(|it| it.out_of_memory),
        started: watched.pid.map(|_| watched.started_wall.into()),
        first_output: watched.first_output.map(|it| watched.wall(it).into()),
        last_output: watched.last_output.map(|it| watched.wall(it).into()),
        ended: ended.map(|it| it.wall.into()),
        seconds: ended.map(|it| seconds(it.at - watched.started)),
        log: log.file.display().to_string(),
        log_parts: log.parts,
        log_bytes: log.bytes,
        log_bytes_lost: log.bytes_lost,
        plog: watched.plog.as_ref().map(|it| it.display().to_string()),
        log_trouble: log.trouble.clone(),
        console_lines_skipped: log.console_lines_lost,
        follower: watched.is_follower,
        last_lines: watched.last_lines.clone(),
    })
}

fn scheduler((watched, log): (&Watched, &Summary)) -> SchedulerReport {
    let (code, signal) = code_and_signal(watched);
    SchedulerReport {
        pid: watched.pid,
        outcome: watched.outcome(),
        code,
        signal,
        started: watched.pid.map(|_| watched.started_wall.into()),
        ended: watched.ended.map(|it| it.wall.into()),
        log: log.file.display().to_string(),
        log_bytes: log.bytes,
        log_bytes_lost: log.bytes_lost,
        last_lines: watched.last_lines.clone(),
    }
}

/// How a process ended: by its own code, or by a signal of this name.
fn code_and_signal(watched: &Watched) -> (Option<u8>, Option<String>) {
    match watched.ended.map(|it| it.end) {
        None => (None, None),
        Some(End::Code(code)) => (Some(code), None),
        Some(End::Signal(signal)) => (None, Some(signals::name(signal))),
    }
}

/// Looks for CANN's own logs of the ranks that failed.
pub fn find_plogs(attempts: &mut [Attempt]) {
    let ranks = attempts.iter_mut().flat_map(|it| &mut it.watched);
    for watched in ranks.filter(|it| it.outcome() == RankOutcome::Failed) {
        watched.plog = watched.process_log.as_deref().zip(watched.pid).and_then(|(folder, pid)| plog::of(folder, pid));
    }
}

/// The process that failed, where one has.
fn culprit(attempt: &Attempt) -> Option<&Watched> {
    attempt.ending.first.map(|first| &attempt.watched[first])
}

/// What may help.
fn hint(job: &Job, attempt: &Attempt) -> Option<String> {
    let (outcome, first) = (attempt.ending.outcome, culprit(attempt));
    let of_start = first.and_then(|it| it.not_started.as_ref()?.hint()).map(str::to_owned);
    let of_memory = signatures::out_of_memory(attempt.oom_kills).filter(|_| outcome != Outcome::Succeeded);
    let of_rank = || signatures::hint(&first?.last_lines, first?.master_port.as_deref());
    // No process has failed.
    let of_left = (outcome == Outcome::Failed && first.is_none()).then(|| HAS_TO_WAIT.to_owned());
    of_start.or(of_memory).or(of_left).or_else(of_rank).or_else(|| of_other_nodes(job, attempt))
}

/// Where to look for the cause, if this may be a consequence: an engine stops all nodes when one has failed, and it does not
/// know of a failure here before the launcher ends.
fn of_other_nodes(job: &Job, attempt: &Attempt) -> Option<String> {
    const REPORTS: &str = "`fmtk-launch report` of the reports of all nodes tells which rank was the first to fail";
    match attempt.ending.outcome {
        _ if job.nodes.count == 1 => None,
        Outcome::Terminated => {
            Some(format!("another node may have failed, if nobody has cancelled the job: {REPORTS}"))
        }
        Outcome::Failed if attempt.told_to_stop => Some(format!(
            "the launcher was told to stop at about the same time, so another node may have failed before: {REPORTS}"
        )),
        _ => None,
    }
}

/// Seconds with three digits.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The closing block, a line each. `summaries` are in the order of [`report`]'s.
pub fn block(job: &Job, ending: &Ending, attempts: &[Attempt], summaries: &[Summary], started: Instant) -> Vec<String> {
    let Some(attempt) = attempts.last() else { return Vec::new() };
    let lasted = units::shown(started.elapsed());
    let times = match attempt.number {
        1 => String::new(),
        n => format!(" on attempt {n}"),
    };
    let Ending { outcome, exit, text, .. } = ending;
    if *outcome == Outcome::Succeeded {
        let succeeded = format!("SUCCEEDED in {lasted}{times}: {text}");
        return [succeeded].into_iter().chain(lost(job, attempts, summaries)).collect();
    }
    // By a signal that was meant for it, not by what its ranks did.
    let word = if *outcome == Outcome::Terminated { "STOPPED" } else { "FAILED" };
    let mut block = vec![format!("{word} with exit code {} in {lasted}{times}: {text}", exit.0)];
    if let (Outcome::Failed, Some(index)) = (outcome, ending.first) {
        let first = &attempt.watched[index];
        block.extend(first.ended.map(|it| format!("  ended    {}", Moment::from(it.wall))));
        block.push(format!("  log      {}", first.log.display()));
        block.extend(first.plog.as_ref().map(|it| format!("  plog     {}", it.display())));
        block.push(match first.last_lines.len() {
            0 => "  it wrote nothing".to_owned(),
            1 => "  its last line:".to_owned(),
            n @ ..=LINES => format!("  its last {n} lines:"),
            _ => "  its last traceback, and what came after it:".to_owned(),
        });
        block.extend(first.last_lines.iter().map(|line| format!("  | {line}")));
        let others = attempt.watched.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, it)| it);
        block.extend(others.filter(|it| it.outcome() == RankOutcome::Failed).filter_map(|it| {
            let (whose, end, log) = (who(job, [it]), it.ended?.end, it.log.display());
            Some(format!("  in the same moment {whose} {end}, log {log}"))
        }));
        if first.is_follower {
            block.push(if job.is_whole() { FOLLOWS_HERE } else { FOLLOWS_ELSEWHERE }.to_owned());
        }
    }
    block.extend(stopped(attempt, job));
    block.extend(lost(job, attempts, summaries));
    block.extend(attempt.survivors.iter().map(|it| format!("  still there: {it}")));
    block.extend(hint(job, attempt).map(|it| format!("  hint: {it}")));
    block
}

/// The log files that lack something.
fn lost(job: &Job, attempts: &[Attempt], summaries: &[Summary]) -> impl Iterator<Item = String> {
    let all = attempts.iter().flat_map(|it| &it.watched).zip(summaries);
    all.filter(|(_, log)| log.bytes_lost > 0).map(|(it, log)| {
        let (bytes, whose) = (log.bytes_lost, who(job, [it]));
        let why = log.trouble.clone().unwrap_or_else(|| format!("see `{}`", log.file.display()));
        format!("  lost     {bytes} bytes of the log of {whose}: {why}")
    })
}

/// What the launcher stopped, those that ended in the same way on one line.
fn stopped(attempt: &Attempt, job: &Job) -> Vec<String> {
    let mut ways: Vec<(String, Vec<&Watched>)> = Vec::new();
    for it in attempt.watched.iter().filter(|it| it.outcome() == RankOutcome::Stopped) {
        let Some(ended) = it.ended else { continue };
        let way = ended.end.to_string();
        match ways.iter_mut().find(|known| known.0 == way) {
            Some(known) => known.1.push(it),
            None => ways.push((way, vec![it])),
        }
    }
    let line = |(way, stopped): (String, Vec<&Watched>)| {
        let whose = who(job, stopped);
        format!("  stopped  {whose} by the launcher: {}", way.replacen("was ", "", 1))
    };
    ways.into_iter().map(line).collect()
}

/// Writes a report, whole or not at all; to `/dev/stdout`, a pipe or a device it is appended.
pub fn write(path: &Path, report: &Report) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    file::write(path, &text)
}

/// What the guardian knows when the launcher was killed.
pub fn write_launcher_killed(path: &Path, cause: String, exit: Exit) -> io::Result<()> {
    let killed = Report {
        version: VERSION,
        launcher: LAUNCHER.to_owned(),
        job: None,
        host: None,
        node: None,
        framework: None,
        outcome: Outcome::LauncherKilled,
        exit_code: exit.0,
        cause: Some(cause),
        hint: None,
        follower: None,
        started: None,
        ended: Some(SystemTime::now().into()),
        seconds: None,
        rank_size: None,
        attempts: Vec::new(),
        sync: None,
    };
    write(path, &killed)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::job::Rank;
    use crate::job::nodes::Nodes;
    use crate::ranks::rank::Role;

    fn check(outcome: Outcome, first: Option<usize>, oom_kills: u64, last_line: &str, part: Option<&str>) {
        let rank = Role::Rank(Rank { rank: 0, local: 0, device: 0, physical: 0 });
        let last_lines = vec![last_line.to_owned()];
        let watched = Watched { last_lines, ..Watched::new(rank, PathBuf::new(), 0) };
        let attempt = Attempt {
            number: 1,
            started: SystemTime::now(),
            lasted: Duration::ZERO,
            ending: Ending { outcome, exit: Exit::FAILURE, text: String::new(), first },
            watched: vec![watched],
            survivors: Vec::new(),
            told_to_stop: false,
            oom_kills,
        };
        let hint = hint(&Job::of_devices(&[0], Nodes::alone(), &|_| None), &attempt);
        assert_eq!(hint.is_some(), part.is_some(), "{outcome:?} {hint:?}");
        assert!(part.is_none_or(|part| hint.as_ref().unwrap().contains(part)), "no `{part:?}` in {hint:?}");
    }

    #[test]
    fn what_the_kernel_killed_is_the_hint_whatever_became_of_the_rank() {
        let (module, worker) = ("ModuleNotFoundError: No module named 'x'", "DataLoader worker (pid 7) is killed");
        check(Outcome::Failed, Some(0), 0, module, Some("no module `x`"));
        check(Outcome::Failed, Some(0), 0, worker, None);
        check(Outcome::Failed, Some(0), 1, worker, Some("the kernel killed a process in"));
        check(Outcome::Failed, Some(0), 3, module, Some("the kernel killed 3 processes in"));
        // A rank waits for ever for a data worker that is gone.
        check(Outcome::Stalled, None, 1, "", Some("fewer data workers"));
        check(Outcome::Terminated, None, 1, "", Some("fewer data workers"));
        check(Outcome::Succeeded, None, 1, "", None);
    }
}
