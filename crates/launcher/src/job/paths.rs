//! Where logs, the converted rank table and the work folders go: an ordered choice, made once, with the reasons said.
//!
//! A choice that doesn't apply (its variable is unset, or the vendor's rule wants a folder that isn't there) is no choice
//! at all. One that applies and fails is passed over, and the note of a [`ChosenPath`] says so.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::files::{self, device_folder};
use super::nodes::Nodes;
use super::{Lookup, variables};
use crate::exit::{Exit, Failure};
use crate::links;

/// Name of a mirror: what a task makes, until it is copied to object storage.
pub const OUTPUT: &str = "fmtk_output";

/// What the choice depends on.
pub struct Surroundings<'a> {
    pub lookup: Lookup<'a>,
    /// Our effective uid: a guarded folder has to belong to it.
    pub uid: u32,
    /// Name of the folder that this run has for itself below a shared one.
    pub own: &'a str,
    /// What fixed paths such as `/tmp` and `/cache` are below: `/`, but in tests.
    pub root: &'a Path,
    /// Make nothing and judge by permissions alone, as `--dry-run` must.
    pub dry: bool,
}

impl Surroundings<'_> {
    pub fn real(dry: bool) -> Surroundings<'static> {
        let uid = nix::unistd::geteuid().as_raw();
        Surroundings { lookup: &variables::own, uid, own: own_name(), root: Path::new("/"), dry }
    }
}

/// With the id that the job is given, or the host's name, so that people see whose it is, and a number that no other run
/// has: neither of this job, nor in another container. The same in the launcher and its guardian, once one of them was asked before they part.
fn own_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        // Short, as a socket's path has 108 bytes at most.
        let job: String = files::plain(&super::id(&Nodes::alone(), &variables::own)).chars().take(40).collect();
        format!("fmtk-{job}-{:08x}", RandomState::new().hash_one(job.as_str()) as u32)
    })
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
        return choose(around, WHAT, "`--log-dir` takes a folder that can be written to", 0o755, vec![open(path)], &[]);
    }
    let mut choices = Vec::new();
    // The vendor's rule: only where the platform has made it.
    if let Some(log) = below_var(around, "MA_MOUNT_PATH", "log").filter(|log| !is_missing(log)) {
        choices.push(open(log));
    }
    let tmp = around.root.join("tmp");
    choices.push(guarded(tmp.join("log")));
    choices.extend(cache(around).map(|it| guarded(it.join("log"))));
    choices.extend(below_var(around, "TMPDIR", "log").map(guarded));
    // What outlives the run can't be in a folder of its own.
    let ours = tmp.join(format!("fmtk-{}", around.uid));
    choices.push(Choice { path: ours.join("log"), guard: Some(ours) });
    choose(around, WHAT, "give one with `--log-dir`", 0o755, choices, &[])
}

/// The folder for the converted rank table: never a shared one, in which another job would put its own.
pub fn rank_table(around: &Surroundings) -> Result<ChosenPath, Failure> {
    scratch(around, "the converted rank table", [], "rank_table", &[])
}

/// The folder in which every one of `devices` has, or can have, its [`device_folder`]; they are made, mode 0750, since
/// the tuning kit refuses wider ones.
pub fn work(around: &Surroundings, devices: &[u32]) -> Result<ChosenPath, Failure> {
    let named = below_var(around, "MA_MOUNT_PATH", "workspace").map(open);
    scratch(around, "the ranks' work", named, "", devices)
}

/// The folder for what comes from object storage or goes there, called `name`, below FMTK_CACHE or /cache; with an empty
/// name the one above them.
pub fn mirror(around: &Surroundings, name: &str) -> Result<ChosenPath, Failure> {
    let named = var(around, "FMTK_CACHE").map(|it| open(join(it, name)));
    let in_cache = if name.is_empty() { open } else { guarded };
    let named = named.into_iter().chain(cache(around).map(|it| in_cache(join(it, name))));
    scratch(around, "what is copied", named, name, &[])
}

/// A folder that need not outlive the job: one that is named, else `name` in the folder of this run.
///
/// What MA_MOUNT_PATH and FMTK_CACHE name, and what the launch kit has in /cache, keeps its name, as scripts rely on it: each
/// container has its own. Whatever else jobs may share has a folder for each run.
fn scratch(
    around: &Surroundings,
    what: &'static str,
    named: impl IntoIterator<Item = Choice>,
    name: &str,
    devices: &[u32],
) -> Result<ChosenPath, Failure> {
    let of_run = own_folders(around).into_iter().map(|own| Choice { path: join(own.clone(), name), guard: Some(own) });
    let choices = named.into_iter().chain(of_run).collect();
    choose(around, what, "set `TMPDIR` to a folder that can be written to", 0o750, choices, devices)
}

/// Where the folder of this run may be.
fn own_folders(around: &Surroundings) -> Vec<PathBuf> {
    let shared = cache(around).into_iter().chain(var(around, "TMPDIR")).chain([around.root.join("tmp")]);
    shared.map(|it| it.join(around.own)).collect()
}

/// Removes the folder of this run with all that is in it, but not a task's output that may not be saved yet. Gives what has
/// to be said.
pub fn remove_own(around: &Surroundings, is_success: bool) -> Vec<String> {
    let mut notes = Vec::new();
    for own in own_folders(around) {
        if trusted(&own, around.uid).is_err() {
            continue;
        }
        let output = own.join(OUTPUT);
        let has_output = fs::read_dir(&output).is_ok_and(|mut it| it.next().is_some());
        if has_output && !is_success {
            notes.push(format!("the output of this task is kept in `{}`", output.display()));
        } else if let Err(error) = fs::remove_dir_all(&own) {
            notes.push(format!("failed to remove `{}`: {error}", own.display()));
        }
    }
    notes
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
    /// The folder, `path` or one above it, that must be ours alone, as others can write to what holds it.
    guard: Option<PathBuf>,
}

fn open(path: PathBuf) -> Choice {
    Choice { path, guard: None }
}

fn guarded(path: PathBuf) -> Choice {
    Choice { guard: Some(path.clone()), path }
}

/// The platform's disk for a job; elsewhere there is none, and root should not put one at the top of the machine.
fn cache(around: &Surroundings) -> Option<PathBuf> {
    Some(around.root.join("cache")).filter(|it| !is_missing(it))
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
    for (index, Choice { path, guard }) in choices.iter().enumerate() {
        // `TMPDIR=/tmp` names one choice twice: once is enough.
        if choices[..index].iter().any(|before| before.path == *path) {
            continue;
        }
        let mut folders: Vec<PathBuf> = devices.iter().map(|device| device_folder(path, *device)).collect();
        if folders.is_empty() {
            folders.push(path.clone());
        }
        let wrong = folders.iter().find_map(|folder| {
            let error = usable(around, folder, mode, guard.as_deref()).err()?;
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
/// `guard` is the folder or one above it, and has to be a real one that only we can write to. Links of other users are followed
/// nowhere.
fn usable(around: &Surroundings, folder: &Path, mode: u32, guard: Option<&Path>) -> io::Result<()> {
    // It would mean one place to the launcher and another to ranks, which start in the code folder.
    if !folder.is_absolute() {
        return Err(io::Error::other("not an absolute path"));
    }
    if let Some(guard) = guard {
        match trusted(guard, around.uid) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && around.dry => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // 0700: the launcher and its ranks are one uid, and nobody else has any business in it.
                let mode = if guard == folder { mode } else { 0o700 };
                links::make_folder(guard, mode)?;
                trusted(guard, around.uid)?;
            }
            checked => checked?,
        }
    }
    if around.dry {
        return links::may_make_folder(folder);
    }
    let folder = links::make_folder(folder, mode)?;
    let name = format!(".{}", around.own);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file = openat(&folder, name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // A byte, since a full disk often still has room for an empty file.
    let written = File::from(file).write_all(b"\n");
    // Where it can't be removed, the folder is no less writable.
    let _ = unlinkat(&folder, name.as_str(), UnlinkatFlags::NoRemoveDir);
    written
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
