//! What the commands that build have in common: the recipe with its arguments, the packages, the user's files.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, DirEntry},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use oci_image::Store;

use crate::{
    options::{Call, RecipeArgs, RegistryArgs},
    recipe::{Draft, Overrides, OwnFile, PYPI, Pypi, Recipe, stacks::MANUAL},
    resolve::{
        base::{self, OpenImage},
        lock::{self, Lock, LockedRequest},
        own_file::PlannedFile,
        packages::{self, Folders, Package, PackageSet},
        place, wheels,
    },
    sample::{self, SampleBase},
    terminal::{
        progress::{self, Progress},
        report::{self, Problems, WithHint},
    },
};
use image_name::ImageRef;

/// What `--sample` says over the recipe's file on the manual's stack: mindpet stands for the tuning kit.
const OF_MANUAL: [&str; 2] = [
    "pypi.requirements=['mindspore-ascend=={mindspore}', 'mindpet==1.0.4']",
    "pypi.constraints=['numpy<1.24', 'protobuf<3.21']",
];

/// Whether `import torch` loads torch_npu, which fails in an image without CANN.
pub const AUTOLOAD: &str = "TORCH_DEVICE_BACKEND_AUTOLOAD";

/// The recipe of this command; with `--sample` the sample's base is made ready first.
pub fn draft(args: &RecipeArgs, base: Option<&str>, store: &Store, progress: &Progress) -> anyhow::Result<Draft> {
    if !args.sample {
        let overrides = Overrides { set: &args.set, base, stack: args.stack.as_deref() };
        return place::draft(args.recipe.as_deref(), overrides);
    }
    let file = place::recipe_file(args.recipe.as_deref())?;
    if file.exists() {
        let file = file.display();
        progress.line(&format!("note: the sample reads `{file}` too, but has its own packages, Python and system"));
    }
    let (draft, own) = sample_draft(args, base, store)?;
    if base.is_none() {
        sample::ensure_base(store, own, progress)?;
    }
    Ok(draft)
}

/// The recipe of the sample upon this base: most likely one that was made of its own, which is taken where none is given.
/// Its own is a Debian with the Python of its stack.
pub fn sample_draft(
    args: &RecipeArgs,
    base: Option<&str>,
    store: &Store,
) -> anyhow::Result<(Draft, &'static SampleBase)> {
    let load = |set: &[String], base: Option<&str>| {
        place::draft(args.recipe.as_deref(), Overrides { set, base, stack: args.stack.as_deref() })
    };
    let Recipe { stack, environment, left_out, .. } = load(&args.set, base)?.recipe;
    let of_stack = stack.recipe()?;
    let own = SampleBase::of(of_stack.python.version)?;
    let manual: &[&str] = if stack == MANUAL { &OF_MANUAL } else { &[] };
    // Everything of the vendor is left out. What the user sets comes last and wins.
    let mut set: Vec<String> = of_stack.packages.keys().map(|kind| format!("packages.{kind}.required=false")).collect();
    set.extend(["versions.cann=none", "scripts=keep"].iter().chain(manual).map(|setting| (*setting).to_owned()));
    if of_stack.versions.get("torch_npu").is_some()
        && !environment.contains_key(AUTOLOAD)
        && !left_out.contains(AUTOLOAD)
    {
        set.push(format!("environment.{AUTOLOAD}=0"));
    }
    set.extend(own.recipe().into_iter().chain(args.set.iter().cloned()));
    let reference = match base {
        Some(base) => base.to_owned(),
        None => own.reference(store)?.to_string(),
    };
    let draft = load(&set, Some(&reference))?;
    let recipe = &draft.recipe;
    let (major, minor) = own.python;
    if base.is_none() && recipe.python.version != (major, minor) {
        let python = recipe.versions.get("python").unwrap_or_default();
        return Err(anyhow!(
            "the sample's base has Python {major}.{minor}, and `versions.python` is set to `{python}`"
        ))
        .hint(format!("leave it out, or name a base that has Python {python} with `--base`"))
        .input();
    }
    Ok((draft, own))
}

/// The package folders of this command. The sample's packages have some of their own, so that they do not mix with the
/// recipe's.
pub fn folders(args: &RecipeArgs) -> Folders {
    let vendor = match (&args.pkg, args.sample) {
        (None, true) => packages::folder(None).join("sample"),
        (folder, _) => packages::folder(folder.as_deref()),
    };
    Folders::of(vendor, args.recipe.as_deref(), args.stack.as_deref())
}

/// Every package of the recipe, or all that is wrong with them.
pub fn packages(
    args: &RecipeArgs,
    recipe: &Recipe,
    call: &Call,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Vec<Package>> {
    let folders = folders(args);
    let absent = absent(args, recipe, &folders, store)?;
    let PackageSet { packages, unused, left_out } = packages::find(recipe, &folders, &absent, store, call)?;
    if !absent.is_empty() {
        let count = progress::count(absent.len(), "package");
        progress.line(&format!("note: {count} of `{}` not here; known from an image in the registry", call.lock_file));
    }
    if left_out > 0 {
        let (wheels, folder) = (progress::count(left_out, "wheel"), folders.pypi.display());
        progress.line(&format!(
            "note: `pypi.requirements` is empty, so the image is built without the {wheels} in `{folder}`"
        ));
    }
    let folder = folders.vendor.display();
    if let Some(missing) = missing_folder(args) {
        progress.warning(&missing);
    }
    for file in unused {
        let why = match file.ends_with(".run") && recipe.versions.cann().is_none() {
            true => "is left out because `versions.cann` is `none`",
            false => "matches no kind in `[packages]` and is left out",
        };
        progress.warning(&format!("`{file}` in `{folder}` {why}"));
    }
    Ok(packages)
}

/// Packages of the lock that are not here, where something is known of them behind the store.
fn absent(args: &RecipeArgs, recipe: &Recipe, folders: &Folders, store: &Store) -> anyhow::Result<Vec<Package>> {
    Ok(packages::known_to_an_image(missing(args, recipe, folders)?, store))
}

/// Packages of the lock that are not here: an image may have their layers.
pub fn missing(args: &RecipeArgs, recipe: &Recipe, folders: &Folders) -> anyhow::Result<Vec<Package>> {
    if args.sample {
        return Ok(Vec::new());
    }
    let Some(mut lock) = Lock::load(&lock::path(args.recipe.as_deref(), args.stack.as_deref()))? else {
        return Ok(Vec::new());
    };
    // Those of an older request may hold what is no longer asked for; without any, the hint is to fetch.
    if !recipe.pypi.requirements.is_empty() && lock.pypi != Some(LockedRequest::of(recipe)) {
        lock.packages.retain(|package| package.kind != PYPI);
    }
    Ok(packages::missing(&lock.packages, folders))
}

/// What is said of a package folder that was named and is not there, where nothing of it is required.
pub fn missing_folder(args: &RecipeArgs) -> Option<String> {
    let missing = args.pkg.as_ref().filter(|folder| !folder.exists())?;
    Some(format!("there is no folder `{}`, so nothing is taken from it", missing.display()))
}

/// The user's own files, identified; a folder stands for every file below it, `__pycache__` aside.
pub fn own_files(recipe: &Recipe, store: &Store) -> anyhow::Result<Vec<PlannedFile>> {
    let mut problems = Problems::default();
    let mut found: Vec<(&OwnFile, PathBuf, String)> = Vec::new();
    for file in &recipe.files {
        if let Err((message, hint)) = walk(file, file.from.path(), file.to.as_str(), &mut found, &mut problems) {
            problems.push(message, hint);
        }
    }
    let mut files: Vec<PlannedFile> = Vec::new();
    let mut places = HashSet::new();
    for (file, from, to) in found {
        let (size, sha256) = wheels::digest(store, &from)?;
        let meta = fs::metadata(&from).with_context(|| format!("failed to read `{}`", from.display()))?;
        let owner = file.owner.unwrap_or(recipe.layout.owner);
        // Git keeps this one bit, so clones agree on it; the rest depends on the umask of whoever cloned.
        let mode = match file.mode {
            Some(mode) => mode.bits(),
            None if meta.permissions().mode() & 0o111 != 0 => 0o755,
            None => 0o644,
        };
        if !places.insert(to.clone()) {
            problems.push(format_args!("two of `[[files]]` give `{to}`"), None);
        }
        files.push(PlannedFile { from, to, mode, uid: owner.uid, gid: owner.gid, sha256, size });
    }
    problems.into_result()?;
    Ok(files)
}

/// Finds the files below a path; what is wrong with the path itself is the error, with a hint where there is one.
fn walk<'a>(
    file: &'a OwnFile,
    from: &Path,
    to: &str,
    found: &mut Vec<(&'a OwnFile, PathBuf, String)>,
    problems: &mut Problems,
) -> Result<(), (String, Option<String>)> {
    let shown = from.display();
    let failed = |error: io::Error| (format!("failed to read `{shown}` of `[[files]]`: {error}"), None);
    let meta = fs::metadata(from).map_err(failed)?;
    if meta.is_file() && file.to_folder && from == file.from.path() {
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        return Err((
            format!("`{to}/` of `[[files]]` is the path of a folder, and `{shown}` is a file"),
            Some(format!("give the file's own path: `to = \"{to}/{name}\"`")),
        ));
    }
    if meta.is_file() {
        found.push((file, from.to_owned(), to.to_owned()));
        return Ok(());
    }
    if !meta.is_dir() {
        return Err((format!("`{shown}` of `[[files]]` is neither a file nor a folder"), None));
    }
    let entries = fs::read_dir(from).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()).map_err(failed)?;
    let mut names: Vec<OsString> = entries.iter().map(DirEntry::file_name).collect();
    names.sort();
    for name in names {
        let path = from.join(&name);
        // What this machine's Python compiled does not fit: files have another time in the image.
        if name == "__pycache__" && path.is_dir() {
            continue;
        }
        let to = name.to_str().map(|name| format!("{}/{name}", to.trim_end_matches('/')));
        let walked = match to {
            None => Err((format!("the name of {path:?} of `[[files]]` is not UTF-8"), None)),
            // A link to a folder could lead in a circle.
            Some(to) if path.is_symlink() && path.is_dir() => Err((
                format!("`{}` of `[[files]]` is a link to a folder", path.display()),
                Some(format!(
                    "put the folder where the link is, or remove the link and give the folder a `[[files]]` of its own with \
                     `to = \"{to}\"`"
                )),
            )),
            Some(to) => walk(file, &path, &to, found, problems),
        };
        if let Err((message, hint)) = walked {
            problems.push(message, hint);
        }
    }
    Ok(())
}

/// Whether the vendor's packages are there and whole, as far as that does not depend on the base.
pub fn vendor_packages(args: &RecipeArgs, recipe: &Recipe, call: &Call, store: &Store) -> anyhow::Result<()> {
    let pypi = Pypi { requirements: Vec::new(), ..recipe.pypi.clone() };
    let folders = folders(args);
    let absent = absent(args, recipe, &folders, store)?;
    let found = packages::find(&Recipe { pypi, ..recipe.clone() }, &folders, &absent, store, call)?;
    packages::contents(found.packages, store, call).map(drop)
}

/// The base that the recipe names and pins.
pub fn open_base(
    recipe: &Recipe,
    args: &RegistryArgs,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<OpenImage> {
    let opened = base::open(&recipe.base.source, args, &recipe.registry, store, progress)
        .with_context(|| format!("failed to open the base `{}`", recipe.base.reference))?;
    check_pin(recipe, &opened).map(|()| opened)
}

/// The base, opened beside what else was found unless it was before, so that all that is wrong with either is said at
/// once. What is wrong already does not wait for the gigabytes of a base that has to be copied before anything is known of it.
pub fn with_base<T>(
    found: anyhow::Result<T>,
    opened: Option<anyhow::Result<OpenImage>>,
    recipe: &Recipe,
    args: &RegistryArgs,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<(T, OpenImage)> {
    let found = match &recipe.base.source {
        ImageRef::Registry(_) | ImageRef::Layout { .. } => found,
        ImageRef::Archive(_) | ImageRef::Engine { .. } if opened.is_some() => found,
        ImageRef::Archive(_) | ImageRef::Engine { .. } => Ok(found?),
    };
    report::both(found, opened.unwrap_or_else(|| open_base(recipe, args, store, progress)))
}

/// The base is the one that the recipe pins.
fn check_pin(recipe: &Recipe, opened: &OpenImage) -> anyhow::Result<()> {
    match recipe.base.digest {
        Some(pin) if pin != opened.base.manifest_digest => Err(anyhow!(
            "the base `{}` is {}, the recipe pins {pin}",
            recipe.base.reference,
            opened.base.manifest_digest
        ))
        .hint("if the new base is wanted, set `base.digest` to it")
        .input()
        .context("the base changed"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };

    use expect_test::expect_file;

    use super::*;

    /// The places of the files that this entry stands for, or what is wrong.
    fn found(folder: &Path, from: &str, to: &str) -> Result<Vec<String>, String> {
        let store = Store::open(&folder.join("store")).unwrap();
        let text = format!("files = [{{ from = \"{from}\", to = \"{to}\" }}]");
        let recipe = Recipe::parse(&text, "image.toml", folder, Overrides::default()).unwrap();
        match own_files(&recipe, &store) {
            Ok(files) => Ok(files.into_iter().map(|file| file.to).collect()),
            Err(error) => Err(report::render(&error).replace(&folder.display().to_string(), "")),
        }
    }

    #[test]
    fn a_folder_gives_its_files_without_what_this_machine_s_python_compiled() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["__pycache__/a.pyc", "a.py", "b/__pycache__/b.pyc", "b/b.py", ".git/HEAD"] {
            let path = folder.path().join("own").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(folder.path().join("own/empty")).unwrap();
        symlink("a.py", folder.path().join("own/link.py")).unwrap();
        let all = ["/o/.git/HEAD", "/o/a.py", "/o/b/b.py", "/o/link.py"].map(str::to_owned);
        assert_eq!(found(folder.path(), "own", "/o").unwrap(), all);
        assert_eq!(found(folder.path(), "own", "/o/").unwrap(), all);
    }

    /// `import torch` failed in the sample: PyTorch loaded torch_npu, which needs CANN's libraries.
    #[test]
    fn the_sample_of_a_stack_with_torch_npu_imports_torch_without_cann() {
        let folder = tempfile::tempdir().unwrap();
        let (store, file) = (Store::open(folder.path()).unwrap(), folder.path().join("image.toml"));
        let autoload = |stack: &str, text: &str, set: &[&str]| {
            fs::write(&file, text).unwrap();
            let set = set.iter().map(|set| (*set).to_owned()).collect();
            let (recipe, stack) = (Some(file.clone()), Some(stack.to_owned()));
            let args = RecipeArgs { recipe, stack, set, pkg: None, sample: true };
            let recipe = sample_draft(&args, Some("oci:base"), &store).unwrap().0.recipe;
            recipe.environment.get(AUTOLOAD).map(ToString::to_string)
        };
        let of_user = "environment.TORCH_DEVICE_BACKEND_AUTOLOAD = \"1\"";
        assert_eq!(autoload("torch-2.7", "", &[]).as_deref(), Some("0"));
        assert_eq!(autoload("torch-2.10", of_user, &[]).as_deref(), Some("1"));
        assert_eq!(autoload("torch-2.7", "", &["environment.TORCH_DEVICE_BACKEND_AUTOLOAD=1"]).as_deref(), Some("1"));
        assert_eq!(autoload("torch-2.7", "environment.TORCH_DEVICE_BACKEND_AUTOLOAD = false", &[]), None);
        assert_eq!(autoload("mindspore-2.10", "", &[]), None);
    }

    #[test]
    fn a_path_that_can_not_be_is_said_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("own")).unwrap();
        fs::write(folder.path().join("x.yaml"), "").unwrap();
        symlink("..", folder.path().join("own/up")).unwrap();
        fs::write(folder.path().join("own").join(OsStr::from_bytes(b"\xe4.txt")), "").unwrap();
        let said = [("own", "/o"), ("x.yaml", "/home/ma-user/"), ("none", "/o")].map(|(from, to)| {
            let said = found(folder.path(), from, to).unwrap_err();
            format!("# {from} to {to}\n{said}")
        });
        expect_file!["own_files.txt"].assert_eq(&said.concat());
    }
}
