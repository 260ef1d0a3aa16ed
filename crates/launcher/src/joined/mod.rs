//! `fmtk-launch report`: the reports of all nodes of a job, joined into one text or page.
//!
//! Reading, joining and showing are apart: [`read`] takes files, which may be anything; [`Joined`] is a pure value of their
//! reports; [`text`] and [`html`] show it.

mod cause;
mod html;
mod nodes;
mod read;
mod text;
mod timeline;

use std::path::{Path, PathBuf};

use serde_json::json;

use self::cause::Cause;
use self::nodes::Node;
use crate::clock::Moment;
use crate::exit::{Exit, Failure};
use crate::report::file;
use crate::report::shape::Report;
use crate::show::print;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Files, and folders of them.
    pub paths: Vec<PathBuf>,
    /// The only job that counts.
    pub job: Option<String>,
    /// Where the page goes.
    pub html: Option<PathBuf>,
    pub json: bool,
}

/// A report and where it was found.
#[derive(Debug)]
pub struct Source {
    pub file: PathBuf,
    pub report: Report,
}

/// The reports of a job as one.
#[derive(Debug)]
pub struct Joined {
    pub job: Option<String>,
    /// Those to be looked at first in front.
    pub nodes: Vec<Node>,
    /// Where the time line begins; `None` where the clocks of the nodes differ: then each node's begins with its own start.
    pub origin: Option<Moment>,
    /// Milliseconds from there to the last end.
    pub span: u64,
    pub cause: Cause,
    /// What no report is of, as text: `ranks 2-3`.
    pub missing: Option<String>,
    /// What the reader has to know.
    pub notes: Vec<String>,
}

/// Joins reports and shows them.
///
/// # Errors
///
/// With exit code 2 where something is not a report, or not of this job; all that is wrong is told.
pub fn run(request: &Request) -> Result<Exit, Failure> {
    let wrong = |lines: Vec<String>, hint: &str| {
        Failure::new(Exit::USAGE, format!("{}\nhint: {hint}", lines.join("\nerror: ")))
    };
    // Its folder is made, as that of `--report`.
    if let Some(path) = &request.html
        && let Err(error) = file::check(path, false)
    {
        let text = format!("the page can't be written to `{}`: {error}", path.display());
        return Err(wrong(vec![text], "`--html` takes a file in a folder that can be written to"));
    }
    if let Some(path) = request.html.as_deref().filter(|it| is_report(it, &request.paths)) {
        let text = format!("the page would overwrite `{}`, which looks like a report", path.display());
        return Err(wrong(vec![text], "`--html PAGE` takes the name of the page first, then the reports follow"));
    }
    let sources = read::all(&request.paths).map_err(|lines| {
        wrong(lines, "name the reports of one job: `<job>-report-rank-<N>.json`, or the folders that have them")
    })?;
    let sources = of_one_job(sources, request.job.as_deref())
        .map_err(|lines| wrong(lines, "`--job ID` takes the reports of one of them alone"))?;
    let joined = Joined::new(sources);
    if let Some(path) = &request.html {
        let failed =
            |error| Failure::new(Exit::FAILURE, format!("failed to write the page `{}`: {error}", path.display()));
        file::write(path, html::page(&joined).as_bytes()).map_err(failed)?;
    }
    print(&if request.json { json(&joined) } else { text::text(&joined) })
}

/// Whether a page of that name would take a report's place, as where its name was forgotten: `--html logs/*.json`.
fn is_report(page: &Path, inputs: &[PathBuf]) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    page.extension().is_some_and(|it| it == "json")
        || real(page).is_some_and(|page| inputs.iter().any(|it| real(it).as_ref() == Some(&page)))
}

/// The reports of the job. Errors: there are several jobs, or none of that name.
fn of_one_job(sources: Vec<Source>, job: Option<&str>) -> Result<Vec<Source>, Vec<String>> {
    let mut jobs: Vec<(&str, Vec<&Source>)> = Vec::new();
    for source in &sources {
        let Some(id) = source.report.job.as_deref() else { continue };
        match jobs.iter_mut().find(|(known, _)| *known == id) {
            Some((_, of)) => of.push(source),
            None => jobs.push((id, vec![source])),
        }
    }
    let told = |(id, of): &(&str, Vec<&Source>)| {
        let more = if of.len() > 1 { format!(" and {} more", of.len() - 1) } else { String::new() };
        format!("`{}`{more}: of the job `{id}`", of[0].file.display())
    };
    match job {
        None if jobs.len() > 1 => Err([format!("these are reports of {} jobs", jobs.len())]
            .into_iter()
            .chain(jobs.iter().map(told))
            .collect()),
        Some(job) if !jobs.iter().any(|(id, _)| *id == job) => {
            Err([format!("no report is of the job `{job}`")].into_iter().chain(jobs.iter().map(told)).collect())
        }
        _ => {
            let is_wanted = |it: &Source| job.is_none() || it.report.job.is_none() || it.report.job.as_deref() == job;
            Ok(sources.into_iter().filter(is_wanted).collect())
        }
    }
}

impl Joined {
    pub fn new(sources: Vec<Source>) -> Joined {
        let job = sources.iter().find_map(|it| it.report.job.clone());
        let (mut nodes, mut notes, mut twice) = nodes::of(sources);
        let clocks = nodes::differing_clocks(&nodes);
        let origin = if clocks.is_some() { None } else { nodes.iter().filter_map(Node::started).min() };
        notes.extend(clocks);
        for node in &mut nodes {
            node.origin = origin.or(node.started()).unwrap_or(Moment { millis: 0 });
        }
        let (missing, about_ranks) = nodes::missing(&nodes);
        notes.extend(about_ranks);
        twice.extend(nodes::overlapping(&nodes));
        let twice = (!twice.is_empty()).then(|| twice.join("; "));
        let cause = cause::sort_and_find(&mut nodes, origin.is_none(), missing.as_deref(), twice);
        let span = nodes.iter().map(|node| node.after(node.ended())).max().unwrap_or(0);
        Joined { job, nodes, origin, span, cause, missing, notes }
    }
}

/// For other programs.
fn json(joined: &Joined) -> String {
    let Cause { outcome, culprit, is_uncertain, .. } = &joined.cause;
    let culprit = culprit.map(|culprit| {
        let node = &joined.nodes[culprit.node];
        let rank = culprit.rank.map(|at| &node.ranks()[at]);
        json!({
            "host": node.report.host,
            "rank": rank.map(|it| it.rank),
            "ended": rank.and_then(|it| it.ended),
            "cause": node.report.cause,
            "hint": node.report.hint,
            "follower": culprit.is_follower,
            "log": rank.map(|it| &it.log),
            "plog": rank.and_then(|it| it.plog.as_ref()),
            "last_lines": rank.map(|it| &it.last_lines),
        })
    });
    let report = |node: &Node| json!({"file": node.file.to_string_lossy(), "report": node.report});
    let joined = json!({
        "version": 1,
        "job": joined.job,
        "outcome": outcome,
        "culprit": culprit,
        "uncertain": is_uncertain,
        "missing": joined.missing,
        "notes": joined.notes,
        "reports": joined.nodes.iter().map(report).collect::<Vec<_>>(),
    });
    format!("{joined:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::rank::{Outcome, RankOutcome};
    use crate::report::shape::{AttemptReport, RankReport, VERSION};

    /// 2026-01-01T00:00:00.000Z.
    pub const BEGIN: u64 = 1_767_225_600_000;

    pub fn moment(seconds: f64) -> Moment {
        Moment { millis: BEGIN + (seconds * 1000.0) as u64 }
    }

    /// That of a node whose first rank failed after a minute, and whose others were stopped by that.
    pub fn report(job: &str, host: &str, ranks: &[u32]) -> Report {
        let rank = |rank: &u32| RankReport {
            rank: *rank,
            local_rank: *rank % 8,
            device: *rank % 8,
            pid: Some(1000 + *rank as i32),
            outcome: if *rank == ranks[0] { RankOutcome::Failed } else { RankOutcome::Stopped },
            code: (*rank == ranks[0]).then_some(1),
            signal: (*rank != ranks[0]).then(|| "SIGTERM".to_owned()),
            out_of_memory: false,
            started: Some(moment(0.0)),
            first_output: Some(moment(3.0)),
            last_output: Some(moment(59.0)),
            ended: Some(moment(60.0 + f64::from(*rank != ranks[0]))),
            seconds: Some(60.0),
            log: format!("/log/{job}-proc-rank-{rank}-device-{}.txt", rank % 8),
            log_parts: 1,
            log_bytes: 1000,
            log_bytes_lost: 0,
            plog: None,
            log_trouble: None,
            console_lines_skipped: 0,
            follower: false,
            last_lines: if *rank == ranks[0] { vec!["ValueError: own".to_owned()] } else { Vec::new() },
        };
        Report {
            version: VERSION,
            launcher: "fmtk-launch 0.1.0".to_owned(),
            job: Some(job.to_owned()),
            host: Some(host.to_owned()),
            node: None,
            framework: None,
            outcome: Outcome::Failed,
            exit_code: 1,
            cause: Some(format!("rank {} (host {host}) exited with code 1 after 60.0 s", ranks[0])),
            hint: None,
            follower: Some(false),
            started: Some(moment(0.0)),
            ended: None,
            seconds: Some(66.0),
            rank_size: u32::try_from(ranks.len()).ok(),
            attempts: vec![AttemptReport {
                attempt: 1,
                outcome: Outcome::Failed,
                exit_code: 1,
                started: moment(0.0),
                seconds: 61.0,
                stall_seconds: None,
                scheduler: None,
                survivors: Vec::new(),
                ranks: ranks.iter().map(rank).collect(),
            }],
            sync: None,
        }
    }

    /// That of a node that was stopped from outside.
    pub fn stopped(job: &str, host: &str, ranks: &[u32]) -> Report {
        let mut report = report(job, host, ranks);
        report.outcome = Outcome::Terminated;
        report.cause = Some("stopped from outside by SIGTERM".to_owned());
        let attempt = &mut report.attempts[0];
        attempt.outcome = Outcome::Terminated;
        for rank in &mut attempt.ranks {
            (rank.outcome, rank.code, rank.signal) = (RankOutcome::Stopped, None, Some("SIGTERM".to_owned()));
            rank.last_lines.clear();
        }
        report
    }

    /// Moves everything in a report by so many seconds.
    pub fn moved(mut report: Report, seconds: i64) -> Report {
        let by = |moment: &mut Moment| moment.millis = moment.millis.saturating_add_signed(seconds * 1000);
        report.started.iter_mut().for_each(by);
        for attempt in &mut report.attempts {
            by(&mut attempt.started);
            for rank in &mut attempt.ranks {
                let moments = [&mut rank.started, &mut rank.first_output, &mut rank.last_output, &mut rank.ended];
                moments.into_iter().flatten().for_each(by);
            }
        }
        report
    }

    pub fn joined(reports: Vec<Report>) -> Joined {
        let source = |(number, report): (usize, Report)| Source { file: format!("{number}.json").into(), report };
        Joined::new(reports.into_iter().enumerate().map(source).collect())
    }

    /// That of a node whose ranks all succeeded.
    pub fn succeeded(job: &str, host: &str, ranks: &[u32], size: u32) -> Report {
        let mut report = report(job, host, ranks);
        (report.outcome, report.exit_code, report.cause, report.rank_size) = (Outcome::Succeeded, 0, None, Some(size));
        report.attempts[0].outcome = Outcome::Succeeded;
        for rank in &mut report.attempts[0].ranks {
            (rank.outcome, rank.code, rank.signal) = (RankOutcome::Succeeded, Some(0), None);
            rank.last_lines.clear();
        }
        report
    }

    /// In every way.
    pub fn show(reports: Vec<Report>) -> [String; 3] {
        let joined = joined(reports);
        [text::text(&joined), html::page(&joined), json(&joined)]
    }

    #[test]
    fn a_job_is_a_success_only_where_every_rank_is_reported_and_ran_once() {
        let of = |host: &str, ranks: &[u32]| succeeded("j", host, ranks, 4);
        let late = |report| moved(report, 30);
        for (reports, word, outcome, part) in [
            (
                vec![of("a", &[0, 1]), of("b", &[2, 3])],
                "SUCCEEDED",
                "succeeded",
                "all 4 ranks that are reported succeeded",
            ),
            (vec![of("a", &[0, 1])], "INCOMPLETE", "incomplete", "what became of ranks 2-3 is not known"),
            (
                vec![of("a", &[0, 1]), late(of("b", &[0, 1])), of("c", &[2, 3])],
                "FAILED",
                "failed",
                "ranks 0-1 ran twice at once, on `a` and on `b`",
            ),
            // Its own report of an earlier job of another size, or a second one.
            (
                vec![of("a", &[0, 1]), late(of("b", &[1, 2, 3]))],
                "FAILED",
                "failed",
                "rank 1 ran twice at once, on `a` and on `b`",
            ),
            (
                vec![stopped("j", "a", &[0, 1]), late(stopped("j", "b", &[0, 1]))],
                "FAILED",
                "failed",
                "ranks 0-1 ran twice at once, on `a` and on `b`",
            ),
            // One after the other.
            (
                vec![of("a", &[0, 1]), moved(of("b", &[0, 1]), 600), of("c", &[2, 3])],
                "SUCCEEDED",
                "succeeded",
                "as by a recovery in place",
            ),
        ] {
            let [text, page, json] = show(reports);
            assert!(text.starts_with(&format!("job j: {word}; ")) && text.contains(part), "{text}");
            assert!(page.contains(&format!(">{word}</span></h1>")) && page.contains(part), "{page}");
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["outcome"], outcome);
        }
        // What failed on its own still comes first.
        let [text, ..] = show(vec![report("j", "a", &[0, 1]), late(report("j", "b", &[0, 1]))]);
        assert!(text.contains("  cause    rank 0 (host b)") && text.contains("  but: ranks 0-1 ran twice"), "{text}");
    }

    #[test]
    fn reports_of_several_jobs_are_refused_by_name() {
        let sources = || {
            let of = [("a", "0"), ("b", "1"), ("b", "2")];
            let source = |(job, file): (&str, &str)| Source { file: file.into(), report: report(job, "h", &[0]) };
            of.map(source).into_iter().collect()
        };
        let wrong = of_one_job(sources(), None).unwrap_err();
        assert_eq!(wrong, ["these are reports of 2 jobs", "`0`: of the job `a`", "`1` and 1 more: of the job `b`"]);
        assert_eq!(of_one_job(sources(), Some("c")).unwrap_err()[0], "no report is of the job `c`");
        let files: Vec<_> = of_one_job(sources(), Some("b")).unwrap().into_iter().map(|it| it.file).collect();
        assert_eq!(files, ["1", "2"].map(PathBuf::from));
    }
}
