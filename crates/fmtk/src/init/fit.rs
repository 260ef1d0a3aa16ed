//! Which stack fits a base, as far as the table of versions that belong together tells.

use std::cmp::Reverse;

use super::facts::Facts;
use crate::recipe::{
    CLAIMS, Compatibility, Recipe, Row,
    stacks::{STACKS, Stack},
    title,
};

/// A stack for a base, and what of it has to be of another version there.
#[derive(Debug, PartialEq, Eq)]
pub struct Fit {
    pub stack: &'static Stack,
    /// The framework that the stack is about, by the key of its version.
    pub of: String,
    /// The versions of frameworks that go with the base, by key.
    pub versions: Vec<(&'static str, String)>,
    /// Whether all of them are the stack's own.
    pub is_own: bool,
}

impl Fit {
    /// Its frameworks in words: `PyTorch 2.7.1, torch_npu 2.7.1`.
    pub fn words(&self) -> String {
        let words = self.versions.iter().map(|(key, version)| format!("{} {version}", title(key)));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// The stacks that fit, the best first: one as it is before one with other versions of its framework, the one that was
/// made for the base's CANN before others of the same generation.
pub fn fitting(facts: &Facts) -> anyhow::Result<Vec<Fit>> {
    let tables = Compatibility::tables()?;
    let mut found = Vec::new();
    for stack in STACKS {
        let recipe = stack.recipe()?;
        let table = tables.iter().find_map(|table| {
            let own = recipe.versions.get(&table.of)?;
            let own = table.rows.iter().position(|row| row.versions(&table.of) == [own])?;
            Some((table, own))
        });
        let Some((table, own)) = table else { continue };
        // The stack's own versions first, then what keeps most of them, then the newest.
        let kept = |row: &Row| {
            let is_kept = |key: &str| recipe.versions.get(key).is_some_and(|own| row.versions(key) == [own]);
            CLAIMS.into_iter().filter(|(key, _)| is_kept(key)).count()
        };
        let mut rows: Vec<(usize, &Row)> = table.rows.iter().enumerate().collect();
        rows.sort_by_key(|(number, row)| Reverse((*number == own, kept(row), *number)));
        let fits = rows.into_iter().find(|(number, row)| fits(row, *number == own, &recipe, facts));
        if let Some((number, row)) = fits {
            let version = |key| Some((key, row.versions(key).first()?.clone()));
            let versions = CLAIMS.into_iter().filter_map(|(key, _)| version(key)).collect();
            let is_same_cann = recipe.versions.cann() == facts.cann.version();
            let fit = Fit { stack, of: table.of.clone(), versions, is_own: number == own };
            found.push((!fit.is_own, !is_same_cann, fit));
        }
    }
    found.sort_by_key(|(is_other, is_other_cann, _)| (*is_other, *is_other_cann));
    Ok(found.into_iter().map(|(.., fit)| fit).collect())
}

/// Whether the versions of a row go with the base, and are known to.
fn fits(row: &Row, is_own: bool, stack: &Recipe, facts: &Facts) -> bool {
    let python = facts.python.as_ref().is_none_or(|version| row.has("python", version));
    let cann = facts.cann.version().is_none_or(|version| match row.versions("cann") {
        // That is known of the stack's versions alone.
        [] => is_own && stack.versions.cann().map(generation) == Some(generation(version)),
        _ => row.has("cann", version),
    });
    let known: Vec<_> = facts.frameworks.iter().filter(|(key, _)| !row.versions(key).is_empty()).collect();
    let frameworks = facts.frameworks.is_empty()
        || !known.is_empty() && known.into_iter().all(|(key, version)| row.versions(key).contains(version));
    python && cann && frameworks
}

/// `8.5` of `8.5.0`.
fn generation(version: &str) -> Vec<&str> {
    version.splitn(3, '.').take(2).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::init::facts::Cann;

    fn said(cann: Option<&str>, python: &str, frameworks: &[(&'static str, &str)]) -> String {
        let cann = cann.map_or(Cann::None, |version| Cann::OfBase(version.to_owned(), Vec::new()));
        let frameworks = frameworks.iter().map(|(key, version)| (*key, (*version).to_owned())).collect();
        let facts = Facts { python: Some(python.to_owned()), cann, frameworks, installed: Vec::new() };
        let fits = fitting(&facts).unwrap().into_iter().map(|fit| {
            let own = if fit.is_own { "" } else { " with other versions" };
            format!("{}{own}: {}", fit.stack.name, fit.words())
        });
        format!("# {}\n{}\n", facts.words(), fits.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_stack_of_the_base_s_cann_comes_first_and_the_table_helps_out() {
        let all = [
            said(Some("8.3.RC1"), "3.11", &[]),
            said(Some("8.5.1"), "3.10", &[]),
            said(Some("9.1.0"), "3.11", &[]),
            said(Some("8.2.RC1"), "3.11", &[]),
            said(Some("5.1.RC2"), "3.9", &[]),
            said(None, "3.9", &[]),
            said(None, "3.12", &[]),
            said(Some("8.3.RC1"), "3.11", &[("torch", "2.7.1"), ("torch_npu", "2.7.1")]),
            said(Some("8.2.RC1"), "3.11", &[("torch", "2.6.0"), ("torch_npu", "2.6.0")]),
            said(None, "3.11", &[("torch", "2.13.0")]),
            said(Some("7.0.0"), "3.8", &[]),
        ];
        expect![[r#"
            # CANN 8.3.RC1 and Python 3.11
            torch-2.7: PyTorch 2.7.1, torch_npu 2.7.1
            mindspore-2.7 with other versions: MindSpore 2.7.1
            mindspore-2.10 with other versions: MindSpore 2.7.1
            torch-2.10 with other versions: PyTorch 2.8.0, torch_npu 2.8.0
            # CANN 8.5.1 and Python 3.10
            mindspore-2.7: MindSpore 2.7.2
            mindspore-2.10 with other versions: MindSpore 2.7.2
            torch-2.7 with other versions: PyTorch 2.7.1, torch_npu 2.7.1.post2
            torch-2.10 with other versions: PyTorch 2.9.0, torch_npu 2.9.0
            # CANN 9.1.0 and Python 3.11
            mindspore-2.10: MindSpore 2.10.0
            torch-2.10: PyTorch 2.10.0, torch_npu 2.10.0.post4
            torch-2.7 with other versions: PyTorch 2.7.1, torch_npu 2.7.1.post8
            # CANN 8.2.RC1 and Python 3.11
            mindspore-2.7 with other versions: MindSpore 2.7.0
            mindspore-2.10 with other versions: MindSpore 2.7.0
            torch-2.7 with other versions: PyTorch 2.6.0, torch_npu 2.6.0
            torch-2.10 with other versions: PyTorch 2.6.0, torch_npu 2.6.0
            # CANN 5.1.RC2 and Python 3.9
            manual: MindSpore 1.8.1
            # Python 3.9
            manual: MindSpore 1.8.1
            mindspore-2.7: MindSpore 2.7.2
            torch-2.7: PyTorch 2.7.1, torch_npu 2.7.1
            mindspore-2.10 with other versions: MindSpore 2.9.0
            torch-2.10 with other versions: PyTorch 2.8.0, torch_npu 2.8.0.post4
            # Python 3.12
            mindspore-2.7: MindSpore 2.7.2
            mindspore-2.10: MindSpore 2.10.0
            torch-2.10: PyTorch 2.10.0, torch_npu 2.10.0.post4
            torch-2.7 with other versions: PyTorch 2.7.1, torch_npu 2.7.1.post8
            # PyTorch 2.7.1, torch_npu 2.7.1, CANN 8.3.RC1 and Python 3.11
            torch-2.7: PyTorch 2.7.1, torch_npu 2.7.1
            torch-2.10 with other versions: PyTorch 2.7.1, torch_npu 2.7.1
            # PyTorch 2.6.0, torch_npu 2.6.0, CANN 8.2.RC1 and Python 3.11
            torch-2.7 with other versions: PyTorch 2.6.0, torch_npu 2.6.0
            torch-2.10 with other versions: PyTorch 2.6.0, torch_npu 2.6.0
            # PyTorch 2.13.0 and Python 3.11

            # CANN 7.0.0 and Python 3.8

        "#]]
        .assert_eq(&all.concat());
    }
}
