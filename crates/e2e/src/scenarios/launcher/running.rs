//! A launcher that was started, until it has ended.

use std::{
    ffi::OsString,
    fs,
    io::Read,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::trial::Place;
use crate::testbed::{PATIENCE, wait_until};

/// A launcher that was started.
#[derive(Debug)]
pub struct Running<'a> {
    place: &'a Place<'a>,
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
}

/// One that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, or 128 + the signal that ended it.
    pub code: i32,
    /// From now on until all that could write to it has ended.
    stdout: JoinHandle<Vec<u8>>,
    /// All of its stderr.
    pub stderr: String,
}

impl Place<'_> {
    /// The launcher with a shell script as ranks. `$OUT` is the folder that they tell things in.
    pub fn shell(&self, script: &str) -> anyhow::Result<Running<'_>> {
        self.start(&["sh", "-c", script].map(OsString::from))
    }

    /// The launcher with this command, and with nothing of our own environment but PATH.
    pub fn start(&self, command: &[OsString]) -> anyhow::Result<Running<'_>> {
        let stderr_path = self.path("stderr");
        let stderr = fs::File::create(&stderr_path).context("failed to create the file for stderr")?;
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
        self.log().note(&format!("$ {all:?}\n"));
        let mut child = all.spawn().context("failed to start the launcher")?;
        let mut pipe = child.stdout.take().context("no pipe from the launcher")?;
        let stdout = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is what there is.
            let _ = pipe.read_to_end(&mut text);
            text
        });
        Ok(Running { place: self, child, stdout })
    }
}

impl<'a> Running<'a> {
    /// Waits until this many things are in `$OUT`.
    pub fn until_told(&self, count: usize) -> anyhow::Result<()> {
        self.until(&format!("{count} ranks started"), || Ok(self.place.told()?.len() >= count))
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

    /// Sends it a signal.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.place.log().command("kill").args([&format!("-{name}"), &self.child.id().to_string()]).run()?;
        Ok(())
    }

    /// Waits for its end.
    pub fn end(self) -> anyhow::Result<Ended> {
        self.end_within(PATIENCE)?.context("the launcher did not end")
    }

    /// Waits for its end, but no longer than that.
    pub fn end_within(mut self, time: Duration) -> anyhow::Result<Option<Ended>> {
        use std::os::unix::process::ExitStatusExt;
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let code = status.code().or_else(|| status.signal().map(|it| 128 + it)).context("it has not ended")?;
                let stderr = self.said()?;
                return Ok(Some(Ended { code, stdout: self.stdout, stderr }));
            }
            if begin.elapsed() > time {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn said(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.place.path("stderr"))?).into_owned())
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
}
