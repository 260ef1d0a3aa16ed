//! The clock: a program of its own that runs another and says what it took.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use fmtk::resolve::place;
use serde::{Deserialize, de::DeserializeOwned};

use crate::testbed::{Finished, Invocation, Log};

/// The built meter.
#[derive(Debug)]
pub struct Meter {
    program: PathBuf,
    out: PathBuf,
}

/// What one run of a program took.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Measure {
    /// From start to end.
    pub seconds: f64,
    /// When it ended, nanoseconds since 1970.
    pub ended: u128,
    /// Of all its threads and children, user and system.
    pub cpu_seconds: f64,
    /// Largest resident set of any of its processes.
    pub peak_bytes: u64,
}

/// What a launcher printed while its ranks wrote lines.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Console {
    /// From the launcher's start to its end.
    pub seconds: f64,
    /// From the first byte that came to the last one.
    pub flow_seconds: f64,
    /// Of the launcher, its ranks and all others.
    pub cpu_seconds: f64,
    /// Lines that came just as a rank wrote them.
    pub whole: u64,
    /// All others.
    pub torn: u64,
}

impl Meter {
    /// Builds the meter, which is no member of the workspace. It writes into this folder.
    pub fn build(log: &Log, folder: &Path) -> anyhow::Result<Self> {
        let target = place::workspace().join("target/meter");
        log.command("cargo")
            .args(["build", "--quiet", "--locked", "--release", "--manifest-path"])
            .arg(place::workspace().join("crates/e2e/meter/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .run()
            .context("failed to build the meter")?;
        Ok(Self { program: target.join("release/meter"), out: folder.join("measure.json") })
    }

    /// The built program, which is a rank for launchers too.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a program. Gives what it took and what it printed.
    pub fn measure(&self, command: Invocation<'_>) -> anyhow::Result<(Measure, String)> {
        let (measure, finished) = self.measure_any(command)?;
        if finished.status.success() { Ok((measure, finished.stdout)) } else { Err(finished.unexpected()) }
    }

    /// Runs a program, however it ends.
    pub fn measure_any(&self, command: Invocation<'_>) -> anyhow::Result<(Measure, Finished)> {
        let finished = command.under(&self.program, &["run".as_ref(), self.out.as_os_str()]).finish()?;
        Ok((self.written()?, finished))
    }

    /// Runs a launcher of ranks that write lines, and reads them. `numbers` are those of `meter console`: ranks, lines,
    /// bytes, pause. Gives what was found, and what the launcher printed on stderr.
    pub fn console(&self, command: Invocation<'_>, numbers: &[usize]) -> anyhow::Result<(Console, String)> {
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        let mut arguments = vec!["console".as_ref(), self.out.as_os_str()];
        arguments.extend(numbers.iter().map(OsStr::new));
        let finished = command.under(&self.program, &arguments).run()?;
        Ok((self.written()?, finished.stderr))
    }

    fn written<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let text = fs::read(&self.out).with_context(|| format!("failed to read `{}`", self.out.display()))?;
        // What is there must be of the next run.
        fs::remove_file(&self.out).with_context(|| format!("failed to remove `{}`", self.out.display()))?;
        serde_json::from_slice(&text).context("the meter wrote no JSON")
    }

    /// What it says of the floor for this wheel.
    pub fn floor(&self, log: &Log, wheel: &Path) -> anyhow::Result<serde_json::Value> {
        log.command(&self.program).arg("floor").arg(wheel).run()?.json()
    }
}
