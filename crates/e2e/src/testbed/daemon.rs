//! A server process that ends with its guard.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::Context;
use fmtk::terminal::interrupt;

use super::wait::{end_by, signal, wait_until, wait_while_running};

/// A running server; dropped it is told to end, by its process id, and waited for. So it is at ctrl-C.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    child: Child,
    /// Its process id, and 0 once it has been waited for: another process may have it then.
    process: Arc<AtomicU32>,
}

impl Daemon {
    /// Starts it with its output in `log`. `setpriv` has the kernel end it should this process be killed.
    pub fn start(name: &'static str, arguments: &[String], env: &[(&str, &str)], log: File) -> anyhow::Result<Self> {
        let twin = log.try_clone().context("failed to open the log")?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", name]).args(arguments).envs(env.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(log).stderr(twin).spawn();
        let child = child.with_context(|| format!("failed to start `{name}`"))?;
        let process = Arc::new(AtomicU32::new(child.id()));
        let ours = Arc::clone(&process);
        interrupt::before_end(Arc::new(move || end(ours.load(Ordering::SeqCst))));
        Ok(Self { name, child, process })
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
        self.process.store(0, Ordering::SeqCst);
    }
}

/// Ends a server for which nobody waits any more. At the very end there is nobody to tell of a failure.
fn end(process: u32) {
    if process != 0 && signal(process, "TERM").is_ok() {
        let status = || fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let _ =
            wait_until("the server ends", || Ok(matches!(status(), it if it.is_empty() || it.contains("State:\tZ"))));
    }
}
