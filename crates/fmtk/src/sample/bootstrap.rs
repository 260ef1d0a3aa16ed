//! Runs mmdebstrap: Debian's packages for arm64, unpacked and not configured, as a tar archive. Nothing in them is
//! run, so no emulation is needed.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, anyhow, ensure};

use super::mirror;
use crate::terminal::report::WithHint;

/// Debian 11: Python 3.9 and glibc 2.31, the nearest to the real base (3.9, 2.28).
pub const SUITE: &str = "bullseye";

/// What is named here comes with what it depends on. An `extract` base has nothing that is not.
pub const PACKAGES: [&str; 19] = [
    // A shell and its company.
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "findutils",
    "grep",
    "gzip",
    "libc-bin",
    "procps",
    "sed",
    "tar",
    // Python, with the distutils that pip asks for its folders.
    "python3",
    "python3-distutils",
    // What MindSpore, NumPy and SciPy link to.
    "libgcc-s1",
    "libgomp1",
    "libstdc++6",
    "zlib1g",
];

/// Times of files are clamped to this, so that two runs give the same bytes: 1980-01-01.
const EPOCH: &str = "315532800";

/// Writes the archive to `tar`; `scratch` is an empty folder for what mmdebstrap needs to be told.
pub fn run(mirror: &str, tar: &Path, scratch: &Path) -> anyhow::Result<()> {
    let write = |name: &str, text: &str| {
        let path = scratch.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        anyhow::Ok(path)
    };
    let sources = write("sample.list", &mirror::source_line(mirror, SUITE))?;
    // In files, not in arguments: an address may hold a password.
    let settings = write("apt.conf", &mirror::transport_settings())?;
    let output = Command::new("mmdebstrap")
        .args(["--variant=extract", "--architectures=arm64", "--format=tar"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(format!("--aptopt={}", settings.display()))
        .arg(SUITE)
        .args([tar, &sources])
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .env("TMPDIR", scratch)
        // Messages are shown as they are; they must not change with the user's language.
        .env("LC_ALL", "C.UTF-8")
        .output()
        .context("failed to run mmdebstrap")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().filter(|line| !line.starts_with("I: ")).collect();
    if !output.status.success() {
        let text = last[last.len().saturating_sub(12)..].join("\n");
        let variable = mirror::MIRROR_VARIABLE;
        return Err(anyhow!("mmdebstrap could not unpack Debian's packages\n{text}")).hint(format!(
            "is Debian's mirror reachable, and does it still have `{SUITE}`? name another one in `{variable}`"
        ));
    }
    ensure!(tar.exists(), "mmdebstrap wrote no archive");
    Ok(())
}
