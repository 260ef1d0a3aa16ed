//! `fmk-patch` as a whole process: the native build, on a script of the vendor's size and on the largest that it takes.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use fmtk::{
    resolve::{place, scripts::PATCHED, tools},
    terminal::progress::Progress,
};
use oci_image::Store;

use super::{
    meter::Measure,
    rounds::Bench,
    row::{Bar, MIB, Row, Unit, median},
};
use crate::testbed::{read, write};

pub fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let program = native(bench)?;
    let vendor = read(&place::workspace().join("crates/fmk-patch/tests/shapes/pristine.py"))?;
    let file = bench.path(PATCHED);
    let patch = |what: &str, text: &str| -> anyhow::Result<[Vec<Measure>; 2]> {
        bench.in_turns(what, ["ours", "Python"], |who, _| {
            write(&file, text)?;
            if who == "Python" {
                return Ok(bench.measure(bench.command("python3").words("-I -S -c pass"))?.0);
            }
            let (measure, said) = bench.measure(bench.command(&program).words("--format json").arg(&file))?;
            ensure!(said.contains("\"written\":true"), "{what} was not patched: {said}");
            Ok(measure)
        })
    };
    let store = Store::open(&bench.path("store"))?;
    let built = tools::build(&store, &Progress::new(true))?;
    let size = built.iter().find(|tool| tool.name == "fmk-patch").context("no fmk-patch was built")?.size;
    let mut rows = vec![Row::alone("program for aarch64, static", size as f64, Unit::Bytes, Bar::AtMost(2.0 * MIB))];
    let functions = filled(&vendor, usual_function);
    let statements = filled(&vendor, |number| format!("a{number}=[{{1:(2,-x)}}]\n"));
    for (what, text, peak) in [
        ("a script of the vendor's size", &vendor, 16.0 * MIB),
        ("1 MiB of functions", &functions, 300.0 * MIB),
        ("1 MiB of short statements", &statements, 300.0 * MIB),
    ] {
        let [ours, python] = patch(what, text)?;
        let [seconds, starts] =
            [&ours, &python].map(|all| all.iter().map(|measure| measure.seconds).collect::<Vec<f64>>());
        // A patch of the usual script takes no longer than Python itself needs to start.
        rows.push(match text == &vendor {
            true => Row::timed(what, &seconds, "start of Python", &starts, Bar::Times(1.0)),
            false => Row::alone(what, median(&seconds), Unit::Seconds, Bar::AtMost(1.5)),
        });
        let found = ours.iter().map(|measure| measure.peak_bytes).max().unwrap_or(0) as f64;
        rows.push(Row::alone(&format!("{what}, peak memory"), found, Unit::Bytes, Bar::AtMost(peak)));
    }
    Ok(rows)
}

/// The program for this machine, built as that of the image is.
fn native(bench: &Bench) -> anyhow::Result<PathBuf> {
    let target = place::workspace().join("target/native");
    let build = bench.command("cargo").words("build --quiet --locked --profile artifact --package fmk-patch");
    let build = build.arg("--target-dir").arg(&target).dir(&place::workspace());
    build.run().context("failed to build fmk-patch")?;
    Ok(target.join("artifact/fmk-patch"))
}

/// The script with so much behind it that it is just as large as one may be; the edits need some hundred bytes.
fn filled(script: &str, part: impl Fn(usize) -> String) -> String {
    let mut text = script.to_owned();
    for number in 0.. {
        let part = part(number);
        if text.len() + part.len() + 1024 > fmk_patch::MAX_BYTES {
            break;
        }
        text.push_str(&part);
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
