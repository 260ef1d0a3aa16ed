//! The reports of 128 nodes with 8 ranks each, joined into a page.

use std::fs;

use anyhow::Context;

use super::launchers::Launchers;
use crate::{
    bench::row::{Bar, Row, Unit, median},
    testbed::node_reports,
};

const NODES: u64 = 128;

pub fn run(launchers: &Launchers) -> anyhow::Result<Vec<Row>> {
    let bench = &launchers.bench;
    let reports = bench.fresh("reports")?;
    node_reports(bench.command(&launchers.program), NODES, &reports)?;
    let page = bench.path("report.html");
    let [seconds] = bench.in_turns("reports of 128 nodes", ["ours"], |_, _| {
        let join = bench.command(&launchers.program).args(["report", "--html"]).arg(&page).arg(&reports);
        Ok(bench.measure(join)?.0.seconds)
    })?;
    let size = fs::metadata(&page).context("there is no page")?.len() as f64;
    let figure = "report of 128 nodes × 8 ranks joined into HTML";
    Ok(vec![
        Row::alone(figure, median(&seconds), Unit::Seconds, Bar::AtMost(1.0)),
        Row::alone("size of that page", size, Unit::Bytes, Bar::AtMost(2e6)),
    ])
}
