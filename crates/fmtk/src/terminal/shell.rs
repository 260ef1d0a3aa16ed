//! Words of a command that people are told to type, as a shell reads them back.

use std::fmt::Display;

/// The word, in quotes where a shell would take it apart or read something into it.
pub fn word(word: impl Display) -> String {
    let word = word.to_string();
    let is_plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:=@,+%".contains(letter));
    if is_plain && !word.is_empty() { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The text with `***` for the `USER:PASSWORD` of every address in it.
pub fn masked(text: &str) -> String {
    let mut parts = text.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, rest| {
        let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        match rest[..host].rfind('@') {
            Some(at) => format!("{shown}://***{}", &rest[at..]),
            None => format!("{shown}://{rest}"),
        }
    })
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
    fn logins_are_not_shown() {
        for (text, shown) in [
            ("system.mirror=http://me:secret@h/debian", "system.mirror=http://***@h/debian"),
            ("a=['https://h/a@1', 'https://me:se@cret@h']", "a=['https://h/a@1', 'https://***@h']"),
            ("base=oci:a@sha256:0", "base=oci:a@sha256:0"),
            ("a=http://me:secret@", "a=http://***@"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

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
