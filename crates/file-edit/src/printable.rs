//! Foreign text in messages.

/// `text` with its control characters escaped, line ends too: a file's name can't move a terminal's cursor, nor pass for a
/// line of ours.
pub fn printable(text: &str) -> String {
    escaped(text, &[])
}

/// The same, but for the characters that are `kept`.
pub fn escaped(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() && !kept.contains(&letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}
