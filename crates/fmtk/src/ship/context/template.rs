//! Texts with places to fill in, and names of files made of what people read.

/// The template with each `@NAME@` of these filled in; what is filled in is not looked at again.
pub fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('@') {
        text.push_str(before);
        let value = values.iter().find_map(|(name, value)| {
            let rest = after.strip_prefix(name)?.strip_prefix('@')?;
            Some((value, rest))
        });
        match value {
            Some((value, behind)) => {
                text.push_str(value);
                rest = behind;
            }
            None => {
                text.push('@');
                rest = after;
            }
        }
    }
    text + rest
}

/// Letters, digits, dots and hyphens of a text, at most 60: a file name that no pattern of a builder reads otherwise.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        match letter {
            letter if letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_') => slug.push(letter),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() == 60 {
            break;
        }
    }
    slug.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let values = [("A", "@B@".to_owned()), ("B", "b".to_owned())];
        assert_eq!(filled("@A@ a@b @B@@C@ @", &values), "@B@ a@b b@C@ @");
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("mindspore-ascend 1.8.1"), "mindspore-ascend-1.8.1");
        assert_eq!(slug("the vendor's fmk.py, a[b]*"), "the-vendor-s-fmk.py-a-b");
        assert_eq!(slug(&"x".repeat(200)).len(), 60);
    }
}
