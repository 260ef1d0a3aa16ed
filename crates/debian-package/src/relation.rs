//! What packages say of each other: `Depends: libc6 (>= 2.34), awk | mawk` (deb-control(5), Debian policy 7).

use std::{cmp::Ordering, fmt};

use crate::compare;

/// A dependency: one of these has to be there.
pub type Relation<'a> = Vec<Alternative<'a>>;

/// A package, in certain versions where it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative<'a> {
    /// Its name, without an architecture.
    pub name: &'a str,
    /// How its version has to compare with another.
    version: Option<(&'a str, &'a str)>,
}

/// Reads a field like `Depends`.
pub fn relations(field: &str) -> impl Iterator<Item = Relation<'_>> {
    let relation = |text| str::split(text, '|').filter_map(Alternative::parse).collect::<Relation<'_>>();
    field.split(',').map(relation).filter(|relation| !relation.is_empty())
}

/// Reads the field `Provides`: names, each with the version that it has.
pub fn provided(field: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let all = field.split(',').filter_map(Alternative::parse);
    all.map(|Alternative { name, version }| (name, version.map(|(_, version)| version)))
}

impl<'a> Alternative<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, version) = match text.split_once('(') {
            Some((name, rest)) => (name, Some(rest.split(')').next()?.trim())),
            None => (text.split(['[', '<']).next()?, None),
        };
        let name = name.trim().split(':').next().filter(|name| !name.is_empty())?;
        let version = version.map(|version| {
            let at = version.find(|c: char| !matches!(c, '<' | '>' | '=')).unwrap_or(version.len());
            let (operator, number) = version.split_at(at);
            (operator, number.trim())
        });
        Some(Self { name, version })
    }

    /// Whether this version of the package will do. Of what is only provided the version may be unknown.
    pub fn allows(&self, version: Option<&str>) -> bool {
        let Some((operator, wanted)) = self.version else { return true };
        let Some(version) = version else { return false };
        let order = compare(version, wanted);
        match operator {
            "<<" => order == Ordering::Less,
            ">>" => order == Ordering::Greater,
            "=" => order == Ordering::Equal,
            // `<` and `>` are old ways of writing these.
            "<=" | "<" => order != Ordering::Greater,
            _ => order != Ordering::Less,
        }
    }
}

impl fmt::Display for Alternative<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some((operator, version)) => write!(f, "{} ({operator} {version})", self.name),
            None => f.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_and_shown() {
        let field = "libc6 (>= 2.34), awk | mawk:any, gcc-12-base (=12.2.0-14) , x [linux-any],";
        let shown: Vec<Vec<String>> =
            relations(field).map(|all| all.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(shown, [vec!["libc6 (>= 2.34)"], vec!["awk", "mawk"], vec!["gcc-12-base (= 12.2.0-14)"], vec!["x"]]);
        let provides: Vec<_> = provided("libfoo (= 2), bar").collect();
        assert_eq!(provides, [("libfoo", Some("2")), ("bar", None)]);
    }

    #[test]
    fn versions_are_held_against_what_is_wanted() {
        for (wanted, version, allowed) in [
            ("a", None, true),
            ("a (>= 1)", None, false),
            ("a (>= 1)", Some("1"), true),
            ("a (>= 1)", Some("1~rc"), false),
            ("a (= 1)", Some("1-1"), false),
            ("a (<< 2)", Some("1"), true),
            ("a (<< 2)", Some("2"), false),
            ("a (<= 2)", Some("2"), true),
            ("a (>> 2)", Some("2"), false),
        ] {
            assert_eq!(relations(wanted).next().unwrap()[0].allows(version), allowed, "{wanted} {version:?}");
        }
    }
}
