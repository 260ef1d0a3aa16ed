//! Debian's own maker of bases, which ours is measured against and compared with.

use std::path::Path;

use fmtk::{
    debian::mirror,
    sample::{BULLSEYE, PackageSet},
};

use super::{Invocation, Log, write};

/// Has mmdebstrap unpack the same packages, unconfigured, into the archive `folder/base.tar`.
pub fn mmdebstrap(log: &Log, folder: &Path) -> anyhow::Result<Invocation> {
    let PackageSet { suite, roots, .. } = BULLSEYE.packages()?;
    let sources = folder.join("sources.list");
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let [mirror, _] = mirror::servers()?;
    write(&sources, format!("deb [signed-by={keyring}] {mirror} {suite} main\n"))?;
    let command = log.command("mmdebstrap").words("--variant=extract --architectures=arm64 --format=tar");
    let command = command.arg(format!("--include={}", roots.join(","))).arg(&suite).arg(folder.join("base.tar"));
    Ok(command.arg(&sources).env("TMPDIR", folder).env("SOURCE_DATE_EPOCH", "315532800"))
}
