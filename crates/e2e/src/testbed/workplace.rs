//! The folder that a run works in, gone after it with all that is mounted below.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;

use super::files;

/// A folder in `/var/tmp`: on a disk, unlike `/tmp` on some machines, and short enough for the path of a socket.
#[derive(Debug)]
pub struct Workplace {
    folder: PathBuf,
}

impl Workplace {
    /// Makes the folder.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("fmtk-")
            .tempdir_in("/var/tmp")
            .context("failed to create a folder in `/var/tmp`")?
            .keep();
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A folder of this name in it, made where it is not there.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        files::folder(&path)?;
        Ok(path)
    }

    /// A folder of this name in it, made anew.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("failed to remove `{}`", path.display()))?;
        }
        self.folder(name)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        for mount in mounts_below(&self.folder, &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()) {
            // A guard cannot report; what stays mounted stays there to be seen.
            let _ = Command::new("umount").arg(&mount).stderr(Stdio::null()).status();
        }
        let _ = fs::remove_dir_all(&self.folder);
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
