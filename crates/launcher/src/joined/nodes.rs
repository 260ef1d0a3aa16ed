//! The nodes of a job: each with the last report that it has, and what is odd about them all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Source;
use crate::clock::Moment;
use crate::ranks::rank::{Outcome, RankOutcome};
use crate::report::shape::{RankReport, Report};
use crate::units;

/// Nodes of a job start within minutes of each other: those that come late wait for the others, and these give up.
const APART: u64 = 60 * 60 * 1000;

/// Things that are listed one by one; beyond that they are counted.
const LISTED: usize = 8;

/// A node and its report.
#[derive(Debug)]
pub struct Node {
    pub file: PathBuf,
    pub report: Report,
    /// Where its time line begins.
    pub origin: Moment,
}

impl Node {
    /// The ranks of the last attempt.
    pub fn ranks(&self) -> &[RankReport] {
        self.report.attempts.last().map_or(&[], |it| &it.ranks)
    }

    pub fn host(&self) -> &str {
        self.report.host.as_deref().unwrap_or("host unknown")
    }

    /// Its ranks for people.
    pub fn who(&self) -> String {
        let mut numbers: Vec<u32> = self.ranks().iter().map(|it| it.rank).collect();
        numbers.sort_unstable();
        match numbers[..] {
            [] => "no ranks".to_owned(),
            // What starts the ranks itself has its node's number.
            [number] if self.report.rank_size.is_none() => format!("node {number}"),
            _ => units::ranks(&numbers),
        }
    }

    /// When its ranks were first started, or itself where they were not.
    pub fn started(&self) -> Option<Moment> {
        self.report.attempts.first().map(|it| it.started).or(self.report.started)
    }

    /// When its ranks were gone.
    pub fn ended(&self) -> Moment {
        let last = self.report.attempts.last();
        let ended = last.map(|it| later(it.started, it.seconds)).or(self.report.ended);
        ended.or(self.report.started).unwrap_or(self.origin)
    }

    /// Milliseconds from where its time line begins.
    pub fn after(&self, moment: Moment) -> u64 {
        moment.millis.saturating_sub(self.origin.millis)
    }

    /// How many of its ranks ended in each way, for people: `1 failed, 7 stopped`.
    pub fn counts(&self) -> String {
        let words = [
            (RankOutcome::Failed, "failed"),
            (RankOutcome::NotStarted, "not started"),
            (RankOutcome::Stopped, "stopped"),
            (RankOutcome::Succeeded, "succeeded"),
        ];
        let count = |outcome| self.ranks().iter().filter(|it| it.outcome == outcome).count();
        let parts = words.map(|(outcome, word)| (count(outcome), word)).into_iter().filter(|it| it.0 > 0);
        let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
        match self.report.outcome {
            _ if parts.is_empty() => "the launcher was killed".to_owned(),
            Outcome::Stalled => format!("{}: stalled", parts.join(", ")),
            Outcome::Terminated => format!("{} from outside", parts.join(", ")),
            Outcome::NotSaved => format!("{}, output not saved", parts.join(", ")),
            _ => parts.join(", "),
        }
    }
}

/// A moment and so many seconds, whatever they are.
pub fn later(moment: Moment, seconds: f64) -> Moment {
    // A float becomes the nearest whole number that there is.
    Moment { millis: moment.millis.saturating_add((seconds * 1000.0) as u64) }
}

/// The nodes, each with its last report; what is to be said about those that have several; and which ran twice at once.
pub fn of(sources: Vec<Source>) -> (Vec<Node>, Vec<String>, Vec<String>) {
    let mut by_ranks: BTreeMap<Vec<u32>, Vec<Node>> = BTreeMap::new();
    let (mut nodes, mut notes, mut twice) = (Vec::new(), Vec::new(), Vec::new());
    for Source { file, report } in sources {
        let node = Node { file, report, origin: Moment { millis: 0 } };
        let mut ranks: Vec<u32> = node.ranks().iter().map(|it| it.rank).collect();
        ranks.sort_unstable();
        if ranks.is_empty() {
            nodes.push(node);
        } else {
            by_ranks.entry(ranks).or_default().push(node);
        }
    }
    for (_, mut of) in by_ranks {
        of.sort_by_key(|it| it.started());
        let Some(last) = of.pop() else { continue };
        notes.extend(of.iter().map(|earlier| about(earlier, &last)));
        let at_once = of.iter().filter(|it| is_at_once(it, &last));
        twice.extend(at_once.map(|it| ran_twice(&last.who(), it, &last)));
        nodes.push(last);
    }
    (nodes, notes, twice)
}

/// A rank that nodes with different ranks had at the same time, if there is one.
pub fn overlapping(nodes: &[Node]) -> Option<String> {
    let mut owners: BTreeMap<u32, &Node> = BTreeMap::new();
    nodes.iter().flat_map(|node| node.ranks().iter().map(move |it| (it.rank, node))).find_map(|(rank, node)| {
        let other = owners.insert(rank, node)?;
        is_at_once(other, node).then(|| ran_twice(&units::ranks(&[rank]), other, node))
    })
}

/// Whether two nodes, whose ranks are the same, had them at the same time, by their clocks. A recovery, in place or on another
/// host, begins after the end.
fn is_at_once(one: &Node, other: &Node) -> bool {
    let begins_within = |one: &Node, other: &Node| one.started().is_some_and(|it| it < other.ended());
    one.report != other.report && one.host() != other.host() && begins_within(one, other) && begins_within(other, one)
}

fn ran_twice(who: &str, one: &Node, other: &Node) -> String {
    let hint = "two launchers took themselves for the same node";
    format!("{who} ran twice at once, on `{}` and on `{}`: {hint}", one.host(), other.host())
}

/// What an earlier report of the same ranks is.
fn about(earlier: &Node, last: &Node) -> String {
    let (file, who) = (earlier.file.display(), last.who());
    if earlier.report == last.report {
        return format!("`{file}` is a copy of `{}`", last.file.display());
    }
    let (host, cause) = (earlier.host(), earlier.report.cause.as_deref().unwrap_or("it succeeded"));
    if is_at_once(earlier, last) {
        return format!("{who} ran on {host} and on {} at the same time; `{file}` is left out: {cause}", last.host());
    }
    format!("{who} were started again, as by a recovery in place; `{file}` tells of an earlier run on {host}: {cause}")
}

/// What is to be said where nodes began so far apart that their clocks differ.
pub fn differing_clocks(nodes: &[Node]) -> Option<String> {
    let mut starts: Vec<u64> = nodes.iter().filter_map(|it| Some(it.started()?.millis)).collect();
    starts.sort_unstable();
    // The largest group that began together; the rest is judged by it.
    let together = |from: usize| starts[from..].partition_point(|it| it - starts[from] <= APART);
    let first = (0..starts.len()).max_by_key(|from| (together(*from), std::cmp::Reverse(*from)))?;
    let (begin, end) = (starts[first], starts[first + together(first) - 1]);
    let off = |node: &Node| {
        let millis = node.started()?.millis;
        let (by, how) = if millis < begin { (begin - millis, "before") } else { (millis.checked_sub(end)?, "after") };
        let by = units::shown(Duration::from_millis(by));
        (millis < begin || millis > end)
            .then(|| format!("{} ({}) began {by} {how} the others", node.host(), node.who()))
    };
    let off: Vec<String> = nodes.iter().filter_map(off).collect();
    let more = off.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(", and so did {more} more") } else { String::new() };
    let listed = off[..off.len().min(LISTED)].join(", ");
    (!off.is_empty()).then(|| {
        format!(
            "the clocks of the nodes differ, or a report is of another run of the job: {listed}{more}; the time line of \
             each node begins with its own start, and which failure came first is uncertain"
        )
    })
}

/// What no report is of, and what is to be said about the numbers of all.
pub fn missing(nodes: &[Node]) -> (Option<String>, Vec<String>) {
    let sizes: Vec<u32> = nodes.iter().filter_map(|it| it.report.rank_size).collect();
    let Some(size) = sizes.iter().copied().max() else { return missing_nodes(nodes) };
    let mut notes = Vec::new();
    if sizes.iter().any(|it| *it != size) {
        let least = sizes.iter().min().unwrap_or(&size);
        notes.push(format!("the reports disagree about the number of ranks: {least} and {size}"));
    }
    let mut numbers: Vec<u32> = nodes.iter().flat_map(Node::ranks).map(|it| it.rank).collect();
    numbers.sort_unstable();
    let twice: Vec<u32> = numbers.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
    if let [first, ..] = twice[..] {
        notes.push(format!("rank {first} is in the reports of several nodes"));
    }
    let gaps = gaps(numbers, size);
    notes.extend(gaps.iter().map(|gaps| {
        format!("the job has {size} ranks, and no report has {gaps}: the reports of their nodes are missing")
    }));
    (gaps.map(|gaps| format!("ranks {gaps}")), notes)
}

/// The same where each node has one process, which starts its ranks itself.
fn missing_nodes(nodes: &[Node]) -> (Option<String>, Vec<String>) {
    let known = || nodes.iter().filter_map(|it| it.report.node);
    let Some(count) = known().map(|it| it.count).max() else { return (None, Vec::new()) };
    let mut numbers: Vec<u32> = known().map(|it| it.index).collect();
    numbers.sort_unstable();
    let gaps = gaps(numbers, count);
    let note = gaps.iter().map(|gaps| format!("the job has {count} nodes, and the reports of {gaps} are missing"));
    let notes = note.collect();
    (gaps.map(|gaps| format!("nodes {gaps}")), notes)
}

/// The numbers below `size` that are not among these, which are sorted, as text: `2-3,5`. By gaps, as the size in a damaged
/// report may be anything.
fn gaps(mut numbers: Vec<u32>, size: u32) -> Option<String> {
    numbers.dedup();
    let (mut gaps, mut next) = (Vec::new(), 0);
    for number in numbers.into_iter().take_while(|it| *it < size).chain([size]) {
        match number - next {
            0 => {}
            1 => gaps.push(next.to_string()),
            _ => gaps.push(format!("{next}-{}", number - 1)),
        }
        next = number.saturating_add(1);
    }
    (!gaps.is_empty()).then(|| gaps.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joined::tests::{joined, moved, report, stopped};

    #[test]
    fn a_node_that_is_there_twice_has_its_last_report() {
        let first = report("j", "h", &[0, 1]);
        let again = moved(stopped("j", "h", &[0, 1]), 600);
        for (reports, part, outcome) in [
            (vec![first.clone(), first.clone()], "`0.json` is a copy of `1.json`", Outcome::Failed),
            (
                vec![again.clone(), first.clone()],
                "started again, as by a recovery in place; `1.json`",
                Outcome::Terminated,
            ),
            (
                vec![first.clone(), moved(report("j", "other", &[0, 1]), 1)],
                "ran on h and on other at the same time",
                Outcome::Failed,
            ),
            (
                vec![first.clone(), moved(report("j", "other", &[0, 1]), 600)],
                "an earlier run on h: rank 0",
                Outcome::Failed,
            ),
        ] {
            let joined = joined(reports);
            assert_eq!((joined.nodes.len(), joined.notes.len()), (1, 1), "{:?}", joined.notes);
            assert!(joined.notes[0].contains(part), "{:?}", joined.notes);
            assert_eq!(joined.nodes[0].report.outcome, outcome);
        }
    }

    #[test]
    fn missing_nodes_are_told_by_their_ranks() {
        let of = |ranks: &[u32], size| {
            let mut report = report("j", &format!("h{}", ranks[0]), ranks);
            report.rank_size = size;
            report
        };
        for (reports, expect) in [
            (vec![of(&[0, 1], Some(2))], None),
            (vec![of(&[0, 1], Some(6)), of(&[4], Some(6))], Some("ranks 2-3,5")),
            (vec![of(&[1], Some(2))], Some("ranks 0")),
            (vec![of(&[0], Some(u32::MAX))], Some("ranks 1-4294967294")),
            (vec![of(&[0, u32::MAX], Some(1))], None),
            (vec![of(&[5], None)], None),
        ] {
            let joined = joined(reports);
            assert_eq!(joined.missing.as_deref(), expect);
            assert_eq!(joined.notes.iter().any(|it| it.contains("no report has")), expect.is_some());
        }
        // Where torchrun starts the ranks of each node.
        let mut process = of(&[2], None);
        process.node = Some(crate::report::shape::Node { index: 2, count: 4 });
        let joined_one = joined(vec![process]);
        assert_eq!(
            (joined_one.missing.as_deref(), joined_one.nodes[0].who().as_str()),
            (Some("nodes 0-1,3"), "node 2")
        );
        let notes = joined(vec![of(&[0, 1], Some(3)), of(&[1, 2], Some(2))]).notes;
        assert_eq!(
            notes,
            ["the reports disagree about the number of ranks: 2 and 3", "rank 1 is in the reports of several nodes"]
        );
    }

    #[test]
    fn clocks_that_differ_by_hours_are_told() {
        let node = |number: u32, seconds| {
            let mut report = moved(report("j", &format!("h{number}"), &[number]), seconds);
            report.rank_size = Some(4);
            report
        };
        let joined_by = |by: [i64; 4]| joined((0..4).zip(by).map(|(number, by)| node(number, by)).collect());
        // Late by what is waited for at most.
        let near = joined_by([0, 1800, 60, 3600]);
        assert!(near.origin.is_some() && near.notes.is_empty(), "{:?}", near.notes);
        let far = joined_by([0, 3 * 3600, 60, -2 * 3600]);
        assert!(far.origin.is_none() && far.span < 70_000, "{}", far.span);
        for part in
            ["h1 (rank 1) began 2 h 59 min after the others, h3 (rank 3) began 2 h 0 min before", "is uncertain"]
        {
            assert!(far.notes[0].contains(part), "{:?}", far.notes);
        }
    }
}
