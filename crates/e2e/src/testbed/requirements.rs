//! What must be on the machine; whatever is missing is told all at once, with what installs it.

use std::path::Path;

use anyhow::anyhow;
use fmtk::terminal::report::{Problems, WithHint};

/// Something that scenarios or measurements need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// A program and Debian's package that has it.
    Program(&'static str, &'static str),
    /// Root: engines and mounts of our own need it.
    Root,
    /// Programs for arm64 run here.
    Arm64,
}

/// An error that names every requirement that is not met.
pub fn require(requirements: &[Requirement]) -> anyhow::Result<()> {
    let mut problems = Problems::default();
    let mut packages = Vec::new();
    for requirement in requirements {
        match requirement {
            Requirement::Program(program, package) => {
                if !present(program) {
                    problems.push(format!("`{program}` is not installed"), None);
                    packages.push(*package);
                }
            }
            Requirement::Root => {
                if !fmtk::terminal::machine::is_root() {
                    let way_out = "run it as root: `sudo -E env \"PATH=$PATH\" cargo xtask …`";
                    problems.push("this needs root, for engines and mounts of its own", Some(way_out.to_owned()));
                }
            }
            Requirement::Arm64 => {
                let native = cfg!(target_arch = "aarch64");
                if !native && !Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
                    problems.push(
                        "programs for arm64 do not run here: qemu-aarch64 is not registered with the kernel",
                        Some("run `ci/setup.sh`".to_owned()),
                    );
                }
            }
        }
    }
    packages.sort_unstable();
    packages.dedup();
    let hint = format!("run `ci/setup.sh`, or `apt-get install {}`", packages.join(" "));
    match problems.into_result() {
        Err(error) if !packages.is_empty() => Err(error).hint(hint),
        Err(error) => Err(anyhow!(error)),
        Ok(()) => Ok(()),
    }
}

/// Whether a program of this name is on the path, or where daemons are kept.
fn present(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(usual).any(|folder| folder.join(name).is_file())
}
