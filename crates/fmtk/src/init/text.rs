//! The text of a recipe: keys that are set, and commented-out keys that show what holds without them, each with a comment.

use anyhow::Context;
use toml_edit::{DocumentMut, Item, Key, Table, Value};

/// The tables in the order in which they are written; keys without a table come first.
const TABLES: [&str; 7] = ["", "versions", "base", "python", "packages", "pypi", "layout"];
/// A line with its comment that is longer has the comment above it.
const LONG: usize = 110;
/// Comments of a table begin below each other, unless a line is longer than this.
const WIDEST: usize = 44;

/// A recipe that is being written.
#[derive(Debug, Default)]
pub struct RecipeText {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    table: String,
    key: String,
    /// In TOML.
    value: String,
    comment: String,
    is_set: bool,
}

impl RecipeText {
    /// Sets a key, `versions.cann`, to a value in TOML.
    pub fn set(&mut self, key: &str, value: impl Into<String>, comment: impl Into<String>) {
        self.push(key, value.into(), comment.into(), true);
    }

    /// Tells a key with its value, but leaves it to whoever reads this to set it.
    pub fn tell(&mut self, key: &str, value: impl Into<String>, comment: impl Into<String>) {
        self.push(key, value.into(), comment.into(), false);
    }

    fn push(&mut self, key: &str, value: String, comment: String, is_set: bool) {
        let (table, key) = key.split_once('.').unwrap_or(("", key));
        self.lines.push(Line { table: table.to_owned(), key: key.to_owned(), value, comment, is_set });
    }

    /// Whether the key is set.
    pub fn is_set(&self, key: &str) -> bool {
        let (table, key) = key.split_once('.').unwrap_or(("", key));
        self.lines.iter().any(|line| line.is_set && line.table == table && line.key == key)
    }

    /// All of it, below a comment.
    pub fn to_toml(&self, head: &str) -> anyhow::Result<String> {
        let mut document = DocumentMut::new();
        // What no key came after yet: it is put in front of the next one.
        let mut pending: String = head.lines().map(|line| format!("# {line}\n")).collect();
        for name in TABLES {
            let lines: Vec<&Line> = self.lines.iter().filter(|line| line.table == name).collect();
            let widths = lines.iter().map(|line| line.text().len()).filter(|width| *width <= WIDEST);
            write(&lines, name, widths.max().unwrap_or(0), &mut document, &mut pending)?;
        }
        document.set_trailing(pending);
        Ok(document.to_string())
    }
}

/// Writes the keys of one table; `pending` is what was told and goes before the next key.
fn write(
    lines: &[&Line],
    name: &str,
    width: usize,
    document: &mut DocumentMut,
    pending: &mut String,
) -> anyhow::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    pending.push('\n');
    let mut table = Table::new();
    let is_set = lines.iter().any(|line| line.is_set);
    if !name.is_empty() && is_set {
        table.decor_mut().set_prefix(std::mem::take(pending));
    } else if !name.is_empty() {
        pending.push_str(&format!("# [{name}]\n"));
    }
    for line in lines {
        let mut comment = String::new();
        if line.text().len() + line.comment.len() > LONG && !line.comment.is_empty() {
            pending.push_str(&format!("# {}\n", line.comment));
        } else if !line.comment.is_empty() {
            comment = format!("{}  # {}", " ".repeat(width.saturating_sub(line.text().len())), line.comment);
        }
        if !line.is_set {
            pending.push_str(&format!("{}{comment}\n", line.text()));
            continue;
        }
        let mut key = Key::new(&line.key);
        key.leaf_decor_mut().set_prefix(std::mem::take(pending));
        let mut value: Value = line.value.parse().with_context(|| format!("bad value of `{}`", line.key))?;
        value.decor_mut().set_prefix(" ");
        value.decor_mut().set_suffix(comment);
        let target = if name.is_empty() { document.as_table_mut() } else { &mut table };
        target.insert_formatted(&key, Item::Value(value));
    }
    if !name.is_empty() && is_set {
        document.insert(name, Item::Table(table));
    }
    Ok(())
}

impl Line {
    fn text(&self) -> String {
        let mark = if self.is_set { "" } else { "# " };
        format!("{mark}{} = {}", Key::new(&self.key).display_repr(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn keys_have_comments_and_what_is_told_stays_in_its_table() {
        let mut text = RecipeText::default();
        text.set("base.reference", "\"oci:base\"", "");
        text.tell("versions.os", "\"debian_12\"", "the base's");
        text.set("versions.cann", "\"none\"", "no CANN anywhere");
        text.tell("versions.chip", "\"d910b\"", "");
        text.tell("python.glibc", "\"2.36\"", "");
        text.set("packages.cann", "{ required = false }", "x");
        text.set("packages.moxing", "{ required = false }", "long ".repeat(20).trim_end());
        text.tell("layout.owner", "\"1:1\"", "");
        assert!(text.is_set("versions.cann") && !text.is_set("versions.os"));
        let toml = text.to_toml("A recipe.\nIn two lines.").unwrap();
        expect![[r##"
            # A recipe.
            # In two lines.

            [versions]
            # os = "debian_12"  # the base's
            cann = "none"       # no CANN anywhere
            # chip = "d910b"

            [base]
            reference = "oci:base"

            # [python]
            # glibc = "2.36"

            [packages]
            cann = { required = false }    # x
            # long long long long long long long long long long long long long long long long long long long long
            moxing = { required = false }

            # [layout]
            # owner = "1:1"
        "##]]
        .assert_eq(&toml);
    }
}
