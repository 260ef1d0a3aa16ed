//! Files of shell variables that docker's service takes its options from: `/etc/sysconfig/docker`, `/etc/default/docker`.

use std::ops::Range;

use file_edit::Splice;

const FLAG: &str = "--insecure-registry";

/// The value of a variable, where it is set.
pub fn value(text: &str, variable: &str) -> Option<String> {
    assignment(text, variable).map(|it| text[it.range].to_owned())
}

/// The insecure registries that options name, each with the number of the word that begins to do so.
pub fn registries<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<(usize, &'w str)> {
    let mut words = words.into_iter().enumerate();
    let mut found = Vec::new();
    while let Some((at, word)) = words.next() {
        let registry = match word.strip_prefix(FLAG) {
            Some("") => words.next().map(|(_, next)| next),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        found.extend(registry.map(|registry| (at, registry)));
    }
    found
}

/// Whether options name an insecure registry, this one or any.
pub fn names(options: &str, host: Option<&str>) -> bool {
    registries(options.split_ascii_whitespace()).iter().any(|(_, found)| host.is_none_or(|host| host == *found))
}

/// The change after which the variable names this insecure registry.
pub fn set(text: &str, variable: &str, host: &str) -> Option<Splice> {
    let Some(Assignment { range, quoted, .. }) = assignment(text, variable) else {
        let before = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Some(Splice::insert(text.len(), format!("{before}{variable}=\"{FLAG} {host}\"\n")));
    };
    let value = &text[range.clone()];
    let blank = if value.is_empty() || value.ends_with(' ') { "" } else { " " };
    match (names(value, Some(host)), quoted) {
        (true, _) => None,
        (false, true) => Some(Splice::insert(range.end, format!("{blank}{FLAG} {host}"))),
        (false, false) => Some(Splice { text: format!("\"{value}{blank}{FLAG} {host}\"").into_bytes(), range }),
    }
}

/// The change that takes this insecure registry out of the variable.
pub fn unset(text: &str, variable: &str, host: &str) -> Option<Splice> {
    let range = assignment(text, variable)?.range;
    let (value, flag) = (&text[range.clone()], format!("{FLAG} {host}"));
    let (at, _) = value.match_indices(&flag).find(|(at, _)| {
        let (before, after) = (&value[..*at], &value[at + flag.len()..]);
        (before.is_empty() || before.ends_with(' ')) && (after.is_empty() || after.starts_with(' '))
    })?;
    let (start, end) = (range.start + at, range.start + at + flag.len());
    // With the blank before it.
    Some(Splice { range: start - usize::from(at > 0)..end, text: Vec::new() })
}

/// A line that sets a variable.
pub struct Assignment<'t> {
    pub name: &'t str,
    /// Of the value, within quotes where there are some.
    pub range: Range<usize>,
    quoted: bool,
    /// From 1.
    pub line: usize,
}

fn assignment<'t>(text: &'t str, variable: &str) -> Option<Assignment<'t>> {
    assignments(text).into_iter().rfind(|it| it.name == variable)
}

/// What a file of variables sets, in its order.
pub fn assignments(text: &str) -> Vec<Assignment<'_>> {
    let (mut start, mut found) = (0, Vec::new());
    for (line, whole) in (1..).zip(text.split_inclusive('\n')) {
        let body = whole.trim_end();
        let trimmed = body.trim_start();
        if let Some((name, value)) = trimmed.strip_prefix("export ").unwrap_or(trimmed).split_once('=') {
            let at = start + body.len() - value.len();
            let quote = value.chars().next().filter(|letter| matches!(letter, '"' | '\''));
            let (range, quoted) = match quote.and_then(|quote| value[1..].find(quote)) {
                Some(length) => (at + 1..at + 1 + length, true),
                // A service takes all of the line, a shell the first word: more of them are meant for the service.
                None => (at..at + value.find(" #").unwrap_or(value.len()), false),
            };
            found.push(Assignment { name, range, quoted, line });
        }
        start += whole.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use file_edit::apply;

    use super::*;

    #[test]
    fn the_flag_joins_the_variable_once_and_leaves_it_again() {
        for (text, expected) in [
            ("", "V=\"--insecure-registry r.x\"\n"),
            ("# V='a'\nW=1", "# V='a'\nW=1\nV=\"--insecure-registry r.x\"\n"),
            ("V=''\nW=1\n", "V='--insecure-registry r.x'\nW=1\n"),
            ("V=\nW=1\n", "V=\"--insecure-registry r.x\"\nW=1\n"),
            ("V=\"-H fd:// --x\" # why\n", "V=\"-H fd:// --x --insecure-registry r.x\" # why\n"),
            ("V=--x --y\n", "V=\"--x --y --insecure-registry r.x\"\n"),
            ("V=--x\n", "V=\"--x --insecure-registry r.x\"\n"),
            ("V='a'\nV='b'\n", "V='a'\nV='b --insecure-registry r.x'\n"),
        ] {
            let new = String::from_utf8(apply(text.as_bytes(), set(text, "V", "r.x").as_slice())).unwrap();
            assert_eq!(new, expected, "{text:?}");
            assert_eq!(set(&new, "V", "r.x"), None);
            let value = value(&new, "V").unwrap();
            assert!(names(&value, Some("r.x")) && names(&value, None) && !names(&value, Some("r")));
            let gone = String::from_utf8(apply(new.as_bytes(), unset(&new, "V", "r.x").as_slice())).unwrap();
            assert!(!gone.contains("insecure"), "{gone:?}");
        }
        let own = "V='--insecure-registry=r.x --insecure-registry r.xy'\n";
        assert_eq!(set(own, "V", "r.x"), None);
        assert_eq!(unset(own, "V", "r.x"), None);
    }
}
