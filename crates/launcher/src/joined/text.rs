//! The joined report as text for a terminal.

use std::fmt::Write;
use std::time::Duration;

use super::cause::JobOutcome;
use super::nodes::Node;
use super::{Joined, timeline};
use crate::printable;
use crate::ranks::rank::{Outcome, RankOutcome};
use crate::units;

/// What became of a job, in one word.
pub fn word(outcome: JobOutcome) -> &'static str {
    let JobOutcome::Reported(outcome) = outcome else { return "INCOMPLETE" };
    match outcome {
        Outcome::Succeeded => "SUCCEEDED",
        Outcome::Terminated => "STOPPED",
        Outcome::Stalled => "STALLED",
        Outcome::Failed | Outcome::NotStarted | Outcome::NotSaved | Outcome::LauncherKilled => "FAILED",
    }
}

/// Milliseconds for people.
pub fn time(millis: u64) -> String {
    units::shown(Duration::from_millis(millis))
}

/// `128 nodes, 1024 ranks`.
pub fn size(joined: &Joined) -> String {
    let ranks: usize = joined.nodes.iter().map(|it| it.ranks().len()).sum();
    let s = |count| if count == 1 { "" } else { "s" };
    format!("{} node{}, {ranks} rank{}", joined.nodes.len(), s(joined.nodes.len()), s(ranks))
}

pub fn text(joined: &Joined) -> String {
    let mut text = String::new();
    // Names and lines of the ranks can't move the cursor, nor look like another line. Writing to memory does not fail.
    let mut put = |line: String| {
        let _ = writeln!(text, "{}", printable::line(&line));
    };
    let job = joined.job.as_deref().unwrap_or("of unknown name");
    put(format!("job {job}: {}; {}", word(joined.cause.outcome), size(joined)));
    put(format!("  cause    {}", joined.cause.text));
    if let Some(culprit) = joined.cause.culprit {
        let node = &joined.nodes[culprit.node];
        if let Some(rank) = culprit.rank.map(|at| &node.ranks()[at]) {
            rank.ended.iter().for_each(|it| put(format!("  ended    {it}")));
            put(format!("  log      {} on {}", rank.log, node.host()));
            rank.plog.iter().for_each(|it| put(format!("  plog     {it}")));
            rank.last_lines.iter().for_each(|it| put(format!("  | {it}")));
        }
        node.report.hint.iter().for_each(|it| put(format!("  hint: {it}")));
    }
    joined.cause.doubt.iter().for_each(|it| put(format!("  but: {it}")));
    joined.notes.iter().for_each(|it| put(format!("  note: {it}")));
    put(String::new());
    put(match joined.origin {
        Some(origin) => format!("time line from {origin} on"),
        None => "time line of each node from its own start on".to_owned(),
    });
    let row = |columns: [&str; 7]| {
        let [who, host, started, first, last, ended, how] = columns;
        format!("  {who:<18} {host:<20} {started:>12} {first:>12} {last:>12} {ended:>12}  {how}")
    };
    put(row(["ranks", "host", "started", "first output", "last output", "ended", "how"]));
    for node in &joined.nodes {
        put(row_of(node, &row));
        for line in timeline::lines(node) {
            let rank = line.rank;
            if !matches!(rank.outcome, RankOutcome::Failed | RankOutcome::NotStarted) {
                continue;
            }
            let at = |moment: Option<_>| moment.map(|it| time(node.after(it))).unwrap_or_default();
            let [started, first, last, ended] = [rank.started, rank.first_output, rank.last_output, rank.ended].map(at);
            let who = format!("  rank {}", rank.rank);
            put(row([&who, "", &started, &first, &last, &ended, &timeline::end(rank)]));
        }
    }
    text
}

fn row_of(node: &Node, row: &impl Fn([&str; 7]) -> String) -> String {
    let ranks = || node.ranks().iter();
    let at = |moment: Option<_>| moment.map(|it| time(node.after(it))).unwrap_or_default();
    let started = at(ranks().filter_map(|it| it.started).min().or(node.started()));
    let first = at(ranks().filter_map(|it| it.first_output).min());
    let last = at(ranks().filter_map(|it| it.last_output).max());
    let attempts = match node.report.attempts.last().map_or(1, |it| it.attempt) {
        1 => String::new(),
        number => format!(" on attempt {number}"),
    };
    let how = format!("{}{attempts}", node.counts());
    row([&node.who(), node.host(), &started, &first, &last, &at(Some(node.ended())), &how])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::joined::tests::{moved, report, show, stopped};

    #[test]
    fn the_cause_comes_first() {
        let mut failed = report("j", "10.0.0.2", &[2, 3]);
        failed.rank_size = Some(6);
        failed.hint = Some("a\x1b[2Jhint".to_owned());
        failed.attempts[0].ranks[0].plog = Some("/plog/x.log".to_owned());
        let [text, ..] = show(vec![moved(stopped("j", "10.0.0.1", &[0, 1]), 2), failed]);
        expect![[r#"
            job j: FAILED; 2 nodes, 4 ranks
              cause    rank 2 (host 10.0.0.2) exited with code 1 after 60.0 s
              ended    2026-01-01T00:01:00.000Z
              log      /log/j-proc-rank-2-device-2.txt on 10.0.0.2
              plog     /plog/x.log
              | ValueError: own
              hint: a\u{1b}[2Jhint
              note: the reports disagree about the number of ranks: 2 and 6
              note: the job has 6 ranks, and no report has 4-5: the reports of their nodes are missing

            time line from 2026-01-01T00:00:00.000Z on
              ranks              host                      started first output  last output        ended  how
              ranks 2-3          10.0.0.2                    0.0 s        3.0 s       59.0 s    1 min 1 s  1 failed, 1 stopped
                rank 2                                       0.0 s        3.0 s       59.0 s    1 min 0 s  exited with code 1
              ranks 0-1          10.0.0.1                    2.0 s        5.0 s    1 min 1 s    1 min 3 s  2 stopped from outside
        "#]]
        .assert_eq(&text);
    }
}
