//! A launcher to try: the vendor's or ours, in a folder and an environment of its own.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::testbed::{self, Family, Log, rank_table::TABLE, wait_until, write};

#[derive(Debug, Clone)]
pub struct Launcher {
    /// Up to the ranks' command.
    pub command: Vec<OsString>,
    /// Where flags of ours go; the vendor's takes none.
    flags_at: Option<usize>,
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
}

/// A folder for one try. What it leaves behind is killed when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    pub log: Log,
    folder: PathBuf,
    pub launcher: Launcher,
    /// Variables besides those that every job has.
    pub variables: Vec<(&'static str, OsString)>,
}

impl Sandbox {
    /// Folders as the platform makes them, fresh.
    pub fn new(log: &Log, folder: &Path, launcher: &Launcher) -> anyhow::Result<Self> {
        for name in ["mount/log", "config", "code", "home", "out"] {
            testbed::folder(&folder.join(name))?;
        }
        let (log, launcher) = (log.clone(), launcher.clone());
        Ok(Self { log, folder: folder.to_owned(), launcher, variables: Vec::new() })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, value.into()));
    }

    /// Gives the launcher flags that only ours has.
    pub fn set_flags(&mut self, flags: &[&str]) {
        if let Some(at) = self.launcher.flags_at {
            self.launcher.command.splice(at..at, flags.iter().map(OsString::from));
        }
    }

    /// Puts a v0 table where the platform has it, all at once.
    pub fn table(&self, text: impl ToString) -> anyhow::Result<()> {
        write(&self.path("config/new"), text.to_string())?;
        Ok(fs::rename(self.path("config/new"), self.path("config").join(TABLE))?)
    }

    /// Puts a v1 table where a notebook has it.
    pub fn table_v1(&mut self, table: &Value) -> anyhow::Result<()> {
        let path = self.path("config/v1.json");
        write(&path, table.to_string())?;
        self.set("RANK_TABLE_FILE_V_1_0", path);
        Ok(())
    }

    /// How many ranks, and processes that they started, outlive their launcher.
    pub fn survivors(&self) -> anyhow::Result<usize> {
        Ok(Family::left_behind(&self.mark())?.ranks.len())
    }

    /// Waits until every process of this try is gone, launchers and daemons too.
    pub fn until_nothing_is_left(&self) -> anyhow::Result<()> {
        wait_until("nothing is left", || {
            let family = Family::of(&self.mark())?;
            Ok(family.own.is_empty() && family.ranks.is_empty())
        })
    }

    /// What the ranks wrote: names in `$OUT`, sorted.
    pub fn told(&self) -> anyhow::Result<Vec<String>> {
        testbed::names(&self.path("out"))
    }

    /// What all processes of this try have in their environment.
    fn mark(&self) -> String {
        format!("OUT={}", self.path("out").display())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        Family::of(&self.mark()).unwrap_or_default().kill();
        let said = fs::read_to_string(self.path("stderr")).unwrap_or_default();
        self.log.note(&format!("{said}-- {}\n", self.launcher.name));
    }
}
