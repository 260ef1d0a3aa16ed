//! The joined report as a page: one file, without scripts, for light and dark screens. What failed is on top; what colours say
//! is said by words or signs, too.

use std::fmt::{self, Display, Formatter, Write};

use super::Joined;
use super::cause::JobOutcome;
use super::nodes::Node;
use super::text::{size, time, word};
use super::timeline::{self, Kind, Line, Part};
use crate::printable;
use crate::ranks::rank::{Outcome, RankOutcome};
use crate::report::shape::RankReport;

const STYLE: &str = include_str!("page.css");

/// Characters of a name, and of a sentence or line: nothing that belongs there is longer.
const NAME: usize = 300;
const SENTENCE: usize = 4000;

/// Bytes of last lines: of the rank that failed first, of each other one that failed, and of all these together.
const FIRST: usize = 256 << 10;
const OTHER: usize = 2 << 10;
const OTHERS: usize = 384 << 10;

/// Width of a time line, in units of its own, and the height of a rank in it.
const WIDTH: u64 = 1000;
const HEIGHT: usize = 5;

pub fn page(joined: &Joined) -> String {
    let mut page = String::with_capacity(256 << 10);
    // Writing to memory does not fail.
    let _ = write(joined, &mut page);
    page
}

fn write(joined: &Joined, page: &mut String) -> fmt::Result {
    let job = joined.job.as_deref().unwrap_or("of unknown name");
    let (word, class) = (word(joined.cause.outcome), class_of_job(joined.cause.outcome));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\">\
         <title>{word}: job {title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n\
         <h1>Job <code>{title}</code><span class=\"word {class}\">{word}</span></h1>\n<p class=\"dim\">{size}",
        title = Name(job),
        size = size(joined),
    )?;
    match joined.origin {
        Some(origin) => writeln!(page, ", from {origin} on, {} in all</p>", time(joined.span))?,
        None => writeln!(page, ", {} in all</p>", time(joined.span))?,
    }
    cause(joined, page)?;
    map(joined, page)?;
    time_lines(joined, page)?;
    page.write_str("</body></html>\n")
}

fn cause(joined: &Joined, page: &mut String) -> fmt::Result {
    let cause = &joined.cause;
    let title = if cause.culprit.is_some() { "What failed first" } else { "How it ended" };
    write!(
        page,
        "<h2>{title}</h2>\n<div class=\"card {}\"><p class=\"lead\">{}</p>\n",
        class_of_job(cause.outcome),
        Sentence(&cause.text)
    )?;
    if let Some(doubt) = &cause.doubt {
        writeln!(page, "<p><b>But:</b> {}</p>", Sentence(doubt))?;
    }
    if let Some(culprit) = cause.culprit {
        let node = &joined.nodes[culprit.node];
        let rank = culprit.rank.map(|at| &node.ranks()[at]);
        page.write_str("<dl>")?;
        let mut pair = |name: &str, value: &dyn Display| write!(page, "<dt>{name}</dt><dd>{value}</dd>");
        pair("Node", &format_args!("{}, {}", Name(node.host()), Name(&node.who())))?;
        if let Some(rank) = rank {
            pair("Ended", &Ended { node, rank })?;
            pair("Log", &format_args!("<code>{}</code>", Name(&rank.log)))?;
            rank.plog.iter().try_for_each(|it| pair("CANN's log", &format_args!("<code>{}</code>", Name(it))))?;
        }
        node.report.hint.iter().try_for_each(|it| pair("Hint", &Sentence(it)))?;
        page.write_str("</dl>\n")?;
        if let Some(rank) = rank {
            match rank.last_lines.len() {
                0 => writeln!(page, "<p class=\"dim\">It wrote nothing.</p>")?,
                _ => {
                    let lines = Lines(&rank.last_lines, FIRST);
                    writeln!(page, "<details open><summary>Its last lines</summary>{lines}</details>")?;
                }
            }
        }
    }
    page.write_str("</div>\n")?;
    if !joined.notes.is_empty() {
        page.write_str("<ul class=\"notes\">\n")?;
        joined.notes.iter().try_for_each(|note| writeln!(page, "<li>{}</li>", Sentence(note)))?;
        page.write_str("</ul>\n")?;
    }
    Ok(())
}

/// A sign for each rank, node by node.
fn map(joined: &Joined, page: &mut String) -> fmt::Result {
    page.write_str("<h2>All ranks, node by node</h2>\n<p class=\"key\">")?;
    let outcomes = [
        ("failed", "failed"),
        ("follows", "failed after the end of another rank"),
        ("stalled", "stood still"),
        ("stopped", "stopped"),
        ("succeeded", "succeeded"),
    ];
    for (class, meaning) in outcomes {
        write!(page, "<span><i class=\"{class}\">{}</i>{meaning}</span>", sign(class))?;
    }
    page.write_str("</p>\n<div class=\"map\">\n")?;
    for (number, node) in joined.nodes.iter().enumerate() {
        write!(
            page,
            "<a href=\"#n{number}\" title=\"{}, {}: {}\">",
            Name(node.host()),
            Name(&node.who()),
            Name(&node.counts())
        )?;
        for rank in node.ranks() {
            let class = class_of_rank(node, rank);
            write!(page, "<i class={class}>{}</i>", sign(class))?;
        }
        page.write_str("</a>\n")?;
    }
    page.write_str("</div>\n")
}

fn time_lines(joined: &Joined, page: &mut String) -> fmt::Result {
    let from = if joined.origin.is_some() { "" } else { ", of each node from its own start" };
    write!(page, "<h2>Time line{from}</h2>\n<p class=\"key\">")?;
    let kinds = [
        ("starting", "started, no output yet"),
        ("heard", "from its first output to its last"),
        ("quiet", "no more output"),
        ("stalled", "stood still until the launcher stopped it"),
    ];
    for (variable, meaning) in kinds {
        write!(page, "<span><b style=\"background:var(--{variable})\"></b>{meaning}</span>")?;
    }
    page.write_str("<span>One line for each rank; click a node for its ranks.</span></p>\n<div class=\"row axis\"><span class=\"who\"></span><div>")?;
    for quarter in 0..=4 {
        write!(page, "<span>{}</span>", time(joined.span / 4 * quarter))?;
    }
    page.write_str("</div><span class=\"how\"></span></div>\n")?;
    let mut left = OTHERS;
    for (number, node) in joined.nodes.iter().enumerate() {
        let culprit = joined.cause.culprit.filter(|it| it.node == number);
        let lines = timeline::lines(node);
        let open = if culprit.is_some() { " open" } else { "" };
        write!(
            page,
            "<details class=node id=n{number}{open}><summary class=row><span class=who><b>{}</b><span>{}</span></span>",
            Name(&node.who()),
            Name(node.host())
        )?;
        strip(node, &lines, joined.span.max(1), page)?;
        writeln!(page, "<span class=\"how {}\">{}</span></summary>", class_of_node(node), Name(&node.counts()))?;
        table(node, &lines, culprit.and_then(|it| it.rank), &mut left, page)?;
        page.write_str("</details>\n")?;
    }
    Ok(())
}

/// The time lines of a node's ranks, one above the other.
fn strip(node: &Node, lines: &[Line], span: u64, page: &mut String) -> fmt::Result {
    let height = lines.len() * HEIGHT + 2;
    write!(
        page,
        "<svg viewBox=\"-4 0 {} {height}\" height={height} preserveAspectRatio=none role=img aria-label=\"{}\">",
        WIDTH + 8,
        Name(&node.counts())
    )?;
    let x = |millis: u64| u128::from(millis) * u128::from(WIDTH) / u128::from(span);
    let y = |line: usize| line * HEIGHT + HEIGHT / 2 + 1;
    // One path for all parts of a kind: a page of 1,024 ranks stays small.
    for (kind, class) in [(Kind::Starting, "pS"), (Kind::Heard, "pH"), (Kind::Quiet, "pQ"), (Kind::Stalled, "pX")] {
        let mut path = String::new();
        for (number, line) in lines.iter().enumerate() {
            let of_kind = |part: &&Part| part.kind == kind && x(part.from) < x(part.to);
            for part in line.parts.iter().filter(of_kind) {
                write!(path, "M{} {}H{}", x(part.from), y(number), x(part.to))?;
            }
        }
        if !path.is_empty() {
            write!(page, "<path class={class} d=\"{path}\"/>")?;
        }
    }
    for class in ["stopped", "succeeded", "stalled", "follows", "failed"] {
        let mut path = String::new();
        for (number, line) in lines.iter().enumerate().filter(|(_, it)| class_of_rank(node, it.rank) == class) {
            let end = line.parts.last().map_or(0, |it| x(it.to));
            write!(path, "M{end} {}v{HEIGHT}", y(number) - HEIGHT / 2)?;
        }
        if !path.is_empty() {
            write!(page, "<path class=\"e {class}\" d=\"{path}\"/>")?;
        }
    }
    page.write_str("</svg>")
}

/// The ranks of a node with their times; `culprit` is shown above, and `left` bytes may be taken by the lines of others.
fn table(node: &Node, lines: &[Line], culprit: Option<usize>, left: &mut usize, page: &mut String) -> fmt::Result {
    let culprit = culprit.map(|at| node.ranks()[at].rank);
    let begin = node.started().map(|it| format!("Its ranks were started at {it}. ")).unwrap_or_default();
    let cause = node.report.cause.as_deref().unwrap_or("All of its ranks succeeded.");
    let attempts = match node.report.attempts.len() {
        0 | 1 => String::new(),
        count => format!(" There were {count} attempts; the table has the last one."),
    };
    writeln!(page, "<div class=wide><p class=dim>{begin}{}{attempts}</p>", Sentence(cause))?;
    if lines.is_empty() {
        return page.write_str("</div>");
    }
    page.write_str(
        "<table><tr><th>rank<th>device<th>pid<th>started<th>first output<th>last output<th>ended<th class=l>how<th class=l>log\n",
    )?;
    for line in lines {
        let rank = line.rank;
        let class = class_of_rank(node, rank);
        write!(page, "<tr class={class} data-rank={}><td>{}<td>{}<td>", rank.rank, rank.rank, rank.device)?;
        rank.pid.iter().try_for_each(|it| write!(page, "{it}"))?;
        for moment in [rank.started, rank.first_output, rank.last_output, rank.ended] {
            page.write_str("<td>")?;
            moment.iter().try_for_each(|it| page.write_str(&time(node.after(*it))))?;
        }
        write!(
            page,
            "<td class=\"l end\">{} {}<td class=log>{}",
            sign(class),
            Name(&timeline::end(rank)),
            Name(&rank.log)
        )?;
        rank.plog.iter().try_for_each(|it| write!(page, "<br>{}", Name(it)))?;
        page.write_str("\n")?;
        if culprit != Some(rank.rank) && !rank.last_lines.is_empty() {
            let lines = Lines(&rank.last_lines, OTHER).to_string();
            let shown = if lines.len() <= *left { lines } else { "<p class=dim>see its log</p>".to_owned() };
            *left = left.saturating_sub(shown.len());
            writeln!(
                page,
                "<tr><td class=l colspan=9><details><summary>last lines of rank {}</summary>{shown}</details>",
                rank.rank
            )?;
        }
    }
    page.write_str("</table></div>")
}

fn class_of_job(outcome: JobOutcome) -> &'static str {
    match outcome {
        JobOutcome::Incomplete => "stopped",
        JobOutcome::Reported(outcome) => class_of(outcome),
    }
}

fn class_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Terminated => "stopped",
        Outcome::Stalled => "stalled",
        Outcome::Failed | Outcome::NotStarted | Outcome::NotSaved | Outcome::LauncherKilled => "failed",
    }
}

fn class_of_node(node: &Node) -> &'static str {
    let failed = || node.ranks().iter().filter(|it| it.outcome == RankOutcome::Failed);
    let follows = failed().next().is_some() && failed().all(|it| it.follower);
    if follows { "follows" } else { class_of(node.report.outcome) }
}

fn class_of_rank(node: &Node, rank: &RankReport) -> &'static str {
    match rank.outcome {
        RankOutcome::Succeeded => "succeeded",
        RankOutcome::Failed if rank.follower => "follows",
        RankOutcome::Failed | RankOutcome::NotStarted => "failed",
        RankOutcome::Stopped if node.report.outcome == Outcome::Stalled => "stalled",
        RankOutcome::Stopped => "stopped",
    }
}

/// What says the same as a colour.
fn sign(class: &str) -> &'static str {
    match class {
        "failed" => "✕",
        "follows" => "↳",
        "stalled" => "‖",
        "succeeded" => "✓",
        _ => "–",
    }
}

/// Foreign text in HTML: nothing in it is markup, and no control character is left.
struct Escaped<'a>(&'a str, usize);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Escaped(text, most) = *self;
        let end = text.char_indices().nth(most).map_or(text.len(), |it| it.0);
        for char in printable::line(&text[..end]).chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(char)?,
            }
        }
        if end < text.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// A name or path.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Escaped(self.0, NAME).fmt(f)
    }
}

struct Sentence<'a>(&'a str);

impl Display for Sentence<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Escaped(self.0, SENTENCE).fmt(f)
    }
}

/// The last of these lines, as many as so many bytes have.
struct Lines<'a>(&'a [String], usize);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Lines(lines, most) = *self;
        let mut bytes = 0;
        let fits = |line: &&String| {
            bytes += line.len().min(SENTENCE) + 1;
            bytes <= most
        };
        let shown = lines.iter().rev().take_while(fits).count();
        let left_out = lines.len() - shown;
        // Shown from their end on: that is where the error is.
        f.write_str("<pre><code>")?;
        if left_out > 0 {
            writeln!(f, "[… {left_out} lines before, see its log]")?;
        }
        lines[left_out..].iter().try_for_each(|line| writeln!(f, "{}", Sentence(line)))?;
        f.write_str("</code></pre>")
    }
}

/// When a rank ended: by the clock, and after which time.
struct Ended<'a> {
    node: &'a Node,
    rank: &'a RankReport,
}

impl Display for Ended<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.rank.ended {
            Some(moment) => write!(f, "{moment}, after {}", time(self.node.after(moment))),
            None => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joined::tests::{joined, moved, report, show, stopped};

    #[test]
    fn nothing_foreign_is_markup() {
        let nasty = "<script>alert(\"1\")</script>&amp;'\u{0}\u{1b}[31m";
        let mut foreign = report(nasty, nasty, &[0, 1, 2]);
        (foreign.cause, foreign.hint, foreign.launcher) = (Some(nasty.into()), Some(nasty.into()), nasty.into());
        foreign.rank_size = Some(9);
        for rank in &mut foreign.attempts[0].ranks {
            rank.outcome = RankOutcome::Failed;
            (rank.log, rank.plog, rank.signal) = (nasty.into(), Some(nasty.into()), Some(nasty.into()));
            rank.last_lines = vec![nasty.into(); 3];
        }
        let [text, page, _] = show(vec![foreign]);
        assert!(
            !page.contains("<script") && !page.contains("alert(\"") && !page.contains(['\u{0}', '\u{1b}']),
            "{page}"
        );
        assert!(page.matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;&#39;").count() > 10, "{page}");
        assert!(!text.contains(['\u{0}', '\u{1b}']), "{text}");
    }

    #[test]
    fn a_page_of_1024_ranks_is_small_and_has_them_all() {
        let node = |number: u32| {
            let ranks: Vec<u32> = (number * 8..number * 8 + 8).collect();
            let host = format!("10.0.{number}.1");
            let of = |report: fn(&str, &str, &[u32]) -> _| report("modelarts-job-1", &host, &ranks);
            let mut node = moved(if number == 77 { of(report) } else { of(stopped) }, i64::from(number % 5));
            node.rank_size = Some(1024);
            // At the worst: the lines of all.
            node.attempts[0]
                .ranks
                .iter_mut()
                .for_each(|it| it.last_lines = vec!["a line of a rank & more".repeat(40); 50]);
            node
        };
        let joined = joined((0..128).map(node).collect());
        assert!(joined.notes.is_empty() && joined.nodes[0].ranks()[0].rank == 616, "{:?}", joined.notes);
        let page = page(&joined);
        assert!(page.len() < 2_000_000, "{}", page.len());
        (0..1024).for_each(|rank| assert_eq!(page.matches(&format!("data-rank={rank}>")).count(), 1, "{rank}"));
        assert_eq!(page.matches("<i class=").count(), 1024 + 5);
    }

    #[test]
    fn lines_are_bounded_from_their_end() {
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let shown = Lines(&lines, 30).to_string();
        assert_eq!(shown, "<pre><code>[… 97 lines before, see its log]\nline 97\nline 98\nline 99\n</code></pre>");
        assert!(Escaped(&"ü".repeat(400), NAME).to_string().ends_with("ü…"));
    }
}
