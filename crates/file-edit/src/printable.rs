//! Foreign text in messages.

/// `text` with its control characters escaped, line ends too: a file's name can't move a terminal's cursor, nor pass for a
/// line of ours. So are the characters that nobody sees, some of which turn the order of all others on the line.
pub fn printable(text: &str) -> String {
    escaped(text, &[])
}

/// The same, but for the characters that are `kept`.
pub fn escaped(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match (letter.is_control() || is_invisible(letter)) && !kept.contains(&letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Unicode's line separators and format characters, those of bidirectional text among them (UAX #9), but for the few that
/// have a glyph.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_escaped() {
        assert_eq!(
            printable("a\u{202e}b\u{2066}c\u{2028}d\n\u{feff}e"),
            "a\\u{202e}b\\u{2066}c\\u{2028}d\\n\\u{feff}e"
        );
        assert_eq!(printable("模型 é مرحبا שלום 👍"), "模型 é مرحبا שלום 👍");
    }
}
