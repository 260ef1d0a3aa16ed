//! `[environment]`: variables of the image. Jobs start without a shell's rc files, so they hold what those would set.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::Deserialize;
use serde_spanned::Spanned;

use super::{
    document::{Document, OrFalse, as_text},
    settings::RANKS,
};

/// A variable's value, in which `${NAME}` stands for what the base has for `NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

/// Names and values. Default: those of CANN 5, where the recipe names one, and `PYTHONUNBUFFERED=1`, which the platform
/// wants. Of other versions they are learned where CANN is installed.
pub type Environment = BTreeMap<String, Value>;

/// The variables of CANN 5.
const OF_CANN: &str = include_str!("cann-environment.toml");

/// What leads to CANN, from version 6 on.
pub const CANN_HOMES: [&str; 2] = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"];

/// Whether this version of CANN has the variables of the table; those of others are learned.
pub fn is_of_table(cann: &str) -> bool {
    cann.starts_with("5.")
}

/// What engines give a container whose image sets no `PATH`; an image that sets one must have these folders itself.
pub const ENGINE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A recipe's entry: a value, or `false` for a default that is not wanted.
#[derive(Deserialize)]
#[serde(try_from = "OrFalse")]
pub(super) struct Entry(Option<Value>);

impl TryFrom<OrFalse> for Entry {
    type Error = String;

    fn try_from(OrFalse(written): OrFalse) -> Result<Self, String> {
        written.map(|text| text.parse()).transpose().map(Self)
    }
}

/// The variables; the names of those that are the table's; the names of those that are not wanted.
pub(super) fn finish(
    written: BTreeMap<Spanned<String>, Entry>,
    cann: Option<&str>,
    document: &mut Document,
) -> (Environment, BTreeSet<String>, BTreeSet<String>) {
    // The file is this crate's own, as the tests show.
    let of_cann = || toml_edit::de::from_str(OF_CANN).unwrap_or_default();
    let mut environment: Environment = if cann.is_some_and(is_of_table) { of_cann() } else { Environment::new() };
    let mut of_table: BTreeSet<String> = environment.keys().cloned().collect();
    let mut left_out = BTreeSet::new();
    for (name, Entry(value)) in written {
        let (span, name) = (name.span(), name.into_inner());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.chars().all(plain) || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            document.fault(span, "a variable's name has letters, digits and `_`, and no digit first");
        } else if name == RANKS && value.is_some() {
            document.fault(span, "the image has it from `launch.ranks`; set that");
        }
        of_table.remove(&name);
        match value {
            Some(value) => drop(environment.insert(name, value)),
            None if environment.remove(&name).is_some() => {}
            None => drop(left_out.insert(name)),
        }
    }
    (environment, of_table, left_out)
}

/// The variables with the base's values filled in; sorted by name.
///
/// In a list with colons, an element that stands for nothing vanishes (an empty one would mean the work folder to the
/// loader and the shell), and what the base brings is left out where the recipe names it already: an image built upon
/// our own has every folder once.
pub fn resolve(environment: &Environment, base: &BTreeMap<String, String>) -> Vec<(String, String)> {
    environment.iter().map(|(name, value)| (name.clone(), value.resolve(base))).collect()
}

/// What is legal but likely a mistake: a reference to what the base does not set, and a shell's `$NAME`.
pub fn doubts(environment: &Environment, base: &BTreeMap<String, String>) -> Vec<String> {
    let mut doubts = Vec::new();
    for (name, Value(text)) in environment {
        let used = text.split("${").skip(1).filter_map(|part| Some(part.split_once('}')?.0));
        // What is put before the base's own list is often the first of it.
        let empty = used.filter(|used| used != name && *used != "PATH" && !base.contains_key(*used));
        doubts.extend(
            empty.map(|used| format!("`${{{used}}}` in `environment.{name}` is empty: the base sets no such variable")),
        );
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let literal = text.split('$').skip(1).map(|part| part.split(|c| !plain(c)).next().unwrap_or_default());
        // `$` and a number is money or a pattern.
        let literal = literal.filter(|name| !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()));
        doubts.extend(literal.map(|used| {
            format!("`${used}` in `environment.{name}` stays as it is written; `${{{used}}}` is the base's value")
        }));
    }
    doubts
}

impl Value {
    fn resolve(&self, base: &BTreeMap<String, String>) -> String {
        let of_base = |name: &str| match (base.get(name), name) {
            (Some(value), _) => value.as_str(),
            (None, "PATH") => ENGINE_PATH,
            (None, _) => "",
        };
        let own: Vec<&str> = self.0.split(':').collect();
        let mut elements: Vec<String> = Vec::new();
        for element in &own {
            match element.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|name| !name.contains('$'))
            {
                Some(name) => {
                    let brought = of_base(name).split(':').filter(|one| !one.is_empty() && !own.contains(one));
                    elements.extend(brought.map(str::to_owned));
                }
                None => elements.push(fill(element, of_base)),
            }
        }
        elements.join(":")
    }
}

/// Replaces every `${NAME}`; the text is known to have each of them closed.
fn fill<'a>(text: &str, of_base: impl Fn(&str) -> &'a str) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        filled.push_str(of_base(name));
        filled.push_str(rest);
    }
    filled
}

impl FromStr for Value {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(['\0', '\n', '\r']) {
            return Err("must be one line".to_owned());
        }
        for part in text.split("${").skip(1) {
            let name = part.split_once('}').map(|(name, _)| name);
            if !name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
            {
                return Err(format!("`${{{part}` is not closed, or names no variable"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(Value);

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, base: &[(&str, &str)]) -> String {
        let base = base.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        text.parse::<Value>().unwrap().resolve(&base)
    }

    #[test]
    fn the_base_is_put_in() {
        assert_eq!(resolved("/a:${X}", &[("X", "/b:/c")]), "/a:/b:/c");
        assert_eq!(resolved("/a/${X}/b", &[("X", "m")]), "/a/m/b");
        assert_eq!(resolved("${X}", &[("X", "plain text")]), "plain text");
        assert_eq!(resolved("$X $", &[("X", "no")]), "$X $");
    }

    #[test]
    fn references_that_may_be_mistakes_are_told() {
        let environment =
            toml_edit::de::from_str("A = '${TYPO}/a:${A}:${B}'\nPATH = '/x:$PATH:${PATH}'\nC = '$ $1,'").unwrap();
        let base = [("B".to_owned(), String::new())].into();
        expect_test::expect![[r#"
            `${TYPO}` in `environment.A` is empty: the base sets no such variable
            `$PATH` in `environment.PATH` stays as it is written; `${PATH}` is the base's value
        "#]]
        .assert_eq(&(doubts(&environment, &base).join("\n") + "\n"));
        let of_cann: Environment = toml_edit::de::from_str(OF_CANN).unwrap();
        assert_eq!(doubts(&of_cann, &BTreeMap::new()), [""; 0]);
    }

    #[test]
    fn an_unset_variable_leaves_no_empty_element() {
        assert_eq!(resolved("/a:${X}", &[]), "/a");
        assert_eq!(resolved("${X}:/a", &[("X", "")]), "/a");
        assert_eq!(resolved("/a:${X}", &[("X", ":/b:")]), "/a:/b");
    }

    #[test]
    fn a_base_without_path_keeps_the_engines_folders() {
        assert_eq!(resolved("/a:${PATH}", &[]), format!("/a:{ENGINE_PATH}"));
    }

    #[test]
    fn built_upon_itself_nothing_doubles() {
        let of_cann: Environment = toml_edit::de::from_str(OF_CANN).unwrap();
        for text in of_cann.values().map(ToString::to_string) {
            let once = resolved(&text, &[("PATH", "/x"), ("LD_LIBRARY_PATH", "/x")]);
            let base = [("PATH", &*once), ("LD_LIBRARY_PATH", &*once), ("PYTHONPATH", &*once)];
            assert_eq!(resolved(&text, &base), once);
        }
    }

    #[test]
    fn values_are_one_line_and_closed() {
        for text in ["${", "${}", "${A", "${A-b}", "a\nb", "${A:-x}"] {
            let error = text.parse::<Value>().unwrap_err();
            assert!(error == "must be one line" || error.ends_with("is not closed, or names no variable"), "{error}");
        }
    }
}
