//! Stanzas (deb-control(5)): what an index of packages and dpkg's list of what is installed consist of.

/// The fields of one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stanza<'a>(&'a str);

/// The stanzas of a text, which blank lines part.
pub fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    text.split("\n\n").map(|stanza| Stanza(stanza.trim_matches('\n'))).filter(|Stanza(text)| !text.is_empty())
}

impl<'a> Stanza<'a> {
    /// The first line of a field.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_their_stanza() {
        let text = "Package: a\nDescription: x\n Version: no\nVersion: 1\n\n\nPackage: b\n";
        let found: Vec<_> = stanzas(text).map(|stanza| (stanza.field("Package"), stanza.field("Version"))).collect();
        assert_eq!(found, [(Some("a"), Some("1")), (Some("b"), None)]);
    }
}
