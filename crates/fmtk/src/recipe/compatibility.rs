//! What is known of versions that belong together: `stacks/compatibility.toml`.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

use super::Versions;

const TABLES: &str = include_str!("../../stacks/compatibility.toml");

/// What one source says of the versions of one key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compatibility {
    /// The key of `[versions]` that the rows are about.
    pub of: String,
    /// Where it stands.
    pub source: String,
    /// When that was read.
    pub date: String,
    /// A row for each version of the key.
    pub rows: Vec<Row>,
}

/// All versions that go with one, by their keys.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, OneOrMore>);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Compatibility {
    /// All tables.
    pub fn tables() -> anyhow::Result<Vec<Self>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            table: Vec<Compatibility>,
        }
        let written: Written = toml_edit::de::from_str(TABLES).context("the table of versions can't be read")?;
        Ok(written.table)
    }
}

impl Row {
    /// What goes with it by this key; nothing where that is not known.
    pub fn versions(&self, key: &str) -> &[String] {
        match self.0.get(key) {
            Some(OneOrMore::One(version)) => std::slice::from_ref(version),
            Some(OneOrMore::More(versions)) => versions,
            None => &[],
        }
    }

    /// Whether this version by this key is known to go with it.
    pub fn has(&self, key: &str, version: &str) -> bool {
        self.versions(key).iter().any(|known| is_of(known, version))
    }

    /// The keys, with the recipe's versions, that do not go with it. A recipe without CANN goes with any.
    pub fn misfits<'a>(&'a self, versions: &'a Versions, of: &str) -> Vec<(&'a str, &'a str)> {
        let of_recipe = |key: &str| if key == "cann" { versions.cann() } else { versions.get(key) };
        let others = self.0.keys().filter(|key| *key != of);
        let given = others.filter_map(|key| Some((key.as_str(), of_recipe(key)?)));
        given.filter(|(key, version)| !self.has(key, version)).collect()
    }
}

/// Whether a version is the known one, or one of that generation.
fn is_of(known: &str, version: &str) -> bool {
    version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::stacks::STACKS;

    #[test]
    fn the_tables_are_whole_and_every_stack_is_in_them() {
        let tables = Compatibility::tables().unwrap();
        for table in &tables {
            for row in &table.rows {
                assert_eq!(row.versions(&table.of).len(), 1, "{row:?}");
            }
        }
        for stack in STACKS {
            let versions = stack.recipe().unwrap().versions;
            let rows = tables.iter().flat_map(|table| table.rows.iter().map(move |row| (table.of.as_str(), row)));
            let of_it =
                rows.filter(|(of, row)| versions.get(of).is_some_and(|own| row.versions(of).contains(&own.to_owned())));
            let misfits: Vec<_> = of_it.map(|(of, row)| row.misfits(&versions, of)).collect();
            assert_eq!(misfits, [[]], "{}", stack.name);
        }
    }

    #[test]
    fn a_generation_has_its_patches_and_candidates() {
        assert!(is_of("8.5", "8.5.0") && is_of("8.3", "8.3.RC1") && is_of("3.11", "3.11.4") && is_of("2.7.1", "2.7.1"));
        assert!(!is_of("3.1", "3.11") && !is_of("8.5.0", "8.5"));
    }
}
