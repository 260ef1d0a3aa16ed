//! The name of a wheel file, and names of distributions.

use serde::{Deserialize, Serialize};

/// A wheel file's name taken apart (PEP 427, "File name convention").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileName {
    /// Name of the distribution as written.
    pub name: String,
    /// Version as written; not necessarily one of PEP 440.
    pub version: String,
    /// Build tag, where there is one.
    pub build: Option<String>,
    /// Python tags (`py2.py3` gives two).
    pub pythons: Vec<String>,
    /// ABI tags.
    pub abis: Vec<String>,
    /// Platform tags.
    pub platforms: Vec<String>,
}

impl FileName {
    /// Takes `moxing_framework-2.0.0-py2.py3-none-any.whl` apart; the error says which rule it breaks.
    pub fn parse(file: &str) -> Result<Self, &'static str> {
        let stem = file.strip_suffix(".whl").ok_or("it does not end in `.whl`")?;
        if stem.contains(|letter: char| letter == '/' || letter.is_control()) {
            return Err("it has a slash or a control character");
        }
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
            [name, version, build, python, abi, platform] => (name, version, Some(build), [python, abi, platform]),
            _ => return Err("it does not have the five or six parts `name-version(-build)-python-abi-platform`"),
        };
        if name.is_empty() || !name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.')) {
            return Err("the distribution's name has characters other than letters, digits, `_` and `.`");
        }
        if version.is_empty() {
            return Err("the version is empty");
        }
        if build.is_some_and(|build| !build.starts_with(|first: char| first.is_ascii_digit())) {
            return Err("the build tag does not begin with a digit");
        }
        if tags.iter().any(|tag| tag.split('.').any(str::is_empty)) {
            return Err("a tag is empty");
        }
        let split = |tag: &str| tag.split('.').map(str::to_lowercase).collect();
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            build: build.map(str::to_owned),
            pythons: split(tags[0]),
            abis: split(tags[1]),
            platforms: split(tags[2]),
        })
    }

    /// Its tags as it has them.
    pub fn tags(&self) -> String {
        [&self.pythons, &self.abis, &self.platforms].map(|tags| tags.join(".")).join("-")
    }
}

/// The name by which a distribution is compared (PEP 503): lower case, runs of `-`, `_` and `.` become one `-`.
pub fn normalize(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut gap = false;
    for letter in name.chars() {
        if matches!(letter, '-' | '_' | '.') {
            gap = true;
            continue;
        }
        if gap {
            out.push('-');
            gap = false;
        }
        out.extend(letter.to_lowercase());
    }
    if gap {
        out.push('-');
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{FileName, normalize};

    fn check(file: &str, expect: Expect) {
        let text = match FileName::parse(file) {
            Ok(FileName { name, version, build, pythons, abis, platforms }) => {
                format!("{name} {version} {build:?} {pythons:?} {abis:?} {platforms:?}")
            }
            Err(reason) => reason.to_owned(),
        };
        expect.assert_eq(&text);
    }

    #[test]
    fn takes_names_of_the_field_apart() {
        check(
            "moxing_framework-2.0.0.rc2.4b57a67b-py2.py3-none-any.whl",
            expect![[r#"moxing_framework 2.0.0.rc2.4b57a67b None ["py2", "py3"] ["none"] ["any"]"#]],
        );
        check(
            "numpy-1.23.5-2local-cp39-cp39-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
            expect![[
                r#"numpy 1.23.5 Some("2local") ["cp39"] ["cp39"] ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]"#
            ]],
        );
    }

    #[test]
    fn refuses_other_names() {
        let parts = "it does not have the five or six parts `name-version(-build)-python-abi-platform`";
        for (file, reason) in [
            ("", "it does not end in `.whl`"),
            ("numpy-1.23.5.tar.gz", "it does not end in `.whl`"),
            ("a-1-py3-none-any", "it does not end in `.whl`"),
            ("a-../x-py3-none-any.whl", "it has a slash or a control character"),
            ("a-1\n-py3-none-any.whl", "it has a slash or a control character"),
            ("numpy-1.23.5.whl", parts),
            ("a-1-py3-none.whl", parts),
            ("a-1-2-3-py3-none-any.whl", parts),
            ("a--py3-none-any.whl", "the version is empty"),
            ("a-1-x-py3-none-any.whl", "the build tag does not begin with a digit"),
            ("a-1-py3-none-.whl", "a tag is empty"),
            (
                "a b-1-py3-none-any.whl",
                "the distribution's name has characters other than letters, digits, `_` and `.`",
            ),
        ] {
            assert_eq!(FileName::parse(file), Err(reason), "{file}");
        }
    }

    #[test]
    fn names_compare_as_pep_503_says() {
        for name in ["Foo.Bar", "foo-bar", "FOO__BAR", "foo-_.bar"] {
            assert_eq!(normalize(name), "foo-bar");
        }
    }
}
