//! `fetch`: pip downloads what PyPI has of the recipe, for the Python and the machine of the image.
//!
//! The wheels go to `pypi/` of the package folder, with a record of what was asked for: a second fetch with the same
//! recipe finds everything there and needs no network. pip's index, proxies, certificates and find-links are what its
//! own configuration and environment say. An interrupted fetch leaves the folder marked as unfinished; the next one
//! begins anew. Wheels that someone else put there are left alone, and pip may take what it needs from them.
//!
//! Where there is a lock, it decides what comes ([`Pins`]): the very files that it names, so that a clone of the
//! repository builds the same image; or, where the recipe has changed since, the versions that it names.

mod pip_log;
pub mod record;
mod request;
mod source;
mod uv;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::symlink},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Error, anyhow, bail};
use image_name::Digest;
use oci_image::Store;

use self::{
    pip_log::Unfit,
    record::{gone, lacking},
};
pub use self::{
    record::{FileRecord, was_here},
    request::Request,
};
use crate::{
    options::Call,
    recipe::{Recipe, Requirement, Resolver, locked},
    resolve::wheels::{digest, wheel_name},
    terminal::{
        progress::{self, Progress},
        report::{Problems, WithHint},
        secrets::masked,
    },
};

type Record = record::Record<Request>;

/// What the folder of fetched wheels is to a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was ever fetched into it.
    Never,
    /// The next fetch replaces these files, and why.
    Stale(Vec<String>, String),
    /// It was fetched for this recipe.
    Complete,
}

/// What the folder is to the recipe.
pub fn state(recipe: &Recipe, folder: &Path, store: &Store) -> anyhow::Result<State> {
    let Some(record) = Record::load(folder)? else { return Ok(State::Never) };
    let (wanted, shown) = (Request::of(recipe), folder.display());
    let lacking = match &record.request {
        Some(request) if *request == wanted => lacking(&record.files, folder, store),
        other => {
            let why = match other {
                Some(other) => {
                    let apart = wanted.apart_from(other);
                    format!("`{shown}` was fetched for other requirements than the recipe's: {apart}")
                }
                None => format!("a fetch into `{shown}` was interrupted"),
            };
            return Ok(State::Stale(record.files.into_keys().collect(), why));
        }
    };
    if lacking.is_empty() {
        return Ok(State::Complete);
    }
    let why = gone(&lacking, folder);
    Ok(State::Stale(lacking, why))
}

/// The recipe's requirements that none of these files is a wheel for, by name.
pub fn unmet(recipe: &Recipe, files: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<&Requirement> {
    let names = files.into_iter().filter_map(|file| Some(wheel_name(file.as_ref()).ok()?.0));
    let names: BTreeSet<String> = names.collect();
    // Markers hold where pip was told that they do.
    let target = locked::target(&recipe.python);
    let wanted = recipe.pypi.requirements.iter().filter(|one| one.on(&target).is_some());
    wanted.filter(|one| !names.contains(one.name().as_str())).collect()
}

/// The digest that a file had when it was fetched, where a fetch brought it.
pub fn digest_when_fetched(path: &Path) -> Option<Digest> {
    let record = Record::load(path.parent()?).ok()??;
    Some(record.files.get(path.file_name()?.to_str()?)?.sha256)
}

/// What a lock says of PyPI's wheels. By default there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// The wheels that it names.
    pub files: BTreeMap<String, FileRecord>,
    /// Whether it is of the very requirements of the recipe, so that these files are all that is wanted. Else they say
    /// which versions stay.
    pub exact: bool,
    /// Whether the newest is wanted, though the folder has what was asked for.
    pub upgrade: bool,
    /// Whether wheels are made of sources where there are none.
    pub build_pure: bool,
}

impl Pins {
    /// Whether these files of a folder are what comes by these pins.
    fn agree_with(&self, files: &BTreeMap<String, FileRecord>) -> bool {
        if self.exact {
            return files.iter().all(|(file, known)| self.files.get(file) == Some(known));
        }
        let pinned: BTreeMap<String, String> = self.files.keys().filter_map(|file| version_of(file)).collect();
        let mut versions = files.keys().filter_map(|file| version_of(file));
        versions.all(|(name, version)| pinned.get(&name).is_none_or(|pin| *pin == version))
    }
}

/// The distribution and the version of a wheel, as a requirement has them.
pub fn version_of(file: &str) -> Option<(String, String)> {
    let (name, parts) = wheel_name(file).ok()?;
    Some((name, parts.version))
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
pub fn fetch(
    recipe: &Recipe,
    folder: &Path,
    pins: &Pins,
    call: &Call,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Fetched> {
    let tools = Tools { python: Path::new("python3"), uv: Path::new("uv") };
    fetch_by(tools, recipe, folder, pins, call, store, progress)
}

/// The programs that resolve and download.
#[derive(Clone, Copy)]
struct Tools<'a> {
    python: &'a Path,
    uv: &'a Path,
}

fn fetch_by(
    tools: Tools<'_>,
    recipe: &Recipe,
    folder: &Path,
    pins: &Pins,
    call: &Call,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Fetched> {
    let request = Request::of(recipe);
    // What was fetched for other requirements stays for whoever has them; with none it goes into no image.
    if request.requirements.is_empty() {
        return Ok(Fetched { downloaded: false, files: Vec::new(), size: 0 });
    }
    if pins.build_pure && recipe.pypi.resolution.resolver == Resolver::Uv && !request.is_pinned(pins) {
        let hint = "leave it out and build the wheel by hand; or set `pypi.resolver` to \"pip\"";
        return Err(anyhow!("`--build-pure` is for what pip resolves, and the recipe has uv do that"))
            .hint(hint)
            .input();
    }
    // Two fetches at once: the second waits and finds everything there.
    let _lock = lock(folder)?;
    let old = Record::load(folder)?.unwrap_or(Record { request: None, files: BTreeMap::new() });
    let missing = lacking(if pins.exact { &pins.files } else { &old.files }, folder, store);
    let by_hand = by_hand(&old, folder)?;
    not_other_than_locked(recipe, &by_hand, folder, call, store)?;
    let is_complete = missing.is_empty() && unmet(recipe, old.files.keys().chain(&by_hand)).is_empty();
    if !pins.upgrade && old.request.as_ref() == Some(&request) && is_complete && pins.agree_with(&old.files) {
        return Ok(outcome(&old, false));
    }
    let (kept, missing): (Vec<_>, Vec<_>) = missing.into_iter().partition(|file| by_hand.contains(file));
    // The lock is ours: what lies here is left from a fetch that was interrupted.
    let work = folder.join(PARTIAL);
    removed(&work, |path| fs::remove_dir_all(path))?;
    let wheels = work.join(request::WHEELS);
    fs::create_dir_all(&wheels).with_context(|| format!("failed to create folder `{}`", wheels.display()))?;
    offer(&by_hand, folder, &work.join(request::OWN))?;
    let asked = request.with(pins, &missing, &by_hand);
    let asked = match recipe.pypi.resolution.resolver {
        Resolver::Uv if !request.is_pinned(pins) => {
            uv::resolve(tools, &asked, &by_hand, &locked::target(&recipe.python), &work, progress)
        }
        _ => Ok(asked),
    };
    let pinned_by = pinned_by(recipe, pins, call);
    let download = |part| download(tools.python, part, pinned_by.as_deref(), pins, call, &work, progress);
    let downloaded = asked.and_then(|asked| {
        let download = || asked.by_index().into_iter().try_for_each(download);
        match pins.build_pure {
            true => {
                let (python, target) = (tools.python, recipe.python.target());
                let request = &asked;
                source::Builder { python, request, target, pins, call, work: &work, store, progress }.run(download)
            }
            false => download(),
        }
    });
    let result = downloaded.and_then(|()| {
        let mut arrived = arrived(&wheels, store)?;
        // What pip took from those is still somebody's own.
        arrived.retain(|file, _| !by_hand.contains(file));
        let mut files = if pins.exact { pins.files.clone() } else { BTreeMap::new() };
        files.retain(|file, _| old.files.contains_key(file));
        files.extend(arrived.clone());
        let fetched = settle(&old, Record { request: Some(request), files }, &arrived, &wheels, folder)?;
        if fetched.downloaded {
            let size = progress::bytes(arrived.values().map(|known| known.size).sum());
            let wheels = progress::count(arrived.len(), "wheel");
            progress.line(&format!("fetched {wheels}, {size}, into `{}`", folder.display()));
        }
        Ok(fetched)
    });
    removed(&work, |path| fs::remove_dir_all(path))?;
    let fetched = result?;
    not_replaced(&kept, folder, call)?;
    Ok(fetched)
}

/// The wheels of the folder that no fetch brought.
fn by_hand(old: &Record, folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let reading = || format!("failed to list `{}`", folder.display());
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        let file = entry.with_context(reading)?.file_name().to_string_lossy().into_owned();
        if wheel_name(&file).is_ok() && !old.files.contains_key(&file) {
            files.insert(file);
        }
    }
    Ok(files)
}

/// Links to these wheels in a folder of their own, where pip finds them. What an earlier fetch left would be of no use
/// there: of equal wheels pip takes the one of the index (23.2).
fn offer(by_hand: &BTreeSet<String>, folder: &Path, own: &Path) -> anyhow::Result<()> {
    fs::create_dir(own).with_context(|| format!("failed to create folder `{}`", own.display()))?;
    for file in by_hand {
        let from = std::path::absolute(folder.join(file)).with_context(|| format!("bad path `{file}`"))?;
        let to = own.join(file);
        // Folders that a virtual machine shares often know no links.
        symlink(&from, &to)
            .or_else(|_| fs::copy(&from, &to).map(drop))
            .with_context(|| format!("failed to offer `{file}` to pip"))?;
    }
    Ok(())
}

/// A fetch does not replace what somebody put there, even by what the lock names. All else is there by now, so that it
/// can be locked.
fn not_replaced(kept: &[String], folder: &Path, call: &Call) -> anyhow::Result<()> {
    let mut problems = Problems::default();
    for file in kept {
        let message = format!("`{file}` in `{}` is not the one that `{}` names", folder.display(), call.lock_file);
        let hint = format!("delete it and run `{}` again; or, to keep it, run `{} --upgrade`", call.fetch, call.lock);
        problems.push(message, Some(hint));
    }
    problems.into_result()
}

/// What lies there by hand counts for what `pypi.locked` pins only if it is that.
fn not_other_than_locked(
    recipe: &Recipe,
    by_hand: &BTreeSet<String>,
    folder: &Path,
    call: &Call,
    store: &Store,
) -> anyhow::Result<()> {
    let Some(locked) = &recipe.pypi.locked else { return Ok(()) };
    let mut problems = Problems::default();
    for file in by_hand {
        let Some(name) = version_of(file).and_then(|(name, _)| name.parse().ok()) else { continue };
        let Some(hashes) = recipe.pypi.resolution.hashes.get(&name) else { continue };
        let (_, sha256) = digest(store, &folder.join(file))?;
        if !hashes.contains(&sha256) {
            let message = format!("`{file}` in `{}` is not the one that `{locked}` names", folder.display());
            problems.push(message, Some(format!("delete it and run `{}` again", call.fetch)));
        }
    }
    problems.into_result()
}

/// How to come by pip.
pub const INSTALL_PIP: &str = "install pip, for example with `apt-get install python3-pip`";

/// How pip begins to say that a file has not the hash that is asked for.
const OTHER_HASH: &str = "THESE PACKAGES DO NOT MATCH THE HASHES";

const PARTIAL: &str = ".partial";

/// Exit code of `pip.py` where Python has no pip.
const NO_PIP: i32 = 97;

/// Makes the folder, and waits until no other fetch is at work in it.
pub fn lock(folder: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("failed to create folder `{}`", folder.display()))?;
    let path = folder.join(".lock");
    let locking = || format!("failed to lock `{}`", path.display());
    let file = File::create(&path).with_context(locking)?;
    file.lock().with_context(locking)?;
    Ok(file)
}

/// What says which wheels come, each by version and hash; none where pip finds that out.
fn pinned_by(recipe: &Recipe, pins: &Pins, call: &Call) -> Option<String> {
    if pins.exact {
        return Some(format!("of `{}`", call.lock_file));
    }
    let of_tool = recipe.pypi.locked.as_ref().map(|file| format!("of `{file}`"));
    of_tool.or_else(|| (recipe.pypi.resolution.resolver == Resolver::Uv).then(|| "that uv chose".to_owned()))
}

fn download(
    python: &Path,
    (index, request): (Option<String>, Request),
    pinned_by: Option<&str>,
    pins: &Pins,
    call: &Call,
    work: &Path,
    progress: &Progress,
) -> anyhow::Result<()> {
    let folder = work.parent().unwrap_or(work);
    let wanted = match (&request.requirements[..], pinned_by) {
        (some, Some(pinned_by)) => format!("{} {pinned_by}", progress::count(some.len(), "wheel")),
        (some, None) => format!("{} and dependencies", some.join(", ")),
    };
    let from = index.as_ref().map(|url| format!(" from `{url}`")).unwrap_or_default();
    let wanted = wanted + &from;
    for (name, text) in request.files(index.as_deref()) {
        let path = work.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    progress.line(&format!("pip downloads {wanted}"));
    let mut command = Command::new(python);
    command.args(["-c", include_str!("pip.py")]).arg(request.marker_environment());
    command.args(request.arguments(work, pinned_by.is_some()));
    // Nothing is installed on this machine, so that a rule against installing outside an environment says nothing here.
    command.env("PIP_REQUIRE_VIRTUALENV", "0").stdin(Stdio::null());
    let install = format!(
        "{INSTALL_PIP}; or run the command that `{} --dry-run` prints where there is pip, and copy the wheels to `{}`",
        call.fetch,
        folder.display()
    );
    let (status, said) =
        run(&mut command, progress).context("failed to run `python3`, which pip needs").hint(install.clone())?;
    match status.code() {
        Some(0) => Ok(()),
        Some(NO_PIP) => Err(anyhow!("the `python3` of this machine has no pip")).hint(install),
        _ => {
            let log = fs::read(work.join(request::LOG)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let unfit = Unfit::parse(&log, &request.constraints);
            let failed = Err(anyhow!("pip could not download {wanted}{}{said}", unfit.lacking(&request.python)));
            if let Some(hint) = unfit.hint(&request.python, folder, &call.fetch) {
                return failed.hint(hint);
            }
            let is_other = [&*log, &said].iter().any(|text| text.contains(OTHER_HASH));
            if is_other && !pins.exact && !request.resolution.hashes.is_empty() {
                let hint =
                    "correct the file that `pypi.locked` names, or set `[[pypi.index]]` to the index it was made with";
                return failed.hint(hint);
            }
            let failed = failed.hint("`pip config list` shows the index, proxy and find-links that pip uses");
            if pins.files.is_empty() {
                return failed;
            }
            failed.hint(format!(
                "`{}` pins the versions; to move to the newest on PyPI, run `{} --upgrade`",
                call.lock_file, call.fetch
            ))
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
    let said = masked(String::from_utf8_lossy(&output.stderr).trim_end());
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

/// Moves the files in that arrived and takes out what an earlier fetch left and this one no longer wants.
fn settle(
    old: &Record,
    new: Record,
    arrived: &BTreeMap<String, FileRecord>,
    wheels: &Path,
    folder: &Path,
) -> anyhow::Result<Fetched> {
    let both = old.files.iter().chain(&new.files).map(|(file, known)| (file.clone(), known.clone())).collect();
    Record { request: None, files: both }.save(folder)?;
    for file in arrived.keys() {
        let (from, to) = (wheels.join(file), folder.join(file));
        fs::rename(from, &to).with_context(|| format!("failed to move a wheel to `{}`", to.display()))?;
    }
    for file in old.files.keys().filter(|file| !new.files.contains_key(*file)) {
        removed(&folder.join(file), |path| fs::remove_file(path))?;
    }
    new.save(folder)?;
    Ok(outcome(&new, !arrived.is_empty()))
}

fn outcome(record: &Record, downloaded: bool) -> Fetched {
    let size = record.files.values().map(|known| known.size).sum();
    Fetched { downloaded, files: record.files.keys().cloned().collect(), size }
}

/// Removes what need not be there.
pub fn removed(path: &Path, remove: fn(&Path) -> io::Result<()>) -> anyhow::Result<()> {
    match remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
