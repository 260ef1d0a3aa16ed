//! Paths inside an image, which are text: absolute or relative to the root, with `/` between names.

/// Whether `path` is `folder` or below it. Everything is within the root, written `""` or `/`.
pub fn is_within(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
