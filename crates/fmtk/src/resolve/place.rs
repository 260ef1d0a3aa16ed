//! Where things lie on this machine: the workspace, the store, the package folder.

use std::{
    env,
    fs::Permissions,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, anyhow};
use oci_image::Store;
use tempfile::NamedTempFile;

use crate::{
    options::{Call, RecipeArgs, flag},
    recipe::{Draft, Overrides, Recipe},
    terminal::{progress::Progress, report::WithHint},
};

/// The folder of the workspace's `Cargo.toml`.
pub fn workspace() -> PathBuf {
    // Cargo sets the variable for what it runs; the built-in value serves a binary that is run by itself.
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    // That of a member is one folder deeper than that of `xtask`: in `crates`.
    let levels = if manifest.ends_with("xtask") { 1 } else { 2 };
    manifest.ancestors().nth(levels).unwrap_or(&manifest).to_owned()
}

/// Opens the store: the flag or `FMTK_STORE`, else `fmtk` in the user's cache folder (XDG base directories). Who waits there
/// for another process says so.
pub fn store(flag: Option<&Path>, progress: &Progress) -> anyhow::Result<Store> {
    let root = root(flag)?;
    let store = Store::open(&root)
        .with_context(|| format!("failed to open the store `{}`", root.display()))
        .hint("name another folder with `--store DIR`")?;
    // Each process is told once: two builds meet at many locks. Threads of ours meet too, for a moment.
    let (progress, told) = (progress.clone(), AtomicU32::new(process::id()));
    Ok(store.telling(move |holder| {
        let other = holder.map_or("another process".to_owned(), |id| format!("process {id}"));
        let text = format!("waiting for {other}, which is doing the same work in this store");
        let id = holder.unwrap_or(0);
        if id != process::id() && told.swap(id, Ordering::Relaxed) != id {
            progress.line(&text);
        }
        Box::new(progress.step(text))
    }))
}

fn root(flag: Option<&Path>) -> anyhow::Result<PathBuf> {
    let root = match flag {
        Some(path) => path.to_owned(),
        None => {
            let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
            absolute("XDG_CACHE_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
                .ok_or_else(|| anyhow!("neither `XDG_CACHE_HOME` nor `HOME` names a folder for the store"))
                .hint("name one with `--store DIR`")?
                .join("fmtk")
        }
    };
    std::path::absolute(&root).with_context(|| format!("bad store folder `{}`", root.display()))
}

/// ` --store DIR` for a command that is to find this store, where it would take another without the flag.
pub fn store_flag(store: &Store) -> String {
    let named = env::var_os("FMTK_STORE").map(PathBuf::from);
    match root(named.as_deref()) {
        Ok(root) if root == store.root() => String::new(),
        _ => flag("--store", store.root().display()),
    }
}

/// The call with these arguments, as hints name it.
pub fn call(args: &RecipeArgs, store: &Store) -> Call {
    Call::from(args).in_store(&store_flag(store))
}

/// Where the recipe is: the file that is named, else `image.toml` of the workspace, which need not exist.
pub fn recipe_file(file: Option<&Path>) -> anyhow::Result<PathBuf> {
    let file = file.map_or_else(|| workspace().join("image.toml"), Path::to_owned);
    std::path::absolute(&file).with_context(|| format!("bad recipe `{}`", file.display()))
}

/// The recipe: the file that is named, else `image.toml` of the workspace where there is one.
pub fn recipe(file: Option<&Path>) -> anyhow::Result<Recipe> {
    draft(file, Overrides::default()).map(|draft| draft.recipe)
}

/// The recipe with arguments laid over it, before its base is known.
pub fn draft(file: Option<&Path>, overrides: Overrides<'_>) -> anyhow::Result<Draft> {
    match file {
        Some(file) => Draft::load(file, true, overrides),
        None => Draft::load(&workspace().join("image.toml"), false, overrides),
    }
}

/// Writes a small file, the whole of it or nothing. Whoever shares its folder reads it too, unlike a temporary file.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    written_beside(path, text)?.persist(path)?;
    Ok(())
}

/// The same for a file that must not be there yet.
pub(crate) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    written_beside(path, text)?.persist_noclobber(path)?;
    Ok(())
}

/// The text in a file of another name in the same folder.
fn written_beside(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}
