//! A launcher to try: the vendor's or ours, in a folder and an environment of its own.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::testbed::{self, Log};

/// The name of the platform's rank table.
pub const TABLE: &str = "jobstart_hccl.json";

/// One of the two.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Up to the ranks' command.
    pub command: Vec<OsString>,
    /// Where flags of ours go; the vendor's takes none.
    flags_at: Option<usize>,
    /// Its name in folders and tables.
    pub name: &'static str,
    /// For PYTHONPATH: both get it, so that their environments are the same.
    pub modules: PathBuf,
}

impl Launcher {
    /// The vendor's relative, from the folder that its wheel was unpacked into.
    pub fn vendor(python: &str, modules: &Path) -> Self {
        let command = [python, "-c", "from davincirunsdk.davincirun import main; main()"].map(OsString::from);
        Self { command: command.into(), flags_at: None, name: "vendor", modules: modules.to_owned() }
    }

    /// Ours. It gives ranks that do not obey one second.
    pub fn ours(program: &Path, modules: &Path) -> Self {
        let mut command = vec![program.into()];
        command.extend(["run", "--grace", "1s", "--"].map(OsString::from));
        Self { command, flags_at: Some(2), name: "ours", modules: modules.to_owned() }
    }

    /// The same with flags that only ours has.
    pub fn with(&self, flags: &[&str]) -> Self {
        let mut other = self.clone();
        if let Some(at) = self.flags_at {
            other.command.splice(at..at, flags.iter().map(OsString::from));
        }
        other
    }
}

/// A folder for one try. What it leaves behind is killed when it is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    log: &'a Log,
    folder: PathBuf,
    /// The launcher on trial.
    pub launcher: Launcher,
    /// Variables besides those that every job has.
    pub variables: Vec<(&'static str, OsString)>,
}

impl<'a> Place<'a> {
    /// Folders as the platform makes them, fresh.
    pub fn new(log: &'a Log, folder: &Path, launcher: &Launcher) -> anyhow::Result<Self> {
        for name in ["mount/log", "config", "code", "home", "out"] {
            testbed::folder(&folder.join(name))?;
        }
        Ok(Self { log, folder: folder.to_owned(), launcher: launcher.clone(), variables: Vec::new() })
    }

    /// The scenario's log.
    pub fn log(&self) -> &Log {
        self.log
    }

    /// Something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Adds a variable.
    pub fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, value.into()));
    }

    /// Puts a v0 table where the platform has it, all at once.
    pub fn table(&self, text: &str) -> anyhow::Result<()> {
        let path = self.path("config").join(TABLE);
        fs::write(self.path("config/new"), text).and_then(|()| fs::rename(self.path("config/new"), &path))?;
        Ok(())
    }

    /// Puts a v1 table where a notebook has it.
    pub fn table_v1(&mut self, text: &str) -> anyhow::Result<()> {
        fs::write(self.path("config/v1.json"), text)?;
        let path = self.path("config/v1.json");
        self.set("RANK_TABLE_FILE_V_1_0", path);
        Ok(())
    }

    /// How many ranks, and processes that they started, are alive. One that is just about to end gets a second for it.
    pub fn survivors(&self) -> anyhow::Result<usize> {
        let begin = Instant::now();
        loop {
            let count = self.processes()?.iter().filter(|(_, is_ranks)| *is_ranks).count();
            if count == 0 || begin.elapsed() > Duration::from_secs(1) {
                return Ok(count);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the ranks wrote: names in `$OUT`, sorted.
    pub fn told(&self) -> anyhow::Result<Vec<String>> {
        let mut names: Vec<String> =
            fs::read_dir(self.path("out"))?.flatten().map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// Ids of all processes of this try, and whether they are a rank's.
    fn processes(&self) -> anyhow::Result<Vec<(i32, bool)>> {
        let mut mark = b"OUT=".to_vec();
        mark.extend(self.path("out").as_os_str().as_encoded_bytes());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").context("failed to list `/proc`")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            let has = |test: &dyn Fn(&[u8]) -> bool| environment.split(|byte| *byte == 0).any(test);
            if has(&|it| it == mark) {
                found.push((pid, has(&|it| it.starts_with(b"RANK_ID="))));
            }
        }
        Ok(found)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        for (pid, _) in self.processes().unwrap_or_default() {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        let said = fs::read_to_string(self.path("stderr")).unwrap_or_default();
        self.log.note(&format!("{said}-- {}\n", self.launcher.name));
    }
}
