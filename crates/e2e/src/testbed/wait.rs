//! Waiting for what another process does. There is one bound, which is no promise: only what hangs is longer about it.

use std::{
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

/// Longer than anything here takes on a busy machine under emulation.
pub const PATIENCE: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(10);

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

/// Sends a process this signal; an error where it is gone.
pub fn signal(pid: u32, signal: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).output();
    ensure!(sent.context("failed to run `kill`")?.status.success(), "SIG{signal} could not be sent to process {pid}");
    Ok(())
}

/// Sends a process of ours this signal, and waits for its end.
pub fn end_by(child: &mut Child, name: &str) -> anyhow::Result<ExitStatus> {
    signal(child.id(), name)?;
    let mut status = None;
    wait_until(&format!("SIG{name} ends process {}", child.id()), || {
        status = child.try_wait().context("failed to look after a process")?;
        Ok(status.is_some())
    })?;
    status.context("it has not ended")
}
