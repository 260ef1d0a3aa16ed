//! Where things go in the image, and whose the folders above them are.

use std::collections::BTreeSet;

use oci_image::{Attr, MTIME, ParentDirs};
use serde::Serialize;
use wheel_layer::Layout;

use super::Inputs;
use crate::{
    recipe::{Dir, Recipe},
    resolve::{bytecode::Release, own_file::PlannedFile},
};

/// A folder that a layer creates or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFolder {
    pub path: String,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
}

/// Where an absolute path really is: a layer that leads through a link of the base would put a folder in its place.
pub(super) fn real(inputs: &Inputs<'_>, path: &str) -> String {
    inputs.index.map_or_else(|| path.to_owned(), |index| index.real_file(path))
}

/// The same for a folder, which may be a link itself.
fn real_folder(inputs: &Inputs<'_>, path: &str) -> String {
    inputs.index.map_or_else(|| path.to_owned(), |index| index.real_path(path))
}

/// Where the parts of a wheel go.
pub(super) fn layout(inputs: &Inputs<'_>) -> Layout {
    let Recipe { python, layout, .. } = inputs.recipe;
    let prefix = python.prefix.as_str().trim_end_matches('/');
    let (major, minor) = python.version;
    let site_packages = real_folder(inputs, python.site_packages.as_str());
    Layout {
        python: python.version,
        data: real_folder(inputs, python.prefix.as_str()),
        purelib: site_packages.clone(),
        platlib: site_packages,
        scripts: real_folder(inputs, &format!("{prefix}/bin")),
        headers: real_folder(inputs, &format!("{prefix}/include/python{major}.{minor}")),
        // As it is called, not where it is: an environment's Python is a link that knows its environment by its name.
        interpreter: python.interpreter.as_str().to_owned(),
        uid: layout.owner.uid,
        gid: layout.owner.gid,
        mtime: MTIME,
        bytecode: inputs.bytecode.map(Release::identity),
    }
}

/// Whether the path is one of those that are removed, or below one.
pub(super) fn is_gone(path: &str, removed: &[String]) -> bool {
    let below =
        |gone: &String| path.strip_prefix(gone.as_str()).is_some_and(|rest| matches!(rest.get(..1), None | Some("/")));
    removed.iter().any(below)
}

/// The folders below our layers as far as they are known: what was seen in the base, less what is removed, else what
/// the recipe says; and CANN's once it is installed.
pub(super) fn known(inputs: &Inputs<'_>, removed: &[String]) -> ParentDirs {
    let of_recipe =
        || inputs.recipe.layout.dirs.iter().map(|(path, dir)| (path.as_str().to_owned(), named(dir))).collect();
    let mut known: ParentDirs = inputs.index.map_or_else(of_recipe, |index| index.dirs_without(removed));
    for installed in inputs.installed() {
        known.retain(|path, _| !is_gone(path, &installed.removed));
        known.extend(installed.dirs.iter().map(|(path, attr)| (path.clone(), *attr)));
    }
    known
}

/// What `[layout.dirs]` says of a folder.
fn named(dir: &Dir) -> Attr {
    Attr { mode: dir.mode.bits(), uid: dir.owner.uid, gid: dir.owner.gid, mtime: MTIME }
}

/// The folders that come to be by the user's own files, which are sorted, and besides these the attributes of those
/// that wheels make below the files: a layer of files must not take them back.
///
/// None above a base that was not inspected: what it has there would get another owner.
pub(super) fn of_files(
    inputs: &Inputs<'_>,
    known: &ParentDirs,
    of_wheel: &dyn Fn(&str) -> bool,
    files: &[PlannedFile],
) -> (Vec<PlannedFolder>, ParentDirs) {
    let Recipe { layout, .. } = inputs.recipe;
    let (mut new, mut attrs) = (Vec::new(), ParentDirs::new());
    if inputs.index.is_none() {
        return (new, attrs);
    }
    let named: ParentDirs =
        layout.dirs.iter().map(|(path, dir)| (real_folder(inputs, path.as_str()), named(dir))).collect();
    for PlannedFile { to, uid, gid, .. } in files {
        // The first slash is the root, which every base has.
        for path in to.match_indices('/').skip(1).map(|(end, _)| &to[..end]) {
            if known.contains_key(path) || attrs.contains_key(path) {
                continue;
            }
            let plain = |uid, gid| Attr { mode: 0o755, uid, gid, mtime: MTIME };
            if of_wheel(path) {
                attrs.insert(path.to_owned(), plain(layout.owner.uid, layout.owner.gid));
                continue;
            }
            let attr = named.get(path).copied().unwrap_or(plain(*uid, *gid));
            attrs.insert(path.to_owned(), attr);
            new.push(PlannedFolder { path: path.to_owned(), mode: attr.mode, uid: attr.uid, gid: attr.gid });
        }
    }
    (new, attrs)
}

/// Of the known folders those that these paths go through: a layer must not change with unrelated folders of the base.
pub fn above<'a>(known: &ParentDirs, paths: impl Iterator<Item = &'a str>) -> ParentDirs {
    let mut wanted = BTreeSet::new();
    for path in paths {
        let mut folder = path;
        while let Some((above, _)) = folder.rsplit_once('/') {
            folder = if above.is_empty() { "/" } else { above };
            if !wanted.insert(folder) || folder == "/" {
                break;
            }
        }
    }
    wanted.into_iter().filter_map(|folder| Some((folder.to_owned(), *known.get(folder)?))).collect()
}
