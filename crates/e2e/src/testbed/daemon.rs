//! A server process that ends with its guard.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
};

use anyhow::Context;

use super::wait::{end_by, wait_while_running};

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
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", name]).args(arguments).envs(env.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(log).stderr(twin).spawn();
        Ok(Self { name, child: child.with_context(|| format!("failed to start `{name}`"))? })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says so, and no longer than the server lives.
    pub fn wait_until(&mut self, ready: impl FnMut() -> bool) -> anyhow::Result<()> {
        // Servers tell nobody when they listen, and what answers may be another one at its address.
        wait_while_running(&mut self.child, &format!("`{}` is ready", self.name), ready)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A guard cannot report; one that does not heed the signal is killed.
        if end_by(&mut self.child, "TERM").is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
