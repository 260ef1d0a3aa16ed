//! The relative of the vendor's scripts on PyPI, which stands for them in comparisons.

use std::path::Path;

use super::{Log, files};

/// The relative as pip names it.
pub const RELATIVE: &str = "davincirunsdk==0.1.5";

/// Unpacks the relative into a folder.
pub fn unpack_relative(log: &Log, folder: &Path) -> anyhow::Result<()> {
    let downloaded = folder.join("wheel");
    // Only a wheel: pip runs what a source archive holds.
    log.command("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", RELATIVE, "--dest"])
        .arg(&downloaded)
        .run()?;
    let wheel = files::wheel(&downloaded, "davincirunsdk-")?;
    log.command("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder).run()?;
    Ok(())
}

/// Unpacks what its launcher needs. Its part for notebooks, which wants packages that the wheel does not name, is not
/// loaded: the scripts of an image have none, and the comparison is fairer without.
pub fn unpack_relative_launcher(log: &Log, folder: &Path) -> anyhow::Result<()> {
    unpack_relative(log, folder)?;
    files::write(&folder.join("davincirunsdk/__init__.py"), "")
}
