//! Files of shell variables that docker's service takes its options from: `/etc/sysconfig/docker`, `/etc/default/docker`.

use std::ops::Range;

use file_edit::Splice;

const FLAG: &str = "--insecure-registry";

/// The value of a variable, where it is set.
pub fn value(text: &str, variable: &str) -> Option<String> {
    assignment(text, variable).map(|(range, _)| text[range].to_owned())
}

/// Whether options name an insecure registry, this one or any.
pub fn names(options: &str, host: Option<&str>) -> bool {
    let mut words = options.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let found = match word.strip_prefix(FLAG) {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if found.is_some_and(|found| host.is_none_or(|host| host == found)) {
            return true;
        }
    }
    false
}

/// The change after which the variable names this insecure registry.
pub fn set(text: &str, variable: &str, host: &str) -> Option<Splice> {
    let Some((range, quoted)) = assignment(text, variable) else {
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
    let (range, _) = assignment(text, variable)?;
    let (value, flag) = (&text[range.clone()], format!("{FLAG} {host}"));
    let (at, _) = value.match_indices(&flag).find(|(at, _)| {
        let (before, after) = (&value[..*at], &value[at + flag.len()..]);
        (before.is_empty() || before.ends_with(' ')) && (after.is_empty() || after.starts_with(' '))
    })?;
    let (start, end) = (range.start + at, range.start + at + flag.len());
    // With the blank before it.
    Some(Splice { range: start - usize::from(at > 0)..end, text: Vec::new() })
}

/// The value of the last assignment of a variable, within quotes where there are some, and whether there are.
fn assignment(text: &str, variable: &str) -> Option<(Range<usize>, bool)> {
    let (mut start, mut found) = (0, None);
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let trimmed = body.trim_start();
        let rest = trimmed.strip_prefix("export ").unwrap_or(trimmed).strip_prefix(variable);
        if let Some(value) = rest.and_then(|rest| rest.strip_prefix('=')) {
            let at = start + body.len() - value.len();
            let quote = value.chars().next().filter(|letter| matches!(letter, '"' | '\''));
            found = Some(match quote.and_then(|quote| value[1..].find(quote)) {
                Some(length) => (at + 1..at + 1 + length, true),
                None => (at..at + value.find([' ', '\t', '#']).unwrap_or(value.len()), false),
            });
        }
        start += line.len();
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
