//! Why the job ended: the first failure of all, by time, that is not the consequence of another.

use std::cmp::Reverse;

use serde::Serialize;

use super::nodes::Node;
use crate::clock::Moment;
use crate::ranks::rank::{Outcome, RankOutcome};

/// How the job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobOutcome {
    /// All ranks that are reported succeeded, and others are not reported.
    Incomplete,
    /// As the node at fault; as all where none is.
    #[serde(untagged)]
    Reported(Outcome),
}

/// Why the job ended, as far as its reports tell.
#[derive(Debug)]
pub struct Cause {
    pub outcome: JobOutcome,
    /// In a sentence.
    pub text: String,
    pub culprit: Option<Culprit>,
    /// Why the choice may be wrong.
    pub doubt: Option<String>,
    pub is_uncertain: bool,
}

/// Where it began.
#[derive(Debug, Clone, Copy)]
pub struct Culprit {
    pub node: usize,
    /// Its place among the ranks of the last attempt; `None` where the node failed as a whole.
    pub rank: Option<usize>,
    /// It tells of the end of another rank itself.
    pub is_follower: bool,
}

/// A failure; the first in order counts: one that does not follow from another, then by time, then one that was not killed by
/// a signal, then that of the lowest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    is_follower: bool,
    /// Milliseconds since 1970, or since the start of its node.
    at: u64,
    is_by_signal: bool,
    number: u32,
    rank: Option<usize>,
}

/// Puts the nodes in the order in which they are to be looked at, and says why the job ended. Where the clocks differ, times
/// count from the start of each node: all ranks of a job start together. `twice` says which ranks ran in two places at once:
/// no job succeeds so, whatever its ranks ended with.
pub fn sort_and_find(nodes: &mut [Node], clocks_differ: bool, missing: Option<&str>, twice: Option<String>) -> Cause {
    let event = |node: &Node| event(node, clocks_differ);
    let failures = nodes.iter().filter(|node| event(node).is_some()).count();
    nodes.sort_by_cached_key(|node| {
        let event = event(node);
        // Those without a failure behind the others: stopped ones, then those that succeeded.
        (event.is_none(), event, node.report.outcome == Outcome::Succeeded, node.ranks().first().map(|it| it.rank))
    });
    let Some((node, event)) = nodes.first().and_then(|node| Some((node, event(node)?))) else {
        return without_failure(nodes, missing, twice);
    };
    let elsewhere = || {
        match missing {
        Some(those) => format!("every failure follows from the end of another rank: the cause may be in the missing reports of {those}"),
        None => "every failure follows from the end of another rank, and no report has the cause: see the logs of ranks that were stopped".to_owned(),
    }
    };
    let is_uncertain = clocks_differ && failures > 1;
    let doubt = twice.or_else(|| event.is_follower.then(elsewhere)).or_else(|| {
        is_uncertain.then(|| "the clocks of the nodes differ, so another node may have failed first".to_owned())
    });
    Cause {
        outcome: JobOutcome::Reported(node.report.outcome),
        text: node.report.cause.clone().unwrap_or_else(|| node.counts()),
        culprit: Some(Culprit { node: 0, rank: event.rank, is_follower: event.is_follower }),
        doubt,
        is_uncertain,
    }
}

/// The first failure of a node.
fn event(node: &Node, from_own_start: bool) -> Option<Event> {
    let base = if from_own_start { node.started().map_or(0, |it| it.millis) } else { 0 };
    let at = |moment: Moment| moment.millis.saturating_sub(base);
    let with = |outcome: RankOutcome| node.ranks().iter().enumerate().filter(move |(_, it)| it.outcome == outcome);
    let failed = with(RankOutcome::Failed).map(|(rank, it)| Event {
        is_follower: it.follower,
        at: at(it.ended.unwrap_or(node.ended())),
        is_by_signal: it.signal.is_some(),
        number: it.rank,
        rank: Some(rank),
    });
    let not_started = with(RankOutcome::NotStarted).map(|(rank, it)| Event {
        is_follower: false,
        at: at(node.started().unwrap_or(node.ended())),
        is_by_signal: false,
        number: it.rank,
        rank: Some(rank),
    });
    let is_whole = matches!(node.report.outcome, Outcome::Stalled | Outcome::LauncherKilled | Outcome::NotSaved);
    let whole = is_whole.then(|| Event {
        is_follower: false,
        at: at(node.ended()),
        is_by_signal: false,
        number: node.ranks().first().map_or(u32::MAX, |it| it.rank),
        rank: None,
    });
    failed.chain(not_started).chain(whole).min()
}

/// Where no rank has failed by itself.
fn without_failure(nodes: &[Node], missing: Option<&str>, twice: Option<String>) -> Cause {
    let stopped =
        nodes.iter().filter(|it| it.report.outcome != Outcome::Succeeded).max_by_key(|it| Reverse(it.ended()));
    let ranks: usize = nodes.iter().map(|it| it.ranks().len()).sum();
    let (outcome, text) = match (stopped, twice) {
        (_, Some(twice)) => (JobOutcome::Reported(Outcome::Failed), twice),
        (None, None) => {
            let outcome = missing.map_or(JobOutcome::Reported(Outcome::Succeeded), |_| JobOutcome::Incomplete);
            (outcome, format!("all {ranks} ranks that are reported succeeded"))
        }
        (Some(node), None) => {
            let cause = node.report.cause.as_deref().unwrap_or("stopped");
            (JobOutcome::Reported(node.report.outcome), format!("{cause}, the first of all nodes on {}", node.host()))
        }
    };
    let doubt = missing.map(|those| match stopped {
        None => format!("what became of {those} is not known"),
        Some(_) => {
            format!("no rank that is reported has failed: the cause may be in the missing reports of {those}")
        }
    });
    Cause { outcome, text, culprit: None, doubt, is_uncertain: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joined::tests::{joined, moment, moved, report, stopped};
    use crate::report::shape::Report;

    /// Which node, by its number, and rank is at fault.
    fn check(reports: Vec<Report>, expect: Option<(&str, u32)>) -> Cause {
        let joined = joined(reports);
        let culprit = joined.cause.culprit.map(|it| {
            let node = &joined.nodes[it.node];
            (node.file.to_str().unwrap(), node.ranks()[it.rank.unwrap()].rank)
        });
        assert_eq!(culprit, expect);
        joined.cause
    }

    #[test]
    fn the_first_failure_that_follows_from_no_other_is_the_cause() {
        let of = |first: u32, seconds| moved(report("j", &format!("h{first}"), &[first, first + 1]), seconds);
        let follower = |mut report: Report| {
            report.attempts[0].ranks[0].follower = true;
            report
        };
        let by_signal = |mut report: Report| {
            report.attempts[0].ranks[0].signal = Some("SIGKILL".to_owned());
            report
        };
        check(vec![of(0, 1), of(8, 0)], Some(("1.json", 8)));
        // In the same millisecond.
        check(vec![of(8, 0), of(0, 0)], Some(("1.json", 0)));
        check(vec![by_signal(of(0, 0)), of(8, 0)], Some(("1.json", 8)));
        check(vec![by_signal(of(0, 0)), of(8, 1)], Some(("0.json", 0)));
        let cause = check(vec![follower(of(0, 0)), of(8, 30)], Some(("1.json", 8)));
        assert!(cause.doubt.is_none());
        let cause = check(vec![follower(of(0, 5)), follower(of(2, 0))], Some(("1.json", 2)));
        assert!(
            cause.doubt.is_some_and(|it| it.contains("every failure follows"))
                && cause.outcome == JobOutcome::Reported(Outcome::Failed)
        );
        let cause = check(vec![stopped("j", "h", &[0, 1])], None);
        assert_eq!(
            (cause.outcome, cause.text.as_str()),
            (JobOutcome::Reported(Outcome::Terminated), "stopped from outside by SIGTERM, the first of all nodes on h")
        );
    }

    #[test]
    fn clocks_that_differ_leave_a_doubt() {
        let of = |first: u32, seconds| moved(report("j", &format!("h{first}"), &[first]), seconds);
        // By the clocks it would be the other.
        let mut late = of(8, -7200);
        let ended = &mut late.attempts[0].ranks[0].ended;
        *ended = ended.map(|it| Moment { millis: it.millis + 1000 });
        let cause = check(vec![of(0, 0), late], Some(("0.json", 0)));
        assert!(cause.is_uncertain && cause.doubt.is_some(), "{cause:?}");
        let cause =
            check(vec![of(0, 0), stopped("j", "h", &[8]), moved(stopped("j", "x", &[9]), 7200)], Some(("0.json", 0)));
        assert!(!cause.is_uncertain, "{cause:?}");
    }

    #[test]
    fn a_node_that_fails_as_a_whole_may_be_the_cause() {
        let killed = Report {
            outcome: Outcome::LauncherKilled,
            ended: Some(moment(30.0)),
            attempts: Vec::new(),
            rank_size: None,
            cause: Some("the launcher itself (pid 7) was killed by SIGKILL".to_owned()),
            ..report("j", "h", &[0])
        };
        let joined = joined(vec![report("j", "h0", &[0, 1]), killed]);
        let outcome = JobOutcome::Reported(Outcome::LauncherKilled);
        assert_eq!((joined.cause.outcome, joined.cause.culprit.unwrap().rank), (outcome, None));
        assert!(joined.cause.text.starts_with("the launcher itself"));
    }
}
