//! Words of a command that people are told to type, as a shell reads them back.

use std::fmt::Display;

/// The word, in quotes where a shell would take it apart or read something into it.
pub fn word(word: impl Display) -> String {
    let word = word.to_string();
    let is_plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:=@,+%".contains(letter));
    if is_plain && !word.is_empty() { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The words as one line.
pub fn line<W: Display>(words: impl IntoIterator<Item = W>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_every_word_back() {
        for text in
            ["", "a b", "it's", "$HOME", "`id`", "a\"b", "a\\b", "*", "~", "#", "oci:a:1", "--x=y", "a\nb", "你好"]
        {
            let output = Command::new("sh").args(["-c", &format!("printf %s {}", word(text))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
        assert_eq!(word("oci:/a/b_1.2@sha256:0,+%"), "oci:/a/b_1.2@sha256:0,+%");
        assert_eq!(line(["a", "b c"]), "a 'b c'");
    }
}
