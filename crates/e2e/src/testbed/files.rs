//! Files and folders that scenarios and measurements make; each failure names the path.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::Log;

/// Makes a folder and those above it.
pub fn folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to create folder `{}`", path.display()))
}

/// Writes a file.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("failed to write `{}`", path.display()))
}

/// Writes a script that anyone may run.
pub fn script(path: &Path, text: &str) -> anyhow::Result<()> {
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make `{}` a program", path.display()))
}

/// The text of a file.
pub fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))
}

/// Copies a folder with all that is in it.
pub fn copy_folder(log: &Log, from: &Path, to: &Path) -> anyhow::Result<()> {
    log.command("cp").args(["-r", "--"]).arg(from).arg(to).run()?;
    Ok(())
}

/// The one wheel in a folder whose name begins like this.
pub fn wheel(folder: &Path, prefix: &str) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))?;
    let named = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(prefix) && name.ends_with(".whl")
    };
    let mut found = entries.flatten().map(|entry| entry.path()).filter(named);
    match (found.next(), found.next()) {
        (Some(wheel), None) => Ok(wheel),
        (None, _) => anyhow::bail!("no `{prefix}*.whl` in `{}`", folder.display()),
        (Some(_), Some(_)) => anyhow::bail!("several `{prefix}*.whl` in `{}`", folder.display()),
    }
}
