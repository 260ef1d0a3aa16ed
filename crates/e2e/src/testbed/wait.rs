//! Waiting for what another process does. There is one bound, which is no promise: only what hangs is longer about it.

use std::{
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

/// Longer than anything here takes on a busy machine under emulation.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks again and again until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begin = Instant::now();
    while !is_so()? {
        ensure!(begin.elapsed() < PATIENCE, "it never came to this: {what}");
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The same of a process, which has to be running until then.
pub fn wait_while_running(child: &mut Child, what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    wait_until(what, || {
        let is_so = is_so();
        if let Some(status) = child.try_wait().context("failed to look after a process")? {
            bail!("the process ended with {status} before it came to this: {what}");
        }
        Ok(is_so)
    })
}

/// Sends a process of ours this signal, and waits for its end.
pub fn end_by(child: &mut Child, signal: &str) -> anyhow::Result<ExitStatus> {
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).status();
    ensure!(sent.context("failed to run `kill`")?.success(), "SIG{signal} could not be sent to process {pid}");
    let mut status = None;
    wait_until(&format!("SIG{signal} ends process {pid}"), || {
        status = child.try_wait().context("failed to look after a process")?;
        Ok(status.is_some())
    })?;
    status.context("it has not ended")
}
