//! What installers write about a distribution: METADATA, RECORD, `installed-files.txt`, conda's records.

use serde::Deserialize;

use super::fact::CondaPackage;

/// Name and version of a METADATA or PKG-INFO file (Python's core metadata: headers as of a mail).
pub(super) fn metadata(bytes: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let (mut name, mut version) = (None, None);
    // The description follows an empty line.
    for line in text.lines().take_while(|line| !line.is_empty()) {
        match line.split_once(':') {
            Some((key, value)) if key.eq_ignore_ascii_case("name") => name = name.or(Some(value.trim().to_owned())),
            Some((key, value)) if key.eq_ignore_ascii_case("version") => {
                version = version.or(Some(value.trim().to_owned()));
            }
            _ => {}
        }
    }
    Some((name.filter(|name| !name.is_empty())?, version?))
}

/// The first field of each row of a RECORD (PEP 376: CSV), one a line. A path with a line break in it is left out.
pub(super) fn record_paths(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut paths = String::with_capacity(text.len() / 2);
    for row in text.lines() {
        let quoted;
        let path = match row.strip_prefix('"') {
            Some(rest) => {
                // A quote inside is written twice.
                let mut end = 0;
                let bytes = rest.as_bytes();
                while end < bytes.len() && (bytes[end] != b'"' || bytes.get(end + 1) == Some(&b'"')) {
                    end += if bytes[end] == b'"' { 2 } else { 1 };
                }
                quoted = rest.get(..end).unwrap_or_default().replace("\"\"", "\"");
                quoted.as_str()
            }
            None => row.split(',').next().unwrap_or_default(),
        };
        if !path.is_empty() {
            paths.push_str(path);
            paths.push('\n');
        }
    }
    paths
}

#[derive(Deserialize)]
struct Conda {
    name: String,
    #[serde(default)]
    files: Vec<String>,
}

/// A record of `conda-meta`, whose paths begin at the prefix.
pub(super) fn conda_package(bytes: &[u8]) -> Option<CondaPackage> {
    let Conda { name, files } = serde_json::from_slice(bytes).ok()?;
    Some(CondaPackage { name, files: files.join("\n") })
}

/// A name as it compares (PEP 503): lower case, runs of `-`, `_` and `.` as one `-`.
pub(super) fn key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' => {
                if !key.ends_with('-') {
                    key.push('-');
                }
            }
            c => key.extend(c.to_lowercase()),
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_kind_give_their_path() {
        let record = b"a/b.py,sha256=x,1\n\"a,b.py\",,\n\"say \"\"x\"\".py\",sha256=y,2\r\n../../../bin/f,,\n\n\"open";
        assert_eq!(record_paths(record), "a/b.py\na,b.py\nsay \"x\".py\n../../../bin/f\nopen\n");
    }

    #[test]
    fn metadata_ends_at_the_description() {
        let named = |text: &str| metadata(text.as_bytes());
        let both = Some(("A.b".to_owned(), "1.0".to_owned()));
        assert_eq!(named("Metadata-Version: 2.1\nName: A.b\nVersion: 1.0\n\nName: x\n"), both);
        assert_eq!(named("name: A.b\r\nVERSION:1.0\r\nName: c\r\n"), both);
        assert_eq!(named("Name: A.b\n\nVersion: 1.0\n"), None);
        assert_eq!(named(""), None);
    }

    #[test]
    fn names_compare_normalised() {
        assert_eq!(key("Zope.Interface__x--y"), "zope-interface-x-y");
    }
}
