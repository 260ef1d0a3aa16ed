//! `cargo xtask` itself: built from nothing, and started.

use anyhow::ensure;
use fmtk::resolve::place;

use super::{
    row::{Bar, Row, Unit, median},
    stage::Stage,
};

/// One cold build, and `--help` in turn through cargo and without.
pub fn run(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    stage.log.say("building xtask from nothing, once");
    let target = stage.fresh("cargo-target")?;
    let build = stage
        .log
        .command("cargo")
        .args(["build", "--quiet", "--locked", "--profile", "xtask", "--package", "xtask", "--target-dir"])
        .arg(&target)
        .dir(&place::workspace())
        // What cargo says to the program it runs would have the build script of a dependency run again.
        .env_remove("CARGO_TARGET_DIR");
    let (cold, _) = stage.measure(build)?;
    stage.fresh("cargo-target")?;

    let (mut through, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..=stage.rounds {
        let cargo = stage.log.command("cargo").args(["xtask", "--help"]).dir(&place::workspace());
        let (measure, help) = stage.measure(cargo)?;
        ensure!(help.contains("image"), "`cargo xtask --help` does not name its commands");
        through.push(measure.seconds);
        let (measure, _) = stage.measure(stage.log.command(&stage.program).arg("--help"))?;
        direct.push(measure.seconds);
    }
    // The first one may have had to build.
    let (through, direct) = (median(&through[1..]), median(&direct[1..]));
    Ok(vec![
        Row::alone("cold build of cargo xtask, once", cold.seconds, Unit::Seconds, Bar::AtMost(90.0)),
        Row::alone("cargo xtask --help, warm", through, Unit::Seconds, Bar::AtMost(0.3)),
        Row::alone("of that cargo's own start-up", through - direct, Unit::Seconds, Bar::None),
    ])
}
