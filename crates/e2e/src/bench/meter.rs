//! The clock: a program of its own that runs another and says what it took.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use fmtk::resolve::place;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::testbed::{Finished, Invocation, Log, Workplace, bytes};

#[derive(Debug)]
pub struct Meter {
    log: Log,
    /// The program, which is a rank for launchers too.
    pub program: PathBuf,
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Measure {
    pub seconds: f64,
    /// When it ended, nanoseconds since 1970.
    pub ended: u128,
    pub cpu_seconds: f64,
    /// Largest resident set of any of its processes.
    pub peak_bytes: u64,
}

/// What a launcher printed while its ranks wrote lines.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Console {
    pub seconds: f64,
    /// From the first byte that came to the last one.
    pub flow_seconds: f64,
    /// Of the launcher, its ranks and all others.
    pub cpu_seconds: f64,
    /// Lines that came just as a rank wrote them.
    pub whole: u64,
    pub torn: u64,
}

impl Meter {
    /// Builds the meter, which is no member of the workspace. It writes into the folder.
    pub fn build(workplace: &Workplace) -> anyhow::Result<Self> {
        let target = place::workspace().join("target/meter");
        let build = workplace.command("cargo").words("build --quiet --locked --release --manifest-path");
        let build = build.arg(place::workspace().join("crates/e2e/meter/Cargo.toml")).arg("--target-dir").arg(&target);
        build.run().context("failed to build the meter")?;
        let (program, out) = (target.join("release/meter"), workplace.path("measure.json"));
        Ok(Self { log: workplace.log.clone(), program, out })
    }

    /// Runs a program, however it ends.
    pub fn measure(&self, command: Invocation) -> anyhow::Result<(Measure, Finished)> {
        let finished = command.under(&self.program, &["run".as_ref(), self.out.as_os_str()]).finish()?;
        Ok((self.written()?, finished))
    }

    /// Runs a launcher of ranks that write lines, and reads them. `numbers` are those of `meter console`: ranks, lines,
    /// bytes, pause. Gives what was found, and what the launcher printed on stderr.
    pub fn console(&self, command: Invocation, numbers: &[usize]) -> anyhow::Result<(Console, String)> {
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        let mut arguments = vec!["console".as_ref(), self.out.as_os_str()];
        arguments.extend(numbers.iter().map(OsStr::new));
        let finished = command.under(&self.program, &arguments).run()?;
        Ok((self.written()?, finished.stderr))
    }

    fn written<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let text = bytes(&self.out)?;
        // What is there must be of the next run.
        fs::remove_file(&self.out).with_context(|| format!("failed to remove `{}`", self.out.display()))?;
        serde_json::from_slice(&text).context("the meter wrote no JSON")
    }

    pub fn floor(&self, wheel: &Path) -> anyhow::Result<Value> {
        self.log.command(&self.program).arg("floor").arg(wheel).run()?.json()
    }
}
