//! What installers write about a distribution: METADATA, RECORD, `installed-files.txt`, conda's records.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use crate::paths::joined;

/// What the installer says belongs to a distribution.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed<'a> {
    /// The folder that `lines` begin at.
    pub from: String,
    /// Paths, one a line, which may not exist.
    pub lines: &'a str,
    /// Further files that belong to it.
    pub others: Vec<String>,
}

impl Listed<'_> {
    /// All of them, without leading slash. They are made one by one: a list of short names may stand for a hundred times
    /// as many bytes.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.lines.lines().map(|path| joined(&[&self.from, path])).chain(self.others.iter().cloned())
    }
}

/// Name and version of a METADATA or PKG-INFO file (Python's core metadata: headers as of a mail).
pub(super) fn metadata(bytes: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    // The description follows an empty line.
    let head = || text.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let value = |wanted: &str| {
        let (_, value) = head().find(|(key, _)| key.eq_ignore_ascii_case(wanted))?;
        Some(value.trim().to_owned())
    };
    Some((value("name").filter(|name| !name.is_empty())?, value("version")?))
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
                let rest = rest.replace("\"\"", "\0");
                quoted = rest.split('"').next().unwrap_or_default().replace('\0', "\"");
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

/// One package that conda installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CondaPackage {
    pub name: String,
    /// Paths below the prefix, one a line.
    pub files: String,
}

impl CondaPackage {
    /// Reads a record of `conda-meta`.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Record {
            name: String,
            #[serde(default, deserialize_with = "as_lines")]
            files: String,
        }
        let Record { name, files } = serde_json::from_slice(bytes).ok()?;
        Some(Self { name, files })
    }
}

/// A list of texts, one a line. Read one by one: as a list of its own, millions of short ones take ten times as much.
fn as_lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Lines;
    impl<'de> Visitor<'de> for Lines {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
            let mut lines = String::new();
            while let Some(text) = list.next_element::<String>()? {
                lines.push_str(&text);
                lines.push('\n');
            }
            lines.pop();
            Ok(lines)
        }
    }
    deserializer.deserialize_seq(Lines)
}

/// A name as it compares (PEP 503): lower case, runs of `-`, `_` and `.` as one `-`.
pub(super) fn key(name: &str) -> String {
    name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-").to_lowercase()
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
    fn files_of_conda_are_one_a_line() {
        let files = |text: &str| CondaPackage::of(text.as_bytes()).map(|package| package.files);
        assert_eq!(files(r#"{"files":["a/b","","\u00e9"],"name":"x"}"#).unwrap(), "a/b\n\né");
        assert_eq!(files(r#"{"name":"x","files":[]}"#).unwrap(), "");
        assert_eq!(files(r#"{"name":"x"}"#).unwrap(), "");
        assert_eq!(files(r#"{"name":"x","files":"a"}"#), None);
        assert_eq!(files(r#"{"name":"x","files":["a",1]}"#), None);
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
