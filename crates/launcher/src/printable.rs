//! Text as a terminal may have it: names, paths and variables in messages can't move its cursor, nor look like another line.

/// A line: control characters are escaped, tabs stay.
pub fn line(text: &str) -> String {
    escaped(text, &['\t'])
}

/// Lines: the same, and their ends stay.
pub fn lines(text: &str) -> String {
    escaped(text, &['\t', '\n'])
}

fn escaped(text: &str, kept: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() && !kept.contains(&letter) {
            true => escaped.extend(letter.escape_default()),
            false => escaped.push(letter),
        }
    }
    escaped
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
}
