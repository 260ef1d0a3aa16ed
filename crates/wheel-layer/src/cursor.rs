//! A text that is read from its beginning.

/// Comparisons of versions, those that begin like another first.
pub(crate) const OPERATORS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

/// Reads a text from left to right.
pub(crate) struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// Begins at the beginning.
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.0
    }

    /// Goes on by so many bytes, which end at a character.
    pub fn advance(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or("");
    }

    /// Passes over white space.
    pub fn skip_space(&mut self) {
        self.0 = self.0.trim_start();
    }

    /// Passes over this sign where it is next.
    pub fn take(&mut self, sign: &str) -> bool {
        self.skip_space();
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Passes over this whole word where it is next.
    pub fn take_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let rest = self.0.strip_prefix(word);
        match rest {
            Some(rest) if !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_') => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Passes over a name (PEP 508, `identifier`) where it is next.
    pub fn take_name(&mut self) -> Option<&'a str> {
        self.skip_space();
        let end = self
            .0
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.')))
            .unwrap_or(self.0.len());
        let name = &self.0[..end];
        self.0 = &self.0[end..];
        (!name.is_empty()).then_some(name)
    }
}
