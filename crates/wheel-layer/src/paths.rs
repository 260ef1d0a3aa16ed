//! Whether files can lie beside each other, in however many layers.

use std::collections::{HashMap, hash_map::Entry};

use oci_image::LayerError;

/// What is at a path.
enum There<'a> {
    File,
    /// A folder, with the first path that made it one.
    Folder(&'a str),
}

/// Looks at all the paths of a layer before it is split: a writer knows of those in its own piece only. Where they can't
/// be, the error is the one that a single layer of them would have, with the place of the path that is too much.
pub(crate) fn agree<'a>(paths: impl ExactSizeIterator<Item = &'a str>) -> Result<(), (usize, LayerError)> {
    let mut there: HashMap<&str, There<'_>> = HashMap::with_capacity(paths.len());
    for (number, path) in paths.map(|path| path.strip_prefix('/').unwrap_or(path)).enumerate() {
        let not_a_folder = |path: &str, parent: &str| {
            Err((number, LayerError::NotAFolder { path: path.to_owned(), parent: parent.to_owned() }))
        };
        let mut below = path;
        while let Some((folder, _)) = below.rsplit_once('/') {
            match there.entry(folder) {
                Entry::Vacant(place) => place.insert(There::Folder(below)),
                Entry::Occupied(place) => match place.get() {
                    There::File => return not_a_folder(below, folder),
                    There::Folder(_) => break, // what lies above is there already
                },
            };
            below = folder;
        }
        match there.insert(path, There::File) {
            None => {}
            Some(There::File) => return Err((number, LayerError::Twice { path: path.to_owned() })),
            Some(There::Folder(below)) => return not_a_folder(below, path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_there_once_and_below_folders_only() {
        let said = |paths: &[&str]| agree(paths.iter().copied()).map_err(|(at, error)| format!("{at}: {error}"));
        assert_eq!(said(&["/a/b/c", "/a/b/d", "/a/bc", "/a/b.c", "/x"]), Ok(()));
        assert_eq!(said(&["/a/b", "/x", "/a/b"]), Err("2: refused a second `a/b` in one layer".to_owned()));
        let expected = |at| Err(format!("{at}: refused `a/b/c`: `a/b` is not a folder in this layer"));
        assert_eq!(said(&["/x", "/a/b", "/a/b/c/d"]), expected(2));
        assert_eq!(said(&["/a/b/c/d", "/a/b/e", "/a/b"]), expected(2));
    }
}
