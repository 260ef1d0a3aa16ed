//! A server process that ends with its guard.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

use super::wait::wait_while_running;

/// A running server; dropped it is told to end, by its process id, and waited for.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    child: Child,
}

impl Daemon {
    /// Starts it with its output in `log`. `setpriv` has the kernel end it should this process be killed.
    pub fn start(name: &'static str, arguments: &[String], env: &[(&str, &str)], log: File) -> anyhow::Result<Self> {
        let twin = log.try_clone().context("failed to open the log")?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", name])
            .args(arguments)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(twin)
            .spawn()
            .with_context(|| format!("failed to start `{name}`"))?;
        Ok(Self { name, child })
    }

    /// Waits until `ready` says so, and no longer than the server lives.
    pub fn wait_until(&mut self, ready: impl FnMut() -> bool) -> anyhow::Result<()> {
        // Servers tell nobody when they listen, and what answers may be another one at its address.
        wait_while_running(&mut self.child, &format!("`{}` is ready", self.name), ready)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A guard cannot report; whatever does not end within 20 s is killed.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
