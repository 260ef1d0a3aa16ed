//! Debian's own maker of bases, which ours is measured against and compared with.

use std::{fs, path::Path};

use anyhow::Context;
use fmtk::sample::{self, PackageSet};

use super::{Invocation, Log};

/// Has mmdebstrap unpack the same packages, unconfigured, into the archive `folder/base.tar`.
pub fn mmdebstrap<'a>(log: &'a Log, folder: &Path) -> anyhow::Result<Invocation<'a>> {
    let PackageSet { suite, roots, .. } = PackageSet::pinned()?;
    let sources = folder.join("sources.list");
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let [mirror, _] = sample::servers()?;
    fs::write(&sources, format!("deb [signed-by={keyring}] {mirror} {suite} main\n"))
        .context("failed to write a list of sources")?;
    let command = log.command("mmdebstrap").args(["--variant=extract", "--architectures=arm64", "--format=tar"]);
    let command = command.arg(format!("--include={}", roots.join(","))).arg(&suite).arg(folder.join("base.tar"));
    Ok(command.arg(&sources).env("TMPDIR", folder).env("SOURCE_DATE_EPOCH", "315532800"))
}
