//! What must be on the machine; whatever is missing is told all at once.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use fmtk::terminal::report::{Problems, WithHint};

/// An error that names everything of this that is missing: `root` for engines and mounts of our own, `arm64` where its
/// programs have to run, and programs.
pub fn require(needs: &str) -> anyhow::Result<()> {
    let mut problems = Problems::default();
    let is_arm64 = cfg!(target_arch = "aarch64") || Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists();
    for need in needs.split_whitespace() {
        match need {
            "root" if fmtk::terminal::machine::is_root() => {}
            "root" => {
                let hint = "run it as root: `sudo -E env \"PATH=$PATH\" cargo xtask …`";
                problems.push("this needs root, for engines and mounts of its own", Some(hint.to_owned()));
            }
            "arm64" if is_arm64 => {}
            "arm64" => {
                let what = "programs for arm64 do not run here: qemu-aarch64 is not registered with the kernel";
                problems.push(what, Some("run `ci/setup.sh`".to_owned()));
            }
            program if on_path(program).is_ok() => {}
            program => problems.push(format!("`{program}` is not installed"), Some("run `ci/setup.sh`".to_owned())),
        }
    }
    problems.into_result().map_err(|error| anyhow!(error))
}

/// The built program, which cargo has put beside this one: `cargo xtask` starts both.
pub fn under_test() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("the built program is not found")?.with_file_name("xtask");
    match program.is_file() {
        true => Ok(program),
        false => Err(anyhow!("there is no built program `{}`", program.display()))
            .hint("start this as `cargo xtask e2e` or `cargo xtask bench`, which builds it"),
    }
}

/// A program by its name, on the path or where daemons are kept.
pub fn on_path(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(Into::into);
    let mut found = env::split_paths(&path).chain(usual).map(|folder: PathBuf| folder.join(name));
    found.find(|file| file.is_file()).with_context(|| format!("`{name}` is not on PATH"))
}
