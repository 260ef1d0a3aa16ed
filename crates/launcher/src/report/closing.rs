//! From what was seen to the report, and to the closing block that people read.

use std::time::{Instant, SystemTime};

use super::hints;
use super::{Outcome, Report};
use crate::clock;
use crate::job::Job;
use crate::output::Summary;
use crate::ranks::rank::{Ending, RankOutcome, Watched};
use crate::ranks::supervise::Attempt;
use crate::units;

/// The report of all attempts. `summaries` are in the order in which the ranks were opened, attempt by attempt.
pub fn report(job: &Job, attempts: &[Attempt], summaries: &[Summary], started: (SystemTime, Instant)) -> Report {
    let size = (!job.by_scripts).then_some(job.size);
    let mut report = Report::new(job.id.clone(), job.host.clone(), size, started.0);
    report.seconds = super::seconds(started.1.elapsed());
    let mut summaries = summaries.iter();
    for attempt in attempts {
        report.attempts.push(super::Attempt {
            attempt: attempt.number,
            outcome: outcome(&attempt.ending),
            exit_code: attempt.ending.exit(&attempt.ranks).0,
            started: clock::text(attempt.started),
            seconds: super::seconds(attempt.lasted),
            survivors: attempt.survivors.clone(),
            ranks: attempt.ranks.iter().map(|it| rank(it, summaries.next())).collect(),
        });
    }
    if let Some(attempt) = attempts.last() {
        report.outcome = outcome(&attempt.ending);
        report.exit_code = attempt.ending.exit(&attempt.ranks).0;
        report.cause = (attempt.ending != Ending::Succeeded).then(|| attempt.ending.text(&attempt.ranks, job));
        report.hint = hint(&attempt.ending, &attempt.ranks);
    }
    report
}

/// The closing block, a line each.
pub fn block(job: &Job, report: &Report, attempts: &[Attempt], started: Instant) -> Vec<String> {
    let Some(attempt) = attempts.last() else { return Vec::new() };
    let lasted = units::shown(started.elapsed());
    let times = match attempts.len() {
        1 => String::new(),
        n => format!(", at the {n}. attempt"),
    };
    let Some(cause) = &report.cause else {
        return vec![format!("SUCCEEDED in {lasted}{times}: {}", attempt.ending.text(&attempt.ranks, job))];
    };
    let mut block = vec![format!("FAILED with exit code {} in {lasted}{times}: {cause}", report.exit_code)];
    if let Ending::Failed(index) = attempt.ending {
        let first = &attempt.ranks[index];
        block.extend(first.ended.map(|it| format!("  ended    {}", clock::text(it.wall))));
        block.push(format!("  log      {}", first.log.display()));
        block.push(match first.last_lines.len() {
            0 => "  it wrote nothing".to_owned(),
            1 => "  its last line:".to_owned(),
            n => format!("  its last {n} lines:"),
        });
        block.extend(first.last_lines.iter().map(|line| format!("  | {line}")));
        let others = attempt.ranks.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, it)| it);
        block.extend(others.filter(|it| it.outcome() == RankOutcome::Failed).filter_map(|it| {
            let (rank, end, log) = (it.rank.rank, it.ended?.end, it.log.display());
            Some(format!("  in the same moment rank {rank} {end}, log {log}"))
        }));
    }
    block.extend(stopped(attempt, job));
    block.extend(attempt.survivors.iter().map(|it| format!("  still there: {it}")));
    block.extend(report.hint.as_ref().map(|it| format!("  hint: {it}")));
    block
}

/// The ranks that the launcher stopped, those that ended in the same way on one line.
fn stopped(attempt: &Attempt, job: &Job) -> Vec<String> {
    let mut ways: Vec<(String, Vec<u32>)> = Vec::new();
    for it in attempt.ranks.iter().filter(|it| it.outcome() == RankOutcome::Stopped) {
        let Some(ended) = it.ended else { continue };
        let way = ended.end.to_string();
        match ways.iter_mut().find(|known| known.0 == way) {
            Some(known) => known.1.push(it.rank.rank),
            None => ways.push((way, vec![it.rank.rank])),
        }
    }
    let line = |(way, ranks): (String, Vec<u32>)| {
        let ranks = job.who(&ranks);
        format!("  stopped  {ranks} by the launcher: {}", way.replacen("was ", "", 1))
    };
    ways.into_iter().map(line).collect()
}

fn hint(ending: &Ending, ranks: &[Watched]) -> Option<String> {
    match ending {
        Ending::Failed(index) => hints::hint(&ranks[*index].last_lines),
        Ending::NotStarted(index, _) => ranks[*index].not_started.as_ref()?.hint().map(str::to_owned),
        _ => None,
    }
}

fn outcome(ending: &Ending) -> Outcome {
    match ending {
        Ending::Succeeded => Outcome::Succeeded,
        Ending::Failed(_) => Outcome::Failed,
        Ending::Terminated(_) => Outcome::Terminated,
        Ending::Stalled(_) => Outcome::Stalled,
        Ending::NotStarted(..) => Outcome::NotStarted,
    }
}

fn rank(watched: &Watched, summary: Option<&Summary>) -> super::Rank {
    let (code, signal) = watched.ended.map_or((None, None), |it| super::code_and_signal(it.end));
    super::Rank {
        rank: watched.rank.rank,
        local_rank: watched.rank.local,
        device: watched.rank.device,
        pid: watched.pid,
        outcome: watched.outcome(),
        code,
        signal,
        out_of_memory: watched.ended.is_some_and(|it| it.out_of_memory),
        ended: watched.ended.map(|it| clock::text(it.wall)),
        seconds: watched.ended.map(|it| super::seconds(it.at - watched.started)),
        log: summary.map_or(&watched.log, |it| &it.file).display().to_string(),
        log_parts: summary.map_or(0, |it| it.parts),
        log_bytes: summary.map_or(0, |it| it.bytes),
        log_bytes_lost: summary.map_or(0, |it| it.bytes_lost),
        log_trouble: summary.and_then(|it| it.trouble.clone()),
        console_lines_skipped: summary.map_or(0, |it| it.console_lines_lost),
        last_lines: watched.last_lines.clone(),
    }
}
