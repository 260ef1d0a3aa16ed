//! The vendor's scripts in `/home/ma-user/ascend910/`: found in the package folder or in the base.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use image_name::Digest;
use oci_image::{Attr, BaseIndex, MTIME, Store};
use serde::Serialize;

use crate::{
    options::RecipeArgs,
    recipe::{Recipe, Scripts},
    resolve::packages::{self, Package},
    terminal::report::WithHint,
};

/// Where the image has them.
pub const FOLDER: &str = "/home/ma-user/ascend910";
/// The one that is patched.
pub const PATCHED: &str = "fmk.py";
/// All that the vendor has there.
const USUAL: [&str; 6] = ["common.py", PATCHED, "manager.py", "rank_table.py", STARTERS[1], STARTERS[0]];
/// The one that is called, by the names that it has.
const STARTERS: [&str; 2] = ["run_ascend910.py", "run_ascend.py"];
/// The kind of those in the package folder, and their folder there.
pub const KIND: &str = "ascend910";
/// More is no script of the vendor's; the patch takes no more either.
const MAX_BYTES: u64 = fmk_patch::MAX_BYTES as u64;

/// Where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// They stay as the base has them.
    Kept,
    /// The base's, of which one is patched.
    Base,
    /// Those in a folder on this machine.
    Folder(#[serde(skip)] PathBuf),
}

/// Where the vendor's scripts are looked for. The sample, which has a folder for its packages, has none for these:
/// whoever asks for them there means the ones that he has.
pub fn scripts_folder(args: &RecipeArgs) -> PathBuf {
    packages::folder(args.pkg.as_deref()).join(KIND)
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Absolute path in the image.
    pub path: String,
    /// Where it was found, for messages.
    pub origin: String,
    /// What it says.
    pub bytes: Vec<u8>,
    /// Whose it is in the image.
    pub attr: Attr,
    /// What the base has at this path, where that is known.
    pub in_base: Option<Digest>,
}

/// Where the recipe has them come from; `folder` is the one that it means where it names none.
pub fn origin(recipe: &Recipe, folder: PathBuf) -> Origin {
    match &recipe.scripts {
        Scripts::Keep => Origin::Kept,
        Scripts::Folder(folder) => Origin::Folder(folder.path().to_owned()),
        Scripts::Auto if folder.is_dir() => Origin::Folder(folder),
        Scripts::Auto => Origin::Base,
    }
}

/// Those of the folder as packages, for the lock.
pub fn packages(origin: &Origin) -> anyhow::Result<Vec<Package>> {
    let Origin::Folder(folder) = origin else { return Ok(Vec::new()) };
    let package = |(file, bytes): (String, Vec<u8>)| Package {
        kind: KIND.to_owned(),
        path: folder.join(&file),
        file,
        size: bytes.len() as u64,
        sha256: Digest::of(&bytes),
    };
    Ok(read(folder)?.into_iter().map(package).collect())
}

/// The paths of the base whose contents are needed.
pub fn wanted(origin: &Origin) -> anyhow::Result<Vec<String>> {
    // The usual ones in any case, so that the base need not be streamed once more when the recipe changes its mind.
    let mut wanted: Vec<String> = USUAL.map(in_image).into();
    if let Origin::Folder(folder) = origin {
        wanted.extend(read(folder)?.iter().map(|(name, _)| in_image(name)));
    }
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

/// Finds them, sorted by path; none where they are kept, or where the base was not inspected.
pub fn find(
    origin: &Origin,
    recipe: &Recipe,
    store: &Store,
    index: Option<&BaseIndex>,
) -> anyhow::Result<Option<Vec<Script>>> {
    let owner = recipe.layout.owner;
    let ours = Attr { mode: 0o644, uid: owner.uid, gid: owner.gid, mtime: MTIME };
    let script = |path: String, origin: String, bytes: Vec<u8>| {
        let there = index.and_then(|index| index.files.get(&path)?.as_ref());
        let attr = there.map_or(ours, |file| Attr { mtime: MTIME, ..file.attr });
        Script { in_base: there.map(|file| file.digest), path, origin, bytes, attr }
    };
    Ok(match (origin, index) {
        (Origin::Kept, _) | (Origin::Base, None) => None,
        (Origin::Base, Some(index)) => {
            let path = in_image(PATCHED);
            let found = index.file(store, &path)?;
            Some(found.into_iter().map(|bytes| script(path.clone(), format!("the base's `{path}`"), bytes)).collect())
        }
        (Origin::Folder(folder), _) => {
            let named = |name: &str| format!("`{}`", folder.join(name).display());
            let found = read(folder)?.into_iter();
            Some(found.map(|(name, bytes)| script(in_image(&name), named(&name), bytes)).collect())
        }
    })
}

/// Whether the image will have the script that is called; none where that is not known.
pub fn can_start(found: Option<&[Script]>, index: Option<&BaseIndex>) -> Option<bool> {
    let paths = STARTERS.map(in_image);
    let is_put_in = found.is_some_and(|scripts| scripts.iter().any(|script| paths.contains(&script.path)));
    let of_base = |index: &BaseIndex| paths.iter().any(|path| matches!(index.files.get(path), Some(Some(_))));
    if is_put_in { Some(true) } else { index.map(of_base) }
}

fn in_image(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// Every Python file of the folder by name, sorted; the one that is patched has to be among them.
fn read(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let listing = || format!("failed to list `{}`, where the vendor's scripts are to be", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(listing).input()? {
        let path = entry.with_context(listing)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".py") || !path.is_file() {
            continue;
        }
        let reading = || format!("failed to read `{}`", path.display());
        let size = fs::metadata(&path).with_context(reading)?.len();
        if size > MAX_BYTES {
            return Err(anyhow!("`{}` has {size} bytes, a script has {MAX_BYTES} at most", path.display())).input();
        }
        found.push((name, fs::read(&path).with_context(reading)?));
    }
    if !found.iter().any(|(name, _)| name == PATCHED) {
        return Err(anyhow!("there is no `{PATCHED}` in `{}`", folder.display()))
            .hint(format!(
                "copy the vendor's scripts of `{FOLDER}` there, or take the base's as they are: `--set scripts=keep`"
            ))
            .input();
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{recipe::Overrides, terminal::report};

    fn recipe(text: &str, folder: &Path) -> Recipe {
        Recipe::parse(text, "image.toml", folder, Overrides::default()).unwrap()
    }

    #[test]
    fn they_come_from_where_the_recipe_says() {
        let folder = tempfile::tempdir().unwrap();
        let pkg = folder.path().join("pkg");
        let of = |text: &str| origin(&recipe(text, folder.path()), pkg.join(KIND));
        assert_eq!(of(""), Origin::Base);
        fs::create_dir_all(pkg.join("ascend910")).unwrap();
        assert_eq!(of(""), Origin::Folder(pkg.join("ascend910")));
        assert_eq!(of("scripts = 'keep'"), Origin::Kept);
        assert_eq!(of("scripts = 'mine'"), Origin::Folder(folder.path().join("mine")));
    }

    #[test]
    fn a_folder_gives_its_python_files_and_lacks_none() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::Folder(folder.path().to_owned());
        fs::write(folder.path().join("common.py"), "b").unwrap();
        fs::write(folder.path().join("notes.txt"), "c").unwrap();
        let error = packages(&origin).unwrap_err();
        assert_eq!(report::exit(&error), report::Exit::Input);
        assert!(report::render(&error).contains("there is no `fmk.py` in"), "{}", report::render(&error));

        fs::write(folder.path().join("fmk.py"), "a").unwrap();
        let found: Vec<(String, String)> =
            packages(&origin).unwrap().into_iter().map(|package| (package.kind, package.file)).collect();
        let is = |file: &str| ("ascend910".to_owned(), file.to_owned());
        assert_eq!(found, [is("common.py"), is("fmk.py")]);
        fs::write(folder.path().join("mine.py"), "a").unwrap();
        let names =
            ["common.py", "fmk.py", "manager.py", "mine.py", "rank_table.py", "run_ascend.py", "run_ascend910.py"];
        assert_eq!(wanted(&origin).unwrap(), names.map(in_image));
        assert_eq!(wanted(&Origin::Kept).unwrap(), USUAL.map(in_image));

        fs::write(folder.path().join("large.py"), vec![b' '; fmk_patch::MAX_BYTES + 1]).unwrap();
        assert!(report::render(&packages(&origin).unwrap_err()).contains("large.py"));
    }
}
