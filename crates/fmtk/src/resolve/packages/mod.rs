//! The packages of the image: found in the package folder by the recipe's globs, and known by their digests.

mod contents;
mod installer;
mod source;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use glob::Pattern;
use image_name::Digest;
use makeself::Makeself;
use oci_image::Store;
use serde::{Deserialize, Serialize};
use wheel_layer::is_outlined;

pub use self::{
    contents::{Contents, Wheel, contents},
    installer::{Installer, MAKESELF, installer, installer_key},
};
use crate::{
    options::Call,
    recipe::{ARCH, CANN, INSTALLERS, NNAL, OPS, PYPI, Recipe, SYSTEM, is_version, public, title},
    resolve::{
        fetch::{self, State},
        place,
        wheels::{InstallerName, chip, digest, wheel_name},
    },
    terminal::report::{Problems, WithHint},
};

/// A file that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Kind in the recipe's `[packages]`, or `pypi`.
    pub kind: String,
    /// Name of the file.
    pub file: String,
    /// Where it is on this machine; the lock does not say.
    #[serde(skip)]
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
}

impl Package {
    /// Whether it is an installer of CANN, which is run, and not a wheel, which is unpacked.
    pub fn is_installer(&self) -> bool {
        INSTALLERS.contains(&self.kind.as_str())
    }
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSet {
    /// By kind and file name.
    pub packages: Vec<Package>,
    /// Wheels and installers in the folder that nothing in the recipe asks for: likely a mistake.
    pub unused: Vec<String>,
    /// How many of PyPI's wheels are left out because the recipe wants nothing of PyPI.
    pub left_out: usize,
}

/// Where the packages of a recipe lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Those of the vendor, and whatever else is given a kind in `[packages]`.
    pub vendor: PathBuf,
    /// What `fetch` gets of PyPI, beside what somebody put there.
    pub pypi: PathBuf,
    /// What it gets of the base's distribution.
    pub system: PathBuf,
}

impl Folders {
    /// Those of this recipe below the package folder: the wheels of `torch.toml` are in `pypi/torch`, so that recipes
    /// do not replace each other's; those of `image.toml`, which most have alone, in `pypi`. A stack that an argument
    /// names has a folder in that.
    pub fn of(vendor: PathBuf, recipe: Option<&Path>, stack: Option<&str>) -> Self {
        let name = recipe.and_then(Path::file_stem).filter(|name| *name != "image");
        let [pypi, system] = [PYPI, SYSTEM].map(|kind| {
            let mut folder = vendor.join(kind);
            folder.extend(name.into_iter().chain(stack.map(OsStr::new)));
            folder
        });
        Self { vendor, pypi, system }
    }
}

/// The package folder: the argument, else `pkg` of `$DOCKER_BUILD_PATH` as the original build had it, else `pkg` of the
/// workspace.
pub fn folder(argument: Option<&Path>) -> PathBuf {
    folder_from(argument, env::var_os("DOCKER_BUILD_PATH").map(PathBuf::from), &place::workspace())
}

fn folder_from(argument: Option<&Path>, build_path: Option<PathBuf>, workspace: &Path) -> PathBuf {
    match argument {
        Some(folder) => folder.to_owned(),
        None => build_path.filter(|path| !path.as_os_str().is_empty()).as_deref().unwrap_or(workspace).join("pkg"),
    }
}

/// How to have a package of this kind at this path.
pub fn way_to(kind: &str, path: &Path, call: &Call) -> String {
    match kind {
        PYPI => format!("run `{}`", call.fetch),
        CANN if path.extension().is_some_and(|end| end == "whl") => {
            "it is one of CANN's own: give `--no-cache-from`, with CANN's installer in the package folder".to_owned()
        }
        kind => source::of(kind, path.parent().unwrap_or(path)),
    }
}

/// CANN's toolkits for aarch64 in a package folder: file names and versions.
pub fn toolkits(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let is_one = |name: &InstallerName| name.kind == Some(CANN) && name.arch.as_deref() == Some(ARCH);
    let files = list(folder)?.into_iter().filter(|(_, is_file)| *is_file);
    let toolkit = |file: String| Some((file.parse().ok().filter(is_one)?.version, file));
    Ok(files.filter_map(|(file, _)| toolkit(file)).map(|(version, file)| (file, version)).collect())
}

/// Finds the recipe's packages in these folders. Whatever is missing, doubled, changed since it was fetched or not what
/// its name should say is reported together. Those that are `absent` count as there, unless another takes their place.
pub fn find(
    recipe: &Recipe,
    folders: &Folders,
    absent: &[Package],
    store: &Store,
    call: &Call,
) -> anyhow::Result<PackageSet> {
    let (files, found, problems) = choose(recipe, folders, absent, store, call)?;
    problems?;
    Ok(PackageSet { packages: identified(files, absent, store)?, ..found })
}

/// Those of these packages of a lock that are not in the folders.
pub fn missing(locked: &[Package], folders: &Folders) -> Vec<Package> {
    let place = |package: &Package| {
        let folder = if package.kind == PYPI { &folders.pypi } else { &folders.vendor };
        Package { path: folder.join(&package.file), ..package.clone() }
    };
    locked.iter().map(place).filter(|package| !package.path.exists()).collect()
}

/// Those of them that are known behind the store: enough for a plan, and for an image whose layers are there already.
pub fn known_to_an_image(missing: Vec<Package>, store: &Store) -> Vec<Package> {
    let is_known = |Package { file, sha256, .. }: &Package, is_installer| match is_installer {
        true => store.record_behind::<Makeself>(MAKESELF, &installer_key(sha256)).is_some(),
        false => file.ends_with(".whl") && is_outlined(store, file, sha256),
    };
    missing.into_iter().filter(|package| is_known(package, package.is_installer())).collect()
}

/// The same for whoever wants to know all at once: the packages that are there or `absent`, and what [`find`] would say.
pub fn survey(
    recipe: &Recipe,
    folders: &Folders,
    absent: &[Package],
    store: &Store,
    call: &Call,
) -> anyhow::Result<(PackageSet, anyhow::Result<()>)> {
    let (files, found, problems) = choose(recipe, folders, absent, store, call)?;
    Ok((PackageSet { packages: identified(files, absent, store)?, ..found }, problems))
}

/// Kinds and paths of the files that are packages by their names; what else is there; what is wrong.
type Chosen = (Vec<(String, PathBuf)>, PackageSet, anyhow::Result<()>);

fn choose(
    recipe: &Recipe,
    folders: &Folders,
    absent: &[Package],
    store: &Store,
    call: &Call,
) -> anyhow::Result<Chosen> {
    let folder = &folders.vendor;
    let listed = list(folder)?;
    let mut problems = Problems::default();
    let mut chosen: Vec<(String, PathBuf)> = Vec::new();
    let mut matched: Vec<&str> = Vec::new();
    let mut lacking_vendor = false;
    if !folder.exists() && absent.is_empty() && recipe.packages.values().any(|spec| spec.required) {
        let hint = "create it, or name another with `--pkg` or `$DOCKER_BUILD_PATH`";
        problems.push(format_args!("no such folder for packages: `{}`", folder.display()), Some(hint.to_owned()));
        // All else that is missing is missing for this.
        let none = PackageSet { packages: Vec::new(), unused: Vec::new(), left_out: 0 };
        return Ok((Vec::new(), none, sample_offered(problems.into_result(), call)));
    }
    let is_wanted = |kind: &str| recipe.versions.cann().is_some() || !INSTALLERS.contains(&kind);
    let by_name = [OPS, NNAL].into_iter().filter(|kind| !recipe.packages.contains_key(*kind)).map(|kind| (kind, None));
    let of_recipe = recipe.packages.iter().map(|(kind, spec)| (kind.as_str(), Some(spec)));
    for (kind, spec) in of_recipe.chain(by_name).filter(|(kind, _)| is_wanted(kind)) {
        // The recipe has parsed the glob already.
        let pattern = spec.and_then(|spec| Pattern::new(&spec.glob).ok());
        let is_meant = |name: &str| match &pattern {
            Some(pattern) => pattern.matches(name),
            None => name.parse::<InstallerName>().is_ok_and(|name| name.kind == Some(kind)),
        };
        let named = listed.iter().filter(|(name, _)| is_meant(name));
        let (files, others): (Vec<_>, Vec<_>) = named.partition(|(_, is_file)| *is_file);
        let files: Vec<&str> = files.into_iter().map(|(name, _)| name.as_str()).collect();
        matched.extend(&files);
        let of_lock = absent.iter().find(|package| package.kind == kind && is_meant(&package.file));
        others.iter().for_each(|(name, _)| unusable(&folder.join(name), &mut problems));
        match files[..] {
            [] if of_lock.is_some() && others.is_empty() => {
                chosen.extend(of_lock.map(|package| (kind.to_owned(), package.path.clone())));
            }
            [] => {
                if let Some(spec) = spec.filter(|spec| spec.required && others.is_empty()) {
                    lacking_vendor = true;
                    let message =
                        format!("no `{kind}` package: nothing in `{}` is named `{}`", folder.display(), spec.glob);
                    problems.push(message, Some(source::of(kind, folder)));
                }
            }
            [file] => chosen.push((kind.to_owned(), folder.join(file))),
            _ if kind == OPS && several_chips(&files) => {
                let message = format!(
                    "operators for several chips: {}; one CANN installation holds operators for one chip",
                    quoted(&files)
                );
                let one = recipe.versions.get("chip").map_or("one chip".to_owned(), chip);
                let hint = format!("leave those for `{one}` in `{}`", folder.display());
                problems.push(message, Some(hint));
            }
            _ => {
                let message = format!("{} packages for `{kind}`: {}", files.len(), quoted(&files));
                let hint = format!("keep only one of them in `{}`, or narrow `packages.{kind}.glob`", folder.display());
                problems.push(message, Some(hint));
            }
        }
    }
    let mut of_pypi = fetched(recipe, &folders.pypi, absent, store, call, &mut problems)?;
    let left_out = if recipe.pypi.requirements.is_empty() { of_pypi.drain(..).len() } else { 0 };
    chosen.extend(of_pypi.into_iter().map(|path| (PYPI.to_owned(), path)));
    check_names(recipe, &chosen, &mut problems);
    let mut problems = problems.into_result();
    if lacking_vendor {
        problems = sample_offered(problems, call);
    }
    let files = listed.iter().filter(|(_, is_file)| *is_file).map(|(name, _)| name);
    let looks_meant = |name: &&String| name.ends_with(".whl") || name.ends_with(".run");
    let unused = files.filter(looks_meant).filter(|name| !matched.contains(&name.as_str())).cloned().collect();
    Ok((chosen, PackageSet { packages: Vec::new(), unused, left_out }, problems))
}

/// Whether these packages of operators are for more than one chip, by their names.
fn several_chips(files: &[&str]) -> bool {
    let chips = files.iter().map(|file| file.parse::<InstallerName>().ok().and_then(|name| name.chip));
    chips.collect::<BTreeSet<_>>().len() > 1
}

fn sample_offered(problems: anyhow::Result<()>, call: &Call) -> anyhow::Result<()> {
    match call.sample {
        true => problems,
        false => problems.hint("`cargo xtask image --sample` builds a small, real image without the vendor's packages"),
    }
}

/// What is named as a package and is none was meant as one: a build without it would be another than was wanted.
fn unusable(path: &Path, problems: &mut Problems) {
    let hint = "copy the file there, or fix the link".to_owned();
    problems.push(format_args!("`{}` is not a readable file", path.display()), Some(hint));
}

/// Names of what is in a folder, sorted, and whether each is a file; nothing where there is no folder. Hidden ones are
/// some other program's.
fn list(folder: &Path) -> anyhow::Result<Vec<(String, bool)>> {
    let reading = || format!("failed to list the package folder `{}`", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(reading),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.with_context(reading)?;
        // A link to a file is as good as the file: packages of 1 GB are seldom copied.
        let is_file = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file());
        match entry.file_name().into_string() {
            Ok(name) if name.starts_with('.') => {}
            Ok(name) => listed.push((name, is_file)),
            Err(name) => listed.push((name.to_string_lossy().into_owned(), false)),
        }
    }
    listed.sort();
    Ok(listed)
}

/// The wheels of PyPI, those that were fetched and those that someone put there.
fn fetched(
    recipe: &Recipe,
    folder: &Path,
    absent: &[Package],
    store: &Store,
    call: &Call,
    problems: &mut Problems,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut listed = list(folder)?;
    listed.retain(|(name, _)| name.ends_with(".whl"));
    let here: BTreeSet<String> = listed.iter().filter_map(|(name, _)| Some(wheel_name(name).ok()?.0)).collect();
    let is_replaced = |file: &str| wheel_name(file).is_ok_and(|(distribution, _)| here.contains(&distribution));
    let of_lock = absent.iter().filter(|package| package.kind == PYPI && !is_replaced(&package.file));
    listed.extend(of_lock.map(|package| (package.file.clone(), true)));
    let (wheels, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(_, is_file)| *is_file);
    let mut paths: Vec<PathBuf> = wheels.iter().map(|(name, _)| folder.join(name)).collect();
    if recipe.pypi.requirements.is_empty() {
        return Ok(paths);
    }
    others.iter().for_each(|(name, _)| unusable(&folder.join(name), problems));
    let messages: Vec<String> = match fetch::state(recipe, folder, store)? {
        // What somebody put there is not in the record of a fetch, and may be gone since.
        State::Never | State::Complete => {
            let unmet = fetch::unmet(recipe, wheels.iter().map(|(name, _)| name)).into_iter();
            unmet.map(|requirement| format!("`{requirement}` of PyPI is not in `{}`", folder.display())).collect()
        }
        State::Stale(files, why) => {
            // What the next fetch replaces is not judged: its hints would contradict this one.
            paths.retain(|path| !files.iter().any(|file| path.ends_with(file)));
            vec![why]
        }
    };
    messages.into_iter().for_each(|message| problems.push(message, Some(format!("run `{}`", call.fetch))));
    Ok(paths)
}

/// Whether somebody put a wheel for each requirement there and nothing was ever fetched: a machine without pip.
pub fn by_hand(recipe: &Recipe, folders: &Folders) -> anyhow::Result<bool> {
    Ok(!fetch::was_here(&folders.pypi)
        && fetch::unmet(recipe, list(&folders.pypi)?.iter().map(|(name, _)| name)).is_empty())
}

/// Checks what file names say: one wheel a distribution, the versions that the image's tag will claim and, of PyPI, those
/// that the recipe asks for, whoever put the wheel there.
fn check_names(recipe: &Recipe, chosen: &[(String, PathBuf)], problems: &mut Problems) {
    let mut wheels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let named = |path: &Path| file_name(path).parse::<InstallerName>().ok();
    let toolkit = chosen.iter().find(|(kind, _)| kind == CANN).and_then(|(_, path)| named(path));
    for (kind, path) in chosen {
        let file = file_name(path);
        if INSTALLERS.contains(&kind.as_str()) {
            if let Some(other) = named(path).and_then(|name| name.kind).filter(|other| other != kind) {
                let hint = format!("narrow `packages.{kind}.glob`");
                problems.push(format_args!("`{file}` is CANN's `{other}` package, not `{kind}`"), Some(hint));
            }
            let toolkit = toolkit.as_ref().filter(|_| kind != CANN);
            name_conflicts(recipe, &file, toolkit).into_iter().for_each(|(problem, hint)| problems.push(problem, hint));
            continue;
        }
        let (distribution, found) = match wheel_name(&file) {
            Ok((distribution, name)) => (distribution, name.version),
            Err(message) => {
                problems.push(message, None);
                continue;
            }
        };
        let claim = recipe.versions.claim(&distribution);
        if let Some((key, wanted)) = claim.filter(|(_, wanted)| !is_version(wanted, &found)) {
            let title = title(key);
            let message = format!("`{file}` is {title} `{found}`, but the image's tag would say `{wanted}`");
            problems.push(message, Some(format!("give `--set versions.{key}={}`, or another wheel", public(&found))));
        } else if kind == PYPI {
            for (key, requirement) in recipe.pypi.refusing(&distribution, &found, &recipe.python.target()) {
                problems.push(
                    format_args!("`{}` does not satisfy `{requirement}` of `pypi.{key}`", path.display()),
                    Some(format!("replace it by a wheel of another version, or change `pypi.{key}`")),
                );
            }
        }
        wheels.entry(distribution).or_default().push(path.display().to_string());
    }
    for (distribution, paths) in wheels.iter().filter(|(_, paths)| paths.len() > 1) {
        let message = format!("{} wheels of `{distribution}`: {}", paths.len(), quoted(paths));
        problems.push(message, Some("keep only the one for the image".to_owned()));
    }
}

/// What conflicts in an installer's name with the recipe, and with the `toolkit` that it is to be installed upon; each
/// with a hint where there is one.
pub fn name_conflicts(recipe: &Recipe, file: &str, toolkit: Option<&InstallerName>) -> Vec<(String, Option<String>)> {
    let [version, arch] = ["cann", "arch"].map(|key| recipe.versions.get(key).unwrap_or("none"));
    let name: InstallerName = match file.parse() {
        Ok(name) => name,
        Err(message) => return vec![(message, None)],
    };
    let mut found = Vec::new();
    if let Some(toolkit) = toolkit {
        let wanted = &toolkit.version;
        if name.version != *wanted {
            let message = format!("`{file}` is of CANN `{}`, and the toolkit is `{wanted}`", name.version);
            found.push((message, Some(format!("use packages of one version: this one as `{wanted}`"))));
        }
    } else if name.version != version {
        let message = format!("`{file}` is CANN `{}`, but the image's tag would say `{version}`", name.version);
        found.push((message, Some(format!("give `--set versions.cann={}`, or another installer", name.version))));
    }
    let of_recipe = recipe.versions.get("chip");
    if let Some((of_file, of_recipe)) = name.chip.zip(of_recipe).filter(|(of_file, wanted)| *of_file != chip(wanted)) {
        let message = format!("`{file}` has operators for `{of_file}`, and `versions.chip` is `{of_recipe}`");
        found.push((message, Some(format!("give `--set versions.chip={of_file}`, or another package"))));
    }
    if let Some(other) = name.arch.filter(|other| other != arch) {
        let hint = format!("use the installer whose name ends with `linux-{arch}.run`");
        found.push((format!("`{file}` is for `{other}`, the image for `{arch}`"), Some(hint)));
    }
    found
}

/// Sizes and digests, by several threads: two take 0.17 s for MindSpore and its closure where the processor has SHA
/// instructions, and several times that where it has none. What is remembered takes 1 ms.
fn identified(files: Vec<(String, PathBuf)>, absent: &[Package], store: &Store) -> anyhow::Result<Vec<Package>> {
    let length = |(_, path): &(String, PathBuf)| fs::metadata(path).map_or(0, |meta| meta.len());
    let identified = side_by_side::map_longest_first(&files, side_by_side::cores(), length, |(kind, path)| {
        if let Some(package) = absent.iter().find(|package| package.path == *path) {
            return Ok(package.clone());
        }
        let (size, sha256) = digest(store, path)?;
        Ok(Package { kind: kind.clone(), file: file_name(path), path: path.clone(), size, sha256 })
    });
    let mut packages = identified.into_iter().collect::<anyhow::Result<Vec<Package>>>()?;
    packages.sort();
    Ok(packages)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}
