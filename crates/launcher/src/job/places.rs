//! Where logs, the converted rank table and the work folders go: an ordered choice, made once, with the reasons said.
//!
//! A choice that doesn't apply (its variable is unset, or the vendor's rule wants a folder that isn't there) is no choice
//! at all. One that applies and fails is passed over, and [`Place::note`] says so.

mod usable;

use std::io;
use std::path::{Path, PathBuf};

use usable::Demand;

use super::files::device_folder;
use super::{Lookup, variables};
use crate::exit::{Exit, Failure};

/// What the choice depends on.
pub struct Surroundings<'a> {
    /// Looks up an environment variable.
    pub lookup: Lookup<'a>,
    /// Our effective uid: names the private folder below `/tmp`, and must own it.
    pub uid: u32,
    /// What fixed paths such as `/tmp` and `/cache` are below: `/`, but in tests.
    pub root: &'a Path,
    /// Make nothing and judge by permissions alone, as `--dry-run` must.
    pub dry: bool,
}

impl Surroundings<'_> {
    /// Those of this process.
    pub fn real(dry: bool) -> Surroundings<'static> {
        Surroundings { lookup: &variables::own, uid: nix::unistd::geteuid().as_raw(), root: Path::new("/"), dry }
    }
}

/// A folder that can be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its absolute path.
    pub path: PathBuf,
    /// One sentence on the choices before it that could not be used; `None` for the first choice.
    pub note: Option<String>,
}

type Tried = (PathBuf, io::Error);

/// The folder for logs: `given` and nothing else, or the vendor's two and our own fallbacks. It is made with mode 0755,
/// because what collects logs may run under another uid.
pub fn logs(around: &Surroundings, given: Option<&Path>) -> Result<Place, Failure> {
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

/// The folder for the converted rank table.
pub fn rank_table(around: &Surroundings) -> Result<Place, Failure> {
    let named = below_var(around, "MA_MOUNT_PATH", "rank_table");
    scratch(around, "the converted rank table", named, "rank_table", &[])
}

/// The folder in which every one of `devices` has, or can have, its [`device_folder`]; they are made, mode 0750, since
/// the tuning kit refuses wider ones.
pub fn work(around: &Surroundings, devices: &[u32]) -> Result<Place, Failure> {
    scratch(around, "the ranks' work", below_var(around, "MA_MOUNT_PATH", "workspace"), "", devices)
}

/// The folder for what comes from object storage or goes there, called `name`, below FMTK_CACHE or /cache; with an empty
/// name the one above them.
pub fn mirror(around: &Surroundings, name: &str) -> Result<Place, Failure> {
    scratch(around, "what is copied", var(around, "FMTK_CACHE").map(|it| join(it, name)), name, &[])
}

/// A folder that need not outlive the container: the one that is named, else `name` in the cache, else in a folder of our own.
fn scratch(
    around: &Surroundings,
    what: &'static str,
    named: Option<PathBuf>,
    name: &str,
    devices: &[u32],
) -> Result<Place, Failure> {
    let mut choices: Vec<Choice> = named.map(own).into_iter().collect();
    choices.extend(cache(around, name));
    choices.extend(var(around, "TMPDIR").map(|tmp| private(tmp, around.uid, name)));
    choices.push(private(around.root.join("tmp"), around.uid, name));
    choose(around, what, "set `TMPDIR` to a folder that can be written to", 0o750, choices, devices)
}

/// Whether HOME is a folder that can be written to.
pub fn is_home_usable(around: &Surroundings) -> bool {
    var(around, "HOME").is_some_and(|home| home.is_dir() && test(around, &home, 0o750, None).is_ok())
}

/// Whether HOME belongs to the user that we run as: the tuning kit refuses any other.
pub fn is_home_own(around: &Surroundings) -> bool {
    use std::os::unix::fs::MetadataExt;
    var(around, "HOME").and_then(|home| home.metadata().ok()).is_some_and(|it| it.uid() == around.uid)
}

/// Where the tuning kit's own logs are below a home.
pub fn tool_logs(home: &Path) -> PathBuf {
    home.join(".cache/Huawei/mxTuningKit/log")
}

/// HOME as the launcher has it.
pub fn own_home() -> Option<PathBuf> {
    variables::own("HOME").map(PathBuf::from)
}

/// A folder to try.
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
) -> Result<Place, Failure> {
    let mut tried: Vec<Tried> = Vec::new();
    for (index, Choice { path, private }) in choices.iter().enumerate() {
        // `TMPDIR=/tmp` names one choice twice: once is enough.
        if choices[..index].iter().any(|before| before.path == *path) {
            continue;
        }
        let mut folders: Vec<PathBuf> = devices.iter().map(|device| device_folder(path, *device)).collect();
        if folders.is_empty() {
            folders.push(path.clone());
        }
        let failed = folders.into_iter().find_map(|folder| {
            let error = test(around, &folder, mode, private.as_deref()).err()?;
            Some((folder, error))
        });
        match failed {
            Some(failed) => tried.push(failed),
            None => {
                let note = (!tried.is_empty()).then(|| {
                    format!("folder for {what} is `{}`, as others failed: {}", path.display(), reasons(&tried))
                });
                return Ok(Place { path: path.clone(), note });
            }
        }
    }
    let text = format!("failed to find a writable folder for {what}: {}\nhint: {hint}", reasons(&tried));
    Err(Failure::new(Exit::LAUNCHER, text))
}

fn test(around: &Surroundings, folder: &Path, mode: u32, private: Option<&Path>) -> io::Result<()> {
    let demand = Demand { folder, mode, private, uid: around.uid };
    if around.dry { usable::judge(&demand) } else { usable::make(&demand) }
}

fn reasons(tried: &[Tried]) -> String {
    tried.iter().map(|(path, error)| format!("`{}`: {error}", path.display())).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
