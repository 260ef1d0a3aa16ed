//! What every run has: a folder, gone after it with all that is mounted below, a log, and the program under test.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::Context;
use fmtk::{resolve::place, terminal::interrupt};

use super::{Invocation, Log, files, requirements::under_test};

/// Its folder is in `/var/tmp`: on a disk, unlike `/tmp` on some machines, and short enough for the path of a socket.
#[derive(Debug)]
pub struct Workplace {
    pub log: Log,
    pub program: PathBuf,
    folder: PathBuf,
}

impl Workplace {
    /// Its logs are in `target/<kind>`, the first one is called so.
    pub fn new(kind: &str, name: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("fmtk-").tempdir_in("/var/tmp");
        let folder = folder.context("failed to create a folder in `/var/tmp`")?.keep();
        let ours = folder.clone();
        interrupt::before_end(Arc::new(move || remove(&ours)));
        let log = Log::create(&place::workspace().join("target").join(kind), name)?;
        Ok(Self { log, program: under_test()?, folder })
    }

    pub fn say(&self, text: impl AsRef<str>) {
        self.log.say(text);
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Invocation {
        self.log.command(program)
    }

    /// The program under test with this store, without what the caller's environment may tell it.
    pub fn xtask_in(&self, store: &Path) -> Invocation {
        let command = self.log.command(&self.program).arg("--store").arg(store).dir(&place::workspace());
        command.without(&["FMTK_STORE", "timestamp", "org_name", "DOCKER_BUILD_PATH", "DOCKER_HOST"])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A folder of this name in it, made where it is not there.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        files::folder(&self.path(name))?;
        Ok(self.path(name))
    }

    /// A folder of this name in it, made anew.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("failed to remove `{}`", path.display()))?;
        }
        self.folder(name)
    }

    /// Removes all that is in it but these names.
    pub fn clear_but(&self, kept: &[&str]) -> anyhow::Result<()> {
        for name in files::names(&self.folder)?.into_iter().filter(|name| !kept.contains(&name.as_str())) {
            let path = self.path(&name);
            unmount_below(&path);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("failed to remove `{}`", path.display()))?;
        }
        Ok(())
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    unmount_below(folder);
    let _ = fs::remove_dir_all(folder);
}

/// What stays mounted stays there to be seen.
fn unmount_below(folder: &Path) {
    for mount in mounts_below(folder, &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()) {
        let _ = Command::new("umount").arg(&mount).stderr(Stdio::null()).status();
    }
}

/// Mount points below a folder, the last mounted first (proc(5), `mountinfo`: the fifth field).
fn mounts_below(folder: &Path, mountinfo: &str) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    below.reverse();
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_folder_are_taken_away_last_first() {
        let mountinfo = "36 35 98:0 / /var/tmp/fmtk-1 rw - ext4 /dev/a rw\n\
            37 35 98:0 / /var/tmp/fmtk-10 rw - ext4 /dev/a rw\n\
            38 35 98:0 / /var/tmp/fmtk-1/store rw - tmpfs none rw\n";
        let found = mounts_below(Path::new("/var/tmp/fmtk-1"), mountinfo);
        assert_eq!(found, [PathBuf::from("/var/tmp/fmtk-1/store"), PathBuf::from("/var/tmp/fmtk-1")]);
    }
}
