//! One component of a repository's path: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (OCI distribution spec, "Pulling
//! manifests").

use crate::refusal::{Fault, Rule, characters, length};

/// Checks one component of at most `max` characters.
pub(crate) fn check(text: &str, max: usize) -> Result<(), Fault> {
    length(text, max)?;
    characters(text, "a-z, 0-9 and the separators `.`, `_`, `-`", |c| alphanumeric(c) || separator(c))?;
    if text.starts_with(separator) {
        return Err(Fault::new(Rule::Start("a-z or 0-9"), 0));
    }
    if text.ends_with(separator) {
        return Err(Fault::new(Rule::End("a-z or 0-9"), text.len() - 1));
    }
    let mut begin = 0;
    while let Some(at) = text[begin..].find(separator).map(|at| begin + at) {
        let end = text[at..].find(alphanumeric).map_or(text.len(), |end| at + end);
        let run = &text[at..end];
        if !matches!(run, "." | "_" | "__") && run.contains(['.', '_']) {
            let rule = Rule::Separators("have single separators, save `__` and runs of `-`");
            return Err(Fault::new(rule, at + 1));
        }
        begin = end;
    }
    Ok(())
}

fn alphanumeric(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9')
}

fn separator(c: char) -> bool {
    matches!(c, '.' | '_' | '-')
}
