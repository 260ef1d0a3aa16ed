//! Where logs, the converted rank table and the work folders go: an ordered choice, made once, with the reasons said.
//!
//! A choice that doesn't apply (its variable is unset, or the vendor's rule wants a folder that isn't there) is no choice
//! at all. One that applies and fails is passed over, and the note of a [`ChosenPath`] says so.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, mkstemp};

use super::files::device_folder;
use super::{Lookup, variables};
use crate::exit::{Exit, Failure};

/// What the choice depends on.
pub struct Surroundings<'a> {
    pub lookup: Lookup<'a>,
    /// Our effective uid: names the private folder below `/tmp`, and must own it.
    pub uid: u32,
    /// What fixed paths such as `/tmp` and `/cache` are below: `/`, but in tests.
    pub root: &'a Path,
    /// Make nothing and judge by permissions alone, as `--dry-run` must.
    pub dry: bool,
}

impl Surroundings<'_> {
    pub fn real(dry: bool) -> Surroundings<'static> {
        Surroundings { lookup: &variables::own, uid: nix::unistd::geteuid().as_raw(), root: Path::new("/"), dry }
    }
}

/// The absolute path of a folder that can be written to, and a sentence on the choices before it that could not be used.
pub type ChosenPath = (PathBuf, Option<String>);

/// The folder for logs: `given` and nothing else, or the vendor's two and our own fallbacks. It is made with mode 0755,
/// because what collects logs may run under another uid.
pub fn logs(around: &Surroundings, given: Option<&Path>) -> Result<ChosenPath, Failure> {
    const WHAT: &str = "logs";
    if let Some(given) = given {
        // The ranks may have another working folder, so a relative path would mean another place to them.
        let path = std::path::absolute(given).unwrap_or_else(|_| given.into());
        return choose(around, WHAT, "`--log-dir` takes a folder that can be written to", 0o755, vec![own(path)], &[]);
    }
    let mut choices = Vec::new();
    // The vendor's rule: only where the platform has made it.
    if let Some(log) = below_var(around, "MA_MOUNT_PATH", "log").filter(|log| !is_missing(log)) {
        choices.push(own(log));
    }
    choices.push(own(around.root.join("tmp/log")));
    choices.extend(cache(around, "log"));
    choices.extend(below_var(around, "TMPDIR", "log").map(own));
    choices.push(private(around.root.join("tmp"), around.uid, "log"));
    choose(around, WHAT, "give one with `--log-dir`", 0o755, choices, &[])
}

pub fn rank_table(around: &Surroundings) -> Result<ChosenPath, Failure> {
    let named = below_var(around, "MA_MOUNT_PATH", "rank_table");
    scratch(around, "the converted rank table", named, "rank_table", &[])
}

/// The folder in which every one of `devices` has, or can have, its [`device_folder`]; they are made, mode 0750, since
/// the tuning kit refuses wider ones.
pub fn work(around: &Surroundings, devices: &[u32]) -> Result<ChosenPath, Failure> {
    scratch(around, "the ranks' work", below_var(around, "MA_MOUNT_PATH", "workspace"), "", devices)
}

/// The folder for what comes from object storage or goes there, called `name`, below FMTK_CACHE or /cache; with an empty
/// name the one above them.
pub fn mirror(around: &Surroundings, name: &str) -> Result<ChosenPath, Failure> {
    scratch(around, "what is copied", var(around, "FMTK_CACHE").map(|it| join(it, name)), name, &[])
}

/// A folder that need not outlive the container: the one that is named, else `name` in the cache, else in a folder of our own.
fn scratch(
    around: &Surroundings,
    what: &'static str,
    named: Option<PathBuf>,
    name: &str,
    devices: &[u32],
) -> Result<ChosenPath, Failure> {
    let mut choices: Vec<Choice> = named.map(own).into_iter().collect();
    choices.extend(cache(around, name));
    choices.extend(var(around, "TMPDIR").map(|tmp| private(tmp, around.uid, name)));
    choices.push(private(around.root.join("tmp"), around.uid, name));
    choose(around, what, "set `TMPDIR` to a folder that can be written to", 0o750, choices, devices)
}

pub fn is_home_usable(around: &Surroundings) -> bool {
    var(around, "HOME").is_some_and(|home| home.is_dir() && usable(around, &home, 0o750, None).is_ok())
}

/// Whether HOME belongs to the user that we run as: the tuning kit refuses any other.
pub fn is_home_own(around: &Surroundings) -> bool {
    var(around, "HOME").and_then(|home| home.metadata().ok()).is_some_and(|it| it.uid() == around.uid)
}

/// Where the tuning kit's own logs are below a home.
pub fn tool_logs(home: &Path) -> PathBuf {
    home.join(".cache/Huawei/mxTuningKit/log")
}

pub fn own_home() -> Option<PathBuf> {
    variables::own("HOME").map(PathBuf::from)
}

struct Choice {
    path: PathBuf,
    /// The folder on the way to `path` that must be ours alone, as others can write to what holds it.
    private: Option<PathBuf>,
}

fn own(path: PathBuf) -> Choice {
    Choice { path, private: None }
}

/// The platform's disk for a job; elsewhere there is none, and root should not put one at the top of the machine.
fn cache(around: &Surroundings, name: &str) -> Option<Choice> {
    let cache = around.root.join("cache");
    if is_missing(&cache) {
        return None;
    }
    Some(own(join(cache, name)))
}

fn private(tmp: PathBuf, uid: u32, name: &str) -> Choice {
    let ours = tmp.join(format!("fmtk-{uid}"));
    Choice { path: join(ours.clone(), name), private: Some(ours) }
}

/// Joining an empty name would add a slash to the path.
fn join(folder: PathBuf, name: &str) -> PathBuf {
    if name.is_empty() { folder } else { folder.join(name) }
}

fn var(around: &Surroundings, name: &str) -> Option<PathBuf> {
    (around.lookup)(name).map(PathBuf::from)
}

fn below_var(around: &Surroundings, variable: &str, name: &str) -> Option<PathBuf> {
    var(around, variable).map(|folder| folder.join(name))
}

fn is_missing(path: &Path) -> bool {
    path.metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// The first of `choices` that can be used; with `devices`, the first where the folder of each can.
fn choose(
    around: &Surroundings,
    what: &'static str,
    hint: &'static str,
    mode: u32,
    choices: Vec<Choice>,
    devices: &[u32],
) -> Result<ChosenPath, Failure> {
    let mut failed: Vec<String> = Vec::new();
    for (index, Choice { path, private }) in choices.iter().enumerate() {
        // `TMPDIR=/tmp` names one choice twice: once is enough.
        if choices[..index].iter().any(|before| before.path == *path) {
            continue;
        }
        let mut folders: Vec<PathBuf> = devices.iter().map(|device| device_folder(path, *device)).collect();
        if folders.is_empty() {
            folders.push(path.clone());
        }
        let wrong = folders.iter().find_map(|folder| {
            let error = usable(around, folder, mode, private.as_deref()).err()?;
            Some(format!("`{}`: {error}", folder.display()))
        });
        let Some(wrong) = wrong else {
            let reasons = failed.join("; ");
            let note = format!("folder for {what} is `{}`, as others failed: {reasons}", path.display());
            return Ok((path.clone(), Some(note).filter(|_| !failed.is_empty())));
        };
        failed.push(wrong);
    }
    let text = format!("failed to find a writable folder for {what}: {}\nhint: {hint}", failed.join("; "));
    Err(Failure::new(Exit::LAUNCHER, text))
}

/// Makes the folder where it is missing and writes a file to it, which is removed again: access(2) says yes to root in places
/// that root can't write to either. A dry run asks that nevertheless, of the folder or the nearest one above it.
///
/// `private` is the folder or one above it, and has to be a real one that only we can write to.
fn usable(around: &Surroundings, folder: &Path, mode: u32, private: Option<&Path>) -> io::Result<()> {
    // It would mean one place to the launcher and another to ranks, which start in the code folder.
    if !folder.is_absolute() {
        return Err(io::Error::other("not an absolute path"));
    }
    if let Some(private) = private {
        if !around.dry {
            // 0700: the launcher and its ranks are one uid, and nobody else has any business in it.
            let made = DirBuilder::new().mode(0o700).create(private);
            made.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
        }
        match trusted(private, around.uid) {
            // Only the folder itself would be made, so what holds it must be there.
            Err(error) if around.dry && error.kind() == io::ErrorKind::NotFound => {
                return ask(private.parent().unwrap_or(Path::new("/")));
            }
            checked => checked?,
        }
    }
    if around.dry {
        let nearest = folder.ancestors().find(|path| path.symlink_metadata().is_ok());
        return ask(nearest.unwrap_or(Path::new("/")));
    }
    DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    let (file, path) = mkstemp(&folder.join(".fmtk-XXXXXX"))?;
    // A byte, since a full disk often still has room for an empty file.
    let written = File::from(file).write_all(b"\n");
    // Where it can't be removed, the folder is no less writable.
    let _ = fs::remove_file(&path);
    written
}

fn ask(folder: &Path) -> io::Result<()> {
    if !folder.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
}

/// A folder of ours that others can't write to: nobody can put a link into it, nor, below a sticky `/tmp`, replace it.
fn trusted(folder: &Path, uid: u32) -> io::Result<()> {
    let metadata = folder.symlink_metadata()?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let why = if !metadata.is_dir() {
        "it isn't a real folder".to_owned()
    } else if owner != uid {
        format!("it belongs to uid {owner}, not {uid}")
    } else if mode & 0o022 != 0 {
        format!("its mode {mode:04o} lets others write")
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!("not trusted: {why}")))
}

#[cfg(test)]
mod tests;
