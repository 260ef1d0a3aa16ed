//! The relative of the vendor's scripts on PyPI, which stands for them in comparisons.

use std::path::Path;

use super::{Invocation, Log, files};

const RELATIVE: &str = "davincirunsdk==0.1.5";

/// pip, about to put wheels into a folder that follows. Only wheels: pip runs what a source archive holds.
pub fn pip(log: &Log, subcommand: &str) -> Invocation {
    log.command("python3").args(["-m", "pip", subcommand, "--quiet", "--only-binary=:all:"])
}

pub fn unpack_relative(log: &Log, folder: &Path) -> anyhow::Result<()> {
    let downloaded = folder.join("wheel");
    pip(log, "download").args(["--no-deps", RELATIVE, "--dest"]).arg(&downloaded).run()?;
    let wheel = files::wheel(&downloaded, "davincirunsdk-")?;
    log.command("python3").words("-m zipfile -e").args([&wheel, folder]).run().map(drop)
}

/// Unpacks what its launcher needs. Its part for notebooks, which wants packages that the wheel does not name, is not
/// loaded: the scripts of an image have none, and the comparison is fairer without.
pub fn unpack_relative_launcher(log: &Log, folder: &Path) -> anyhow::Result<()> {
    unpack_relative(log, folder)?;
    files::write(&folder.join("davincirunsdk/__init__.py"), "")
}
