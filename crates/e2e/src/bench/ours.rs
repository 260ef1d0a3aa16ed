//! Our own build and push, as two runs of the built program.

use std::path::Path;

use anyhow::Context;
use fmtk::resolve::place;
use serde_json::Value;

use super::{meter::Measure, stage::Stage};
use crate::testbed::Invocation;

/// Organisation that images are pushed to.
const ORG: &str = "bench";

/// One build and one push.
#[derive(Debug)]
pub struct Run {
    /// The build.
    pub build: Measure,
    /// The push.
    pub push: Measure,
    /// What the push printed.
    pub pushed: Value,
}

impl Run {
    /// Both together, seconds.
    pub fn seconds(&self) -> f64 {
        self.build.seconds + self.push.seconds
    }

    /// Bytes of the bodies that the push sent.
    pub fn bodies(&self) -> anyhow::Result<u64> {
        self.pushed["bytes_sent"].as_u64().context("`push` did not say what it sent")
    }

    /// Bytes of all else that the push sent: request lines and header fields.
    pub fn headers(&self) -> anyhow::Result<u64> {
        self.pushed["header_bytes_sent"].as_u64().context("`push` did not say what it sent")
    }
}

/// Builds into `store` and pushes, with all checks on.
pub fn build_and_push(stage: &Stage, store: &Path, timestamp: &str) -> anyhow::Result<Run> {
    let image = program(stage, store)
        .arg("image")
        .arg("--recipe")
        .arg(&stage.recipe)
        .arg("--pkg")
        .arg(&stage.packages)
        // Their dependencies are not part of the comparison.
        .args(["--allow-missing", "--base", &stage.base(), "--timestamp", timestamp, "--format", "json"]);
    let (build, _) = stage.measure(image)?;
    let push = program(stage, store).args(["push", "--org", ORG, "--registry", &stage.registry.host()]).args([
        "--timestamp",
        timestamp,
        "--format",
        "json",
    ]);
    let (push, pushed) = stage.measure(push)?;
    let pushed = serde_json::from_str(&pushed).context("`push` printed no JSON")?;
    Ok(Run { build, push, pushed })
}

fn program<'a>(stage: &'a Stage, store: &Path) -> Invocation<'a> {
    let mut command = stage.log.command(&stage.program).arg("--store").arg(store).dir(&place::workspace());
    for name in ["FMTK_STORE", "timestamp", "org_name", "DOCKER_BUILD_PATH"] {
        command = command.env_remove(name);
    }
    command
}
