//! Files and folders that scenarios and measurements make and read; each failure names the path.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use fmtk::resolve::place;
use serde_json::Value;

use super::Log;

pub fn folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to create folder `{}`", path.display()))
}

/// Writes a file, and makes the folders above it.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    folder(path.parent().unwrap_or(Path::new("/")))?;
    fs::write(path, content).with_context(|| format!("failed to write `{}`", path.display()))
}

/// Writes a script that anyone may run. By a process of its own: a program that another scenario starts at this moment would
/// have a file of ours open for writing until it becomes itself, and what is open so can't be run.
pub fn script(path: &Path, text: &str) -> anyhow::Result<()> {
    folder(path.parent().unwrap_or(Path::new("/")))?;
    let failed = || format!("failed to write `{}`", path.display());
    let mut writer = Command::new("sh");
    writer.args(["-c", "cat >\"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = writer.spawn().with_context(failed)?;
    // Dropped, it is the end of the text.
    let written = writer.stdin.take().map(|mut pipe| pipe.write_all(text.as_bytes()));
    ensure!(writer.wait().with_context(failed)?.success(), failed());
    written.context("no pipe")?.with_context(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make `{}` a program", path.display()))
}

pub fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))
}

pub fn read(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(bytes(path)?).with_context(|| format!("`{}` is not UTF-8", path.display()))
}

pub fn read_json(path: &Path) -> anyhow::Result<Value> {
    serde_json::from_slice(&bytes(path)?).with_context(|| format!("`{}` is not JSON", path.display()))
}

/// A text in a value of JSON.
pub fn field<'j>(json: &'j Value, name: &str) -> anyhow::Result<&'j str> {
    json[name].as_str().with_context(|| format!("there is no text `{name}` in {json}"))
}

/// A list in a value of JSON.
pub fn list<'j>(json: &'j Value, name: &str) -> anyhow::Result<&'j Vec<Value>> {
    json[name].as_array().with_context(|| format!("there is no list `{name}` in {json}"))
}

pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("failed to copy `{}` to `{}`", from.display(), to.display())).map(drop)
}

pub fn copy_folder(log: &Log, from: &Path, to: &Path) -> anyhow::Result<()> {
    log.command("cp").args(["-r", "--"]).arg(from).arg(to).run().map(drop)
}

pub fn paths(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("failed to list `{}`", folder.display());
    let entries = fs::read_dir(folder).with_context(failed)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>().with_context(failed)?;
    paths.sort();
    Ok(paths)
}

pub fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    Ok(paths(folder)?.iter().map(|path| name(path)).collect())
}

pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The one wheel in a folder whose name begins like this.
pub fn wheel(folder: &Path, prefix: &str) -> anyhow::Result<PathBuf> {
    let is_it = |path: &PathBuf| name(path).starts_with(prefix) && name(path).ends_with(".whl");
    let found: Vec<PathBuf> = paths(folder)?.into_iter().filter(is_it).collect();
    match &found[..] {
        [wheel] => Ok(wheel.clone()),
        [] => bail!("no `{prefix}*.whl` in `{}`", folder.display()),
        _ => bail!("several `{prefix}*.whl` in `{}`", folder.display()),
    }
}

/// A file of this crate that is no Rust: what stands for the vendor's programs, and what ranks do.
pub fn data(name: &str) -> PathBuf {
    place::workspace().join("crates/e2e/data").join(name)
}
