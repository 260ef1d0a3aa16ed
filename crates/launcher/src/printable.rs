//! Text as a terminal may have it: names, paths and variables in messages can't move its cursor, nor look like another line.

use file_edit::escaped;

/// A line: control characters are escaped, tabs stay.
pub fn line(text: &str) -> String {
    escaped(text, &['\t'])
}

/// Lines: the same, and their ends stay.
pub fn lines(text: &str) -> String {
    escaped(text, &['\t', '\n'])
}

/// A message of several lines: those behind the first that are neither errors nor hints are indented, so that a value
/// with an end of line in it can't pass for a line of the launcher.
pub fn message(text: &str) -> String {
    let is_ours = |line: &str| ["error: ", "hint: ", " ", "\t"].iter().any(|begin| line.starts_with(begin));
    let indented = |line: &str| if is_ours(line) { line.to_owned() } else { format!("    {line}") };
    let text = lines(text);
    let (first, rest) = text.split_once('\n').map_or((text.as_str(), None), |(first, rest)| (first, Some(rest)));
    let rest = rest.into_iter().flat_map(str::lines).map(indented);
    std::iter::once(first.to_owned()).chain(rest).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_seen_and_not_heard() {
        let text = "a\x1b[31m\u{9b}2J\r\x07\n\tü你";
        assert_eq!(line(text), "a\\u{1b}[31m\\u{9b}2J\\r\\u{7}\\n\tü你");
        assert_eq!(lines(text), "a\\u{1b}[31m\\u{9b}2J\\r\\u{7}\n\tü你");
    }

    #[test]
    fn a_value_can_not_pass_for_a_line() {
        let text = "no folder `a\nfmtk-launch: SUCCEEDED in 3 s`\nhint: make it";
        assert_eq!(message(text), "no folder `a\n    fmtk-launch: SUCCEEDED in 3 s`\nhint: make it");
        assert_eq!(message("one\nerror: two\n  more\n"), "one\nerror: two\n  more");
    }
}
