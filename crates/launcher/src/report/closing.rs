//! From what was seen to the report, and to the closing block that people read.

use std::time::{Instant, SystemTime};

use crate::clock;
use crate::job::Job;
use crate::output::{Output, Summary};
use crate::ranks::rank::{Ending, Watched};
use crate::ranks::supervise::Attempt;
use crate::report::hints;
use crate::report::{self, Outcome, RankOutcome, Report};
use crate::units;

/// The last lines of the ranks that failed, which are gone when the output is closed.
#[derive(Debug)]
pub struct LastLines(Vec<(usize, Vec<String>)>);

impl LastLines {
    /// Those of an attempt.
    pub fn of(attempt: &Attempt, output: &Output) -> LastLines {
        let failed = attempt.ranks.iter().enumerate().filter(|(_, it)| outcome_of(it) == RankOutcome::Failed);
        LastLines(failed.map(|(index, it)| (index, output.tail(it.sink))).collect())
    }

    fn get(&self, index: usize) -> &[String] {
        self.0.iter().find(|it| it.0 == index).map_or(&[], |it| &it.1)
    }
}

/// The report of all attempts. `summaries` are in the order in which the ranks were opened, attempt by attempt.
pub fn report(
    job: &Job,
    attempts: &[(Attempt, LastLines)],
    summaries: &[Summary],
    started: (SystemTime, Instant),
) -> Report {
    let size = (!job.by_scripts).then_some(job.size);
    let mut report = Report::new(job.id.clone(), job.host.clone(), size, started.0);
    report.seconds = report::seconds(started.1.elapsed());
    let mut summaries = summaries.iter();
    for (attempt, lines) in attempts {
        let ranks: Vec<report::Rank> = (attempt.ranks.iter().enumerate())
            .map(|(index, it)| rank(it, lines.get(index), summaries.next()))
            .collect();
        report.attempts.push(report::Attempt {
            attempt: attempt.number,
            outcome: outcome(&attempt.ending),
            exit_code: attempt.ending.exit(&attempt.ranks).0,
            started: clock::text(attempt.started),
            seconds: report::seconds(attempt.lasted),
            survivors: attempt.survivors.clone(),
            ranks,
        });
    }
    if let Some((attempt, lines)) = attempts.last() {
        report.outcome = outcome(&attempt.ending);
        report.exit_code = attempt.ending.exit(&attempt.ranks).0;
        report.cause = (attempt.ending != Ending::Succeeded).then(|| attempt.ending.text(&attempt.ranks, job));
        report.hint = hint(&attempt.ending, &attempt.ranks, lines);
    }
    report
}

/// The closing block, a line each.
pub fn block(job: &Job, attempts: &[(Attempt, LastLines)], started: Instant) -> Vec<String> {
    let Some((attempt, lines)) = attempts.last() else { return Vec::new() };
    let lasted = units::shown(started.elapsed());
    let cause = attempt.ending.text(&attempt.ranks, job);
    let times = match attempts.len() {
        1 => String::new(),
        n => format!(", at the {n}. attempt"),
    };
    if attempt.ending == Ending::Succeeded {
        return vec![format!("SUCCEEDED in {lasted}{times}: {cause}")];
    }
    let code = attempt.ending.exit(&attempt.ranks).0;
    let mut block = vec![format!("FAILED with exit code {code} in {lasted}{times}: {cause}")];
    if let Ending::Failed(index) = attempt.ending {
        let first = &attempt.ranks[index];
        if let Some(ended) = first.ended {
            block.push(format!("  ended    {}", clock::text(ended.wall)));
        }
        block.push(format!("  log      {}", first.log.display()));
        let lines = lines.get(index);
        block.push(match lines.len() {
            0 => "  it wrote nothing".to_owned(),
            1 => "  its last line:".to_owned(),
            n => format!("  its last {n} lines:"),
        });
        block.extend(lines.iter().map(|line| format!("  | {line}")));
        let others =
            attempt.ranks.iter().enumerate().filter(|(at, it)| *at != index && outcome_of(it) == RankOutcome::Failed);
        for (_, it) in others {
            if let Some(ended) = it.ended {
                block.push(format!(
                    "  in the same moment rank {} {}, log {}",
                    it.rank.rank,
                    ended.end,
                    it.log.display()
                ));
            }
        }
    }
    block.extend(stopped(attempt, job));
    block.extend(attempt.survivors.iter().map(|it| format!("  still there: {it}")));
    block.extend(hint(&attempt.ending, &attempt.ranks, lines).map(|it| format!("  hint: {it}")));
    block
}

/// The ranks that the launcher stopped, those that ended in the same way on one line.
fn stopped(attempt: &Attempt, job: &Job) -> Vec<String> {
    let mut ways: Vec<(String, Vec<u32>)> = Vec::new();
    for it in attempt.ranks.iter().filter(|it| outcome_of(it) == RankOutcome::Stopped) {
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

fn hint(ending: &Ending, ranks: &[Watched], lines: &LastLines) -> Option<String> {
    match ending {
        Ending::Failed(index) => hints::hint(lines.get(*index)),
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

fn outcome_of(watched: &Watched) -> RankOutcome {
    match watched.ended {
        None if watched.pid.is_none() => RankOutcome::NotStarted,
        // It could not be killed.
        None => RankOutcome::Stopped,
        Some(ended) if ended.stopped => RankOutcome::Stopped,
        Some(ended) if ended.end == crate::ranks::reap::End::Code(0) => RankOutcome::Succeeded,
        Some(_) => RankOutcome::Failed,
    }
}

fn rank(watched: &Watched, lines: &[String], summary: Option<&Summary>) -> report::Rank {
    let (code, signal) = watched.ended.map_or((None, None), |it| report::code_and_signal(it.end));
    report::Rank {
        rank: watched.rank.rank,
        local_rank: watched.rank.local,
        device: watched.rank.device,
        pid: watched.pid,
        outcome: outcome_of(watched),
        code,
        signal,
        out_of_memory: watched.ended.is_some_and(|it| it.out_of_memory),
        ended: watched.ended.map(|it| clock::text(it.wall)),
        seconds: watched.ended.map(|it| report::seconds(it.at - watched.started)),
        log: summary.map_or(&watched.log, |it| &it.file).display().to_string(),
        log_parts: summary.map_or(0, |it| it.parts),
        log_bytes: summary.map_or(0, |it| it.bytes),
        log_bytes_lost: summary.map_or(0, |it| it.bytes_lost),
        log_trouble: summary.and_then(|it| it.trouble.clone()),
        console_lines_skipped: summary.map_or(0, |it| it.console_lines_lost),
        last_lines: lines.to_vec(),
    }
}
