//! `fmk-patch` as a whole process: the native build, on a script of the vendor's size and on the largest that it takes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use fmtk::{
    resolve::{place, scripts::PATCHED, tools},
    terminal::progress::Progress,
};
use oci_image::Store;

use super::{
    meter::{Measure, Meter},
    row::{Bar, Row, Unit, median},
};
use crate::testbed::{Log, Workplace};

const MIB: f64 = 1024.0 * 1024.0;

/// Measures everything.
pub fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let workplace = Workplace::new()?;
    let log = Log::create(&place::workspace().join("target/bench"), "patch")?;
    log.say("setting up: meter, programs");
    let meter = Meter::build(&log, workplace.path())?;
    let program = native(&log)?;
    let shape = place::workspace().join("crates/fmk-patch/tests/shapes/pristine.py");
    let vendor = fs::read_to_string(&shape).with_context(|| format!("failed to read `{}`", shape.display()))?;

    let file = workplace.path().join(PATCHED);
    let patch = |text: &str, what: &str| -> anyhow::Result<Vec<Measure>> {
        let mut measures = Vec::new();
        for round in 0..rounds {
            fs::write(&file, text).with_context(|| format!("failed to write `{}`", file.display()))?;
            let (measure, said) = meter.measure(log.command(&program).args(["--format", "json"]).arg(&file))?;
            ensure!(said.contains("\"written\":true"), "{what} was not patched: {said}");
            log.say(&format!("{what} {}/{rounds}: {:.4} s", round + 1, measure.seconds));
            measures.push(measure);
        }
        Ok(measures)
    };
    let small = patch(&vendor, "a script of the vendor's size")?;
    let usual = patch(&filled(&vendor, usual_function), "1 MiB of functions")?;
    let dense = patch(&filled(&vendor, |number| format!("a{number}=[{{1:(2,-x)}}]\n")), "1 MiB of short statements")?;

    let store = Store::open(&workplace.path().join("store"))?;
    let built = tools::build(&store, &Progress::new(true))?;
    let size = built.iter().find(|tool| tool.name == "fmk-patch").context("no fmk-patch was built")?.size;
    let mut rows = vec![Row::alone("program for aarch64, static", size as f64, Unit::Bytes, Bar::AtMost(2.0 * MIB))];
    for (what, measures, seconds, bytes) in [
        ("a script of the vendor's size", small, 0.010, 16.0 * MIB),
        ("1 MiB of functions", usual, 1.5, 300.0 * MIB),
        ("1 MiB of short statements", dense, 1.5, 300.0 * MIB),
    ] {
        let times: Vec<f64> = measures.iter().map(|measure| measure.seconds).collect();
        let peak = measures.iter().map(|measure| measure.peak_bytes).max().unwrap_or(0);
        rows.push(Row::alone(what, median(&times), Unit::Seconds, Bar::AtMost(seconds)));
        rows.push(Row::alone(&format!("{what}, peak memory"), peak as f64, Unit::Bytes, Bar::AtMost(bytes)));
    }
    Ok(rows)
}

/// The program for this machine, built as that of the image is.
fn native(log: &Log) -> anyhow::Result<PathBuf> {
    let target: &Path = &place::workspace().join("target/native");
    log.command("cargo")
        .args(["build", "--quiet", "--locked", "--profile", "artifact", "--package", "fmk-patch", "--target-dir"])
        .arg(target)
        .dir(&place::workspace())
        .run()
        .context("failed to build fmk-patch")?;
    Ok(target.join("artifact/fmk-patch"))
}

/// The script with so much behind it that it is just as large as one may be; the edits need some hundred bytes.
fn filled(script: &str, piece: impl Fn(usize) -> String) -> String {
    let mut text = script.to_owned();
    for number in 0.. {
        let piece = piece(number);
        if text.len() + piece.len() + 1024 > fmk_patch::MAX_BYTES {
            break;
        }
        text.push_str(&piece);
    }
    text
}

fn usual_function(number: usize) -> String {
    format!(
        "\n\ndef function_{number}(path, *names, mode=0o{number:o}):\n    \"\"\"Says what is there.\"\"\"\n    \
         found = {{name: path + \"/\" + name for name in names if name != 'self'}}\n    for name, place in \
         found.items():\n        if len(place) > {number} and not place.startswith('/'):\n            raise \
         ValueError(f\"{{name}}: {{place}}\")\n    return sorted(found.values(), key=lambda one: (len(one), one))\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_can_be_patched_and_is_as_large_as_may_be() {
        let vendor = include_str!("../../../fmk-patch/tests/shapes/pristine.py");
        let text = filled(vendor, usual_function);
        assert!(text.len() > fmk_patch::MAX_BYTES - 2048);
        let report = fmk_patch::patch(text.as_bytes(), fmk_patch::Edits::ALL).unwrap();
        assert!(report.output.is_some(), "{:?}", report.edits);
    }
}
