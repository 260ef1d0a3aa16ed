//! `fetch`: pip downloads what PyPI has of the recipe, for the Python and the machine of the image.
//!
//! The wheels go to `pypi/` of the package folder, with a record of what was asked for: a second fetch with the same
//! recipe finds everything there and needs no network. pip's index, proxies, certificates and find-links are what its
//! own configuration and environment say. An interrupted fetch leaves the folder marked as unfinished; the next one
//! begins anew. Wheels that someone else put there are left alone.

mod record;
mod request;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::fd::AsFd,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Error, anyhow, bail};
use oci_image::Store;

use self::record::{FileRecord, Record};
pub use self::{record::was_here, request::Request};
use crate::{
    recipe::Recipe,
    resolve::wheels::{digest, wheel_name},
    terminal::{
        progress::{self, Progress},
        report::WithHint,
    },
};

/// What the folder of fetched wheels is to a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was ever fetched into it.
    Never,
    /// It was fetched for something else, or a fetch was interrupted; these files are the fetch's own.
    Other(Vec<String>),
    /// It was fetched for this recipe, but these files are gone or not as long as they were.
    Lacking(Vec<String>),
    /// It was fetched for this recipe.
    Complete,
}

/// What the folder is to the recipe; sizes are compared, contents are not read.
pub fn state(recipe: &Recipe, folder: &Path) -> anyhow::Result<State> {
    let Some(record) = Record::load(folder)? else { return Ok(State::Never) };
    if record.request != Some(Request::of(recipe)) {
        return Ok(State::Other(record.files.into_keys().collect()));
    }
    let there = |(file, known): &(&String, &FileRecord)| {
        fs::metadata(folder.join(file)).is_ok_and(|meta| meta.is_file() && meta.len() == known.size)
    };
    let lacking: Vec<String> = record.files.iter().filter(|file| !there(file)).map(|(file, _)| file.clone()).collect();
    Ok(if lacking.is_empty() { State::Complete } else { State::Lacking(lacking) })
}

/// What a fetch did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fetched {
    /// Whether pip was run; else everything was there.
    pub downloaded: bool,
    pub files: Vec<String>,
    pub size: u64,
}

/// Fetches what PyPI has of the recipe into this folder.
pub fn fetch(recipe: &Recipe, folder: &Path, store: &Store, progress: &Progress) -> anyhow::Result<Fetched> {
    fetch_by(Path::new("python3"), recipe, folder, store, progress)
}

fn fetch_by(
    python: &Path,
    recipe: &Recipe,
    folder: &Path,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Fetched> {
    let request = Request::of(recipe);
    // What was fetched for other requirements stays for whoever has them; with none it goes into no image.
    if request.requirements.is_empty() {
        return Ok(Fetched { downloaded: false, files: Vec::new(), size: 0 });
    }
    fs::create_dir_all(folder).with_context(|| format!("failed to create folder `{}`", folder.display()))?;
    // Two fetches at once: the second waits and finds everything there.
    let _lock = lock(folder)?;
    let old = Record::load(folder)?.unwrap_or(Record { request: None, files: BTreeMap::new() });
    if old.request.as_ref() == Some(&request) && intact(&old, folder, store) {
        return Ok(outcome(&old, false));
    }
    // The lock is ours: what lies here is left from a fetch that was interrupted.
    let work = folder.join(PARTIAL);
    removed(&work, |path| fs::remove_dir_all(path))?;
    let wheels = work.join("wheels");
    fs::create_dir_all(&wheels).with_context(|| format!("failed to create folder `{}`", wheels.display()))?;
    let result = download(python, &request, &work, &wheels, progress)
        .and_then(|()| arrived(&wheels, store))
        .and_then(|files| settle(&old, Record { request: Some(request.clone()), files }, &wheels, folder));
    removed(&work, |path| fs::remove_dir_all(path))?;
    if let Ok(fetched) = &result {
        let (wheels, size) = (progress::count(fetched.files.len(), "wheel"), progress::bytes(fetched.size));
        progress.line(&format!("fetched {wheels}, {size}, into `{}`", folder.display()));
    }
    result
}

/// How to come by pip.
pub const INSTALL_PIP: &str = "install Python's pip, as by `apt-get install python3-pip`";

const PARTIAL: &str = ".partial";

/// Exit code of `pip.py` where Python has no pip.
const NO_PIP: i32 = 97;

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(".lock");
    let locking = || format!("failed to lock `{}`", path.display());
    let file = File::create(&path).with_context(locking)?;
    file.lock().with_context(locking)?;
    Ok(file)
}

/// Whether every file is what was fetched, by content: the store remembers digests, so this is quick.
fn intact(record: &Record, folder: &Path, store: &Store) -> bool {
    record
        .files
        .iter()
        .all(|(file, known)| digest(store, &folder.join(file)).is_ok_and(|found| found == (known.size, known.sha256)))
}

fn download(python: &Path, request: &Request, work: &Path, wheels: &Path, progress: &Progress) -> anyhow::Result<()> {
    for (name, text) in request.files() {
        let path = work.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    progress.line(&format!("pip downloads {} and what they need", request.requirements.join(", ")));
    let mut command = Command::new(python);
    command.args(["-c", include_str!("pip.py")]).arg(request.marker_environment());
    command.args(request.arguments(work, wheels));
    // Nothing is installed on this machine, so that a rule against installing outside an environment says nothing here.
    command.env("PIP_REQUIRE_VIRTUALENV", "0").stdin(Stdio::null());
    let folder = work.parent().unwrap_or(work).display();
    let install = format!("{INSTALL_PIP}; or put the wheels into `{folder}` by hand");
    let (status, said) =
        run(&mut command, progress).context("failed to run `python3`, which pip needs").hint(install.clone())?;
    match status.code() {
        Some(0) => Ok(()),
        Some(NO_PIP) => Err(anyhow!("the `python3` of this machine has no pip")).hint(install),
        _ => {
            let message = format!("pip could not download {}{said}", request.requirements.join(", "));
            Err(anyhow!(message)).hint("`pip config list` shows the index, proxy and find-links that pip uses")
        }
    }
}

/// Runs pip with its progress on our stderr, since stdout is for data; when quiet, what it said is kept for the error.
fn run(command: &mut Command, progress: &Progress) -> io::Result<(std::process::ExitStatus, String)> {
    if !progress.is_quiet() {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        return Ok((command.stdout(stderr).status()?, String::new()));
    }
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Ok((output.status, if said.is_empty() { said } else { format!("\n{said}") }))
}

/// The files that came, each of them a wheel that may be here.
fn arrived(wheels: &Path, store: &Store) -> anyhow::Result<BTreeMap<String, FileRecord>> {
    let reading = || format!("failed to list `{}`", wheels.display());
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(wheels).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let (name, _) = wheel_name(&file).map_err(Error::msg).context("pip downloaded a file that is not a wheel")?;
        if name == "moxing" {
            bail!("a requirement pulled in PyPI's `moxing`, which is not MoXing: `{file}`");
        }
        let path = entry.path();
        let (size, sha256) = digest(store, &path)?;
        // On the disk before the record says so.
        File::open(&path)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("failed to sync `{}`", path.display()))?;
        files.insert(file, FileRecord { size, sha256 });
    }
    Ok(files)
}

/// Moves the new files in and takes out what an earlier fetch left and this one no longer wants.
fn settle(old: &Record, new: Record, wheels: &Path, folder: &Path) -> anyhow::Result<Fetched> {
    let both = old.files.iter().chain(&new.files).map(|(file, known)| (file.clone(), known.clone())).collect();
    Record { request: None, files: both }.save(folder)?;
    for file in new.files.keys() {
        let (from, to) = (wheels.join(file), folder.join(file));
        fs::rename(from, &to).with_context(|| format!("failed to move a wheel to `{}`", to.display()))?;
    }
    for file in old.files.keys().filter(|file| !new.files.contains_key(*file)) {
        removed(&folder.join(file), |path| fs::remove_file(path))?;
    }
    new.save(folder)?;
    Ok(outcome(&new, true))
}

fn outcome(record: &Record, downloaded: bool) -> Fetched {
    let size = record.files.values().map(|known| known.size).sum();
    Fetched { downloaded, files: record.files.keys().cloned().collect(), size }
}

/// Removes what need not be there.
fn removed(path: &Path, remove: fn(&Path) -> io::Result<()>) -> anyhow::Result<()> {
    match remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
