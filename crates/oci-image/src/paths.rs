//! Paths inside an image, which are text: absolute or relative to the root, with `/` between names.

/// Whether `path` is `folder` or below it. Everything is within the root, written `""` or `/`.
pub fn is_within(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Parts of a path put together without a leading slash, `.` and `..` resolved, the latter up to the root at most. An
/// absolute part begins anew.
pub(crate) fn joined(parts: &[&str]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for part in parts {
        if part.starts_with('/') {
            names.clear();
        }
        for name in part.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                name => names.push(name),
            }
        }
    }
    names.join("/")
}

/// The folder that a path lies in, empty for the top level, and the last name.
pub(crate) fn split_name(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_itself_and_what_is_below_by_whole_names() {
        for (path, folder, expected) in [
            ("/a", "/a", true),
            ("/a/b", "/a", true),
            ("/a/b", "/a/", true),
            ("/ab", "/a", false),
            ("/a", "/a/b", false),
            ("a/b", "/a", false),
            ("a/b", "", true),
            ("/a", "/", true),
        ] {
            assert_eq!(is_within(path, folder), expected, "{path} in {folder}");
        }
    }
}
