//! The sample image: ranks of Python, and a whole job of two nodes.

use std::{path::Path, time::Instant};

use anyhow::{Context, ensure};
use fmtk::resolve::place;

use super::{
    Bar, RANKS, Row,
    bed::{Bed, Place},
};
use crate::{
    bench::row::Unit,
    testbed::{self, Invocation},
};

/// A rank that notes when Python runs it.
const RANK: &str = r"
import os, sys, time
with open(sys.argv[1] + os.environ['RANK_ID'], 'w') as file:
    file.write(str(time.time_ns()))
";

/// Measures both launchers, and `cargo xtask try`.
pub fn run(bed: &Bed, pkg: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let store = bed.workplace.path().join("store");
    let program = testbed::program()?;
    let xtask = |arguments: &[&str]| -> Invocation<'_> {
        let command = bed.log.command(&program).arg("--store").arg(&store).args(arguments).dir(&place::workspace());
        command.env("DOCKER_HOST", bed.docker.host()).env_remove("FMTK_STORE").env_remove("timestamp")
    };
    let pkg = match pkg {
        Some(pkg) => std::path::absolute(pkg).context("no working folder")?,
        None => bed.workplace.path().join("pkg"),
    };
    bed.log.say("building the sample image");
    let built = xtask(&["image", "--sample", "--pkg"]).arg(&pkg).run()?;
    let image = built.text().to_owned();

    // What the engine has to load is part of it, as in a first try.
    let begin = Instant::now();
    let out = bed.workplace.path().join("try");
    let tried = xtask(&["try", "--nodes", "2", "--engine", "docker", "--format", "json", "--out"]).arg(&out).run()?;
    let (whole, report) = (begin.elapsed().as_secs_f64(), tried.json()?);
    ensure!(report["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2), "the job had other nodes: {report}");
    let job = report["seconds"].as_f64().context("the report has no `seconds`")?;
    let alone = |figure: &str, seconds: f64, bar: Bar| Row::alone(figure, seconds, Unit::Seconds, bar);
    let mut rows = vec![
        alone("2 × 8 Python ranks, emulated, `try` to its end", whole, Bar::AtMost(180.0)),
        alone("  of that, the job", job, Bar::None),
    ];
    let platform: Vec<String> = ["--platform", "linux/arm64"].map(str::to_owned).into();
    let place = Place { image: &image, options: &platform, arm64: true, rank: &["python3", "-c", RANK] };
    rows.extend(bed.compare(&format!("{RANKS} Python ranks, emulated"), &place, Bar::None)?);
    Ok(rows)
}
