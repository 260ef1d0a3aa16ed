//! A launcher that was started, until it has ended.

use std::{
    ffi::OsString,
    fs,
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use anyhow::Context;

use super::sandbox::Sandbox;
use crate::testbed::{signal, wait_until};

#[derive(Debug)]
pub struct Running<'p> {
    sandbox: &'p Sandbox,
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
}

#[derive(Debug)]
pub struct Ended {
    /// Its exit code, or 128 + the signal that ended it.
    pub code: i32,
    /// From now on until all that could write to it has ended.
    stdout: JoinHandle<Vec<u8>>,
    pub stderr: String,
}

impl Sandbox {
    /// The launcher with a shell script as ranks, until its end. `$OUT` is the folder that they tell things in.
    pub fn shell(&self, script: &str) -> anyhow::Result<Ended> {
        self.start_shell(script)?.end()
    }

    pub fn start_shell(&self, script: &str) -> anyhow::Result<Running<'_>> {
        self.start(&["sh", "-c", script].map(OsString::from))
    }

    /// The launcher with this command, and with nothing of our own environment but PATH.
    pub fn start(&self, command: &[OsString]) -> anyhow::Result<Running<'_>> {
        let stderr = fs::File::create(self.path("stderr")).context("failed to create the file for stderr")?;
        let mut all = Command::new("env");
        // Whoever starts us in the background of a script may have had signals ignored, which is inherited.
        all.arg("--default-signal").args(&self.launcher.command).args(command);
        all.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Python would set a locale of its own where there is none.
            .env("LC_ALL", "C.UTF-8")
            .env("PYTHONPATH", &self.launcher.modules)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HOME", self.path("home"))
            .env("OUT", self.path("out"))
            .env("MA_MOUNT_PATH", self.path("mount"))
            .env("RANK_TABLE_FILE", self.path("config"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path("code"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        self.log.note(&format!("$ {all:?}\n"));
        let mut child = all.spawn().context("failed to start the launcher")?;
        let mut pipe = child.stdout.take().context("no pipe from the launcher")?;
        let stdout = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is what there is.
            let _ = pipe.read_to_end(&mut text);
            text
        });
        Ok(Running { sandbox: self, child, stdout })
    }
}

impl Running<'_> {
    pub fn until_told(&self, count: usize) -> anyhow::Result<()> {
        self.until(&format!("{count} ranks started"), || Ok(self.sandbox.told()?.len() >= count))
    }

    /// Waits until it has said this, or has ended. Tells whether it runs.
    pub fn until_it_says(&mut self, text: &str) -> anyhow::Result<bool> {
        let mut runs = true;
        wait_until(&format!("the launcher says `{text}` or ends"), || {
            runs = self.child.try_wait()?.is_none();
            Ok(!runs || self.said()?.contains(text))
        })?;
        Ok(runs)
    }

    /// Waits until it would catch this signal, or has it blocked to be taken later.
    pub fn until_it_minds(&self, signal: i32) -> anyhow::Result<()> {
        self.until(&format!("signal {signal} is minded"), || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
            let mask = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or(0)
            };
            Ok((mask("SigCgt:") | mask("SigBlk:")) >> (signal - 1) & 1 == 1)
        })
    }

    /// Whether it is gone before another program is, which is started now.
    pub fn ends_before(&mut self, program: &str, arguments: &[&str]) -> anyhow::Result<bool> {
        let mut other = Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
        let mut is_first = false;
        wait_until(&format!("the launcher or `{program}` ends"), || {
            is_first = self.child.try_wait()?.is_some();
            Ok(is_first || other.try_wait()?.is_some())
        })?;
        other.kill()?;
        other.wait()?;
        Ok(is_first)
    }

    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        signal(self.child.id(), name)
    }

    pub fn end(mut self) -> anyhow::Result<Ended> {
        let mut code = None;
        wait_until("the launcher ends", || {
            let status = self.child.try_wait()?;
            code = status.and_then(|status| status.code().or(status.signal().map(|it| 128 + it)));
            Ok(status.is_some())
        })?;
        let stderr = self.said()?;
        Ok(Ended { code: code.context("it ended in no way")?, stdout: self.stdout, stderr })
    }

    fn said(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.sandbox.path("stderr"))?).into_owned())
    }

    fn until(&self, what: &str, is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        wait_until(what, is_so).with_context(|| format!("the launcher said:\n{}", self.said().unwrap_or_default()))
    }
}

impl Ended {
    /// All that came to the console, to the last process that could write there.
    pub fn console(self) -> anyhow::Result<String> {
        let text = self.stdout.join().ok().context("the thread that reads has failed")?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The last word of a Python program that crashed: its error's name.
    pub fn crash(&self) -> Option<&str> {
        self.stderr.contains("Traceback (most recent call last)").then(|| {
            let last = self.stderr.trim_end().lines().last().unwrap_or_default();
            last.split(':').next().unwrap_or(last)
        })
    }

    pub fn how(&self) -> String {
        match self.crash() {
            Some(error) => format!("crashes: {error}"),
            None => format!("exit code {}", self.code),
        }
    }
}
