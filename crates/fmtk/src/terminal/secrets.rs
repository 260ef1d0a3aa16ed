//! Users and passwords in addresses that are shown.

/// The text with `****` for whoever an address names before its host: `http://****@HOST/simple`. A password may hold `@`
/// and `/`, so all counts to the last `@` of the word.
pub fn masked(text: &str) -> String {
    let (mut said, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("//") {
        let (before, address) = rest.split_at(at + 2);
        said += before;
        let (word, after) = address.split_at(end_of_word(address));
        said += &word.rsplit_once('@').map_or_else(|| word.to_owned(), |(_, host)| format!("****@{host}"));
        rest = after;
    }
    said + rest
}

/// Where a blank or a quote ends it; one that is escaped is part of a password.
fn end_of_word(text: &str) -> usize {
    let ends = |at: usize, c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`') && !text[..at].ends_with('\\');
    text.char_indices().find(|(at, c)| ends(*at, *c)).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_named_before_a_host() {
        for (text, expected) in [
            ("1 | url = \"http://me:p@ss/w@HOST/simple\", x", "1 | url = \"http://****@HOST/simple\", x"),
            ("x @ https://token@h/a and http://h/b", "x @ https://****@h/a and http://h/b"),
            ("\"http://me:a\\\"b@h\"", "\"http://****@h\""),
            ("me@h // it", "me@h // it"),
            ("a=['http://h/b', 'https://me:se@cret@h']", "a=['http://h/b', 'https://****@h']"),
            ("base=oci:a@sha256:0", "base=oci:a@sha256:0"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
