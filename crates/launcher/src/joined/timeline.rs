//! The time line of each rank: when it was silent, when it was heard of, when it stood still, and where it ended.

use super::nodes::{Node, later};
use crate::ranks::rank::{Outcome, RankOutcome};
use crate::report::shape::RankReport;

/// What a rank did for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From its start to its first output.
    Starting,
    /// From its first output to its last.
    Heard,
    /// From its last output to its end.
    Quiet,
    /// The same, where standing still was the end.
    Stalled,
}

/// A part of a time line, in milliseconds from where that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub from: u64,
    pub to: u64,
    pub kind: Kind,
}

/// The time line of one rank: its parts over all attempts.
#[derive(Debug)]
pub struct Line<'a> {
    /// As it ended.
    pub rank: &'a RankReport,
    pub parts: Vec<Part>,
}

/// The time lines of a node's ranks, those that failed first.
pub fn lines(node: &Node) -> Vec<Line<'_>> {
    let parts = |number: u32| {
        node.report.attempts.iter().flat_map(move |attempt| {
            let is_stalled = attempt.outcome == Outcome::Stalled;
            let ends = later(attempt.started, attempt.seconds);
            let of = attempt.ranks.iter().find(|it| it.rank == number && it.pid.is_some());
            of.into_iter().flat_map(move |it| {
                let started = node.after(it.started.unwrap_or(attempt.started));
                let ended = node.after(it.ended.unwrap_or(ends)).max(started);
                let first = it.first_output.map_or(ended, |moment| node.after(moment)).clamp(started, ended);
                let last = it.last_output.map_or(first, |moment| node.after(moment)).clamp(first, ended);
                let still = if is_stalled && it.outcome == RankOutcome::Stopped { Kind::Stalled } else { Kind::Quiet };
                let parts = [(started, first, Kind::Starting), (first, last, Kind::Heard), (last, ended, still)];
                parts.map(|(from, to, kind)| Part { from, to, kind }).into_iter().filter(|it| it.from < it.to)
            })
        })
    };
    let mut lines: Vec<Line> =
        node.ranks().iter().map(|rank| Line { rank, parts: parts(rank.rank).collect() }).collect();
    lines.sort_by_key(|it| (!matches!(it.rank.outcome, RankOutcome::Failed | RankOutcome::NotStarted), it.rank.rank));
    lines
}

/// How a rank ended, for people.
pub fn end(rank: &RankReport) -> String {
    let how = match (&rank.signal, rank.code) {
        (Some(signal), _) => format!("killed by {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) if rank.outcome == RankOutcome::NotStarted => "not started".to_owned(),
        (None, None) => "could not be killed".to_owned(),
    };
    match rank.outcome {
        _ if rank.follower => format!("{how}, after the end of another rank"),
        RankOutcome::Failed if rank.out_of_memory => format!("{how}: the kernel was out of memory"),
        RankOutcome::Stopped => format!("stopped: {how}"),
        _ => how,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joined::tests::{joined, moment, report};

    #[test]
    fn a_line_has_what_a_rank_did() {
        let mut report = report("j", "h", &[0, 1, 2]);
        report.attempts[0].outcome = Outcome::Stalled;
        let [failed, stalled, silent] = &mut report.attempts[0].ranks[..] else { panic!() };
        (failed.last_output, failed.ended) = (Some(moment(20.0)), Some(moment(10.0)));
        stalled.last_output = Some(moment(31.0));
        (silent.first_output, silent.last_output) = (None, None);
        let joined = joined(vec![report]);
        let shown: Vec<String> =
            lines(&joined.nodes[0]).iter().map(|line| format!("{} {:?}", line.rank.rank, line.parts)).collect();
        let part = |from, to, kind| Part { from, to, kind };
        let expect = [
            (0, vec![part(0, 3000, Kind::Starting), part(3000, 10_000, Kind::Heard)]),
            (
                1,
                vec![
                    part(0, 3000, Kind::Starting),
                    part(3000, 31_000, Kind::Heard),
                    part(31_000, 61_000, Kind::Stalled),
                ],
            ),
            (2, vec![part(0, 61_000, Kind::Starting)]),
        ];
        assert_eq!(shown, expect.map(|(rank, parts)| format!("{rank} {parts:?}")));
    }
}
